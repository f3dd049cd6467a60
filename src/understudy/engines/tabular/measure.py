# mypy: disable-error-code="no-untyped-def"
"""Exact evaluation of a tabular student, compiled: visits by a banded solve, returns, divergences."""

from __future__ import annotations

import math

import numpy as np

from understudy.engines.tabular.pack import ENDED
from understudy.math.compiled import compiled

_TINY = 1e-13


@compiled
def visits(world, policy, seen):
    """Expected visits ``[S]`` per episode under ``policy [O, A]`` read at ``seen [S]``: (I - P)^T d = start.

    Elimination within the band, without exchanging rows: the matrix dominates by columns. Where an episode never
    ends, d is infinite.
    """
    states, moves, width = world.probability.shape
    reach = world.reach
    band = np.zeros((states, 2 * reach + 1))
    weight = np.zeros(moves)
    for s in range(states):
        weight[:] = 0.0
        band[s, reach] += 1.0
        for a in range(len(world.move)):
            weight[world.move[a]] += policy[seen[s], a]
        for m in range(moves):
            for k in range(width):
                there = np.int64(world.following[(s * moves + m) * width + k])
                if there != ENDED:
                    band[there, s - there + reach] -= weight[m] * world.probability[s, m, k]
    return solved(band, world.start.copy())


@compiled
def solved(band, x):
    """Solve in place; row i, column j of the matrix stands in ``band[i, j - i + reach]``."""
    states, reach = len(x), band.shape[1] // 2
    for k in range(states):
        if abs(band[k, reach]) < _TINY:
            continue
        last = min(k + reach, states - 1)
        for i in range(k + 1, last + 1):
            factor = band[i, k - i + reach] / band[k, reach]
            if factor != 0:
                x[i] -= factor * x[k]
                below, above = band[i, k - i + reach :], band[k, reach:]
                for j in range(1, last - k + 1):
                    below[j] -= factor * above[j]
    for k in range(states - 1, -1, -1):
        for j in range(1, min(reach, states - 1 - k) + 1):
            if band[k, reach + j] != 0:
                x[k] -= band[k, reach + j] * x[k + j]
        if abs(band[k, reach]) >= _TINY:
            x[k] /= band[k, reach]
        elif abs(x[k]) >= _TINY:
            x[k] = np.inf
    return x


@compiled
def earned(world, policy, seen, frequency):
    """The undiscounted task return per episode."""
    total = 0.0
    for s in range(len(seen)):
        if frequency[s] != 0:
            for a in range(policy.shape[1]):
                total += frequency[s] * policy[seen[s], a] * world.reward[s, a]
    return total


@compiled
def divergence(world, logits):
    """KL(teacher‖student) in every state, ``[S]``; 0 where no action is taken."""
    found = np.zeros(len(world.seen))
    for s in range(len(world.seen)):
        x, q = logits[world.seen[s]], world.teacher[s]
        if world.acting[s]:
            highest, total = x.max(), 0.0
            for a in range(len(x)):
                total += math.exp(x[a] - highest)
            shift = highest + math.log(total)
            for a in range(len(x)):
                if q[a] > 0:
                    found[s] += q[a] * (world.log_teacher[s, a] - x[a] + shift)
    return found


@compiled
def mean(weight, per_state):
    """Per step, where ``weight [S]`` counts the steps."""
    return (weight * per_state).sum() / weight.sum()


@compiled
def measure(world, student, others, found):
    """Return, and KL(teacher‖student) under the student's visits and ``others``', into ``found [2 + len(others)]``."""
    frequency = visits(world, student.p, world.seen)
    per_state = divergence(world, student.logits)
    found[0] = earned(world, student.p, world.seen, frequency)
    found[1] = mean(frequency, per_state)
    for k in range(len(others)):
        found[2 + k] = mean(others[k], per_state)
