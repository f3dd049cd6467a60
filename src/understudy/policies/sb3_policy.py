"""The rebuilt agent, as a policy."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import torch
from torch import Tensor, nn

from understudy.math.distributions import Family
from understudy.math.heads import Heads
from understudy.policies import sb3_observation
from understudy.policies.policy import TensorObservation


class Sb3Policy:
    """An agent of Stable-Baselines3 as rebuilt networks; meets :class:`understudy.policies.policy.Policy`.

    Observations are raw, with any leading dimensions; pictures may be channel-first or channel-last. No gradient
    flows. ``scores``: the flat parameters are action values rather than logits, and want a temperature. ``gamma``
    is the discount of its training. Values cost time: ``without_value()`` is the same policy without them.
    """

    def __init__(
        self,
        *,
        prepare: nn.Module,
        encoder: nn.Module,
        actor: nn.Module,
        critic: nn.Module | None,
        critic_encoder: nn.Module | None,
        value_scale: float,
        family: Family,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        scores: bool,
        algorithm: str,
        gamma: float | None,
        description: str,
    ) -> None:
        self.prepare, self.encoder, self.actor = prepare, encoder, actor
        self.critic, self.critic_encoder, self.value_scale = critic, critic_encoder, value_scale
        self.family = family
        self.observation_space, self.action_space = observation_space, action_space
        self.memory_size = 0
        self.has_value = critic is not None
        self.full_support = True
        self.scores, self.algorithm, self.gamma = scores, algorithm, gamma
        self.description = description
        for module in self._modules():
            module.requires_grad_(False).eval()

    def __call__(
        self, observation: TensorObservation, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Heads, None]:
        with torch.no_grad():
            seen = self.prepare(observation)
            features = self.encoder(seen)
            flat = self.actor(features)
            if self.critic is None:
                return Heads(self.family(flat)), None
            if self.critic_encoder is not None:
                features = self.critic_encoder(seen)
            return Heads(self.family(flat), self.critic(features, flat) * self.value_scale), None

    def without_value(self) -> Sb3Policy:
        """The same policy, sharing its networks, without the cost of values."""
        view = copy.copy(self)
        view.critic = view.critic_encoder = None
        view.has_value = False
        return view

    def to(self, device: torch.device | str) -> Sb3Policy:
        """Moves the networks, and with them every view that shares them."""
        for module in self._modules():
            module.to(device)
        return self

    @property
    def parameter_count(self) -> int:
        """Of what acts: the feature extractor and the actor, not critics, targets or statistics."""
        return sum(p.numel() for module in (self.encoder, self.actor) for p in module.parameters())

    def accepts(self, space: gymnasium.Space[Any]) -> bool:
        """Whether observations of ``space`` have the shapes this agent takes (bounds don't matter)."""
        return sb3_observation.accepts(self.observation_space, space)

    def _modules(self) -> list[nn.Module]:
        parts = (self.prepare, self.encoder, self.actor, self.critic, self.critic_encoder)
        return [part for part in parts if part is not None]
