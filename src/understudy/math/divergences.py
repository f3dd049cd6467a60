"""Cross-entropies and Kullback-Leibler divergences between distributions of one family.

``cross_entropy(p, q)`` is H(p‖q) = -E_{a~p} log q(a), and ``kl(p, q)`` is KL(p‖q) = H(p‖q) - H(p): the first
argument is what the expectation is taken over. Both are differentiable in both arguments, and analytic: a gradient
through sampled log-probabilities would be another gradient.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from understudy.errors import SpaceError
from understudy.math.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Gaussian,
    MultiCategorical,
    SquashedGaussian,
    _expectation,
)

HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def cross_entropy(p: Distribution, q: Distribution) -> Tensor:
    """H(p‖q) = -E_{a~p} log q(a), in nats, ``[...]``."""
    _check(p, q)
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        # the clamp lets an action that both exclude cost 0 * (a large number) and not 0 * inf
        return -(p.probs * q.log_probs.clamp(min=torch.finfo(q.flat.dtype).min)).sum(-1)
    if isinstance(p, Gaussian) and isinstance(q, Gaussian):
        return (_spread(p, q) * (0.5 * torch.exp(-2 * q.log_std))).sum(-1) + (q.log_std + HALF_LOG_TAU).sum(-1)
    if isinstance(p, MultiCategorical) and isinstance(q, MultiCategorical):
        return torch.stack([cross_entropy(a, b) for a, b in zip(p.parts, q.parts, strict=True)]).sum(0)
    return p.entropy() + kl(p, q)


def kl(p: Distribution, q: Distribution) -> Tensor:
    """KL(p‖q) = E_{a~p} [log p(a) - log q(a)], in nats, ``[...]``; 0 for equal distributions."""
    _check(p, q)
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return _expectation(p.log_probs, p.log_probs - q.log_probs)
    if isinstance(p, MultiCategorical) and isinstance(q, MultiCategorical):
        return torch.stack([kl(a, b) for a, b in zip(p.parts, q.parts, strict=True)]).sum(0)
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        both = zip(p.outcomes, q.outcomes, strict=True)
        return torch.stack([_expectation(a, a - b) for a, b in both]).sum(0)
    if isinstance(p, SquashedGaussian) and isinstance(q, SquashedGaussian):
        return kl(p.normal, q.normal)  # tanh is one-to-one, and KL does not change under such maps
    assert isinstance(p, Gaussian)
    assert isinstance(q, Gaussian)
    inverse = 0.5 * torch.exp(-2 * q.log_std)
    return (_spread(p, q) * inverse + (q.log_std - p.log_std - 0.5)).sum(-1)


def _spread(p: Gaussian, q: Gaussian) -> Tensor:
    """E_{a~p} (a - mean of q)^2."""
    return torch.exp(2 * p.log_std) + (p.mean - q.mean).square()


def _check(p: Distribution, q: Distribution) -> None:
    if type(p) is not type(q) or _size(p) != _size(q):
        raise SpaceError(
            f"a divergence needs two distributions of one family, got {type(p).__name__} with "
            f"{_size(p)} parameters and {type(q).__name__} with {_size(q)}"
        )


def _size(p: Distribution) -> int:
    """Parameters of one distribution, without joining a Gaussian's halves."""
    normal = p.normal if isinstance(p, SquashedGaussian) else p
    return 2 * normal.mean.shape[-1] if isinstance(normal, Gaussian) else p.flat.shape[-1]


__all__ = ["cross_entropy", "kl"]
