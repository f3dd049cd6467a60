"""Statistics that experiments share: intervals over MDPs, paired where curves saw the same MDPs, and when a level is
reached. Every interval is at 95 %; bootstraps resample MDPs, and the same seed gives the same interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from understudy.lab.findings import Effect
from understudy.math.statistics import bootstrap_interval

LEVEL = 0.95
RESAMPLES = 2000
QUANTILE = 1.959964
"""Of the normal distribution, for a band of 95 %."""


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    def effect(self, name: str, above: float = -math.inf, below: float = math.inf, unit: str = "") -> Effect:
        """As an effect: it holds where the whole interval lies strictly between ``above`` and ``below``.

        Without bounds nothing was claimed of it, and ``holds`` is None.
        """
        return Effect(name, self.value, self.low, self.high, wanted(above, below), self._holds(above, below), unit)

    def _holds(self, above: float, below: float) -> bool | None:
        return None if not wanted(above, below) else bool(self.low > above and self.high < below)


def wanted(above: float = -math.inf, below: float = math.inf) -> str:
    """Bounds in words: ``above 0``, ``below 1``, ``within 2 to 4``."""
    if math.isfinite(above) and math.isfinite(below):
        return f"within {above:g} to {below:g}"
    return f"above {above:g}" if math.isfinite(above) else f"below {below:g}" if math.isfinite(below) else ""


def mean_interval(values: np.ndarray, seed: int = 0) -> Estimate:
    """The mean of ``values [n]``, with a bootstrap interval over their n MDPs."""
    values = _finite(values, "values")
    return Estimate(float(values.mean()), *bootstrap_interval(values, np.random.default_rng(seed), LEVEL, RESAMPLES))


def difference(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Estimate:
    """The mean of ``a [n] - b [n]``, paired: what an MDP does to both cancels."""
    a, b = _paired(a, b)
    return mean_interval(a - b, seed)


def ratio_interval(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Estimate:
    """mean(``a [n]``) / mean(``b [n]``), resampled in pairs.

    Raises: ValueError where a resampled mean of ``b`` is not positive: no ratio can be told then; use a difference.
    """
    a, b = _paired(a, b)

    def ratios(drawn: np.ndarray) -> np.ndarray:
        below = b[drawn].mean(-1)
        if b.mean() <= 0 or below.min() <= 0:
            raise ValueError(f"a ratio needs a denominator that is surely positive, its mean is {b.mean():g}")
        return a[drawn].mean(-1) / below

    whole = np.arange(len(a))[None]
    return Estimate(float(ratios(whole)[0]), *_resampled(ratios, len(a), seed))


def median_interval(values: np.ndarray, seed: int = 0) -> Estimate:
    """The median of ``values [n]``; infinite values count as the largest, so that "never" is an answer."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        raise ValueError(f"values must be a non-empty vector without NaN, got the shape {values.shape}")
    middle = float(_medians(values[None])[0])
    return Estimate(middle, *_resampled(lambda drawn: _medians(values[drawn]), len(values), seed))


