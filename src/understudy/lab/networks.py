"""Left open by the paper: do its findings on tables hold where a small network learns in their place?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product

import numpy as np

from understudy.lab.curve import Ground, Tutor
from understudy.lab.draw import Stream, draw_teacher, number, sequence
from understudy.lab.effects import mean_of, median_of, short
from understudy.lab.experiment import Bench, Experiment, Scale
from understudy.lab.findings import Claim, Effect, Findings, Panel, Series
from understudy.lab.processes import Numbers, each
from understudy.lab.rates import GAMMA, tutor
from understudy.lab.small_network import NetworkSetting, train_network
from understudy.lab.verdict import area, band, iterations_to
from understudy.mdp import families
from understudy.mdp.teachers import evaluated
from understudy.methods import METHODS

EPISODES = 16
"""Episodes an update. Adam's steps do not shrink with the gradient's noise as a table's do, so one is too few."""
MOST_WORLDS, POINTS, PER_UPDATE = 10, 31, 150
ACTIONS = (4, 40, 400)
RULES = ("on-policy-distill", "entropy-regularised", "exp-entropy-regularised", "task-reward")
CONTROLS = ("on-policy-distill", "teacher-distill")
NOISES = (0.0, 0.25)
IMPERFECT = (
    "on-policy-distill", "on-policy-distill+r", "v-gated", "entropy-regularised", "teacher-v-reward", "task-reward",
)  # fmt: skip
REACHED = 0.95


@dataclass(frozen=True)
class Trial:
    """One network on one world. ``setting`` and ``tutor`` as data, so that a finished trial is recognised."""

    world: int
    seed: int
    setting: NetworkSetting
    updates: int
    ground: Ground = field(default_factory=Ground)
    tutor: Tutor = field(default_factory=tutor)


def measured_after(updates: int) -> np.ndarray:
    """Numbers of updates, closer together at the beginning."""
    return np.unique(np.rint(updates * np.linspace(0, 1, POINTS) ** 2).astype(int))


def run(trial: Trial) -> Numbers:
    """Train and measure; with the returns of the teacher and of the uniform policy beside."""
    grid = families.grid(
        np.random.default_rng(sequence(trial.seed, trial.world, Stream.WORLD)),
        size=trial.ground.size, odds=trial.ground.odds, slip=trial.ground.slip, end=trial.ground.end,
        actions=trial.ground.actions,
    )  # fmt: skip
    mdp = grid.mdp
    teacher = draw_teacher(trial.tutor, mdp, trial.seed, trial.world, GAMMA)
    after = measured_after(trial.updates)
    seed = number(trial.seed, trial.world, Stream.TRAINING) % 2**31
    curve = train_network(mdp, grid.features(), teacher, trial.setting, after, seed)
    uniform = np.full(teacher.policy.shape, 1 / mdp.actions)
    levels = [float(mdp.start @ evaluated(mdp, policy).values) for policy in (teacher.policy, uniform)]
    return {
        "updates": [float(n) for n in curve.updates],
        "return": short(curve.returns),
        "divergence": short(curve.divergence),
        "levels": levels,
    }


@dataclass(frozen=True)
class Group:
    """The trials of one curve, world by world: ``returns [worlds, P]``, ``teacher`` and ``uniform [worlds]``."""

    updates: np.ndarray
    returns: np.ndarray
    teacher: np.ndarray
    uniform: np.ndarray

    @property
    def end(self) -> np.ndarray:
        return self.returns[:, -1]

    @property
    def mean(self) -> np.ndarray:
        """``[worlds]``: the average over the updates, so early learning counts."""
        return area(self.returns, self.updates)

    @property
    def fallen(self) -> np.ndarray:
        """``[worlds]``: how far the end is below the peak. A world has no part in choosing where its peak is: the
        highest of many noisy measurements is above the last one even where nothing falls."""
        peaks = (self.returns.sum(0) - self.returns).argmax(1)
        return self.returns[np.arange(len(peaks)), peaks] - self.end

    def reached(self, level: np.ndarray) -> np.ndarray:
        """``[worlds]``: updates until the return is at ``level [worlds]``; inf where it never is."""
        return iterations_to(self.returns, self.updates, level)


def gathered(found: Sequence[Numbers]) -> Group:
    teacher, uniform = np.array([one["levels"] for one in found]).T
    return Group(np.array(found[0]["updates"]), np.array([one["return"] for one in found]), teacher, uniform)


Key = tuple[str, int, float]


