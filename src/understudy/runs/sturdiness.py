"""Sturdiness: whether students keep more or less of their returns under perturbations than their teacher does.

The work can be shared by processes: :func:`understudy.runs.exposure.exposed` plays one policy, :func:`judged` says what
all of them come to. :func:`sturdiness` does everything in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from understudy.envs.perturbations import KINDS
from understudy.errors import ConfigurationError, RunError
from understudy.math.aggregates import Estimate
from understudy.math.sturdiness import Kept, Trials, kept, means
from understudy.runs.exposure import Exposure, Ground, Plan, exposed, ground
from understudy.runs.reopen import Reopened

STURDIER, FRAILER, ALIKE, OPEN = "sturdier", "less sturdy", "no difference seen", "cannot be judged"


@dataclass(frozen=True)
class Curve:
    """The mean return at each size of a perturbation, with its 95 % interval over runs and episodes."""

    label: str
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """One student against the teacher: the share of its own unperturbed return above random that each keeps, on the
    mean over the sizes, and the difference of these shares, which decides. ``absolute``: the difference in returns.

    All are None where the outcome cannot be judged: teacher or student is not clearly better than random unperturbed.
    """

    student: str
    outcome: str
    teacher_keeps: Estimate | None = None
    student_keeps: Estimate | None = None
    difference: Estimate | None = None
    absolute: Estimate | None = None

    @classmethod
    def of(cls, student: str, found: Kept | None) -> Verdict:
        """From the figures; None: there was nothing to lose."""
        if found is None:
            return cls(student, OPEN)
        gap = found.gap
        outcome = STURDIER if gap.low > 0 else FRAILER if gap.high < 0 else ALIKE
        return cls(student, outcome, found.teacher, found.student, gap, found.absolute)

    @property
    def text(self) -> str:
        """In words."""
        if self.teacher_keeps is None or self.student_keeps is None or self.difference is None:
            return f"{self.student}: {OPEN}, for it or its teacher is not clearly better than random unperturbed"
        gap = self.difference
        return (
            f"{self.student}: {self.outcome}; it keeps {self.student_keeps.point:.1%} of its return, the teacher "
            f"{self.teacher_keeps.point:.1%}, a difference of {100 * gap.point:+.1f} points "
            f"[{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
        )


@dataclass(frozen=True)
class Trial:
    """One kind of perturbation. ``words``: what it does here; ``verdicts``: one a student, in the students' order."""

    kind: str
    words: str
    sizes: tuple[float, ...]
    teacher: Curve
    students: tuple[Curve, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def title(self) -> str:
        """The kind's name."""
        return KINDS[self.kind].title


@dataclass(frozen=True)
class Sturdiness:
    """``runs``: how many of each student; ``random_return``: the floor; ``overall``: on the mean over the kinds."""

    env: str
    episodes: int
    seed: int
    runs: dict[str, int]
    random_return: float
    trials: tuple[Trial, ...]
    overall: tuple[Verdict, ...]

    @property
    def headline(self) -> str:
        """Whether distilling made the policy sturdier, in a sentence or two."""
        by_outcome = {
            outcome: [one.student for one in self.overall if one.outcome == outcome]
            for outcome in (STURDIER, FRAILER, ALIKE, OPEN)
        }
        parts = [f"{outcome}: {', '.join(names)}" for outcome, names in by_outcome.items() if names]
        sturdier, judged = len(by_outcome[STURDIER]), len(self.overall) - len(by_outcome[OPEN])
        if not judged:
            answer = "That cannot be judged"
        elif sturdier:
            answer = "Yes" if sturdier == judged else "Not every student"
        else:
            answer = "No" if by_outcome[FRAILER] else "Not that these figures show"
        few = " One run of each: another seed may say otherwise." if max(self.runs.values()) == 1 else ""
        return f"Did distilling make the policy sturdier? {answer} ({'; '.join(parts)}).{few}"

    @property
    def caution(self) -> str:
        """What a reader of several verdicts should know; empty where there is one."""
        judged = sum(one.outcome != OPEN for one in self.overall)
        if judged < 2:
            return ""
        return (
            f"Each of the {judged} students is judged by a 95 % interval of its own, not corrected for their number: "
            f"were all exactly as sturdy as the teacher, one in twenty (of these, {judged / 20:.2g} on average) would "
            "still be called otherwise by chance. The same goes for the verdicts on single kinds."
        )

    def summary(self) -> str:
        """Lines for people."""
        lines = [f"Sturdiness on {self.env}, {self.episodes} episodes at every size: {self.headline}"]
        lines += [f"  {self.caution}"] if self.caution else []
        for trial in self.trials:
            lines += [f"  {trial.words}", *(f"    {one.text}" for one in trial.verdicts)]
        return "\n".join([*lines, "  all of these together", *(f"    {one.text}" for one in self.overall)])

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Sturdiness:
        """What :meth:`to_dict` made, through JSON or not."""
        trials, overall = map(_trial, document["trials"]), map(_verdict, document["overall"])
        return cls(**{**document, "trials": tuple(trials), "overall": tuple(overall)})


def _trial(entry: Mapping[str, Any]) -> Trial:
    plain = {"sizes": tuple(entry["sizes"]), "teacher": _curve(entry["teacher"])}
    students, verdicts = map(_curve, entry["students"]), map(_verdict, entry["verdicts"])
    return Trial(**{**entry, **plain, "students": tuple(students), "verdicts": tuple(verdicts)})


def _curve(entry: Mapping[str, Any]) -> Curve:
    return Curve(entry["label"], *(tuple(entry[name]) for name in ("mean", "low", "high")))


def _verdict(entry: Mapping[str, Any]) -> Verdict:
    figures = {name: Estimate(**one) for name, one in entry.items() if isinstance(one, Mapping)}
    return Verdict(entry["student"], entry["outcome"], **figures)


def sturdiness(
    runs: Mapping[str, Sequence[Reopened]], plan: Plan | None = None, note: Callable[[str], None] = lambda text: None
) -> Sturdiness:
    """Play everything in this process. ``runs``: by student, one run or more (of several seeds), all of one teacher and
    environment; the first must have been opened with its teacher."""
    plan = plan or Plan()
    first = _first(runs)
    earth = ground(first, plan)
    note("playing the teacher under perturbations")
    teacher = exposed(first, "teacher", plan, earth)
    students: dict[str, list[Exposure]] = {}
    for name, some in runs.items():
        note(f"playing {name} under perturbations ({len(some)} {'run' if len(some) == 1 else 'runs'})")
        students[name] = [exposed(run, "student", plan, earth) for run in some]
    return judged(first.config.env, plan, earth, teacher, students, exposed(first, "random", plan, earth))


def _first(runs: Mapping[str, Sequence[Reopened]]) -> Reopened:
    """The run that brings the teacher."""
    every = [run for some in runs.values() for run in some]
    if not every or not all(runs.values()):
        raise ConfigurationError("sturdiness needs a student, and a run of each.")
    for run in every:
        if run.origin != every[0].origin or run.config.teacher != every[0].config.teacher:
            raise RunError(
                f"{run.folder.path} and {every[0].folder.path} are of different teachers or environments, so their "
                "returns cannot be held against each other. Ask for the sturdiness of each alone"
            )
    return every[0]


def judged(
    env: str,
    plan: Plan,
    ground: Ground,
    teacher: Exposure,
    students: Mapping[str, Sequence[Exposure]],
    random: Exposure,
) -> Sturdiness:
    """What the returns come to. ``students``: by name, the runs of each."""
    kinds = [kind for kind in plan.sizes if kind in ground.words]
    if not kinds or not students:
        raise ConfigurationError("sturdiness needs a student, and a kind of perturbation that the environment allows.")
    floor = np.array(random.plain)
    returns = {name: _returns(runs, kinds) for name, runs in students.items()}
    top = _returns([teacher], kinds)
    found: dict[str, tuple[tuple[Verdict, ...], Verdict]] = {}
    for name, own in returns.items():
        against = [Trials(plan.sizes[kind], top[kind][0], own[kind]) for kind in kinds]
        shares = kept(against, floor, np.random.default_rng(0))
        each = shares[0] if shares else [None] * len(kinds)
        found[name] = tuple(Verdict.of(name, one) for one in each), Verdict.of(name, shares[1] if shares else None)
    trials = [
        Trial(
            kind,
            ground.words[kind],
            tuple(plan.sizes[kind]),
            _drawn("teacher", top[kind]),
            tuple(_drawn(name, own[kind]) for name, own in returns.items()),
            tuple(each[i] for each, _ in found.values()),
        )
        for i, kind in enumerate(kinds)
    ]
    counts, overall = {name: len(runs) for name, runs in students.items()}, tuple(one for _, one in found.values())
    return Sturdiness(env, plan.episodes, plan.seed, counts, float(floor.mean()), tuple(trials), overall)


def _returns(runs: Sequence[Exposure], kinds: Sequence[str]) -> dict[str, np.ndarray]:
    """``[R, K, E]`` by kind."""
    return {kind: np.array([run.returns[kind] for run in runs]) for kind in kinds}


def _drawn(label: str, returns: np.ndarray) -> Curve:
    points = means(returns, np.random.default_rng(0))
    mean, low, high = zip(*((one.point, one.low, one.high) for one in points), strict=True)
    return Curve(label, mean, low, high)
