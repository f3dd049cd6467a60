"""A finite MDP as a simulator of many copies, and as one Gymnasium environment.

What is seen of a state is its observation one-hot, or a row of ``features``: one for each state ``[S, F]``, or one for
each observation ``[O, F]``. The end of an episode is seen as zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from understudy.envs.simulator import Outcome
from understudy.errors import ConfigurationError
from understudy.mdp.families import GridOdds, grid
from understudy.mdp.model import MDP

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class MDPSimulator:
    """Copies of one MDP that step together. Each copy's noise depends on its own seed and step count alone."""

    restartable = True
    spec_id = "mdp"
    plays = 0

    def __init__(
        self,
        mdp: MDP,
        copies: int,
        seed: int,
        max_episode_steps: int | None = None,
        features: np.ndarray | None = None,
    ) -> None:
        """``max_episode_steps`` cuts longer episodes short: truncated, not terminated."""
        if copies < 1:
            raise ValueError(f"copies must be at least 1, got {copies}")
        self.mdp, self.copies, self.max_episode_steps = mdp, copies, _limit(max_episode_steps)
        self._chain = _Sampler(mdp, features)
        self.observation_space, self.action_space = self._chain.space, spaces.Discrete(mdp.actions)
        self._forever, self._seed, self.plays = True, seed, 0
        self._state = np.full(copies, mdp.states)
        self._length = np.zeros(copies, dtype=np.int64)
        self._playing = np.zeros(copies, dtype=bool)
        self._key: np.ndarray = np.zeros(copies, dtype=np.uint64)

    def reset(self, seed: int | None = None) -> np.ndarray:
        self.plays += 1
        words = np.random.SeedSequence(self._seed if seed is None else seed)
        self._key = words.generate_state(self.copies, np.uint64)
        self._seed = int(words.generate_state(self.copies + 1, np.uint64)[-1])  # the next reset plays on, not again
        self._forever = True
        self._playing[:] = True
        self._start(np.arange(self.copies))
        return self._chain.seen(self._state)

    def begin(self, copies: Sequence[int], seeds: Sequence[int]) -> np.ndarray:
        """Begin an episode in each of these copies; it is the same episode for the same seed and the same actions."""
        self.plays += 1
        rows = np.asarray(copies, dtype=np.int64)
        self._forever = False
        self._key[rows] = np.asarray(seeds, dtype=np.uint64)
        self._mix(rows)
        self._playing[rows] = True
        self._start(rows)
        return self._chain.seen(self._state)

    def step(self, action: np.ndarray) -> Outcome:
        rows = np.flatnonzero(self._playing)
        chosen = np.asarray(action, dtype=np.int64)[rows]
        reward = np.zeros(self.copies)
        reward[rows] = self.mdp.rewards[self._state[rows], chosen]
        self._state[rows] = self._chain.follow(self._state[rows], chosen, self._noise(rows))
        self._length[rows] += 1
        terminated, truncated = np.zeros((2, self.copies), dtype=bool)
        terminated[rows] = self._chain.ends[self._state[rows]]
        if self.max_episode_steps is not None:
            truncated[rows] = ~terminated[rows] & (self._length[rows] >= self.max_episode_steps)
        valid = None if len(rows) == self.copies else self._playing.copy()
        ended = terminated | truncated
        final = self._chain.seen(self._state) if ended.any() else None
        start = ended if self._forever else np.zeros_like(ended)
        if self._forever:
            self._start(np.flatnonzero(ended))
        else:
            self._playing &= ~ended
        observation = self._chain.seen(self._state)
        return Outcome(observation, reward, terminated, truncated, start.copy(), final, valid)

    def close(self) -> None: ...

    def _start(self, rows: np.ndarray) -> None:
        self._state[rows] = self._chain.first(self._noise(rows))
        self._length[rows] = 0

    def _mix(self, rows: np.ndarray) -> np.ndarray:
        """The next word of each copy's own stream: SplitMix64 (Steele, Lea and Flood 2014)."""
        self._key[rows] += _GOLDEN
        word = self._key[rows]
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return word ^ (word >> np.uint64(31))

    def _noise(self, rows: np.ndarray) -> np.ndarray:
        """A uniform number in [0, 1) for each of these copies."""
        return (self._mix(rows) >> np.uint64(11)) * 2.0**-53


class MDPEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One copy, for everything that expects Gymnasium: ``env=functools.partial(MDPEnv, mdp)`` makes it anywhere.

    ``max_episode_steps`` cuts longer episodes short: truncated, not terminated. The state's number is in ``info``.
    """

    def __init__(self, mdp: MDP, max_episode_steps: int | None = None, features: np.ndarray | None = None) -> None:
        self.mdp, self.max_episode_steps = mdp, _limit(max_episode_steps)
        self._chain = _Sampler(mdp, features)
        self.observation_space, self.action_space = self._chain.space, spaces.Discrete(mdp.actions)
        self._state, self._length = np.array([mdp.states]), 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._state, self._length = self._chain.first(self.np_random.random(1)), 0
        return self._chain.seen(self._state)[0], {"state": int(self._state[0])}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward = float(self.mdp.rewards[self._state[0], action])
        self._state = self._chain.follow(self._state, np.array([action]), self.np_random.random(1))
        self._length += 1
        seen, ended = self._chain.seen(self._state)[0], bool(self._chain.ends[self._state[0]])
        cut = not ended and self.max_episode_steps is not None and self._length >= self.max_episode_steps
        return seen, reward, ended, cut, {"state": int(self._state[0])}


def grid_world(
    world: int = 0,
    size: int = 20,
    slip: float = 0.1,
    end: float = 0.01,
    actions: int = 4,
    window: int | None = None,
    max_episode_steps: int | None = None,
    odds: dict[str, float] | None = None,
) -> MDPEnv:
    """Random grid world number ``world`` as an environment: ``--env understudy.envs.of_mdp:grid_world``.

    The options are those of ``understudy.mdp.families.grid``; ``odds`` by name, such as ``{"wall": 0.2}``.
    """
    try:
        chances = GridOdds(**(odds or {}))
    except TypeError as error:
        raise ConfigurationError(f"odds: {error}. There are {', '.join(GridOdds.__dataclass_fields__)}") from None
    made = grid(np.random.default_rng(world), size, chances, slip, end, actions, window)
    return MDPEnv(made.mdp, max_episode_steps)


class _Sampler:
    """Sampling by inverse cumulative probabilities. State S stands for the end, and is seen as zeros."""

    def __init__(self, mdp: MDP, features: np.ndarray | None) -> None:
        lists = mdp.successors
        beyond = np.full((*lists.next.shape[:2], 1), mdp.states, dtype=np.int64)
        self._next = np.concatenate([lists.next, beyond], axis=-1)
        self._sums, self._first = _cumulative(lists.probability), _cumulative(mdp.start)
        self._move = mdp.action_map
        self._seen = _seen(mdp, features)
        low, high = min(0.0, float(self._seen.min())), max(0.0, float(self._seen.max()))
        self.space = spaces.Box(low, high, self._seen.shape[1:], np.float32)
        self.ends = np.append(mdp.terminal, True)

    def first(self, noise: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._first, noise, side="right")

    def follow(self, state: np.ndarray, action: np.ndarray, noise: np.ndarray) -> np.ndarray:
        move = self._move[action]
        return self._next[state, move, (self._sums[state, move] <= noise[:, None]).sum(-1)]

    def seen(self, state: np.ndarray) -> np.ndarray:
        return self._seen[state]


def _seen(mdp: MDP, features: np.ndarray | None) -> np.ndarray:
    """``[S + 1, F]`` float32; the last row is the end."""
    rows = np.eye(mdp.observations) if features is None else np.asarray(features)
    if rows.ndim != 2 or len(rows) not in (mdp.states, mdp.observations) or not rows.size:
        wanted = " or ".join(f"[{n}, F]" for n in dict.fromkeys((mdp.states, mdp.observations)))
        raise ConfigurationError(f"features must have the shape {wanted}, got {list(rows.shape)}")
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise ConfigurationError(f"features must be finite, got {rows[row, column]} at [{row}, {column}]")
    if features is None or len(rows) != mdp.states:
        rows = rows[mdp.observed]
    return np.concatenate([rows, np.zeros((1, rows.shape[1]))]).astype(np.float32)


def _limit(max_episode_steps: int | None) -> int | None:
    if max_episode_steps is not None and max_episode_steps < 1:
        raise ValueError(f"max_episode_steps must be at least 1, got {max_episode_steps}")
    return max_episode_steps


def _cumulative(probability: np.ndarray) -> np.ndarray:
    """Cumulative sums; a row that sums to 1 up to rounding leaves no chance of an end."""
    sums = probability.cumsum(-1)
    sums[sums >= 1 - 1e-9] = np.inf
    return sums
