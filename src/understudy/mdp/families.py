"""Random finite MDPs, drawn from a generator that is passed in."""

from __future__ import annotations

import numpy as np

from understudy.mdp.model import MDP

LAYERS = 3


def acyclic(states: int, actions: int, generator: np.random.Generator, end: float = 0.15) -> MDP:
    """Layers of states that lead only forwards, or past a layer: every episode ends within three steps.

    Few enough trajectories to enumerate: some (states * actions / 3)^3. From every layer but the last an episode
    ends early with about probability ``end``, another for each state and action; the last layer ends it always.
    """
    if states < LAYERS:
        raise ValueError(f"acyclic needs at least {LAYERS} states, one a layer, got {states}")
    layer = np.arange(states) * LAYERS // states
    forward = layer[:, None] < layer
    weight = forward[:, None, :] * generator.random((states, actions, states)) ** 2
    mass = weight.sum(-1, keepdims=True)
    leave = np.clip(end * 2 * generator.random((states, actions, 1)), 0.0, 1.0)
    transitions = (1 - leave) * np.divide(weight, mass, out=np.zeros_like(weight), where=mass > 0)
    start = (layer == 0) * (0.2 + generator.random(states))
    return MDP(transitions, generator.standard_normal((states, actions)), start / start.sum())


def random_mdp(states: int, actions: int, end: float, generator: np.random.Generator) -> MDP:
    """Any state may follow any other; after every action the episode ends with probability ``end``."""
    if not 0 < end <= 1:
        raise ValueError(f"end must lie in (0, 1], or episodes never end, got {end}")
    weight = generator.random((states, actions, states)) ** 4
    transitions = (1 - end) * weight / weight.sum(-1, keepdims=True)
    start = generator.random(states)
    return MDP(transitions, generator.random((states, actions)) - 0.5, start / start.sum())
