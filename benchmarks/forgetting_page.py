"""What the runs of forgetting.py come to: claims with verdicts, curves of all tasks across the stages, and a page.

A task's return is given in the unit of what its own stage gained when nothing was done: 0 is a random policy's, 1 that
after the task's own stage in the variant `nothing`, of the same seed. Intervals are bootstrapped over the seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from understudy.lab.findings import Claim, Findings, Panel, Series, Table
from understudy.lab.verdict import Estimate, mean_interval
from understudy.reports.lab_page import write_study
from understudy.stages.result import StagesResult

if TYPE_CHECKING:
    from forgetting import Variant

NOTHING = "nothing"
DRAWN = (NOTHING, "visited", "fading", "stored", "distilled", "joint", "heads")
SOURCES = (
    "Forgetting as in Chaudhry et al. 2018, transfer as in Lopez-Paz & Ranzato 2017; progressive networks: Rusu et al. "
    "2016; PPO: Schulman et al. 2017."
)
WORDS = {
    "Kept": "Return on an earlier task after a later stage: 0 is a random policy's, 1 what `nothing` had after the "
    "task's own stage with the same seed.",
    "Forgotten": "Average forgetting: of each earlier task, the best return from its own stage on less that after the "
    "last, in the same unit, averaged over the tasks.",
    "New": "Return on the tasks of the later stages, each after its own stage, in the unit of what `nothing` gained.",
    "Forward transfer": "On each later task, the return before its own stage less that of the untrained policy, in the "
    "same unit.",
    "[a, b]": "A 95 % bootstrap interval over the seeds. Five are few.",
    "Verdict": "Computed from the data. Reproduced: all statements of the claim hold, each by its whole interval; "
    "partly: some; not reproduced: none.",
}


@dataclass(frozen=True)
class Group:
    """The finished trainings of a variant of a sequence, by seed."""

    sequence: str
    variant: Variant
    results: Mapping[int, StagesResult]
    unit: Mapping[int, np.ndarray]
    """By seed ``[T]``: what ``nothing`` gained on each task in its own stage, and"""
    floor: Mapping[int, np.ndarray]
    """a random policy's returns."""

    def scaled(self, seed: int) -> np.ndarray:
        """``[S + 1, T]``"""
        return np.asarray((self.results[seed].matrix.returns - self.floor[seed]) / self.unit[seed])

    @property
    def seeds(self) -> list[int]:
        return sorted(self.results)

    def kept(self) -> np.ndarray:
        """``[seeds]``: of the first task, behind the second stage."""
        return np.array([self.scaled(seed)[2, 0] for seed in self.seeds])

    def at_the_end(self) -> np.ndarray:
        """``[seeds]``: of all earlier tasks, behind the last stage."""
        return np.array([self.scaled(seed)[-1, :-1].mean() for seed in self.seeds])

    def forgotten(self) -> np.ndarray:
        """``[seeds]``"""
        found = []
        for seed in self.seeds:
            matrix = self.scaled(seed)
            last = len(matrix) - 1
            found.append(np.mean([matrix[j + 1 : last, j].max() - matrix[last, j] for j in range(last - 1)]))
        return np.array(found)

    def new(self) -> np.ndarray:
        """``[seeds]``: of the later tasks, each behind its own stage."""
        found = []
        for seed in self.seeds:
            matrix = self.scaled(seed)
            found.append(np.mean([matrix[j + 1, j] for j in range(1, matrix.shape[1])]))
        return np.array(found)

    def forward(self) -> np.ndarray:
        """``[seeds]``: on each later task before its own stage, less the untrained policy's."""
        found = []
        for seed in self.seeds:
            matrix = self.scaled(seed)
            found.append(np.mean([matrix[j, j] - matrix[0, j] for j in range(1, matrix.shape[1])]))
        return np.array(found)

    def seconds(self) -> np.ndarray:
        """``[seeds]``: CPU time of training behind the first stage."""
        return np.array([sum(one["cpu_seconds"] for one in self.results[s].stages[1:]) for s in self.seeds])


