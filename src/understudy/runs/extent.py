"""How many whole episodes are looked at state by state: enough to tell, and no more than fit into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import Space

from understudy.envs.rollout import Window
from understudy.envs.simulator import blank

STATES, LEAST_EPISODES = 4096, 4
"""So many states are enough, in no fewer episodes than these."""
MOST_STATES, MOST_BYTES = 50_000, 2**27
"""Of what is kept of one policy's episodes at a time; bytes of observations."""


@dataclass(frozen=True)
class Extent:
    """``episodes`` to play side by side, each cut after ``steps``; ``wanted``: how many it would be with more room."""

    episodes: int
    steps: int
    wanted: int

    @classmethod
    def of(cls, lengths: Sequence[int] | np.ndarray, space: Space[Any], most: int) -> Extent:
        """For episodes about as long as others were, ``most`` of them, on observations of ``space``."""
        room = max(1, min(MOST_STATES, MOST_BYTES // max(1, _bytes(space))))
        enough = int(STATES / max(1.0, float(np.mean(lengths))))
        wanted = episodes = min(max(LEAST_EPISODES, enough), most)
        while episodes > 1 and episodes * max(lengths[:episodes]) > room:  # all are kept for as long as the longest
            episodes -= 1
        return cls(episodes, max(1, room // episodes), wanted)


@dataclass(frozen=True)
class Looked:
    """What was looked at: ``states`` of ``episodes``, where ``wanted`` would have been; ``cut``: how many of them were
    broken off, each after ``steps``."""

    states: int
    episodes: int
    wanted: int
    cut: int
    steps: int

    @classmethod
    def at(cls, window: Window, extent: Extent) -> Looked:
        """All of a window of such an extent."""
        cut = extent.episodes - int((window.terminated | window.truncated).sum())
        return cls(int(window.valid.sum()), extent.episodes, extent.wanted, cut, extent.steps)


def _bytes(space: Space[Any]) -> int:
    """Of one observation."""
    one = blank(space)
    return sum(part.nbytes for part in one.values()) if isinstance(one, dict) else one.nbytes
