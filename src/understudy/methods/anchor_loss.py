"""The distance from an anchor, as a loss on distributions: ours, or PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from understudy.errors import ConfigurationError, SpaceError, nearest
from understudy.math.distributions import Distribution
from understudy.math.divergences import kl
from understudy.math.torch_distributions import ours

DIVERGENCES: dict[str, Callable[[Distribution, Distribution], Tensor]] = {
    "forward": kl,
    "reverse": lambda anchor, student: kl(student, anchor),
}


def divergence(direction: str, anchor: Distribution, student: Distribution) -> Tensor:
    """KL(anchor‖student), ``forward``, or KL(student‖anchor), ``reverse``, of each state, in nats."""
    return DIVERGENCES[direction](anchor, student)


def anchor_loss(student: Any, anchor: Any, direction: str = "forward") -> Tensor:
    """The mean KL over a batch of states between a student and a frozen policy; ``weight`` times it goes to your loss.

    student, anchor: distributions over a batch of states: ``torch.distributions`` objects (Categorical, a list of them,
    Bernoulli, Normal, Independent, MultivariateNormal with a diagonal covariance, or a Normal under a tanh), or
    Understudy's. A bare Normal or Bernoulli ``[..., A]`` counts as one of A independent actions, as Stable-Baselines3
    and CleanRL have it. direction: ``forward``, KL(anchor‖student), or ``reverse``, KL(student‖anchor).

    Returns a scalar in nats. No gradient flows into the anchor. SpaceError: two families, sizes or batches.
    """
    if direction not in DIVERGENCES:
        raise ConfigurationError(
            f"direction is one of {', '.join(DIVERGENCES)}, got {direction!r}.{nearest(direction, DIVERGENCES)}"
        )
    held, free = ours(anchor, frozen=True), ours(student)
    batches = [list(one.flat.shape[:-1]) for one in (held, free)]
    if type(held) is type(free) and batches[0] != batches[1]:  # PyTorch may match each state with each other
        raise SpaceError(
            f"the anchor answers at {batches[0]} states, the student at {batches[1]}: give both the same states, in "
            "the same shape"
        )
    return divergence(direction, held, free).mean()
