"""What every simulator is: N copies of an environment that step together, with ends told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np

from understudy.errors import SpaceError
from understudy.policies.policy import Observation


class Outcome(NamedTuple):
    """One step of N copies. Read it before the next step: vector environments may write to their arrays again."""

    observation: Observation
    """[N, ...] what the next decision sees: where an episode was followed by a new one, the new one's first."""
    reward: np.ndarray
    """[N] float; 0 where not valid."""
    terminated: np.ndarray
    """[N] bool."""
    truncated: np.ndarray
    """[N] bool; never together with ``terminated``."""
    start: np.ndarray
    """[N] bool: the copies whose ``observation`` is the first of an episode."""
    final: Observation | None = None
    """[N, ...] the last observations of the episodes that ended now, in their rows only; None if none ended."""
    valid: np.ndarray | None = None
    """[N] bool, False where nothing was played: a next-step autoreset, or a copy at rest. None: all played."""


class Simulator(Protocol):
    """N copies of one environment. Spaces are those of a single copy.

    There are two ways to play. After ``reset`` every copy plays one episode after the other for ever. After ``begin``
    a copy plays one episode and rests until it is begun again. ``restartable``: single copies can be begun while
    the others go on, each on its own seed; otherwise ``begin`` takes the copies 0, 1, ... all at once. ``plays``
    counts both calls, so that who shares a simulator can tell that another has used it.
    """

    copies: int
    observation_space: gymnasium.Space[Any]
    action_space: gymnasium.Space[Any]
    max_episode_steps: int | None
    spec_id: str
    restartable: bool
    plays: int

    def reset(self, seed: int | None = None) -> Observation: ...

    def begin(self, copies: Sequence[int], seeds: Sequence[int]) -> Observation:
        """Begin an episode in each of these copies; the observation of all copies, ``[N, ...]``."""
        ...

    def step(self, action: np.ndarray) -> Outcome: ...

    def close(self) -> None: ...


def spread(seed: int | None, copies: int) -> list[int | None]:
    """One independent seed below 2^31 a copy, so that neighbouring seeds share no episodes."""
    if seed is None:
        return [None] * copies
    return [int(word) >> 1 for word in np.random.SeedSequence(seed).generate_state(copies)]


def blank(space: gymnasium.Space[Any], *leading: int) -> Observation:
    """Zeros ``[*leading, ...]`` in the space's shapes and types."""
    if isinstance(space, gymnasium.spaces.Dict):
        return {key: _zeros(part, leading) for key, part in space.items()}
    return _zeros(space, leading)


def _zeros(space: gymnasium.Space[Any], leading: tuple[int, ...]) -> np.ndarray:
    if space.shape is None or space.dtype is None:
        raise SpaceError(
            f"{space} cannot be observed: observations are arrays (Box, Discrete, MultiDiscrete, MultiBinary) or "
            "one Dict of them. Flatten the environment (wrapper 'flatten') or give its parts names of their own."
        )
    return np.zeros((*leading, *space.shape), space.dtype)


def put(batch: Observation, index: Any, row: Any) -> None:
    """``batch[index] = row``, key by key in a dict."""
    if isinstance(batch, dict):
        for key, part in batch.items():
            part[index] = row[key]
    else:
        batch[index] = row


def take(batch: Observation, index: Any) -> Observation:
    """``batch[index]``, key by key in a dict."""
    if isinstance(batch, dict):
        return {key: part[index] for key, part in batch.items()}
    return batch[index]


def copied(batch: Observation) -> Observation:
    """An observation that shares no memory with ``batch``."""
    if isinstance(batch, dict):
        return {key: part.copy() for key, part in batch.items()}
    return batch.copy()
