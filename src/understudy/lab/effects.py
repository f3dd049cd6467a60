"""Numbers measured on many problems, as effects: a mean or a median with its interval, or the extremes themselves."""

from __future__ import annotations

import math

import numpy as np

from understudy.lab.findings import Effect
from understudy.math.statistics import bootstrap_interval

RESAMPLES = 2000
LEVEL = 0.95


def mean_of(name: str, values: np.ndarray, above: float = -math.inf, below: float = math.inf, unit: str = "") -> Effect:
    """The mean of ``values [n]`` over problems, with a bootstrap interval; it holds where that is in bounds."""
    values = np.asarray(values, dtype=np.float64)
    return _held(name, values.mean(), bootstrap_interval(values, _seeded(), LEVEL, RESAMPLES), above, below, unit)


def median_of(
    name: str, values: np.ndarray, above: float = -math.inf, below: float = math.inf, unit: str = ""
) -> Effect:
    """The median of ``values [n]``, with a bootstrap interval."""
    values = np.asarray(values, dtype=np.float64)
    drawn = np.median(values[_seeded().integers(0, len(values), (RESAMPLES, len(values)))], -1)
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return _held(name, np.median(values), (low, high), above, below, unit)


def every(name: str, values: np.ndarray, above: float = -math.inf, below: float = math.inf, unit: str = "") -> Effect:
    """The median of ``values`` between the least and the greatest: a statement about each problem, without sampling."""
    values = np.asarray(values, dtype=np.float64)
    return _held(name, np.median(values), (values.min(), values.max()), above, below, unit, "in every case")


def short(numbers: np.ndarray) -> list[float]:
    """Five digits: what a figure can show, in a fraction of the file."""
    return [float(f"{number:.5g}") for number in np.asarray(numbers, dtype=np.float64)]


def _held(
    name: str,
    value: float,
    interval: tuple[float, float],
    above: float,
    below: float,
    unit: str,
    where: str = "",
) -> Effect:
    bounds = [f"above {above:g}"] * math.isfinite(above) + [f"below {below:g}"] * math.isfinite(below)
    low, high = interval
    holds = bool(low > above and high < below) if bounds else None
    wanted = " ".join([" and ".join(bounds), where]).strip() if bounds else ""
    return Effect(name, float(value), float(low), float(high), wanted, holds, unit)


def _seeded() -> np.random.Generator:
    """The interval belongs to the data: the same data have the same interval."""
    return np.random.default_rng(0)
