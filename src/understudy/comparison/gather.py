"""From finished run folders to the figures of a comparison."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from understudy.comparison.curves import Evaluations, arrival, curve, last
from understudy.comparison.grid import Cell
from understudy.comparison.summary import Failure, Improvement, Overall, Runs, Side
from understudy.comparison.verdict import front, keeps
from understudy.envs.rollout import Episodes
from understudy.math.aggregates import (
    Combined,
    Estimate,
    combined,
    improvement_interval,
    interquartile_interval,
    interquartile_mean,
)
from understudy.math.statistics import bootstrap_interval
from understudy.runs.folder import RunFolder
from understudy.runs.latency import Latency
from understudy.runs.result import Result


@dataclass(frozen=True)
class Finished:
    """A run of the grid that has come to its end.

    ``points``: of its learning curve, the evaluations where no others were asked for.
    """

    cell: Cell
    result: Result
    evaluations: Evaluations
    points: Evaluations
    episodes: Mapping[str, Episodes]
    bytes: int

    @property
    def returns(self) -> np.ndarray:
        return self.episodes["student"].returns


def opened(cell: Cell) -> Finished:
    """Raises: RunError where the run is not finished, or its files cannot be read."""
    folder = RunFolder.open(cell.path)
    records = folder.records()
    evaluations = [one for one in records if one.get("kind") == "evaluation"]
    points = [one for one in records if one.get("kind") == "curve"] or evaluations
    size = (folder.student / "model.safetensors").stat().st_size
    return Finished(cell, folder.result, evaluations, points, folder.episodes(), size)


@dataclass(frozen=True)
class Stage:
    """What all runs are held against: the teacher's episodes (the same in every run) and all random ones."""

    teacher: np.ndarray
    random: np.ndarray
    keep: float
    target: float

    @classmethod
    def of(cls, finished: Sequence[Finished], keep: float, target: float) -> Stage:
        teacher = np.mean([one.episodes["teacher"].returns for one in finished], axis=0)
        played = [np.asarray(one.episodes["random"].returns) for one in finished]
        apart = {returns.tobytes(): returns for returns in played}  # runs of one seed play the same random episodes
        return cls(teacher, np.concatenate(list(apart.values())), keep, target)

    @property
    def above_random(self) -> bool:
        return bool(self.teacher.mean() > self.random.mean())

    def combined(self, runs: Sequence[Finished]) -> Combined:
        return combined(np.array([one.returns for one in runs]), self.teacher, self.random, np.random.default_rng(0))

    def score(self, run: Finished) -> float:
        """A run's recovered fraction; its return where the teacher is not above random."""
        floor, gap = self.random.mean(), self.teacher.mean() - self.random.mean()
        return float((run.returns.mean() - floor) / gap) if self.above_random else float(run.returns.mean())


def runs_of(
    cells: Sequence[Cell], finished: Sequence[Finished], failures: Mapping[Path, str], stage: Stage
) -> list[Runs]:
    """A row for each method with each student, in the order of the grid, without latencies."""
    ends = {axis: last([one.points for one in finished], axis) for axis in ("env_steps", "seconds")}
    done = {one.cell.path: one for one in finished}
    rows = []
    for method, student in dict.fromkeys((cell.method, cell.student) for cell in cells):
        mine = [cell for cell in cells if (cell.method, cell.student) == (method, student)]
        failed = tuple(Failure(cell.seed, failures[cell.path]) for cell in mine if cell.path in failures)
        row = Runs(method, student, failures=failed)
        here = [done[cell.path] for cell in mine if cell.path in done]
        rows.append(_filled(row, here, stage, ends) if here else row)
    return rows


def _filled(row: Runs, here: Sequence[Finished], stage: Stage, ends: Mapping[str, float]) -> Runs:
    found = stage.combined(here)
    arrivals = [one for run in here if (one := arrival(run.evaluations, stage.target)) is not None]
    points = [run.points for run in here]
    first = here[0].result
    return replace(
        row,
        title=first.method,
        seeds=tuple(run.cell.seed for run in here),
        paths=tuple(str(run.cell.path) for run in here),
        returns=found.returns,
        recovered=found.recovered,
        keeps=keeps(found.recovered, stage.keep),
        parameters=first.student_parameters,
        bytes=max(run.bytes for run in here),
        reached=len(arrivals),
        steps=_middle([one.steps for one in arrivals]),
        seconds=_middle([one.seconds for one in arrivals]),
        by_steps=curve(points, "env_steps", ends["env_steps"]),
        by_seconds=curve(points, "seconds", ends["seconds"]),
        warnings=tuple(dict.fromkeys(run.result.termination_trap for run in here if run.result.termination_trap)),
    )


