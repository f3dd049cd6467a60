"""Learning curves as panels: the mean over worlds with its interval, and the returns they are held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from understudy.lab.effects import short
from understudy.lab.experiment import Measured
from understudy.lab.findings import Panel, Series
from understudy.lab.verdict import area, band

AXES = {
    "return": "return",
    "kl-student": "KL (nats a step), student's visits",
    "kl-teacher": "KL (nats a step), teacher's visits",
    "kl-uniform": "KL (nats a step), uniform visits",
}
FACTS = {"teacher": "teacher-return", "best possible": "optimal-return", "uniform": "uniform-return"}


def series(label: str, one: Measured, metric: str = "return") -> Series:
    mean, low, high = band(one.metrics[metric])
    return Series(label, short(one.iterations), short(mean), short(low), short(high))


def started(one: Measured) -> Measured:
    """Without the measurement before the first iteration, which a logarithmic axis has no place for."""
    kept = one.iterations > 0
    return replace(
        one,
        iterations=one.iterations[kept],
        metrics={name: values[:, kept] for name, values in one.metrics.items()},
    )


def level(label: str, one: Measured) -> Series:
    """A fact of the worlds, as a line from the first iteration to the last."""
    mean = float(one.facts[FACTS[label]].mean())
    return Series(label, short(one.iterations[[0, -1]]), short(np.array([mean, mean])), dashed=True)


def panel(
    title: str,
    found: Mapping[str, Measured],
    metric: str = "return",
    row: int = 0,
    figure: str = "",
    levels: Iterable[str] = ("teacher",),
    x_log: bool = False,
) -> Panel:
    """One curve for each of ``found``, by its label; KL on a logarithmic axis, returns beside ``levels``.

    ``x_log``: iterations on a logarithmic axis, from the first measurement after the start.
    """
    if x_log:
        found = {label: started(one) for label, one in found.items()}
    drawn = [series(label, one, metric) for label, one in found.items()]
    of_return = metric == "return"
    if of_return:
        drawn += [level(label, next(iter(found.values()))) for label in levels]
    return Panel(title, "iterations", AXES[metric], tuple(drawn), row, x_log, not of_return, figure=figure)


def end(one: Measured, metric: str = "return") -> np.ndarray:
    """``[n]``: the last measurement."""
    return np.asarray(one.metrics[metric][:, -1], dtype=np.float64)


def mean_return(one: Measured, metric: str = "return") -> np.ndarray:
    """``[n]``: the mean over the whole training, which is the area under the curve."""
    return area(one.metrics[metric], one.iterations)


def share_of_teacher(one: Measured, share: float) -> np.ndarray:
    """``[n]``: the return at ``share`` of the way from the uniform policy's to the teacher's."""
    low, high = one.facts["uniform-return"], one.facts["teacher-return"]
    return np.asarray(low + share * (high - low), dtype=np.float64)


def recovered(one: Measured, other: Measured | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Above uniform, ``[n]`` each: the end of ``one``, and the teacher's return or the end of ``other``."""
    low = one.facts["uniform-return"]
    return end(one) - low, (one.facts["teacher-return"] if other is None else end(other)) - low
