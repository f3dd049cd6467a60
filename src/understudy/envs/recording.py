"""Steps that someone took before: a data set as arrays in order of time, checked, and windows of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from understudy.envs.rollout import Episodes, Window
from understudy.envs.simulator import take
from understudy.errors import ConfigurationError
from understudy.policies.policy import Observation

SEEN, DONE = "seen", "done"
"""What a window of a recording shows of each step: the observation, and the action that was recorded."""
CHUNK = 4096
CHUNK_BYTES = 64 << 20
FEW_EPISODES = 10
BLOCKS = 100


@dataclass(frozen=True)
class Recording:
    """N steps, episode after episode. ``action``: as the environment takes it; ``reward``: None where none was kept.

    ``last [N]``: the last step of an episode that was kept. ``after [B, ...]``: what was seen after the steps
    ``after_row [B]``, ascending, which are last ones. ``declared``: the spaces come with the data; else they are what
    the numbers allow.
    """

    name: str
    observation: Observation
    action: np.ndarray
    reward: np.ndarray | None
    terminated: np.ndarray
    last: np.ndarray
    after_row: np.ndarray
    after: Observation
    observation_space: gymnasium.Space[Any]
    action_space: gymnasium.Space[Any]
    declared: bool = True

    def __post_init__(self) -> None:
        if not len(self):
            raise ConfigurationError(f"{self.name} holds no steps")
        rewards = {} if self.reward is None else {"rewards": self.reward}
        parts = {**_parts("observations", self.observation), "actions": self.action, **rewards}
        for what, values in {**parts, "terminations": self.terminated, "ends of episodes": self.last}.items():
            if len(values) != len(self):
                raise ConfigurationError(
                    f"{self.name} holds {len(values):,} rows of {what}, and {len(self):,} actions; each step has one"
                )
        for what, values in parts.items():
            _check_finite(self.name, what, values)
        for what, values in _parts("last observations", self.after).items():
            _check_finite(self.name, what, values)
        self.last[-1] = True

    def __len__(self) -> int:
        return len(self.action)

    def one(self) -> list[np.ndarray]:
        """The parts of one observation."""
        return [part[0] for part in _parts("", self.observation).values()]

    @property
    def episodes(self) -> np.ndarray:
        """First rows, and rows behind the last, ``[E, 2]``."""
        ends = np.flatnonzero(self.last) + 1
        return np.stack([np.concatenate([[0], ends[:-1]]), ends], -1)

    @property
    def played(self) -> Episodes | None:
        """Returns and lengths of the episodes; None where no rewards were kept."""
        if self.reward is None:
            return None
        bounds = self.episodes
        returns = np.add.reduceat(self.reward.astype(np.float64), bounds[:, 0])
        return Episodes(returns, bounds[:, 1] - bounds[:, 0], self.terminated[bounds[:, 1] - 1])

    def split(self, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Pieces ``[P, 2]`` to learn from, in random order, and others with about ``share`` of the rows to look at.

        A piece is a whole episode, or, where these are few or one of them is most of all, a stretch of rows: neighbours
        in time are next to equal, and single rows held out would be no test.
        """
        pieces = self.episodes
        longest = (pieces[:, 1] - pieces[:, 0]).max()
        if len(pieces) < FEW_EPISODES or longest > 2 * share * len(self):
            size = max(1, len(self) // BLOCKS)
            cuts = [np.arange(begin, end, size) for begin, end in pieces]
            begins, ends = (
                np.concatenate(cuts),
                np.concatenate([[*cut[1:], end] for cut, (_, end) in zip(cuts, pieces, strict=True)]),
            )
            pieces = np.stack([begins, ends], -1)
        if len(pieces) < 2:
            raise ConfigurationError(f"{self.name} holds {len(self)} step; nothing would be left to look at")
        pieces = pieces[np.random.default_rng([seed, 5]).permutation(len(pieces))]
        rows = np.cumsum(pieces[:, 1] - pieces[:, 0])
        count = min(1 + int(np.searchsorted(rows, share * len(self))), len(pieces) - 1)
        return pieces[count:], pieces[:count]

    def windows(self, pieces: np.ndarray, with_next: bool) -> Iterator[Window]:
        """These pieces, one after the other, as windows ``[L, 1, ...]`` of observations and what was done.

        ``with_next``: every step has a successor or is terminal. A last step of which no successor was kept is left
        out, for its observation is the successor of the step before.
        """
        order = _Order.of(self, pieces, with_next)
        size = max(1, sum(part.nbytes for part in self.one()))
        length = max(1, min(CHUNK, CHUNK_BYTES // size))
        for begin in range(0, len(order.rows), length):
            yield order.window(self, slice(begin, begin + length))

    def after_these(self, rows: np.ndarray) -> Observation:
        """What was seen after these steps ``[B]``, which all have a successor."""
        at = np.minimum(np.searchsorted(self.after_row, rows), max(0, len(self.after_row) - 1))
        kept = self.kept_after(rows)

        def gathered(own: np.ndarray, after: np.ndarray) -> np.ndarray:
            found = own[np.minimum(rows + 1, len(own) - 1)]
            found[kept] = after[at[kept]]
            return found

        if isinstance(self.observation, dict) and isinstance(self.after, dict):
            return {key: gathered(part, self.after[key]) for key, part in self.observation.items()}
        assert isinstance(self.observation, np.ndarray)
        assert isinstance(self.after, np.ndarray)
        return gathered(self.observation, self.after)

    def kept_after(self, rows: np.ndarray) -> np.ndarray:
        """Whether what was seen after these steps was kept apart."""
        return np.isin(rows, self.after_row)


@dataclass(frozen=True)
class _Order:
    """Rows in the order in which they are shown; ``start``, ``terminated`` and ``cut``, all ``[M]``: the first and last
    ones of pieces, ``cut`` those after which something was seen."""

    rows: np.ndarray
    start: np.ndarray
    terminated: np.ndarray
    cut: np.ndarray

    @classmethod
    def of(cls, recording: Recording, pieces: np.ndarray, with_next: bool) -> _Order:
        begins, ends = pieces[:, 0], pieces[:, 1].copy()
        known = ~recording.last[ends - 1] | recording.kept_after(ends - 1)
        if with_next:
            ends -= ~known & ~recording.terminated[ends - 1]
            known |= ends < pieces[:, 1]
            begins, ends, known = (part[ends > begins] for part in (begins, ends, known))
        lengths = ends - begins
        firsts = np.cumsum(lengths) - lengths
        rows = np.arange(int(lengths.sum())) + np.repeat(begins - firsts, lengths)
        start, cut = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
        start[firsts] = True
        terminated = recording.terminated[rows]
        cut[firsts + lengths - 1] = known
        return cls(rows, start, terminated, cut & ~terminated)

    def window(self, recording: Recording, part: slice) -> Window:
        rows, cut = self.rows[part], self.cut[part]
        shown: Any = {SEEN: _lane(take(recording.observation, rows)), DONE: recording.action[rows][:, None]}
        index = np.flatnonzero(cut)
        reward = np.zeros(len(rows)) if recording.reward is None else recording.reward[rows]
        beyond: Any = {SEEN: recording.after_these(rows[index])}
        return Window(
            observation=shown,
            action=raw(recording.action[rows], recording.action_space)[:, None],
            reward=reward.astype(np.float32)[:, None],
            terminated=self.terminated[part][:, None],
            truncated=cut[:, None],
            start=self.start[part][:, None],
            valid=np.ones((len(rows), 1), bool),
            beyond_index=np.stack([index, np.zeros_like(index)], -1),
            beyond_observation=beyond,
            beyond_truncated=np.ones(len(index), bool),
            finished=Episodes(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool)),
        )


def raw(action: np.ndarray, space: gymnasium.Space[Any]) -> np.ndarray:
    """Choices counted from 0, as distributions draw them; anything else as it was recorded, flat."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return action.astype(np.int64) - int(space.start)
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return (action - space.start).reshape(len(action), -1).astype(np.int64)
    return action.reshape(len(action), -1).astype(np.float32)


def _lane(observation: Observation) -> Observation:
    """``[L, ...]`` as ``[L, 1, ...]``."""
    if isinstance(observation, dict):
        return {key: part[:, None] for key, part in observation.items()}
    return observation[:, None]


def _parts(what: str, observation: Observation) -> dict[str, np.ndarray]:
    if isinstance(observation, dict):
        return {f"{what} {key!r}": part for key, part in observation.items()}
    return {what: observation}


def _check_finite(name: str, what: str, values: np.ndarray) -> None:
    """ConfigurationError that names the first row with a number that is none."""
    if values.dtype.kind != "f":
        return
    for begin in range(0, len(values), CHUNK):
        part = values[begin : begin + CHUNK]
        if not np.isfinite(part).all():
            wrong = tuple(int(i) for i in np.argwhere(~np.isfinite(part))[0])
            inside = f", entry {list(wrong[1:])}" if len(wrong) > 1 else ""
            raise ConfigurationError(
                f"{name}: the {what} of row {begin + wrong[0]:,}{inside} are {part[wrong]}. Leave such rows out, or "
                "mend what wrote them"
            )