def band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, low and high ``[P]`` of curves ``values [n, P]``: the normal approximation, pointwise.

    One MDP has no interval: low and high are its curve.
    """
    values = np.asarray(values)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"curves must be [MDPs, measurements], got the shape {values.shape}")
    mean = values.mean(0, dtype=np.float64)
    spread = values.std(0, ddof=1, dtype=np.float64) if len(values) > 1 else np.zeros_like(mean)
    half = QUANTILE * spread / math.sqrt(len(values))
    return mean, mean - half, mean + half


def iterations_to(curve: np.ndarray, iterations: np.ndarray, level: np.ndarray | float) -> np.ndarray:
    """When each curve ``[..., P]``, measured at ``iterations [P]``, first reaches ``level`` (``[...]`` or a number).

    Interpolated on the line from the measurement before; the first measurement where it starts there; ``inf`` where it
    never does (the run was too short to tell). A mean curve ``[P]`` gives a scalar array.
    """
    curve, iterations = np.asarray(curve, dtype=np.float64), np.asarray(iterations, dtype=np.float64)
    if curve.shape[-1:] != iterations.shape:
        raise ValueError(f"curves [..., P] and iterations [P] differ: {curve.shape} and {iterations.shape}")
    level = np.broadcast_to(np.asarray(level, dtype=np.float64), curve.shape[:-1])
    reached = curve >= level[..., None]
    at = reached.argmax(-1)
    before = np.maximum(at - 1, 0)
    high = np.take_along_axis(curve, at[..., None], -1)[..., 0]
    low = np.take_along_axis(curve, before[..., None], -1)[..., 0]
    rise = np.where(high > low, high - low, 1.0)
    share = np.where(at > 0, (level - low) / rise, 0.0)
    found = iterations[before] + share * (iterations[at] - iterations[before])
    return np.where(reached.any(-1), found, np.inf)


def mean_iterations_to(
    values: np.ndarray, iterations: np.ndarray, level: np.ndarray | float, seed: int = 0
) -> Estimate:
    """When the mean of ``values [n, P]`` reaches the mean of ``level [n]``; the interval resamples MDPs, inf: never."""
    values, levels = _curves(values, level)

    def when(drawn: np.ndarray) -> np.ndarray:
        return iterations_to(*_means(values, levels, iterations, drawn))

    value = iterations_to(values.mean(0), iterations, float(levels.mean()))
    return Estimate(float(value), *_resampled(when, len(values), seed))


def speed_up(
    slow: np.ndarray, quick: np.ndarray, iterations: np.ndarray, level: np.ndarray | float, seed: int = 0
) -> Estimate:
    """How many times the iterations of the mean of ``quick [n, P]`` that of ``slow [n, P]`` takes to ``level [n]``.

    Paired: the same MDPs are resampled for both. ``inf`` where the slow one never arrives, 0 where only the quick one
    never does, NaN in the value (and counted as 1 in the interval) where neither does.
    """
    slow, levels = _curves(slow, level)
    quick, _ = _curves(quick, level)

    def ratio(drawn: np.ndarray) -> np.ndarray:
        times = [iterations_to(*_means(one, levels, iterations, drawn)) for one in (slow, quick)]
        return _ratio(*times)

    whole = [iterations_to(one.mean(0), iterations, float(levels.mean())) for one in (slow, quick)]
    low, high = _resampled(lambda drawn: np.nan_to_num(ratio(drawn), nan=1.0, posinf=np.inf), len(slow), seed)
    return Estimate(float(_ratio(*whole)), low, high)


def area(values: np.ndarray, iterations: np.ndarray) -> np.ndarray:
    """The mean height of curves ``[..., P]`` over ``iterations [P]``: the area below by trapezia, over the length."""
    iterations = np.asarray(iterations, dtype=np.float64)
    values = np.asarray(values, dtype=np.float64)
    steps = np.diff(iterations)
    return ((values[..., 1:] + values[..., :-1]) / 2 * steps).sum(-1) / steps.sum()


def ends_above(name: str, a: np.ndarray, b: np.ndarray, by: float = 0.0, last: int = 1, seed: int = 0) -> Effect:
    """That curves ``a [n, P]`` end above ``b [n, P]`` by more than ``by``: means of the ``last`` measurements."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return difference(a[:, -last:].mean(1), b[:, -last:].mean(1), seed).effect(name, above=by)


def ordered(name: str, ends: dict[str, np.ndarray], seed: int = 0) -> tuple[Effect, ...]:
    """That means of ``[n]`` stand in the order of ``ends``, greatest first: an effect for each two neighbours."""
    pairs = zip(ends.items(), list(ends.items())[1:], strict=False)
    return tuple(difference(a, b, seed).effect(f"{name}, {one} - {two}", above=0.0) for (one, a), (two, b) in pairs)


def _curves(values: np.ndarray, level: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, dtype=np.float64)
    return values, np.broadcast_to(np.asarray(level, dtype=np.float64), values.shape[:1])


def _means(
    values: np.ndarray, levels: np.ndarray, iterations: np.ndarray, drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean curves of the drawn MDPs ``[R, n]``, as counts times curves: one matrix product."""
    n = len(values)
    counts = np.zeros((len(drawn), n))
    np.add.at(counts, (np.arange(len(drawn))[:, None], drawn), 1.0)
    return counts @ values / n, iterations, counts @ levels / n


def _ratio(slow: np.ndarray, quick: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.true_divide(slow, quick))


def _resampled(statistic: Callable[[np.ndarray], np.ndarray], n: int, seed: int) -> tuple[float, float]:
    """Percentiles of a statistic of drawn MDPs ``[R, n]``; by order, so that infinite values are allowed."""
    generator = np.random.default_rng(seed)
    rows = max(1, min(RESAMPLES, 2**20 // n))
    found = np.concatenate(
        [statistic(generator.integers(0, n, (min(rows, RESAMPLES - at), n))) for at in range(0, RESAMPLES, rows)]
    )
    tail = (1 - LEVEL) / 2
    low = np.quantile(found, tail, method="lower")
    high = np.quantile(found, 1 - tail, method="higher")
    return float(low), float(high)


def _medians(values: np.ndarray) -> np.ndarray:
    """Of ``[R, n]``; with an even n the mean of the middle two, infinite where one of them is."""
    in_order = np.sort(values, -1)
    n = values.shape[-1]
    return (in_order[:, (n - 1) // 2] + in_order[:, n // 2]) / 2


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise ValueError(
            f"{name} must be a non-empty vector of finite numbers, got {values.shape} with {bad} that are not"
        )
    return values


def _paired(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = _finite(a, "a"), _finite(b, "b")
    if len(a) != len(b):
        raise ValueError(f"a and b are paired by MDP, got {len(a)} and {len(b)}")
    return a, b
