"""Eq. 1 of C19, once: the scalar whose gradient is a method's update direction."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from understudy.methods.atoms import read
from understudy.methods.method import Method
from understudy.methods.steps import Steps

Score = Callable[[Steps, Tensor], Tensor]


def log_prob_times(steps: Steps, advantage: Tensor) -> Tensor:
    """The plain score function: log πθ(a_t|s_t) times what the action earned."""
    return steps.student.policy.log_prob(steps.action) * advantage


def pseudo_reward(method: Method, steps: Steps, credit: float) -> Tensor | float:
    """rhat_i of the parts with this credit."""
    return read(tuple(part for part in method.reward if part.credit == credit), steps)


def returns(method: Method, steps: Steps) -> Tensor | float:
    """Rhat_t = sum_{i >= t} (gamma * credit)^(i-t) rhat_i, summed over the credits; held fixed."""
    total: Tensor | float = 0.0
    for credit in sorted({part.credit for part in method.reward}):
        rewards = pseudo_reward(method, steps, credit)
        assert isinstance(rewards, Tensor)
        total = total + steps.to_go(rewards, credit).detach()
    return total


def surrogate(method: Method, steps: Steps, advantage: Tensor | None = None, score: Score = log_prob_times) -> Tensor:
    """Eq. 1: E_q[ sum_t  l_t - log πθ(a_t|s_t) Rhat_t ], with q, Rhat and every gate held fixed.

    ``advantage`` and ``score`` let an estimator stand in for Rhat and for the plain score function; the loss term
    is added here and nowhere else. Schedules must have been read (``method.at(progress)``).
    """
    loss = read(method.loss, steps)
    if not method.reward:
        assert isinstance(loss, Tensor)
        return steps.expect(loss)
    earned = returns(method, steps) if advantage is None else advantage
    assert isinstance(earned, Tensor)
    return steps.expect(loss - score(steps, earned.detach()))