def read(sequence: str, variants: Sequence[Variant], seeds: int, out: Path) -> list[Group]:
    """Each variant's finished trainings, of the seeds of which ``nothing`` has finished too."""
    found: dict[str, dict[int, StagesResult]] = {}
    for variant in variants:
        for seed in range(seeds):
            path = out / sequence / f"{variant.name}-s{seed}" / "result.json"
            if path.is_file():
                found.setdefault(variant.name, {})[seed] = StagesResult.from_file(path)
    plain = found.get(NOTHING, {})
    floor = {seed: one.matrix.random for seed, one in plain.items()}
    unit = {seed: one.matrix.learned - floor[seed] for seed, one in plain.items()}
    return [
        Group(sequence, variant, {s: one for s, one in found[variant.name].items() if s in plain}, unit, floor)
        for variant in variants
        if set(found.get(variant.name, ())) & set(plain)
    ]


class Study:
    """The groups, by sequence and variant."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self.sequences = list(dict.fromkeys(one.sequence for one in groups))

    def of(self, sequence: str, name: str) -> Group | None:
        return next((one for one in self.groups if (one.sequence, one.variant.name) == (sequence, name)), None)


def difference(one: Group, other: Group, what: str) -> Estimate:
    """Of a figure, seed by seed."""
    seeds = [seed for seed in one.seeds if seed in other.seeds]
    a, b = (dict(zip(group.seeds, getattr(group, what)(), strict=True)) for group in (one, other))
    return mean_interval(np.array([a[s] - b[s] for s in seeds]))


def forgets_claim(study: Study) -> Claim:
    effects = []
    for sequence in study.sequences:
        plain = study.of(sequence, NOTHING)
        assert plain is not None
        effects.append(
            mean_interval(plain.kept()).effect(f"{sequence}: kept of the first task after the second", below=0.9)
        )
        effects.append(mean_interval(plain.forgotten()).effect(f"{sequence}: forgotten at the end"))
    return Claim("1", "Carrying on directly forgets", "Training goes on with another task; the first is lost.",
                 "Less than 90 % kept counts as forgotten.", tuple(effects), tried=tried(study))  # fmt: skip


def compared(study: Study, comparison: Comparison) -> Claim | None:
    """The differences of each pair, seed by seed."""
    effects = []
    for sequence in study.sequences:
        for ours, theirs in comparison.pairs:
            one, other = study.of(sequence, ours), study.of(sequence, theirs)
            if one is None or other is None:
                continue
            for measure, words in MEASURES.items():
                above = comparison.above if measure == comparison.measure else -math.inf
                label = f"{sequence}: {ours} less {theirs}, {words}"
                effects.append(difference(one, other, measure).effect(label, above=above))
    own = comparison.number, comparison.title, comparison.paper, comparison.found
    return Claim(*own, tuple(effects), tried=tried(study)) if effects else None


def cost_claim(study: Study) -> Claim | None:
    """What the new tasks lose by it."""
    effects = []
    for group in study.groups:
        plain = study.of(group.sequence, NOTHING)
        if plain is None or group.variant.name == NOTHING:
            continue
        floor = -0.1 if group.variant.name in HOLDING else -math.inf
        name = f"{group.sequence}: {group.variant.name} less nothing, on the new tasks"
        effects.append(difference(group, plain, "new").effect(name, above=floor))
    if not effects:
        return None
    paper = "Holding on to the old costs little of the new."
    found = f"A tenth of what `nothing` gained counts as little. The verdict is on {', '.join(HOLDING)}."
    return Claim("5", "What it costs the new tasks", paper, found, tuple(effects), tried=tried(study))


def tried(study: Study) -> str:
    counts = [len(one.seeds) for one in study.groups]
    seeds = " to ".join(dict.fromkeys(map(str, (min(counts), max(counts)))))
    return f"{seeds} seeds of each variant; 100 final episodes of every task behind every stage."


HOLDING = ("stored", "both", "distilled+stored", "joint")
MEASURES = {"kept": "kept after the second stage", "at_the_end": "kept at the end", "new": "on the new tasks"}


@dataclass(frozen=True)
class Comparison:
    """A claim about pairs of variants: the first one's ``measure`` less the second one's lies above ``above``."""

    number: str
    title: str
    paper: str
    pairs: tuple[tuple[str, str], ...]
    found: str = ""
    measure: str = "kept"
    above: float = 0.0


AFTER_SECOND = "The verdict is on what is kept after the second stage; the end and the new tasks stand beside it."
COMPARISONS = (
    Comparison(
        "2",
        "Distilling alone protects",
        "A policy that is distilled into a fresh network before it goes on forgets less; opinions differ.",
        (("distilled", NOTHING),),
        AFTER_SECOND,
    ),
    Comparison(
        "3",
        "The KL on the student's states protects",
        "An anchor on the states that the student visits now keeps the old.",
        (("visited", NOTHING),),
        AFTER_SECOND,
    ),
    Comparison(
        "4",
        "Stored states protect more",
        "States stored of earlier stages keep more than visited ones.",
        (("stored", "visited"), ("stored", "fading"), ("both", "visited")),
        AFTER_SECOND,
    ),
    Comparison(
        "6",
        "Heads are held where their body is",
        "A head for each task is no memory by itself: the body below it moves on. Held on stored states it is one.",
        (("heads+stored", "heads"),),
    ),
    Comparison(
        "7",
        "A learned gate stands in for the task's name",
        "Where nothing tells which task is played, a gate fitted on stored states picks the head or the column.",
        (("heads+gate", "heads"), ("adapters+gate", "adapters")),
        "A tenth lost counts as standing in.",
        above=-0.1,
    ),
    Comparison(
        "8",
        "Deviations from the network make room for the new",
        "An anchor on stored states holds a Gaussian's deviations too. Where they are the same in all states, the new "
        "task would be explored no more than the old one needs; where the network gives them, only the old states are "
        "held.",
        (("stored+own-std", "stored"),),
        measure="new",
    ),
)


def claims(study: Study) -> tuple[Claim, ...]:
    found = [forgets_claim(study), cost_claim(study), *(compared(study, one) for one in COMPARISONS)]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.number))


def overview(study: Study, sequence: str) -> Table:
    """Every variant in one line."""
    rows = []
    for one in (group for group in study.groups if group.sequence == sequence):
        steps = np.mean([sum(stage["env_steps"] for stage in result.stages) for result in one.results.values()])
        measured = (one.kept(), one.at_the_end(), one.forgotten(), one.new(), one.forward())
        figures = [told(mean_interval(values)) for values in measured]
        rows.append((one.variant.name, one.variant.what, *figures, f"{steps:,.0f}", f"{np.median(one.seconds()):.0f}",
                     str(len(one.seeds))))  # fmt: skip
    columns = ("variant", "what", "first task kept after stage 2", "earlier tasks kept at the end", "forgotten",
               "new tasks", "forward transfer", "steps", "CPU s of stages 2, 3", "seeds")  # fmt: skip
    return Table(f"{sequence}: all variants", columns, rows)


def matrix_table(group: Group) -> Table:
    """Returns, stage by task."""
    tasks = next(iter(group.results.values())).tasks
    names = list(next(iter(group.results.values())).rows)
    rows = []
    for number, name in enumerate(names):
        values = np.array([group.results[seed].matrix.returns[number] for seed in group.seeds])
        rows.append((f"after {name}" if number else "before", *(told(mean_interval(column), 1) for column in values.T)))
    return Table(f"{group.sequence}, {group.variant.name}: returns", ("", *tasks), rows)


def told(one: Estimate, digits: int = 2) -> str:
    return f"{one.value:.{digits}f} [{one.low:.{digits}f}, {one.high:.{digits}f}]"


def curves(study: Study, sequence: str, out: Path, row: int) -> list[Panel]:
    """Each task's return across the stages, by variant."""
    drawn = [one for one in study.groups if one.sequence == sequence and one.variant.name in DRAWN]
    tasks = next(iter(drawn[0].results.values())).tasks
    caption = (
        f"Sequence `{sequence}`: each task's return across all stages; the stages follow each other in this order."
    )
    return [
        Panel(task, "environment steps", "return", tuple(curve(one, task, out) for one in drawn), row, figure=caption)
        for task in tasks
    ]


