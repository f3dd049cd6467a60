"""Who acts: a policy, or at each step one of several, in NumPy where the network is small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from understudy.envs.actions import ActionMap
from understudy.envs.rollout import Actor
from understudy.policies.network import Dueling, Standardiser, VectorInput
from understudy.policies.policy import Observation, Policy, tensors, without_value
from understudy.policies.student import Student

View = Callable[[Observation], Observation]
RANDOM_SEED = 7
SMALL_BATCH = 128  # beyond it NumPy hands products to its own threads, and PyTorch is faster


class PolicyActor:
    """A policy that samples, or takes its mode; keeps the memories of a recurrent one, ``[N, M]``."""

    def __init__(
        self,
        policy: Policy,
        view: View,
        generator: np.random.Generator | None,
        device: torch.device | str = "cpu",
    ) -> None:
        """``generator`` None: deterministic actions."""
        self.policy, self.view, self.generator, self.device = without_value(policy), view, generator, device
        self.memory: torch.Tensor | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the network anew; needed when its parameters have moved to other storage."""
        self._fast = numpy_forward(self.policy) if str(self.device) == "cpu" else None

    def __call__(self, observation: Observation, start: np.ndarray) -> np.ndarray:
        seen = self.view(observation)
        small = self._fast is not None and len(start) <= SMALL_BATCH
        flat = self._fast(seen) if small and self._fast is not None else self._flat(seen, start)
        family = self.policy.family
        return family.mode(flat) if self.generator is None else family.sample(flat, self.generator)

    @torch.no_grad()
    def _flat(self, observation: Observation, start: np.ndarray) -> np.ndarray:
        seen = tensors(observation, self.device)
        if not self.policy.memory_size:
            return self.policy(seen)[0].policy.flat.cpu().numpy()
        window = {k: v[None] for k, v in seen.items()} if isinstance(seen, dict) else seen[None]
        begins = torch.tensor(start, device=self.device)[None]  # a copy: the array may be read-only
        heads, self.memory = self.policy(window, self._memory(len(start)), begins)
        return heads.policy.flat[0].cpu().numpy()

    def _memory(self, copies: int) -> torch.Tensor:
        if self.memory is None or len(self.memory) != copies:
            self.memory = torch.zeros(copies, self.policy.memory_size, device=self.device)
        return self.memory

    def state(self) -> dict[str, Any]:
        """What playing changes."""
        generator = None if self.generator is None else self.generator.bit_generator.state
        return {"generator": generator, "memory": self.memory}

    def restore(self, state: dict[str, Any]) -> None:
        if self.generator is not None:
            self.generator.bit_generator.state = state["generator"]
        self.memory = None if state["memory"] is None else state["memory"].to(self.device)

    def keep(self, rows: np.ndarray) -> None:
        """Keep the memories of these copies only, in this order (when some have no episode left to play)."""
        if self.memory is not None:
            self.memory = self.memory[torch.as_tensor(rows, device=self.device)]


class UniformActor:
    """Uniform over the action space."""

    def __init__(self, actions: ActionMap, generator: np.random.Generator) -> None:
        self.actions, self.generator = actions, generator

    def __call__(self, observation: Observation, start: np.ndarray) -> np.ndarray:
        return self.actions.uniform(len(start), self.generator)


def random_actor(actions: ActionMap) -> UniformActor:
    """The random policy that figures are held against; its draws are the same wherever it begins."""
    return UniformActor(actions, np.random.default_rng(RANDOM_SEED))


class MixedActor:
    """At every step and in every copy, one of several actors drawn by ``weights``; all of them keep watching."""

    def __init__(self, actors: Sequence[Actor], generator: np.random.Generator) -> None:
        self.actors, self.generator = list(actors), generator
        self.weights: tuple[float, ...] = (1.0, *[0.0] * (len(self.actors) - 1))

    def __call__(self, observation: Observation, start: np.ndarray) -> np.ndarray:
        for actor, weight in zip(self.actors, self.weights, strict=True):
            if weight == 1 and not self._others_remember(actor):
                return actor(observation, start)
        chosen = self.generator.choice(len(self.actors), len(start), p=self.weights)
        action: np.ndarray | None = None
        for k, (actor, weight) in enumerate(zip(self.actors, self.weights, strict=True)):
            if weight == 0 and not _remembers(actor):
                continue
            offer = actor(observation, start)
            action = offer.copy() if action is None else np.where(_as(chosen == k, offer), offer, action)
        assert action is not None
        return action

    def _others_remember(self, acting: Actor) -> bool:
        return any(actor is not acting and _remembers(actor) for actor in self.actors)


def _remembers(actor: Actor) -> bool:
    return isinstance(actor, PolicyActor) and actor.policy.memory_size > 0


def _as(rows: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A mask ``[N]`` that spreads over ``[N, ...]``."""
    return rows.reshape(-1, *[1] * (like.ndim - 1))


def numpy_forward(policy: Any) -> Callable[[Observation], np.ndarray] | None:
    """The same forward pass in NumPy for a small feed-forward student on a flat Box, else None.

    PyTorch's dispatch costs several times the arithmetic at these sizes. The arrays share the parameters' memory,
    so that updates in place are seen at once.
    """
    if type(policy) is not Student or policy.memory_size or len(policy.network.inputs) != 1:
        return None
    entry, layers = policy.network.inputs[0], list(policy.network.layers)
    if not isinstance(entry, VectorInput) or entry.standardise is None or policy.network.keys != [""]:
        return None
    if any(isinstance(m, nn.Linear) and m.weight.numel() > 128 * 128 for m in policy.network.layers.modules()):
        return None
    steps = [_numpy_layer(layer) for layer in layers]
    if None in steps:
        return None
    standardise, dims = _numpy_standardiser(entry.standardise), entry.dims
    log_std = None if policy.log_std is None else policy.log_std.detach().numpy()
    temperature = policy.temperature

    def forward(observation: Observation) -> np.ndarray:
        assert isinstance(observation, np.ndarray)
        x = observation if dims == 1 else observation.reshape(len(observation), -1)
        x = standardise(x)
        for step in steps:
            x = step(x)  # type: ignore[misc]
        if temperature is not None:
            x = x / np.float32(temperature)
        return x if log_std is None else np.concatenate([x, np.broadcast_to(log_std, x.shape)], -1)

    return forward


def _numpy_standardiser(module: Standardiser) -> Callable[[np.ndarray], np.ndarray]:
    mean, scale = module.mean.numpy(), module.scale.numpy()

    def forward(x: np.ndarray) -> np.ndarray:
        return (x.astype(np.float32) - mean) * scale

    return forward


def _numpy_layer(layer: nn.Module) -> Callable[[np.ndarray], np.ndarray] | None:
    if isinstance(layer, nn.Linear):
        weight, bias = layer.weight.detach().numpy().T, layer.bias.detach().numpy()
        return lambda x: x @ weight + bias
    if isinstance(layer, Dueling):
        value, advantage = _numpy_layer(layer.value), _numpy_layer(layer.advantage)
        assert value is not None
        assert advantage is not None
        return lambda x: value(x) + (a := advantage(x)) - a.mean(-1, keepdims=True)
    if isinstance(layer, nn.Tanh):
        return np.tanh
    if isinstance(layer, nn.ReLU):
        return lambda x: np.maximum(x, 0)
    if isinstance(layer, nn.SiLU):
        return lambda x: x / (1 + np.exp(-x))
    return None