def _middle(values: Sequence[float]) -> float | None:
    return interquartile_mean(np.array(values)[:, None]) if values else None


def with_latencies(rows: Sequence[Runs], measured: Mapping[str, Latency]) -> list[Runs]:
    """The rows with the time that each kind of student needs to act."""
    return [replace(row, latency=measured.get(row.student)) if row.returns else row for row in rows]


def with_fronts(rows: Sequence[Runs]) -> list[Runs]:
    """The rows that no other beats in size and return, and in time to act and return."""
    found = list(rows)
    costs: dict[str, Callable[[Runs], float | None]] = {
        "front_of_parameters": lambda row: row.parameters,
        "front_of_latency": lambda row: None if row.latency is None else row.latency.median,
    }
    for name, cost in costs.items():
        points = {n: (float(x), row.returns.point) for n, row in enumerate(found) if row.returns and (x := cost(row))}
        for number, ahead in zip(points, front(list(points.values())), strict=True):
            flag: dict[str, Any] = {name: ahead}
            found[number] = replace(found[number], **flag)
    return found


def overall(rows: Sequence[Runs], finished: Sequence[Finished], stage: Stage) -> list[Overall]:
    """Each method over all students with which every method has runs of the same seeds."""
    tables = _tables(rows, finished, stage)
    generator = np.random.default_rng(0)
    return [
        Overall(method, students, len(scores), interquartile_interval(scores, generator))
        for method, (students, scores) in tables.items()
    ]


def improvements(rows: Sequence[Runs], finished: Sequence[Finished], stage: Stage) -> list[Improvement]:
    """Every two methods on the same students: how likely the one is to beat the other."""
    tables = _tables(rows, finished, stage)
    generator = np.random.default_rng(0)
    found = []
    for one, other in combinations(tables, 2):
        (students, a), (_, b) = tables[one], tables[other]
        found.append(Improvement(one, other, students, len(a), improvement_interval(a, b, generator)))
    return found


def _tables(
    rows: Sequence[Runs], finished: Sequence[Finished], stage: Stage
) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """Scores ``[seeds, students]`` of each method, where all have them; rliable's tasks are the students."""
    methods = tuple(dict.fromkeys(row.method for row in rows))
    scores = {(one.cell.method, one.cell.student, one.cell.seed): stage.score(one) for one in finished}
    students = tuple(dict.fromkeys(row.student for row in rows))
    shared = tuple(s for s in students if all(any((m, s) == key[:2] for key in scores) for m in methods))
    seeds = sorted({key[2] for key in scores})
    whole = [seed for seed in seeds if all((m, s, seed) in scores for m in methods for s in shared)]
    if not shared or not whole:
        return {}
    return {m: (shared, np.array([[scores[m, s, seed] for s in shared] for seed in whole])) for m in methods}


def sides(finished: Sequence[Finished], stage: Stage, latency: Latency | None) -> tuple[Side, Side]:
    """Teacher and random policy."""
    first = finished[0].result
    facts = RunFolder(finished[0].cell.path).provenance.get("teacher") or {}
    place = Path(facts["path"]) if facts.get("path") else None
    size = place.stat().st_size if place is not None and place.is_file() else None
    return (
        Side(first.teacher, _mean(stage.teacher), first.teacher_parameters or None, size, latency),
        Side("random policy", _mean(stage.random)),
    )


def _mean(returns: np.ndarray) -> Estimate:
    return Estimate(float(returns.mean()), *bootstrap_interval(returns, np.random.default_rng(0)))


def machine() -> str:
    """Where latencies and seconds were measured."""
    return f"{platform.machine()} {platform.system()}, Python {platform.python_version()}"
