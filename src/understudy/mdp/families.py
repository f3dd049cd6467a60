"""Families of finite MDPs, drawn from a generator that is passed in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.mdp.grid import Grid, GridOdds, grid
from understudy.mdp.model import MDP, Successors

__all__ = ["Cycle", "Grid", "GridOdds", "acyclic", "coin_cycle", "corridor", "cycle", "grid", "random_mdp"]

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


def random_mdp(
    states: int,
    actions: int,
    end: float,
    generator: np.random.Generator,
    branching: int | None = None,
    moves: int | None = None,
) -> MDP:
    """Any state may follow any other; after every action the episode ends with probability ``end``.

    ``branching``: each move leads to this many states only, drawn with replacement. ``moves``: so many differ, action
    k makes move k mod ``moves`` and is rewarded for it; None: every action moves and is rewarded in its own way.
    """
    if not 0 < end <= 1:
        raise ValueError(f"end must lie in (0, 1], or episodes never end, got {end}")
    for name, count in {"states": states, "actions": actions, "branching": branching, "moves": moves}.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    own = actions if moves is None else min(moves, actions)
    weight = generator.random((states, own, states if branching is None else branching)) ** 4
    probability = (1 - end) * weight / weight.sum(-1, keepdims=True)
    start = generator.random(states)
    rewards, mapped = generator.random((states, own)) - 0.5, np.arange(actions) % own
    if branching is None:
        return MDP(probability, rewards[:, mapped], start / start.sum(), action_map=mapped)
    following = generator.integers(states, size=probability.shape)
    return MDP(Successors(following, probability), rewards[:, mapped], start / start.sum(), action_map=mapped)


def corridor(length: int = 21, actions: int = 2, slip: float = 0.0, end: float = 0.0) -> MDP:
    """States in a row, a start in the middle; arriving at the last one pays +1, at the first one -1, and ends.

    Action k moves left for even k, right for odd k; with probability ``slip`` the move is one of the two at random.
    After every action the episode ends with probability ``end``.
    """
    if length < 3:
        raise ValueError(f"a corridor needs at least 3 states, got {length}")
    if actions < 1:
        raise ValueError(f"actions must be at least 1, got {actions}")
    for name, share in {"slip": slip, "end": end}.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {share}")
    state = np.arange(length)
    aside = np.clip(np.stack([state - 1, state + 1], axis=1), 0, length - 1)
    following = np.stack([aside, aside[:, ::-1]], axis=1)
    odds = np.array([1 - slip / 2, slip / 2])
    paid = (following == length - 1) * 1.0 - (following == 0)
    terminal = (state == 0) | (state == length - 1)
    mapped = np.arange(actions) % 2
    probability = np.broadcast_to((1 - end) * odds, following.shape)
    start = (state == length // 2) * 1.0
    return MDP(Successors(following, probability), (paid @ odds)[:, mapped], start, terminal, mapped)


@dataclass(frozen=True, eq=False)
class Cycle:
    """An MDP of two actions with a loss that makes on-policy distillation turn round for ever.

    ``cost [S, A]``: the loss of a state is ``sum_a pi_theta(a|s) cost[s, a]``; it is no divergence from a teacher.
    ``shared [S]``: which of the two parameters x_0, x_1 makes the choice: ``pi_theta(1|s) = sigmoid(x_shared[s])``.
    The MDP's ``observed`` says the same, so that a table over observations shares its rows alike.
    """

    mdp: MDP
    cost: np.ndarray
    shared: np.ndarray


def cycle() -> Cycle:
    """Fig. 2 of C19. State 0 goes left to 1 or right to 2; there either action ends the episode, in one of 3 to 6.

    State 1 pays -1 (left) or -2 (right), state 2 pays 0 or -3. Parameter 0 chooses in state 0, parameter 1 in both
    others. The loss is -4 pi_theta(right) in state 2. With the reward, ``on-policy-distill`` turns round (0.5, 0.5).
    """
    rewards, cost = np.zeros((2, 7, 2))
    rewards[1], rewards[2] = (-1, -2), (0, -3)
    cost[2, 1] = -4
    start = np.eye(7)[0]
    return _binary_tree([[1, 2], [3, 4], [5, 6]], rewards, cost, start, shared=[0, 1, 1, 1, 1, 1, 1])


def coin_cycle(weight: float = 1.0) -> Cycle:
    """The cycle without any reward: a coin starts an episode in branch A (state 0) or in branch B (state 3).

    In A, parameter 1 chooses left to state 1 or right to state 2, whose losses are +- ``weight`` times pi_theta(right)
    by parameter 0. In B (states 3, 4, 5) the parameters change places, and so do the signs. State 6 is the end.
    """
    cost = np.zeros((7, 2))
    cost[[1, 5], 1], cost[[2, 4], 1] = weight, -weight
    following = [[1, 2], [6, 6], [6, 6], [4, 5], [6, 6], [6, 6]]
    start = np.eye(7)[[0, 3]].mean(0)
    return _binary_tree(following, np.zeros((7, 2)), cost, start, shared=[1, 0, 0, 0, 1, 1, 1])


def _binary_tree(
    following: list[list[int]], rewards: np.ndarray, cost: np.ndarray, start: np.ndarray, shared: list[int]
) -> Cycle:
    """States beyond ``following`` are terminal."""
    transitions = np.zeros((7, 2, 7))
    for state, pair in enumerate(following):
        transitions[state, [0, 1], pair] = 1
    mdp = MDP(transitions, rewards, start, np.arange(7) >= len(following), observed=np.array(shared))
    cost.flags.writeable = False
    return Cycle(mdp, cost, mdp.observed)
