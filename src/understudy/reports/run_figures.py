"""The figures of a run's page, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from understudy.lab.findings import Panel, Series
from understudy.reports.charts import Bars, Dot, Dots, Histogram
from understudy.reports.names import action_names
from understudy.runs.result import Result

Record = Mapping[str, Any]
BOTH = ("teacher", "student")
WINDOWS = 40
MOST_DIMENSIONS = 4
DECADES = 20
"""From this ratio on an axis is logarithmic: on a shorter one its ticks would be hard to read."""
TARGET = "target ({:.4g} %)"
VISITORS = ("teacher", "student", "uniform")


def returns(result: Result) -> list[Bars]:
    """Mean returns of the three."""
    names = tuple(name for name in (*BOTH, "random") if math.isfinite(getattr(result, f"{name}_return")))
    if not names:
        return []
    means = tuple(getattr(result, f"{name}_return") for name in names)
    intervals = [getattr(result, f"{name}_interval") for name in names]
    known = all(one is not None for one in intervals)
    return [
        Bars(
            "Mean return of an episode",
            "",
            "return",
            names,
            ("",),
            (means,),
            (tuple(one[0] for one in intervals),) if known else (),
            (tuple(one[1] for one in intervals),) if known else (),
            figure=f"Mean return over {result.episodes} episodes, the same seeds for all three.",
        )
    ]


def episodes(players: Mapping[str, Any]) -> list[Histogram]:
    """How returns and lengths of teacher and student are spread."""
    told = f"Returns and lengths of the {len(players['student']['returns'])} episodes."
    return [
        Histogram(title, axis, BOTH, tuple(players[who][key] for who in BOTH), figure=told)
        for title, axis, key in (("Returns", "return", "returns"), ("Lengths", "steps", "lengths"))
    ]


def learning(records: Sequence[Record], result: Result) -> list[Panel]:
    """The student's return and what it recovered, against the environment steps of its training.

    Nothing where all there is is a single evaluation.
    """
    evaluations = [one for one in records if one.get("kind") == "evaluation"]
    measured = [one for one in records if one.get("kind") in ("evaluation", "curve") and _has(one, "student_return")]
    training = smoothed([one for one in records if one.get("kind") == "train" and _has(one, "episode_return")])
    if training is None and len(measured) < 2:
        return []
    ends = (0, max((int(one["env_steps"]) for one in records if _has(one, "env_steps")), default=result.env_steps))
    goal = result.random_return + result.target * (result.teacher_return - result.random_return)
    lines = [_line("teacher", ends, result.teacher_return)]
    if result.recovered is not None:
        lines += [_line(TARGET.format(100 * result.target), ends, goal)]
    lines += [_line("random policy", ends, result.random_return)]
    told = "What the student earned while it learned. Evaluations play deterministic actions"
    told += ", training samples them." if training else "."
    curves = [_series("student, evaluated", measured, "student_return")] if measured else []
    curves += [Series("student, in training", *training)] if training else []
    panels = [Panel("Return", "environment steps", "return", (*curves, *lines), figure=told)]
    known = [one for one in evaluations if _has(one, "recovered")]
    if len(known) > 1:
        share = _series("student, evaluated", known, "recovered", "recovered_interval")
        panels.append(
            Panel(
                "Recovered fraction",
                "environment steps",
                "recovered",
                (share, _line(TARGET.format(100 * result.target), ends, result.target)),
                figure=told,
            )
        )
    return panels


def divergences(records: Sequence[Record]) -> list[Panel]:
    """KL under the three visitations, evaluation by evaluation; nothing where there are fewer than two."""
    known = [one for one in records if one.get("kind") == "evaluation" and _has(one, "kl_student")]
    if len(known) < 2:
        return []
    curves = tuple(_series(who, known, f"kl_{who}") for who in VISITORS)
    sizes = [size for one in curves for size in one.mean if size and size > 0]
    wide = bool(sizes) and max(sizes) > DECADES * min(sizes)
    told = (
        "KL(teacher‖student) on the states that teacher, student and uniform policy visit, as training measures it: on "
        "about 1,000 states each, from the first steps of fresh episodes. Where episodes are longer, these are not all."
    )
    return [Panel("", "environment steps", "KL(teacher‖student), nats", curves, y_log=wide, figure=told)]


def scatter(agreement: Mapping[str, Any], env: str) -> list[Dots]:
    """Actions of the student against the teacher's in the same states, the parts that differ most."""
    dimensions = agreement["dimensions"]
    names = action_names(env, [str(i) for i in range(len(dimensions))])
    size = [one["relative"] if one["relative"] is not None else one["difference"] for one in dimensions]
    chosen = sorted(sorted(range(len(dimensions)), key=lambda k: -size[k])[:MOST_DIMENSIONS])
    which = "" if len(chosen) == len(dimensions) else f", the {len(chosen)} parts of {len(dimensions)} that differ most"
    told = f"Each dot is a state that the student visits{which}. On the line both do the same."
    return [
        Dots(
            names[k],
            "teacher",
            "student",
            tuple(
                Dot("", x, y, series="student")
                for x, y in zip(dimensions[k]["teacher"], dimensions[k]["student"], strict=True)
            ),
            diagonal=True,
            row=row // 2,
            figure=told,
        )
        for row, k in enumerate(chosen)
    ]


def _has(record: Record, key: str) -> bool:
    return isinstance(record.get(key), int | float)


def _series(label: str, records: Sequence[Record], key: str, interval: str = "") -> Series:
    steps, means = [one["env_steps"] for one in records], [one[key] for one in records]
    ends = [one.get(interval) for one in records]
    if not interval or not all(ends):
        return Series(label, steps, means)
    return Series(label, steps, means, [one[0] for one in ends if one], [one[1] for one in ends if one])


def _line(label: str, ends: tuple[int, int], height: float) -> Series:
    return Series(label, ends, (height, height), dashed=True)


def smoothed(records: Sequence[Record], windows: int = WINDOWS) -> tuple[list[float], list[float]] | None:
    """Means of some stretches of training, for single episodes scatter."""
    if len(records) < 2:
        return None
    size = -(-len(records) // windows)
    parts = [records[at : at + size] for at in range(0, len(records), size)]
    return (
        [sum(one["env_steps"] for one in part) / len(part) for part in parts],
        [sum(one["episode_return"] for one in part) / len(part) for part in parts],
    )
