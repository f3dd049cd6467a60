"""What the runs of q_networks.py come to: claims with verdicts, figures, and a page of the lab's kind.

A run's score is its return over the teacher's, as R15 gives it, on the same episodes; over games the geometric mean.
Intervals draw runs and episodes anew, the same episodes for teacher and all students of a game.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.lab.findings import Claim, Figure, Findings, Panel, Series, Table
from understudy.lab.verdict import Estimate
from understudy.math.statistics import bootstrap_interval, percentiles
from understudy.reports.lab_page import write_study
from understudy.runs.folder import RunFolder

if TYPE_CHECKING:
    from q_networks import Setting

RESAMPLES = 5_000
LEAST = 1e-3  # a score below counts as this much: a geometric mean takes no 0
MATCHES = 0.95  # of the teacher's return: less than this is worse than it
SOURCE = (
    "R15: Rusu, Colmenarejo, Gulcehre, Desjardins, Kirkpatrick, Pascanu, Mnih, Kavukcuoglu, Hadsell, “Policy "
    "Distillation”, 2015 (ICLR 2016)."
)
NOTES = (
    "The games are small (10x10 cells) and so are the teachers; Atari at full size is another matter.",
    "R15's students learn from the teacher's play. Here the student acts, with 5 % of uniform actions (rows `q-*`).",
    "Sticky actions (probability 0.1) and growing difficulty are MinAtar's defaults.",
    "Episodes of Freeway are cut after 500 steps, a fifth of their length, and those of the other games after 2,500.",
    "A run keeps the best student of its evaluations of 10 episodes each, the library's rule; final ones are others.",
    "R15's third claim, one network for several games, is measured in benchmarks/q_three_in_one.md.",
)
WORDS = {
    "Teacher, student": "A DQN agent, and a smaller network of the same kind that learns from its action values.",
    "Score": "The student's return over the teacher's, in the same 100 episodes, which no training saw. 1 is as good.",
    "[a, b]": "A 95 % interval: runs and episodes drawn anew. Three runs are few; of a single one only the episodes "
    "count: what another training would give is not in it.",
    "Verdict": "Computed from the data. Reproduced: all statements of the claim hold, each by its whole interval; "
    "partly: some; not reproduced: none.",
    "q-kl, q-mse, q-ce, q-nll": "KL(softmax(Q_T/τ)‖softmax(Q_S)); Σ (Q_S - Q_T)²; the cross-entropy with both sides "
    "at τ; the teacher's greedy action as a label.",
}


@dataclass(frozen=True)
class Group:
    """The finished runs of a setting. ``returns`` ``[runs, episodes]``."""

    setting: Setting
    returns: np.ndarray
    teacher: np.ndarray
    random: np.ndarray
    share: float
    updates: int

    @cached_property
    def scores(self) -> np.ndarray:
        """Logarithms of resampled scores ``[RESAMPLES]``; the episodes of a game are drawn alike for all of it."""
        runs, episodes = self.returns.shape
        drawn = np.random.default_rng(0).multinomial(episodes, np.full(episodes, 1 / episodes), RESAMPLES) / episodes
        which = np.random.default_rng(abs(hash_of(self.setting.name))).integers(0, runs, (RESAMPLES, runs))
        means = np.take_along_axis(drawn @ self.returns.T, which, 1).mean(1)
        return np.asarray(np.log(np.maximum(means / (drawn @ self.teacher), LEAST)))

    @property
    def score(self) -> float:
        return float(np.log(max(self.returns.mean() / self.teacher.mean(), LEAST)))


def hash_of(name: str) -> int:
    """A number that depends on the name alone, which Python's own hash does not."""
    return int.from_bytes(name.encode()[:64], "big") % 2**32


def read(settings: Iterable[Setting], seeds: int, out: Path) -> list[Group]:
    """Those settings of which a run is finished."""
    found = []
    for setting in settings:
        folders = [RunFolder(setting.folder(seed, out)) for seed in range(seeds)]
        done = [folder for folder in folders if folder.result_path.exists()]
        if not done:
            continue
        played, result = [folder.episodes() for folder in done], done[0].result
        returns = np.stack([one["student"].returns for one in played])
        share = result.student_parameters / result.teacher_parameters
        first = played[0]
        found.append(Group(setting, returns, first["teacher"].returns, first["random"].returns, share, result.updates))
    return found


