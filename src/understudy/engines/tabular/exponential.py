# mypy: disable-error-code="no-untyped-def"
"""exp without a call, so that a loop over it is vectorised; the same bits on every machine."""

from __future__ import annotations

import numpy as np

from understudy.math.compiled import kernel

_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.4286068203094173e-06  # their sum is ln 2; n times the first is exact
_ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it leaves a rounded whole number in the last bits
_LOWEST = -708.0


@kernel
def exponential(x):
    """exp(x) for x <= 0, within a few units of the last place; 3e-308 below -708."""
    x = max(x, _LOWEST)
    shifted = x * _LOG2E + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (1.0 + r) + r2 * (1 / 2 + r * (1 / 6))
    middle = (1 / 24 + r * (1 / 120)) + r2 * (1 / 720 + r * (1 / 5040))
    high = (1 / 40320 + r * (1 / 362880)) + r2 * (1 / 3628800 + r * (1 / 39916800))
    scale = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    return (low + r4 * (middle + r4 * high)) * scale


@kernel
def exponentials(x, count):
    """exp of the first ``count`` entries, none above 0, in place."""
    for k in range(count):
        x[k] = exponential(x[k])
