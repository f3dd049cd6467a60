"""Sums along time over windows ``[L, N]`` of steps, in NumPy: a window may hold several episodes of each copy."""

from __future__ import annotations

import numpy as np


def discounted_sums(x: np.ndarray, stop: np.ndarray, discount: float, tail: np.ndarray | float = 0.0) -> np.ndarray:
    """R_t = x_t + discount * R_{t+1}, where the sum starts anew from ``tail`` after each ``stop``.

    ``x [L, N]``; ``stop [L, N]`` marks the last step of an episode or of the window; ``tail [L, N]`` is what lies
    beyond such a step: 0 after a terminal, a critic's value of the final observation after a time limit.
    """
    tails = np.broadcast_to(tail, x.shape)
    sums = np.empty(x.shape, dtype=np.float64)
    carry = tails[-1].astype(np.float64)
    for t in range(len(x) - 1, -1, -1):
        carry = x[t] + discount * np.where(stop[t], tails[t], carry)
        sums[t] = carry
    return sums


def following(values: np.ndarray, stop: np.ndarray, tail: np.ndarray | float = 0.0) -> np.ndarray:
    """values_{t+1} ``[L, N]``, and ``tail`` after each ``stop``."""
    after = np.concatenate([values[1:], np.zeros_like(values[:1])])
    return np.where(stop, tail, after)


def gae(
    rewards: np.ndarray, values: np.ndarray, stop: np.ndarray, tail: np.ndarray, discount: float, lam: float
) -> np.ndarray:
    """Generalised advantages (Schulman et al. 2016): sums of delta_t = r_t + discount * b(s_{t+1}) - b(s_t).

    All ``[L, N]``; ``discount`` is gamma times the part's credit, ``tail`` as in :func:`discounted_sums`.
    """
    delta = rewards + discount * following(values, stop, tail) - values
    return discounted_sums(delta, stop, discount * lam)