def mean_score(groups: Sequence[Group], over: Sequence[Group] = ()) -> Estimate:
    """The geometric mean of the groups' scores, or how many times that of the groups ``over`` it is."""
    point = np.mean([one.score for one in groups]) - (np.mean([one.score for one in over]) if over else 0.0)
    drawn = np.mean([one.scores for one in groups], 0) - (np.mean([one.scores for one in over], 0) if over else 0.0)
    return Estimate(float(np.exp(point)), *(float(np.exp(end)) for end in percentiles(drawn)))


class Study:
    """The finished groups, by what is asked of them."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self.games = list(dict.fromkeys(one.setting.game for one in groups))

    def of(self, method: str = "q-kl", size: str = "25", temperature: float = 0.01) -> list[Group]:
        """One of each game that has it."""
        wanted = (method, size, temperature)
        return [one for one in self.groups if (one.setting.method, one.setting.size, one.setting.temperature) == wanted]

    @property
    def temperatures(self) -> list[Group]:
        """Of the game on which several were tried, coldest first."""
        warm = {one.setting.game for one in self.groups if one.setting.temperature == 1}
        chosen = [o for o in self.groups if o.setting.game in warm and o.setting.method == "q-kl"]
        return sorted((o for o in chosen if o.setting.size == "25"), key=lambda one: one.setting.temperature)


def sizes_claim(study: Study, number: str, size: str, paper: str) -> Claim | None:
    """That a student of this size matches its teacher."""
    groups = study.of(size=size)
    if not groups:
        return None
    each = [mean_score([one]).effect(f"score on {one.setting.game}") for one in groups]
    whole = mean_score(groups).effect("geometric mean of the scores", above=MATCHES)
    shares = ", ".join(f"{one.share:.1%} ({one.setting.game})" for one in groups)
    found = f"The students have {shares} of the teacher's parameters. A score above {MATCHES:g} counts as a match."
    return Claim(number, f"{size} % of the size", paper, found, (whole, *each), tried=runs_of(groups))


def losses_claim(study: Study) -> Claim | None:
    """That KL with a low temperature beats MSE and NLL."""
    kl = study.of()
    effects = []
    for rival, bound in (("q-mse", 1.0), ("q-nll", 1.0), ("q-ce", -math.inf)):
        pairs = [(one, other) for one in kl for other in study.of(rival) if one.setting.game == other.setting.game]
        if pairs:
            ours, theirs = zip(*pairs, strict=True)
            effects.append(mean_score(ours, theirs).effect(f"score of q-kl over that of {rival}", above=bound))
            effects += [mean_score([one], [other]).effect(f"the same on {one.setting.game}") for one, other in pairs]
    if not effects:
        return None
    paper = "KL with a temperature of 0.01 is a better loss than the squared error and than the greedy action's label."
    found = "Students of 25 %, the same steps and updates for all; geometric means over the games."
    return Claim("3", "KL at a low temperature beats MSE and NLL", paper, found, tuple(effects), tried=runs_of(kl))


def temperature_claim(study: Study) -> Claim | None:
    """That sharpening helps."""
    groups = {one.setting.temperature: one for one in study.temperatures}
    if len(groups) < 2 or 0.01 not in groups:
        return None
    effects = []
    for temperature, one in groups.items():
        if temperature != 0.01:
            bound = 1.0 if temperature >= 1 else -math.inf
            name = f"score at τ = 0.01 over that at τ = {temperature:g}"
            effects.append(mean_score([groups[0.01]], [one]).effect(name, above=bound))
    paper = "Sharpening (τ = 0.01) helps: action values at τ = 1 and above say too little of which action is best."
    found = f"Students of 25 % on {groups[0.01].setting.game}."
    return Claim("4", "A low temperature", paper, found, tuple(effects), tried=runs_of(list(groups.values())))


def runs_of(groups: Sequence[Group]) -> str:
    runs = sorted({len(one.returns) for one in groups})
    return (
        f"{' to '.join(map(str, runs))} run{'s' * (runs != [1])} for each setting, of {groups[0].updates:,} updates; "
        f"{groups[0].returns.shape[1]} final episodes each."
    )


CLAIMS = (
    lambda study: sizes_claim(
        study, "1", "25", "A student of a quarter of the size matches or beats its teacher: 108 % of its score."
    ),
    lambda study: sizes_claim(study, "2", "7", "A student of 7 % of the size still reaches 102 % of the score."),
    losses_claim,
    temperature_claim,
)
"""Each answers a claim of a study, or None where nothing of it has run."""


def size_panel(study: Study) -> Panel:
    curves = []
    for game in study.games:
        chosen = [
            one for one in study.groups
            if one.setting.game == game and (one.setting.method, one.setting.temperature) == ("q-kl", 0.01)
        ]  # fmt: skip
        curves.append(curve(game, sorted(((one.share, one) for one in chosen), key=lambda pair: pair[0])))
    caption = "Students by their share of the teacher's parameters, learned with `q-kl` at τ = 0.01."
    return panel("q-kl, by size", "parameters, of the teacher's", curves, caption, 0)


def temperature_panel(study: Study) -> Panel:
    chosen = study.temperatures
    curves = [curve(chosen[0].setting.game, [(one.setting.temperature, one) for one in chosen])]
    return panel("q-kl, by temperature", "temperature τ", curves, "Students of 25 % by the temperature of `q-kl`.", 1)


def panel(title: str, x_label: str, curves: Sequence[Series], caption: str, row: int) -> Panel:
    points = [x for one in curves for x in one.x]
    level = Series("teacher", [min(points), max(points)], [1.0, 1.0], dashed=True)
    return Panel(title, x_label, "score", (*curves, level), row=row, x_log=True, figure=caption)


def curve(label: str, points: Sequence[tuple[float, Group]]) -> Series:
    found = [mean_score([one]) for _, one in points]
    xs = [x for x, _ in points]
    return Series(label, xs, [e.value for e in found], [e.low for e in found], [e.high for e in found])


def runs_table(study: Study) -> Table:
    """Every setting with its returns."""
    columns = ("game", "method", "τ", "parameters", "return", "teacher", "random", "score", "runs")
    rows = []
    for one in sorted(study.groups, key=in_order):
        setting, score = one.setting, mean_score([one])
        rows.append(
            (
                setting.game,
                setting.method,
                "-" if setting.method in ("q-mse", "q-nll") else f"{setting.temperature:g}",
                f"{one.share:.1%}",
                f"{one.returns.mean():.2f}",
                interval(one.teacher),
                f"{one.random.mean():.2f}",
                f"{score.value:.2f} [{score.low:.2f}, {score.high:.2f}]",
                f"{len(one.returns)}",
            )
        )
    return Table("All settings", columns, rows)


def in_order(one: Group) -> tuple[str, bool, float, str, float]:
    """Games apart; the sizes before the losses, before the temperatures."""
    setting = one.setting
    return setting.game, setting.size == "25", -one.share, setting.method, setting.temperature


def interval(returns: np.ndarray) -> str:
    low, high = bootstrap_interval(returns, np.random.default_rng(0))
    return f"{returns.mean():.2f} [{low:.2f}, {high:.2f}]"


def findings(study: Study, planned: int, options: dict[str, Any]) -> Findings:
    figures: list[Figure] = [size_panel(study)]
    if len(study.temperatures) > 1:
        figures.append(temperature_panel(study))
    claims = [claim for claim in (make(study) for make in CLAIMS) if claim is not None]
    summary = (
        "Rusu et al. 2015 distilled DQN agents of Atari games into networks a fraction of their size. Here the same is "
        f"tried on {len(study.games)} games of MinAtar ({', '.join(study.games)}), with the teachers in "
        "`teachers/minatar`; each verdict is computed from the runs."
    )
    finished = sum(len(one.returns) for one in study.groups)
    if finished < planned:
        summary += f" Only {finished} of {planned} runs are finished: what is said here is provisional."
    settings = {
        "options": options,
        "runs": [one.setting.name for one in study.groups],
    }
    return Findings("q-networks", "Q-networks distilled: R15 on MinAtar", summary, tuple(claims),
                    (*figures, runs_table(study)), settings, NOTES)  # fmt: skip


def write(settings: Sequence[Setting], seeds: int, out: Path, page: Path, options: dict[str, Any]) -> None:
    """``page.md``, its figures and ``findings.json``."""
    found = findings(Study(read(settings, seeds, out)), seeds * len(settings), options)
    write_study(found, page, glossary=WORDS, command="python benchmarks/q_networks.py", source=SOURCE)
