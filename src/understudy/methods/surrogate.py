"""Eq. 1 of C19, once: the scalar whose gradient is a method's update direction."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from understudy.methods.atoms import read
from understudy.methods.method import Method
from understudy.methods.steps import Batch, Steps

Score = Callable[[Batch, Tensor], Tensor]


def log_prob_times(steps: Batch, advantage: Tensor) -> Tensor:
    """The plain score function: log πθ(a_t|s_t) times what the action earned."""
    return steps.student.policy.log_prob(steps.action) * advantage


def pseudo_reward(method: Method, steps: Steps, credit: float) -> Tensor:
    """rhat_i of the parts with this credit; held fixed."""
    rewards = read(tuple(part for part in method.reward if part.credit == credit), steps.held)
    assert isinstance(rewards, Tensor), f"no part has credit {credit}"
    return rewards


def returns(method: Method, steps: Steps) -> Tensor:
    """Rhat_t = sum_{i >= t} (gamma * credit)^(i-t) rhat_i, summed over the credits; held fixed."""
    sums = [steps.to_go(pseudo_reward(method, steps, credit), credit) for credit in method.credits]
    return torch.stack(sums).sum(0)


def surrogate(method: Method, steps: Batch, advantage: Tensor | None = None, score: Score = log_prob_times) -> Tensor:
    """Eq. 1: E_q[ sum_t  l_t - log πθ(a_t|s_t) Rhat_t ], with q, Rhat and every gate held fixed.

    ``advantage`` and ``score`` let an estimator stand in for Rhat and for the plain score function; the loss term
    is added here and nowhere else. Without an advantage the steps must be in order (:class:`Steps`). Schedules must
    have been read (``method.at(progress)``). Nothing is detached here: what is fixed is read from ``steps.held``, so
    that an engine which differentiates twice can tell what moves now from what is fixed now.
    """
    loss = read(method.loss, steps)
    if not method.reward:
        assert isinstance(loss, Tensor)
        return steps.expect(loss)
    if advantage is None:
        assert isinstance(steps, Steps)
        advantage = returns(method, steps)
    return steps.expect(loss - score(steps, advantage))
