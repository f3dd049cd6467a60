"""Action distributions as flat parameter tensors, with their own samplers.

A :class:`Family` names a kind of distribution and its sizes, and reads a flat tensor ``[..., P]`` as
distributions. Stores, files and exports therefore hold one tensor, whatever the kind. Actions are *raw*:

=================== ============================ =================================== =================
kind                parameters P                 raw action                          torch dtype
=================== ============================ =================================== =================
categorical         n logits                     index ``[...]``                     int64
multi-categorical   the logits of every part     one index a part ``[..., K]``       int64
bernoulli           A logits                     0 or 1 ``[..., A]``                 float32
gaussian            A means, A log-deviations    real ``[..., A]``, not clipped      float32
squashed-gaussian   A means, A log-deviations    *before* tanh ``[..., A]``          float32
=================== ============================ =================================== =================

Keeping a squashed action before its tanh avoids the inverse at the bounds; its ``log_prob`` is still the density
of tanh(u) in (-1, 1)^A, as Stable-Baselines3 has it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

KINDS = ("categorical", "multi-categorical", "bernoulli", "gaussian", "squashed-gaussian")
CONTINUOUS = ("gaussian", "squashed-gaussian")
LOG_STD_MIN, LOG_STD_MAX = -20.0, 4.0


class Distribution(Protocol):
    """What every family offers; ``flat`` is ``[..., P]`` and results drop its last dimension."""

    @property
    def flat(self) -> Tensor: ...
    def log_prob(self, action: Tensor) -> Tensor: ...
    def entropy(self) -> Tensor: ...
    def mode(self) -> Tensor: ...


@dataclass(frozen=True)
class Family:
    """A kind of action distribution and its sizes.

    ``sizes``: (n,) categorical; the parts' sizes for multi-categorical; (A,) for the others.
    """

    kind: str
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"sizes must be positive, got {self.sizes}")
        if self.kind != "multi-categorical" and len(self.sizes) != 1:
            raise ValueError(f"{self.kind} takes one size, got {self.sizes}")

    @property
    def parameters(self) -> int:
        """P, the length of one distribution's flat parameters."""
        return sum(self.sizes) * (2 if self.continuous else 1)

    @property
    def continuous(self) -> bool:
        return self.kind in CONTINUOUS

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Shape of one raw action."""
        if self.kind == "categorical":
            return ()
        return (len(self.sizes),) if self.kind == "multi-categorical" else (self.sizes[0],)

    @property
    def action_dtype(self) -> torch.dtype:
        return torch.int64 if "categorical" in self.kind else torch.float32

    def __call__(self, flat: Tensor) -> Distribution:
        """Read ``[..., P]`` as distributions."""
        if flat.shape[-1] != self.parameters:
            raise ValueError(f"{self} has {self.parameters} parameters, got a tensor of shape {tuple(flat.shape)}")
        if self.kind == "categorical":
            return Categorical(flat)
        if self.kind == "multi-categorical":
            return MultiCategorical(flat, self.sizes)
        if self.kind == "bernoulli":
            return Bernoulli(flat)
        return self.normal(*flat.chunk(2, -1))

    def normal(self, mean: Tensor, log_std: Tensor) -> Distribution:
        """A continuous family's distributions from means ``[..., A]`` and log-deviations ``[..., A]`` or ``[A]``."""
        gaussian = Gaussian(mean, log_std)
        return gaussian if self.kind == "gaussian" else SquashedGaussian(gaussian)

    def sample(self, flat: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """One raw action for each row of ``flat [N, P]``."""
        if self.kind == "categorical":
            return _draw(flat, generator)
        if self.kind == "multi-categorical":
            parts = np.split(flat, np.cumsum(self.sizes)[:-1], axis=-1)
            return np.stack([_draw(part, generator) for part in parts], axis=-1)
        if self.kind == "bernoulli":
            noise = generator.random(flat.shape, dtype=np.float32)
            with np.errstate(over="ignore"):  # to infinity, and so to the probability 0
                return (noise < 1 / (1 + np.exp(-flat))).astype(np.float32)
        mean, log_std = flat[..., : self.sizes[0]], flat[..., self.sizes[0] :]
        log_std = np.minimum(np.maximum(log_std, LOG_STD_MIN), LOG_STD_MAX)
        return mean + np.exp(log_std) * generator.standard_normal(mean.shape, dtype=np.float32)

    def mode(self, flat: np.ndarray) -> np.ndarray:
        """The deterministic raw action for each row of ``flat [N, P]``."""
        if self.kind == "categorical":
            return flat.argmax(-1)
        if self.kind == "multi-categorical":
            parts = np.split(flat, np.cumsum(self.sizes)[:-1], axis=-1)
            return np.stack([part.argmax(-1) for part in parts], axis=-1)
        if self.kind == "bernoulli":
            return (flat > 0).astype(np.float32)
        return flat[..., : self.sizes[0]]

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(str, self.sizes))})"


