"""The student: a network for the distribution's parameters, and perhaps one for the value."""

from __future__ import annotations

from typing import Any

import gymnasium
import torch
from torch import Tensor, nn

from understudy.math.distributions import Distribution, Family
from understudy.math.heads import Heads
from understudy.policies.network import Encoded, Network, count, seeded, value_spec
from understudy.policies.policy import TensorObservation
from understudy.policies.spec import Spec, parse


class Student(nn.Module):
    """A policy that learns; meets :class:`understudy.policies.policy.Policy`.

    ``state_dependent_std``: a Gaussian's deviations come from the network (as a teacher's with gSDE or SAC's do);
    else they are one learned vector. ``with_value``: a second network estimates the value of the task reward.
    ``temperature``: the network answers action values, and acts as softmax(Q / temperature); None: it answers logits.
    """

    full_support = True
    scores = False  # its answers are logits: action values are divided by the temperature already

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        family: Family,
        spec: Spec | str,
        *,
        state_dependent_std: bool = False,
        with_value: bool = False,
        temperature: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.spec = parse(spec) if isinstance(spec, str) else spec
        self.observation_space, self.action_space, self.family = observation_space, action_space, family
        self.state_dependent_std = state_dependent_std and family.continuous
        own_std = family.continuous and not self.state_dependent_std
        self.log_std = nn.Parameter(torch.zeros(family.sizes[0])) if own_std else None
        self.network = seeded(
            seed, Network, observation_space, self.spec, family.sizes[0] if own_std else family.parameters
        )
        self.value_network = (
            seeded(seed + 1, Network, observation_space, value_spec(self.spec), 1) if with_value else None
        )
        self.temperature = temperature
        self.facts: dict[str, Any] = {}
        self._calm_last_layer()

    def _calm_last_layer(self) -> None:
        """Begin near the uniform policy, or near the middle of the actions."""
        with torch.no_grad():
            for last in self.network.last_layers:
                last.weight.mul_(0.1)
                last.bias.zero_()

    @property
    def memory_size(self) -> int:
        return self.network.memory_size

    @property
    def has_value(self) -> bool:
        return self.value_network is not None

    @property
    def parameter_count(self) -> int:
        """What acts; the value network is not deployed."""
        return count(self.network.parameters()) + (0 if self.log_std is None else self.log_std.numel())

    @property
    def description(self) -> str:
        return str(self.spec)

    def flat(
        self, observation: TensorObservation, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The distribution's flat parameters ``[..., P]`` and the memory after."""
        policy, memory = self.distribution(observation, memory, start)
        return policy.flat, memory

    def distribution(
        self, observation: TensorObservation | Encoded, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Distribution, Tensor | None]:
        """The distributions ``[...]`` and the memory after; always in float32."""
        out, memory = self.network(observation, memory, start)
        out = out.float() if self.temperature is None else out.float() / self.temperature
        return self.family(out) if self.log_std is None else self.family.normal(out, self.log_std), memory

    def forward(
        self, observation: TensorObservation, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Heads, Tensor | None]:
        policy, memory = self.distribution(observation, memory, start)
        value = None if self.value_network is None else self.value_network(observation)[0][..., 0]
        return Heads(policy, value), memory

    @property
    def score_scale(self) -> float | None:
        """See :func:`understudy.policies.policy.score_scale`."""
        return self.temperature

    def action_values(self, observation: TensorObservation | Encoded) -> Tensor:
        """What the network answers, ``[..., A]``: action values, or logits."""
        return self.network(observation)[0].float()

    def begin_like(self, teacher_flat: Tensor) -> None:
        """Start a Gaussian at the teacher's average deviations, so that means matter from the first update."""
        if not self.family.continuous:
            return
        log_std = teacher_flat.reshape(-1, self.family.parameters)[:, self.family.sizes[0] :].mean(0)
        with torch.no_grad():
            if self.log_std is not None:
                self.log_std.copy_(log_std)
            else:
                (last,) = self.network.last_layers
                last.bias[self.family.sizes[0] :] = log_std
