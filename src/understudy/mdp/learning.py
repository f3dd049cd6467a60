"""Reinforcement learning on a finite MDP, compiled: tabular Q-learning and a one-step actor-critic.

Every step draws three words of one SplitMix64 stream (Steele, Lea and Flood 2014): for the choice, for the action and
for where it leads. So the same seed gives the same steps on any machine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from understudy.math.compiled import compiled

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ONE, _TWO = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT = 2.0**-53


class Process(NamedTuple):
    """An MDP as the loops follow it: ``sums [S, M, K]`` and ``first_sums`` are cumulative probabilities."""

    following: np.ndarray
    sums: np.ndarray
    rewards: np.ndarray
    action_map: np.ndarray
    terminal: np.ndarray
    first_state: np.ndarray
    first_sums: np.ndarray


@compiled
def uniform(key: np.uint64) -> float:
    """A number in [0, 1) from a key; the keys of a stream are multiples of the golden ratio apart."""
    word = (key ^ (key >> _30)) * _ONE
    word = (word ^ (word >> _27)) * _TWO
    word = word ^ (word >> _31)
    return float(word >> _11) * _UNIT


@compiled
def begin(process: Process, noise: float) -> int:
    return int(process.first_state[np.searchsorted(process.first_sums, noise, side="right")])


@compiled
def arrive(process: Process, state: int, action: int, noise: float) -> int:
    """The next state; -1 where the episode ends."""
    move = process.action_map[action]
    for k in range(process.sums.shape[2]):
        if noise < process.sums[state, move, k]:
            after = process.following[state, move, k]
            return -1 if process.terminal[after] else int(after)
    return -1


@compiled
def one_of_the_best(row: np.ndarray, best: float, ties: int, noise: float) -> int:
    """An index of ``row [A]`` where it is ``best``, each of the ``ties`` equally likely."""
    left = min(int(noise * ties), ties - 1)
    if ties == len(row):
        return left
    for action in range(len(row)):
        if row[action] == best:
            if left == 0:
                return action
            left -= 1
    return 0


@compiled
def q_steps(
    q: np.ndarray, process: Process, key: np.uint64, steps: int, epsilon: float, rate: float, gamma: float
) -> None:
    """Watkins' Q-learning into ``q [S, A]``; equal best actions are chosen among at random.

    The best value of a state and how many actions have it are kept beside ``q``, so that a step costs no look at all
    actions, unless the best one of them fell.
    """
    actions = q.shape[1]
    best, ties = np.zeros(q.shape[0]), np.full(q.shape[0], actions)
    state = -1
    for _ in range(steps):
        key = key + _GOLDEN
        if state < 0:
            state = begin(process, uniform(key))
            key = key + _GOLDEN
        row, chance = q[state], uniform(key)
        key = key + _GOLDEN
        if chance < epsilon:
            action = min(int(uniform(key) * actions), actions - 1)
        else:
            action = one_of_the_best(row, best[state], ties[state], uniform(key))
        key = key + _GOLDEN
        after = arrive(process, state, action, uniform(key))
        target = process.rewards[state, action] + (gamma * best[after] if after >= 0 else 0.0)
        old, new = row[action], row[action] + rate * (target - row[action])
        row[action] = new
        if new > best[state]:
            best[state], ties[state] = new, 1
        elif old == best[state] and new < old:
            ties[state] -= 1
            if ties[state] == 0:
                best[state] = row.max()
                ties[state] = (row == best[state]).sum()
        elif new == best[state] and old < new:
            ties[state] += 1
        state = after


@compiled
def actor_critic_steps(
    logits: np.ndarray,
    values: np.ndarray,
    process: Process,
    key: np.uint64,
    steps: int,
    actor_rate: float,
    critic_rate: float,
    gamma: float,
    entropy: float,
) -> None:
    """One-step advantage actor-critic into ``logits [S, A]`` and ``values [S]``; ``entropy`` is its bonus's weight."""
    actions = logits.shape[1]
    state = -1
    for _ in range(steps):
        key = key + _GOLDEN
        if state < 0:
            state = begin(process, uniform(key))
            key = key + _GOLDEN
        row = logits[state]
        policy = np.exp(row - row.max())
        policy /= policy.sum()
        sums_of = np.cumsum(policy)
        action = min(np.searchsorted(sums_of, uniform(key), side="right"), actions - 1)
        key = key + _GOLDEN
        after = arrive(process, state, action, uniform(key))
        error = process.rewards[state, action] + (gamma * values[after] if after >= 0 else 0.0) - values[state]
        values[state] += critic_rate * error
        surprise = -np.log(np.maximum(policy, 1e-300))
        mean = (policy * surprise).sum()
        row += actor_rate * policy * (entropy * (surprise - mean) - error)
        row[action] += actor_rate * error
        state = after