def _draw(logits: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Indices drawn by inverting the cumulative softmax: one uniform number a row."""
    weight = np.exp(logits - logits.max(-1, keepdims=True))
    cumulative = weight.cumsum(-1)
    threshold = generator.random(logits.shape[:-1], dtype=np.float32)[..., None] * cumulative[..., -1:]
    return np.minimum((cumulative <= threshold).sum(-1), logits.shape[-1] - 1)


@dataclass(frozen=True)
class Categorical:
    """Softmax over ``flat [..., n]``."""

    flat: Tensor

    @cached_property
    def log_probs(self) -> Tensor:
        return F.log_softmax(self.flat, -1)

    @property
    def probs(self) -> Tensor:
        return F.softmax(self.flat, -1)

    def log_prob(self, action: Tensor) -> Tensor:
        shape = torch.broadcast_shapes(action.shape, self.flat.shape[:-1])  # type: ignore[no-untyped-call]
        log_probs = self.log_probs.expand(*shape, -1)
        return log_probs.gather(-1, action.expand(shape)[..., None])[..., 0]

    def entropy(self) -> Tensor:
        return -_expectation(self.log_probs, self.log_probs)

    def mode(self) -> Tensor:
        return self.flat.argmax(-1)


@dataclass(frozen=True)
class MultiCategorical:
    """Independent softmaxes over consecutive pieces of ``flat [..., sum(sizes)]``."""

    flat: Tensor
    sizes: tuple[int, ...]

    @cached_property
    def parts(self) -> list[Categorical]:
        return [Categorical(piece) for piece in torch.split(self.flat, list(self.sizes), dim=-1)]

    def log_prob(self, action: Tensor) -> Tensor:
        return torch.stack([p.log_prob(action[..., k]) for k, p in enumerate(self.parts)]).sum(0)

    def entropy(self) -> Tensor:
        return torch.stack([part.entropy() for part in self.parts]).sum(0)

    def mode(self) -> Tensor:
        return torch.stack([part.mode() for part in self.parts], -1)


@dataclass(frozen=True)
class Bernoulli:
    """Independent coins with logits ``flat [..., A]``; summed over A."""

    flat: Tensor

    @cached_property
    def outcomes(self) -> tuple[Tensor, Tensor]:
        """Log-probabilities of 1 and of 0."""
        return F.logsigmoid(self.flat), F.logsigmoid(-self.flat)

    def log_prob(self, action: Tensor) -> Tensor:
        on, off = self.outcomes
        return torch.where(action > 0.5, on, off).sum(-1)

    def entropy(self) -> Tensor:
        on, off = self.outcomes
        return -_expectation(on, on) - _expectation(off, off)

    def mode(self) -> Tensor:
        return (self.flat > 0).to(self.flat.dtype)


@dataclass(frozen=True)
class Gaussian:
    """Diagonal normal; ``flat [..., 2A]`` is means, then log standard deviations.

    ``mean [..., A]``; ``raw_log_std [..., A]``, or ``[A]`` where all share one, which spares a copy a state.
    """

    mean: Tensor
    raw_log_std: Tensor

    @cached_property
    def log_std(self) -> Tensor:
        """Kept within what a float can exponentiate."""
        return self.raw_log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)

    @cached_property
    def flat(self) -> Tensor:
        return torch.cat([self.mean, self.raw_log_std.expand_as(self.mean)], -1)

    def log_prob(self, action: Tensor) -> Tensor:
        scaled = (action - self.mean) * torch.exp(-self.log_std)
        return (-0.5 * scaled.square() - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        each = self.log_std + 0.5 * math.log(2 * math.pi * math.e)
        return each.sum(-1).expand(self.mean.shape[:-1])

    def mode(self) -> Tensor:
        return self.mean


@dataclass(frozen=True)
class SquashedGaussian:
    """tanh of a diagonal normal; ``flat [..., 2A]`` describes the normal before the tanh.

    The entropy has no closed form. It is the normal's plus E[log(1 - tanh(u)^2)], a one-dimensional integral for
    each action, taken by quadrature: no noise, and the right gradient.
    """

    normal: Gaussian

    @property
    def flat(self) -> Tensor:
        return self.normal.flat

    def log_prob(self, action: Tensor) -> Tensor:
        """Density of tanh(action); ``action`` is before the tanh."""
        return self.normal.log_prob(action) - log_tanh_slope(action).sum(-1)

    def entropy(self) -> Tensor:
        return self.normal.entropy() + expected_log_slope(self.normal)

    def mode(self) -> Tensor:
        return self.normal.mean


def log_tanh_slope(u: Tensor) -> Tensor:
    """log(1 - tanh(u)^2), stable for large |u|."""
    return 2 * (math.log(2) - u - F.softplus(-2 * u))


def expected_log_slope(p: Gaussian) -> Tensor:
    """E_{u~p} sum_a log(1 - tanh(u_a)^2), to 1e-6 for deviations up to 2 and 1e-2 for any.

    -2 E|u + z| + 2 log 2, with normal z of variance pi^2 / 12, has a closed form and, because the two areas are equal,
    is close wherever the normal is wide. What remains is smooth and small: 40 equal steps suffice.
    """
    x = torch.linspace(-6.5, 6.5, 40, dtype=p.flat.dtype, device=p.flat.device)
    weight = torch.softmax(-0.5 * x.square(), 0)
    std = p.log_std.exp()
    u = p.mean[..., None] + std[..., None] * x
    blur = torch.full_like(std, math.pi / math.sqrt(12))
    rest = ((log_tanh_slope(u) + 2 * _expected_size(u, blur[..., None])) * weight).sum(-1)
    return (rest - 2 * _expected_size(p.mean, torch.hypot(std, blur))).sum(-1)


def _expected_size(mean: Tensor, std: Tensor) -> Tensor:
    """E|u| of a normal."""
    ratio = mean / std
    return std * math.sqrt(2 / math.pi) * torch.exp(-0.5 * ratio.square()) + mean * torch.erf(ratio / math.sqrt(2))


def _expectation(log_p: Tensor, x: Tensor) -> Tensor:
    """sum_a p_a x_a, with 0 * -inf = 0 so that impossible actions cost nothing."""
    p = log_p.exp()
    return (p * torch.where(p > 0, x, 0.0)).sum(-1)  # masked before: 0 * nan would be the gradient of p
