"""The tables of staged training: returns stage by task, and what became of each task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from understudy.reports.staged_training import Training
from understudy.reports.stages_words import lasted, whole
from understudy.reports.words import number
from understudy.stages.result import BEFORE


@dataclass(frozen=True)
class Cell:
    """A return as texts. ``share``: of what the task's own stage gained, from 0 to 1, for the heat; None: not told."""

    mean: str
    interval: str = ""
    percent: str = ""
    share: float | None = None
    own: bool = False


@dataclass(frozen=True)
class Row:
    """A line of the table: who was played, a cell for each task, and what it cost."""

    name: str
    cells: tuple[Cell, ...]
    steps: str = ""
    seconds: str = ""


def returns(training: Training) -> list[Row]:
    """A random policy, the policy before all training, and after each stage."""
    tasks, rows = training.result.tasks, training.result.rows
    random = {name: {**_told(training, name), "return": mean} for name, mean in training.result.random.items()}
    digits = [_digits([random[task], *(row[task] for row in rows.values())]) for task in tasks]
    found = [Row("random policy", tuple(_cell(random[task], digits[j]) for j, task in enumerate(tasks)))]
    costs = {one.name: one.facts for one in training.stages}
    for place, (name, row) in enumerate(rows.items()):
        cells = tuple(_cell(row[task], digits[j], *_shared(training, place, j)) for j, task in enumerate(tasks))
        facts = costs.get(name)
        steps, seconds = ("", "") if facts is None else (f"{facts['env_steps']:,}", lasted(facts.get("seconds", 0.0)))
        found.append(Row("before all stages" if name == BEFORE else f"after `{name}`", cells, steps, seconds))
    return found


def _told(training: Training, task: str) -> Mapping[str, Any]:
    """What is known of a random policy's return, beside its mean; nothing of older trainings."""
    found: Mapping[str, Any] = (training.before.get("random") or {}).get(task) or {}
    return found


def _digits(cells: Sequence[Mapping[str, Any]]) -> int:
    """Decimals for a column: three digits of its largest number."""
    numbers = [x for cell in cells for x in (cell["return"], *(cell.get("interval") or ())) if x is not None]
    largest = max(map(abs, numbers), default=0.0)
    return int(np.clip(2 - math.floor(math.log10(largest)), 0, 4)) if largest > 0 else 0


def _shared(training: Training, place: int, task: int) -> tuple[float, bool]:
    """The normalised value, NaN where none is told, and whether it is the task's own stage."""
    told = training.normalised
    return (float(told[place, task]) if task < told.shape[1] else math.nan), place == task + 1


def _cell(found: Mapping[str, Any], digits: int, share: float = math.nan, own: bool = False) -> Cell:
    mean, ends = found["return"], found.get("interval")
    told = ends is not None and None not in ends
    return Cell(
        "undefined" if mean is None else _fixed(mean, digits),
        f"[{_fixed(ends[0], digits)}, {_fixed(ends[1], digits)}]" if told and ends else "",
        "" if math.isnan(share) else whole(share),
        None if math.isnan(share) else float(np.clip(share, 0, 1)),
        own,
    )


def _fixed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:,.{digits}f}"


@dataclass(frozen=True)
class Fate:
    """What became of a task, as texts: in returns, and as shares of what its own stage gained."""

    name: str
    gained: str
    kept: str
    forgotten: str
    backward: str
    forward: str


def fates(training: Training) -> list[Fate]:
    """Task by task, and the averages; nothing of one stage alone."""
    matrix, count = training.matrix, len(training.stages)
    if count < 2:
        return []
    gain = matrix.learned - matrix.random[:count]
    last = training.normalised[-1]
    columns = [_measured(training, kind) for kind in ("forgetting", "backward_transfer", "forward_transfer")]
    found = []
    for j, name in enumerate(training.names):
        kept = "" if j == count - 1 else "not told" if math.isnan(last[j]) else whole(float(last[j]))
        parts = (_both(*columns[0][j]), _both(*columns[1][j]), _both(*columns[2][j]))
        found.append(Fate(name, number(float(gain[j])), kept, *parts))
    facts = matrix.facts()
    means = [_both(facts[f"average_{kind}"], _average(columns[k])) for k, kind in enumerate(KINDS)]
    shares = last[:-1]
    return [*found, Fate("", "", "" if np.isnan(shares).any() else whole(float(shares.mean())), *means)]


KINDS = ("forgetting", "backward_transfer", "forward_transfer")


def _measured(training: Training, kind: str) -> list[tuple[float, float]]:
    """``kind`` of each task, in returns and as a share; NaN where it is not defined or not told."""
    measure = getattr(training.matrix, kind)
    raw, scaled = measure(), measure(normalised=True)
    blank = [(math.nan, math.nan)]
    told = [name not in training.unlearned for name in training.names]
    earlier = kind != "forward_transfer"
    names = told[:-1] if earlier else told[1:]
    pairs = [(float(x), float(y) if on else math.nan) for x, y, on in zip(raw, scaled, names, strict=True)]
    return pairs + blank if earlier else blank + pairs


def _average(column: Sequence[tuple[float, float]]) -> float:
    """Of the shares, where there is one of each task that has a return."""
    shares = [share for raw, share in column if not math.isnan(raw)]
    return sum(shares) / len(shares) if shares else math.nan


def _both(raw: float, share: float) -> str:
    if math.isnan(raw):
        return ""
    return number(raw + 0.0) + ("" if math.isnan(share) else f" ({whole(share)})")
