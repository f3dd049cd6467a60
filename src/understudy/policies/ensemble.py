"""Several teachers as one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid

from understudy.errors import ConfigurationError, SpaceError
from understudy.math.distributions import LOG_STD_MAX, LOG_STD_MIN, Family
from understudy.math.heads import Heads
from understudy.policies.policy import Policy, TensorObservation


@dataclass(frozen=True)
class Ensemble:
    """The weighted mixture of policies of one family.

    Probabilities are averaged (of every part by itself, where there are several). A mixture of Gaussians becomes the
    Gaussian with its mean and variance; of squashed ones, before the tanh. The value is the mean where all have one.
    """

    policies: Sequence[Policy]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "policies", tuple(self.policies))
        if not self.policies:
            raise ConfigurationError("an ensemble needs at least one policy")
        for policy in self.policies[1:]:
            _check_alike(self.policies[0], policy)
        for policy in self.policies:
            if getattr(policy, "scores", False):
                raise ConfigurationError(
                    f"{policy.description} answers action values; give it a temperature before averaging, "
                    "as in Tempered(policy, 0.01)"
                )
        object.__setattr__(self, "weights", _normalised(self.weights, len(self.policies)))

    @property
    def family(self) -> Family:
        return self.policies[0].family

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        return self.policies[0].observation_space

    @property
    def action_space(self) -> gymnasium.Space[Any]:
        return self.policies[0].action_space

    @property
    def memory_size(self) -> int:
        return sum(policy.memory_size for policy in self.policies)

    @property
    def has_value(self) -> bool:
        return all(policy.has_value for policy in self.policies)

    @property
    def full_support(self) -> bool:
        return any(policy.full_support for policy in self.policies)

    @property
    def description(self) -> str:
        return "ensemble of " + ", ".join(policy.description for policy in self.policies)

    @property
    def parameter_count(self) -> int:
        return sum(policy.parameter_count for policy in self.policies)

    @property
    def gamma(self) -> float | None:
        """The members' discount where all have the same."""
        gammas = [getattr(p, "gamma", None) or getattr(p, "facts", {}).get("gamma") for p in self.policies]
        return gammas[0] if gammas.count(gammas[0]) == len(gammas) else None

    @property
    def facts(self) -> dict[str, Any]:
        """What members that are students say of themselves where all say the same; None where they differ."""
        said: list[dict[str, Any]] = [getattr(policy, "facts", {}) for policy in self.policies]
        if not any(said):
            return {}
        found = {}
        for key, nothing in (("wrappers", []), ("view", "")):
            values = [facts.get(key, nothing) for facts in said]
            found[key] = values[0] if values.count(values[0]) == len(values) else None
        return found

    @property
    def scores(self) -> bool:
        return False

    def __call__(
        self, observation: TensorObservation, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Heads, Tensor | None]:
        sizes = [policy.memory_size for policy in self.policies]
        before = [None] * len(sizes) if memory is None else torch.split(memory, sizes, -1)
        with torch.no_grad():
            answers = [
                policy(observation, part if size else None, start)
                for policy, size, part in zip(self.policies, sizes, before, strict=True)
            ]
            flats = torch.stack([heads.policy.flat for heads, _ in answers])
            weight = flats.new_tensor(self.weights).reshape(-1, *[1] * (flats.ndim - 1))
            flat = MIXTURES[self.family.kind](flats, weight, self.family)
            value = None
            if self.has_value:
                value = (torch.stack([heads.value for heads, _ in answers]) * weight[..., 0]).sum(0)
        after = [part for (_, part), size in zip(answers, sizes, strict=True) if size and part is not None]
        return Heads(self.family(flat), value), torch.cat(after, -1) if after else None

    def without_value(self) -> Ensemble:
        """The same actions without the cost of values, where members offer that."""
        strips = [getattr(policy, "without_value", None) for policy in self.policies]
        kept = [p if strip is None else strip() for p, strip in zip(self.policies, strips, strict=True)]
        return dataclasses.replace(self, policies=kept)

    def to(self, device: torch.device | str) -> Ensemble:
        return dataclasses.replace(self, policies=[policy.to(device) for policy in self.policies])


def _check_alike(first: Policy, other: Policy) -> None:
    if first.family != other.family or not _same_actions(first, other):
        raise SpaceError(
            f"an ensemble needs policies of one kind, got {first.family} for {first.action_space} "
            f"({first.description}) and {other.family} for {other.action_space} ({other.description})"
        )
    if _shapes(first.observation_space) != _shapes(other.observation_space):
        raise SpaceError(
            f"an ensemble's policies must see the same, got {first.observation_space} ({first.description}) "
            f"and {other.observation_space} ({other.description})"
        )


def _same_actions(first: Policy, other: Policy) -> bool:
    """Bounds matter only to squashed actions, which are scaled to them; starts always do."""
    a, b = first.action_space, other.action_space
    if isinstance(a, spaces.Box) and isinstance(b, spaces.Box):
        squashed = first.family.kind == "squashed-gaussian"
        return not squashed or (np.allclose(a.low, b.low) and np.allclose(a.high, b.high))
    return a == b


def _shapes(space: gymnasium.Space[Any]) -> Any:
    if isinstance(space, spaces.Dict):
        return {key: _shapes(part) for key, part in space.items()}
    return tuple(space.shape or ())


def _normalised(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    if weights is None:
        return (1 / count,) * count
    if len(weights) != count or not all(w > 0 and math.isfinite(w) for w in weights):
        raise ConfigurationError(f"an ensemble of {count} needs {count} positive weights, got {list(weights)}")
    return tuple(w / sum(weights) for w in weights)


def _mix_categorical(flats: Tensor, weight: Tensor, family: Family) -> Tensor:
    """Logits whose softmax is the mean of the members' probabilities, part by part."""
    parts = [log_softmax(part, -1) for part in torch.split(flats, list(family.sizes), -1)]
    return torch.logsumexp(torch.cat(parts, -1) + weight.log(), 0)


def _mix_bernoulli(flats: Tensor, weight: Tensor, family: Family) -> Tensor:
    on, off = (torch.logsumexp(logsigmoid(sign * flats) + weight.log(), 0) for sign in (1, -1))
    return on - off


def _mix_gaussian(flats: Tensor, weight: Tensor, family: Family) -> Tensor:
    """Moments of the mixture: the mean of means; the mean of variances plus the variance of means."""
    means, log_stds = flats.chunk(2, -1)
    mean = (weight * means).sum(0)
    variances = torch.exp(2 * log_stds.clamp(LOG_STD_MIN, LOG_STD_MAX))
    variance = (weight * (variances + (means - mean).square())).sum(0)
    return torch.cat([mean, 0.5 * variance.log()], -1)


MIXTURES: dict[str, Callable[[Tensor, Tensor, Family], Tensor]] = {
    "categorical": _mix_categorical,
    "multi-categorical": _mix_categorical,
    "bernoulli": _mix_bernoulli,
    "gaussian": _mix_gaussian,
    "squashed-gaussian": _mix_gaussian,
}