def curve(group: Group, task: str, out: Path) -> Series:
    """Evaluations of a task, averaged over the seeds; those of a stage at the same places."""
    by_seed = []
    for seed in group.seeds:
        points, before = [], 0
        for stage in group.results[seed].stages:
            path = out / group.sequence / f"{group.variant.name}-s{seed}" / stage["stage"] / "metrics.jsonl"
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            looks = [one for one in lines if one["kind"] == "evaluation" and task in one["returns"]]
            points += [(before + one["env_steps"], one["returns"][task]) for one in looks]
            before += stage["env_steps"]
        by_seed.append(points)
    count = min(map(len, by_seed))
    steps = [float(np.mean([points[k][0] for points in by_seed])) for k in range(count)]
    found = [mean_interval(np.array([points[k][1] for points in by_seed])) for k in range(count)]
    return Series(group.variant.name, steps, [e.value for e in found], [e.low for e in found], [e.high for e in found])


def findings(study: Study, variants: Sequence[Variant], planned: int, settings: dict[str, Any], out: Path) -> Findings:
    finished = sum(len(one.seeds) for one in study.groups)
    summary = (
        "A policy learns one task after the other. What is left of the first ones, by how the later ones were trained? "
        "`flight` is Understudy's own: pursuit of a target, evasion of missiles, both at once. `lander` is Gymnasium's "
        "LunarLander with its usual gravity, with little, and in a storm; `pendulum` its Pendulum with the usual "
        "gravity of 10, with 2 and with 13."
    )
    if finished < planned:
        summary += f" Only {finished} of {planned} trainings have finished: what is said here is provisional."
    figures: list[Any] = []
    for row, sequence in enumerate(study.sequences):
        figures += [overview(study, sequence), *curves(study, sequence, out, row)]
        shown_ones = [study.of(sequence, name) for name in (NOTHING, "stored")]
        figures += [matrix_table(one) for one in shown_ones if one is not None]
    notes = (
        "All variants have the budget of `nothing`; joint training divides its steps among old and new tasks.",
        "Distilling into a fresh network takes steps and seconds of its own, which are not among those of the tables.",
        "On the lander the untrained policy earns less than a random one: hence a forward transfer above 1.",
        "The anchors' weight is 0.1 throughout, or falls to 0 from there; another weight trades old against new.",
    )
    return Findings("forgetting", "Training in stages: what is forgotten", summary, claims(study), tuple(figures),
                    settings, notes)  # fmt: skip


def write(sequences: Mapping[str, Any], variants: Sequence[Variant], seeds: int, out: Path, page: Path) -> None:
    """``page.md``, its figures and ``findings.json``."""
    groups = [one for sequence in sequences for one in read(sequence, variants, seeds, out)]
    if not groups:
        return
    settings = {"sequences": sequences, "variants": {one.name: one.what for one in variants}, "seeds": seeds}
    found = findings(Study(groups), variants, seeds * sum(len(one.within) for one in variants), settings, out)
    write_study(
        found, page, glossary=WORDS, command="python benchmarks/forgetting.py", source=SOURCES, teller="the story"
    )
