"""PyTorch's distributions as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch import distributions as theirs

from understudy.errors import SpaceError
from understudy.math.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Gaussian,
    MultiCategorical,
    SquashedGaussian,
)

OURS = (Categorical, MultiCategorical, Bernoulli, Gaussian, SquashedGaussian)


def ours(distribution: Any, frozen: bool = False) -> Distribution:
    """The same distribution as one of ours, without its gradients if ``frozen``; SpaceError for other families.

    The last dimension of a bare Normal or Bernoulli is that of one action's parts; wrap it in Independent to say
    otherwise.
    """
    found = distribution if isinstance(distribution, OURS) else _converted(distribution)
    if not frozen:
        return found
    if isinstance(found, MultiCategorical):
        return MultiCategorical(found.flat.detach(), found.sizes)
    if isinstance(found, SquashedGaussian):
        return SquashedGaussian(_held(found.normal))
    return _held(found) if isinstance(found, Gaussian) else type(found)(found.flat.detach())  # type: ignore[call-arg]


def _held(normal: Gaussian) -> Gaussian:
    return Gaussian(normal.mean.detach(), normal.raw_log_std.detach())


def _converted(distribution: Any) -> Distribution:
    listed = isinstance(distribution, (list, tuple)) and len(distribution) > 0
    if listed and all(isinstance(one, theirs.Categorical) for one in distribution):
        logits = [one.logits for one in distribution]
        return MultiCategorical(torch.cat(logits, -1), tuple(one.shape[-1] for one in logits))
    for kind, convert in CONVERSIONS.items():
        if type(distribution) is kind:
            return convert(distribution)
    raise SpaceError(
        f"no distance is known for a {type(distribution).__name__}: give a Categorical (or a list of them), Bernoulli, "
        "Normal, Independent of these, MultivariateNormal with a diagonal covariance, or a Normal under a tanh. For an "
        "agent that Understudy opened, agent(states)[0].policy"
    )


def _independent(distribution: theirs.Independent[Any]) -> Distribution:
    """Parts that count as one action: their distances are summed."""
    dims, inner = distribution.reinterpreted_batch_ndims, distribution.base_dist
    if isinstance(inner, theirs.Independent):
        return _independent(theirs.Independent(inner.base_dist, dims + inner.reinterpreted_batch_ndims))
    if not dims and isinstance(inner, theirs.Categorical):
        return _converted(inner)
    if isinstance(inner, theirs.Normal):
        return Gaussian(_joined(inner.loc, dims), _joined(inner.scale, dims).log())
    if isinstance(inner, theirs.Bernoulli):
        return Bernoulli(_joined(inner.logits, dims))
    if isinstance(inner, theirs.TransformedDistribution):
        return _squashed(inner, dims)
    raise SpaceError(f"no distance is known for an Independent of a {type(inner).__name__}; use Normal or Bernoulli")


def _joined(x: Tensor, dims: int) -> Tensor:
    """The last ``dims`` dimensions as one; a new one if there is none."""
    return x.flatten(-dims) if dims else x[..., None]


def _normal(distribution: theirs.Normal) -> Distribution:
    return Gaussian(_vector(distribution.loc), _vector(distribution.scale).log())


def _vector(x: Tensor) -> Tensor:
    if x.ndim < 2:
        raise SpaceError(
            f"a bare distribution of shape {list(x.shape)} may be a batch of actions of one number or one action of "
            "several. Wrap it: Independent(distribution, 0) for the first, Independent(distribution, 1) for the second"
        )
    return x


def _multivariate(distribution: theirs.MultivariateNormal) -> Distribution:
    tril = distribution.scale_tril
    spread = tril.diagonal(dim1=-2, dim2=-1)
    if not bool((tril == torch.diag_embed(spread)).all()):
        raise SpaceError("only a MultivariateNormal with a diagonal covariance has a distance here; this one is full")
    return Gaussian(distribution.loc, spread.log())


def _squashed(distribution: theirs.TransformedDistribution, dims: int = 1) -> Distribution:
    """tanh of a Normal."""
    transforms, inner = distribution.transforms, distribution.base_dist
    if [type(one) for one in transforms] != [theirs.TanhTransform]:
        raise SpaceError("of distributions under a transform only a Normal under a tanh has a distance here")
    found = (
        _independent(inner) if isinstance(inner, theirs.Independent) else _independent(theirs.Independent(inner, dims))
    )
    if not isinstance(found, Gaussian):
        raise SpaceError(f"only a Normal under a tanh has a distance here, not a {type(inner).__name__}")
    return SquashedGaussian(found)


CONVERSIONS: dict[type, Callable[[Any], Distribution]] = {
    theirs.Categorical: lambda one: Categorical(one.logits),
    theirs.OneHotCategorical: lambda one: Categorical(one.logits),
    theirs.Bernoulli: lambda one: Bernoulli(_vector(one.logits)),
    theirs.Normal: _normal,
    theirs.Independent: _independent,
    theirs.MultivariateNormal: _multivariate,
    theirs.TransformedDistribution: _squashed,
}
