# mypy: disable-error-code="no-untyped-def"
"""Random numbers and draws from tables, compiled: SplitMix64, and thresholds in units of 2^-31."""

from __future__ import annotations

import numpy as np

from understudy.math.compiled import kernel

UNIT = 2.0**31  # a draw is a whole number below this; the threshold NEVER_PASSED is above every draw
NEVER_PASSED = 2**32 - 1
_STRIDE = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _33 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(33)
_1, _2 = np.uint64(1), np.uint64(2)
_LOW = np.uint64(0x7FFFFFFF)


@kernel
def advanced(state):
    """The generator's next state; its output is :func:`scrambled`. Steele, Lea and Flood, 2014."""
    return state + _STRIDE


@kernel
def scrambled(state):
    """64 random bits from the generator's state."""
    z = (state ^ (state >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


@kernel
def upper(bits):
    """One draw below 2^31 from 64 bits."""
    return np.uint32(bits >> _33)


@kernel
def lower(bits):
    """Another draw below 2^31, independent of :func:`upper` of the same bits."""
    return np.uint32(bits & _LOW)


@kernel
def chosen(thresholds, begin, count, draw):
    """Which of ``count`` outcomes a draw falls on, by the rising thresholds from ``begin`` on; the last needs none."""
    if count == 4:  # grids: worth having without a loop
        low, middle, high = thresholds[begin], thresholds[begin + _1], thresholds[begin + _2]
        return np.int64(draw >= low) + np.int64(draw >= middle) + np.int64(draw >= high)
    found, left = 0, count - 1
    while left > 0:
        half = left >> 1
        if draw >= thresholds[begin + np.uint64(found + half)]:
            found += half + 1
            left -= half + 1
        else:
            left = half
    return found