def trials(scale: Scale) -> dict[Key, list[Trial]]:
    """By row, number of actions and noise."""
    worlds = min(MOST_WORLDS, max(2, scale.mdps // 10), scale.mdps)
    updates = max(20, scale.iterations // PER_UPDATE)
    groups: dict[Key, list[Trial]] = {}

    def add(name: str, actions: int, noise: float, critic: bool) -> None:
        setting = NetworkSetting(METHODS[name], episodes=EPISODES, critic=critic, gamma=GAMMA)
        ground, teacher = Ground(actions=actions), tutor(noise=noise)
        groups[name + " (critic)" * critic, actions, noise] = [
            Trial(world, scale.seed, setting, updates, ground, teacher) for world in range(worlds)
        ]

    for name, actions in product(dict.fromkeys(RULES + CONTROLS), ACTIONS):
        if name in RULES or actions == ACTIONS[0]:
            add(name, actions, 0.0, critic=False)
    for name, noise in product(IMPERFECT, NOISES):
        add(name, ACTIONS[0], noise, critic=True)
    return groups


def found_by(bench: Bench) -> dict[Key, Group]:
    groups = trials(bench.scale)
    flat = [trial for group in groups.values() for trial in group]
    results = iter(each(run, flat, bench, "networks"))
    return {key: gathered([next(results) for _ in group]) for key, group in groups.items()}


def control_claim(groups: dict[Key, Group]) -> Claim:
    student, teacher = groups["on-policy-distill", 4, 0.0], groups["teacher-distill", 4, 0.0]
    worth = student.teacher > student.uniform + 0.5
    level = student.uniform + REACHED * (student.teacher - student.uniform)
    ends = student.updates[-1]
    counts = [np.minimum(one.reached(level), ends)[worth] for one in (student, teacher)]
    ratio = counts[1] / np.maximum(counts[0], 1)
    if not worth.any():
        ratio = np.zeros(1)
    effects = (
        median_of("updates of teacher-driven / student-driven to 95 % of the teacher's return", ratio, above=1),
        mean_of("return at the end, student-driven minus teacher-driven", student.end - teacher.end),
    )
    text = (
        f"On {int(worth.sum())} worlds whose teacher beats the uniform policy by more than 0.5, teacher-driven "
        f"distillation took {effects[0].value:.2g} times as many updates (median)."
    )
    return Claim(
        "5n",
        "Student-driven distillation reaches the teacher's return first, for a network too",
        "For tables: the full return in about a third of the iterations of teacher-driven distillation.",
        text if worth.any() else "No teacher beats the uniform policy by more than 0.5: there is nothing to compare.",
        effects,
        "A network that never reaches the level counts with the length of the run, which makes the ratio too small.",
    )


def rules_claim(groups: dict[Key, Group]) -> Claim:
    def of(name: str, actions: int) -> Group:
        return groups[name, actions, 0.0]

    few, many = ACTIONS[0], ACTIONS[-1]
    reward, corrected, cloning, baseline = (
        {actions: of(name, actions) for actions in ACTIONS}
        for name in ("entropy-regularised", "exp-entropy-regularised", "on-policy-distill", "task-reward")
    )
    effects: list[Effect] = [
        mean_of(f"mean return, entropy-regularised minus on-policy-distill, {few} actions",
                reward[few].mean - cloning[few].mean, above=0),
    ]  # fmt: skip
    for actions in ACTIONS[1:]:
        effects.append(
            mean_of(f"return at the end, exp-entropy-regularised minus entropy-regularised, {actions} actions",
                    corrected[actions].end - reward[actions].end, above=0)
        )  # fmt: skip
    gained = baseline[many].end - baseline[many].returns[:, 0]
    effects += [
        mean_of(f"return at the end, on-policy-distill minus exp-entropy-regularised, {many} actions",
                cloning[many].end - corrected[many].end, below=1),
        mean_of(f"return gained by entropy-regularised, {many} actions",
                reward[many].end - reward[many].returns[:, 0], below=0),
        mean_of(f"return gained by the task reward alone, {many} actions", gained, below=1),
    ]  # fmt: skip
    return Claim(
        "7n",
        "Which rule survives many actions, for a network",
        "For tables: entropy-regularised is first at 4 actions and fails from 400 on; exp-entropy-regularised stays "
        "with on-policy-distill; the task reward alone hardly moves.",
        f"With {EPISODES} episodes an update and Adam at {many} actions: on-policy-distill ends at "
        f"{cloning[many].end.mean():.2f}, exp-entropy-regularised at {corrected[many].end.mean():.2f}, "
        f"entropy-regularised at {reward[many].end.mean():.2f}, the task reward at {baseline[many].end.mean():.2f}; "
        f"the teachers have {cloning[many].teacher.mean():.2f}.",
        tuple(effects),
        "The two entropy rows pay log π(a), which costs at every step: a student that ends its episodes early, in a "
        "cell of -10 too, pays less (the termination trap). The paper's students are not said to meet it.",
    )


def imperfect_claim(groups: dict[Key, Group]) -> Claim:
    clean, noisy = ({name: groups[f"{name} (critic)", 4, noise] for name in IMPERFECT} for noise in NOISES)
    cloning, best = noisy["on-policy-distill"], noisy["teacher-v-reward"]
    effects = (
        mean_of("25 % noise: on-policy-distill, return at the peak of the other worlds' mean curve minus the end",
                cloning.fallen, above=0),
        mean_of("25 % noise: +R minus cloning at the end", noisy["on-policy-distill+r"].end - cloning.end, above=0),
        mean_of("25 % noise: v-gated minus cloning at the end", noisy["v-gated"].end - cloning.end, above=0),
        mean_of("25 % noise: teacher-v-reward minus cloning at the end", best.end - cloning.end, above=0),
        mean_of("no noise: cloning minus teacher-v-reward, mean over the run",
                clean["on-policy-distill"].mean - clean["teacher-v-reward"].mean, above=0),
    )  # fmt: skip
    ends = ", ".join(f"{name} {noisy[name].end.mean():.2f}" for name in IMPERFECT)
    return Claim(
        "9n",
        "An imperfect teacher, for a network",
        "For tables: with a noisy teacher cloning peaks and falls, +R and the gate hold, V-reward ends on top.",
        f"With 25 % noise the returns at the end are: {ends}; the teachers without noise have "
        f"{clean['v-gated'].teacher.mean():.2f}, with it {noisy['v-gated'].teacher.mean():.2f}.",
        effects,
        "Rows with a reward use a learned critic of the pseudo-return (GAE); teacher-v-reward's advantage in variance "
        "is not expected beside it.",
    )


def panels(groups: dict[Key, Group]) -> tuple[Panel, ...]:
    def panel(title: str, keys: Sequence[Key], row: int, figure: str) -> Panel:
        series = [_series(key[0].removesuffix(" (critic)"), groups[key]) for key in keys]
        one = groups[keys[0]]
        x = [float(n) for n in one.updates]
        series.append(Series("teacher", x, [float(one.teacher.mean())] * len(x), dashed=True))
        return Panel(title, f"updates of {EPISODES} episodes", "return", tuple(series), row, figure=figure)

    controls = panel("Who acts", [(name, 4, 0.0) for name in CONTROLS], 0, "Student-driven and teacher-driven")
    rules = [panel(f"{n} actions", [(name, n, 0.0) for name in RULES], 1, "Four rules") for n in ACTIONS]
    noisy = [
        panel(
            f"{100 * noise:g} % teacher noise",
            [(f"{name} (critic)", 4, noise) for name in IMPERFECT],
            2,
            "An imperfect teacher",
        )
        for noise in NOISES
    ]
    return controls, *rules, *noisy


def _series(label: str, group: Group) -> Series:
    mean, low, high = band(group.returns)
    return Series(label, short(group.updates), short(mean), short(low), short(high))


def networks(bench: Bench) -> Findings:
    """Everything, from training to verdicts."""
    groups = found_by(bench)
    one = next(iter(groups.values()))
    example = trials(replace(bench.scale, mdps=1))["on-policy-distill", 4, 0.0][0]
    return Findings(
        "networks",
        "Small networks in place of tables",
        "The paper's students are tables. Here a network of one hidden layer of 64 units sees the agent's row and "
        "column and the 5 x 5 cells around it, and the deep engine trains it by the same rows on the same grid worlds.",
        (control_claim(groups), rules_claim(groups), imperfect_claim(groups)),
        panels(groups),
        {
            "worlds": len(one.teacher), "updates": int(one.updates[-1]), "episodes an update": EPISODES,
            "student": example.setting.student, "Adam's learning rate": example.setting.learning_rate,
            "teacher": asdict(example.tutor), "world": asdict(example.ground),
            "seed": bench.scale.seed,
        },
        (
            "One learning rate for all rows and sizes, chosen before the runs and tuned for none of them.",
            f"Intervals resample {len(one.teacher)} worlds: with so few they are somewhat too narrow.",
            "A table's update moves the visited states alone; a network's moves all states at once.",
        ),
    )  # fmt: skip


NETWORKS = Experiment("networks", "open question", "claims 5, 7 and 9 with a small network as the student", networks)
