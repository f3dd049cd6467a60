"""Numbers measured on many problems, as effects: a mean or a median with its interval, or the extremes themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from understudy.lab.findings import Effect
from understudy.lab.verdict import Estimate, mean_interval, median_interval


def mean_of(name: str, values: np.ndarray, above: float = -math.inf, below: float = math.inf, unit: str = "") -> Effect:
    """The mean of ``values [n]`` over problems, with a bootstrap interval; it holds where that is in bounds."""
    return mean_interval(values).effect(name, above, below, unit)


def median_of(
    name: str, values: np.ndarray, above: float = -math.inf, below: float = math.inf, unit: str = ""
) -> Effect:
    """The median of ``values [n]``, with a bootstrap interval."""
    return median_interval(values).effect(name, above, below, unit)


def every(name: str, values: np.ndarray, above: float = -math.inf, below: float = math.inf, unit: str = "") -> Effect:
    """The median of ``values`` between the least and the greatest: a statement about each problem, without sampling."""
    values = np.asarray(values, dtype=np.float64)
    extremes = Estimate(float(np.median(values)), float(values.min()), float(values.max()))
    found = extremes.effect(name, above, below, unit)
    return replace(found, wanted=f"{found.wanted} in every case" if found.wanted else "", span="least to greatest")


def told(effects: Sequence[Effect], text: str) -> str:
    """``text`` where every effect that was held against something holds; otherwise those that do not, in its place.

    So that a page never says in words what its own numbers deny.
    """
    failed = [f"{one.name} ({one.value:.3g}, wanted {one.wanted})" for one in effects if one.holds is False]
    return f"This did not hold: {'; '.join(failed)}." if failed else text


def short(numbers: np.ndarray) -> list[float]:
    """Five digits: what a figure can show, in a fraction of the file."""
    return [float(f"{number:.5g}") for number in np.asarray(numbers, dtype=np.float64)]
