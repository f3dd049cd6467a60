"""A policy made sharper or softer: p^(1/T), renormalised."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import gymnasium
import torch
from torch import Tensor

from understudy.errors import ConfigurationError
from understudy.math.distributions import CONTINUOUS, LOG_STD_MAX, LOG_STD_MIN, Family
from understudy.math.heads import Heads
from understudy.policies.policy import Policy, TensorObservation, score_scale

Q_TEMPERATURE = 0.01
"""R15's temperature for teachers that answer action values."""


@dataclass(frozen=True)
class Tempered:
    """``policy`` at temperature T: logits / T, or a Gaussian's variance times T; modes and values are unchanged.

    T < 1 sharpens and T > 1 softens. Of a squashed Gaussian the normal before the tanh is tempered.
    """

    policy: Policy
    temperature: float

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    @property
    def family(self) -> Family:
        return self.policy.family

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        return self.policy.observation_space

    @property
    def action_space(self) -> gymnasium.Space[Any]:
        return self.policy.action_space

    @property
    def memory_size(self) -> int:
        return self.policy.memory_size

    @property
    def has_value(self) -> bool:
        return self.policy.has_value

    @property
    def full_support(self) -> bool:
        return self.policy.full_support

    @property
    def description(self) -> str:
        return f"{self.policy.description} at temperature {self.temperature:g}"

    @property
    def parameter_count(self) -> int:
        return self.policy.parameter_count

    @property
    def gamma(self) -> float | None:
        return getattr(self.policy, "gamma", None)

    @property
    def facts(self) -> dict[str, Any]:
        """What a student of an earlier run says of itself."""
        return getattr(self.policy, "facts", {})

    @property
    def scores(self) -> bool:
        """Action values over T are logits: they need no further temperature."""
        return False

    @property
    def score_scale(self) -> float | None:
        """See :func:`understudy.policies.policy.score_scale`."""
        own = score_scale(self.policy)
        return None if own is None else own * self.temperature

    def __call__(
        self, observation: TensorObservation, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Heads, Tensor | None]:
        with torch.no_grad():
            heads, memory = self.policy(observation, memory, start)
            flat = tempered(heads.policy.flat, self.family, self.temperature)
        return Heads(self.family(flat), heads.state_value), memory

    def without_value(self) -> Tempered:
        """The same actions without the cost of values, where the policy offers that."""
        strip = getattr(self.policy, "without_value", None)
        return self if strip is None else dataclasses.replace(self, policy=strip())

    def to(self, device: torch.device | str) -> Tempered:
        return dataclasses.replace(self, policy=self.policy.to(device))


def check_temperature(temperature: float) -> None:
    """ConfigurationError unless 0 < T < infinity."""
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ConfigurationError(
            f"the teacher's temperature must be above 0, got {temperature:g}; use a small one such as "
            f"{Q_TEMPERATURE} for an all but deterministic teacher"
        )


def tempered(flat: Tensor, family: Family, temperature: float) -> Tensor:
    """Flat parameters ``[..., P]`` of p^(1/T), renormalised."""
    if family.kind not in CONTINUOUS:
        return flat / temperature
    mean, log_std = flat.chunk(2, -1)
    return torch.cat([mean, log_std.clamp(LOG_STD_MIN, LOG_STD_MAX) + 0.5 * math.log(temperature)], -1)
