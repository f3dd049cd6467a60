"""Aggregates of several runs with intervals, as Agarwal et al. 2021 ("the statistical precipice") define them.

Scores are ``[runs, tasks]``: a run's score on a task is a mean over its episodes. :func:`combined` extends these
intervals by the episodes behind the scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import trim_mean

from understudy.math.statistics import RESAMPLES, percentiles

CHUNK = 1 << 20
TRIMMED = 0.25
"""The share that the interquartile mean leaves out at either end."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    point: float
    low: float
    high: float


def interquartile_mean(scores: np.ndarray) -> float:
    """The mean of the middle half of all scores ``[runs, tasks]``. Of fewer than four nothing is left out."""
    return float(trim_mean(_matrix(scores), TRIMMED, axis=None))


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> float:
    """P(X > Y) of runs ``x [runs, tasks]`` and ``y`` on the same task, a tie counting half; the mean over tasks."""
    x, y = _same_tasks(x, y)
    return float(_wins(x[None], y[None])[0])


def interquartile_interval(scores: np.ndarray, generator: np.random.Generator, resamples: int = RESAMPLES) -> Estimate:
    """The interquartile mean with its stratified bootstrap interval: runs are drawn anew within each task."""
    scores = _matrix(scores)
    means = [_trimmed(drawn) for drawn in _redrawn(scores, generator, resamples)]
    return Estimate(interquartile_mean(scores), *percentiles(np.concatenate(means)))


def improvement_interval(
    x: np.ndarray, y: np.ndarray, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Estimate:
    """The probability of improvement with its interval: runs of ``x`` and of ``y`` are drawn anew within each task."""
    x, y = _same_tasks(x, y)
    pairs = zip(_redrawn(x, generator, resamples, y.size), _redrawn(y, generator, resamples, x.size), strict=True)
    wins = np.concatenate([_wins(one, other) for one, other in pairs])
    return Estimate(probability_of_improvement(x, y), *percentiles(wins))


@dataclass(frozen=True)
class Combined:
    """What several runs of one student come to; ``recovered`` is None where the teacher is not above random."""

    returns: Estimate
    recovered: Estimate | None


def combined(
    student: np.ndarray,
    teacher: np.ndarray,
    random: np.ndarray,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Combined:
    """The interquartile mean over the runs' mean returns, and (it - random) / (teacher - random).

    ``student [runs, episodes]`` and ``teacher [episodes]`` are returns on the same seeds, ``random [m]`` on any. Runs
    are drawn anew, as in :func:`interquartile_interval`, and with them, which rliable does not do, the episodes: the
    same ones for all runs and the teacher, for a seed that is hard for one is hard for all. So one run has an interval
    too, and a hundred episodes are not taken for all there are. Where every run scores the same in every episode it is
    rliable's interval.
    """
    student, teacher, random = _matrix(student), np.asarray(teacher, float), np.asarray(random, float)
    if teacher.shape != student.shape[1:] or not random.size:
        raise ValueError(f"student {student.shape}, teacher {teacher.shape} and random {random.shape} don't fit")
    tops, floors, means = [], [], []
    for count in _parts(resamples, student.size + random.size):
        drawn = _counts(len(teacher), count, generator)
        floors.append(_counts(len(random), count, generator) @ random / len(random))
        tops.append(drawn @ teacher / len(teacher))
        runs = generator.integers(0, len(student), (count, len(student)))
        means.append(_trimmed(np.take_along_axis(drawn @ student.T / len(teacher), runs, 1)))
    top, floor, mean = map(np.concatenate, (tops, floors, means))
    point = float(trim_mean(student.mean(1), TRIMMED))
    returns = Estimate(point, *percentiles(mean))
    gap = top - floor
    if percentiles(gap)[0] <= 0:
        return Combined(returns, None)
    share = (point - random.mean()) / (teacher.mean() - random.mean())
    beats = gap > 0
    return Combined(returns, Estimate(float(share), *percentiles((mean - floor)[beats] / gap[beats])))


def _wins(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``[B]`` of ``x [B, runs, tasks]`` and ``y``."""
    one, other = x[:, :, None], y[:, None]
    return ((one > other) + 0.5 * (one == other)).mean((1, 2, 3))


def _trimmed(drawn: np.ndarray) -> np.ndarray:
    """``[B]`` interquartile means of ``[B, runs, tasks]`` or ``[B, runs]``."""
    return trim_mean(drawn.reshape(len(drawn), -1), TRIMMED, axis=1)


def _redrawn(
    scores: np.ndarray, generator: np.random.Generator, resamples: int, beside: int = 1
) -> Iterator[np.ndarray]:
    """``[B, runs, tasks]``, a bounded number at a time: in every task the runs are drawn with replacement."""
    for count in _parts(resamples, scores.size * beside):
        drawn = generator.integers(0, len(scores), (count, *scores.shape))
        yield np.take_along_axis(scores[None], drawn, 1)


def _counts(n: int, count: int, generator: np.random.Generator) -> np.ndarray:
    """``[count, n]``: how often each of n is drawn; a product with values, divided by n, is their mean."""
    return generator.multinomial(n, np.full(n, 1 / n), count)


def _parts(resamples: int, size: int) -> Iterator[int]:
    """Numbers of resamples that fit into memory at once, ``resamples`` in all."""
    rows = max(1, CHUNK // size)
    for first in range(0, resamples, rows):
        yield min(rows, resamples - first)


def _matrix(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or not scores.size:
        raise ValueError(f"scores are [runs, tasks], got the shape {scores.shape}")
    return scores


def _same_tasks(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = _matrix(x), _matrix(y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"both are compared on the same tasks, got {x.shape[1]} and {y.shape[1]}")
    return x, y
