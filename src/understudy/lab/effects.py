"""Numbers measured on many problems, as effects: a mean or a median with its interval, or the extremes themselves."""

from __future__ import annotations

import math
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


def short(numbers: np.ndarray) -> list[float]:
    """Five digits: what a figure can show, in a fraction of the file."""
    return [float(f"{number:.5g}") for number in np.asarray(numbers, dtype=np.float64)]
