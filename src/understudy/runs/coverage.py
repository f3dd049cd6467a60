"""How much of what a student comes through its data have: nearest neighbours, held against the data's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from understudy.envs.actions import ActionMap
from understudy.envs.recording import Recording
from understudy.envs.rollout import Actor, Rollout
from understudy.envs.simulator import Simulator, take
from understudy.runs.agreement import flattened
from understudy.runs.extent import Extent

LEVEL = 0.95
MOST_KNOWN, MOST_ASKED = 50_000, 5_000
MOST_EPISODES = 20


@dataclass(frozen=True)
class Coverage:
    """``share``: of the student's states that lie no farther from the data than ``radius``, which 95 % of the data's
    own states that were held out keep to; in standard deviations of the data.

    ``states`` and ``episodes`` of the student. ``farther``: how many times the median distance is that of the data's.
    """

    share: float
    radius: float
    states: int
    episodes: int
    farther: float | None


def coverage(
    recording: Recording,
    pieces: tuple[np.ndarray, np.ndarray],
    make: Callable[[int], Simulator],
    actions: ActionMap,
    actor: Actor,
    seeds: Sequence[int],
    lengths: np.ndarray,
    seed: int,
) -> Coverage | dict[str, str]:
    """Let the student play the first of ``seeds``, of these ``lengths``; or why it cannot be told."""
    space = recording.observation_space
    known, unseen = (flattened(space, take(recording.observation, rows_of(part))) for part in pieces)
    if not known.shape[1]:
        return {"missing": "distances between pictures, or between so many numbers, tell nothing"}
    extent = Extent.of(lengths, space, min(MOST_EPISODES, len(seeds)))
    simulator = make(extent.episodes)
    try:
        window = Rollout(simulator, actions, 0).episodes(actor, list(seeds)[: extent.episodes], extent.steps)
    finally:
        simulator.close()
    visited = flattened(space, window.observation)[window.valid]
    return covered(known, unseen, visited, extent.episodes, np.random.default_rng([seed, 6]))


def rows_of(pieces: np.ndarray) -> np.ndarray:
    """The rows of pieces ``[P, 2]``."""
    return np.concatenate([np.arange(begin, end) for begin, end in pieces])


def covered(
    known: np.ndarray, unseen: np.ndarray, visited: np.ndarray, episodes: int, generator: np.random.Generator
) -> Coverage:
    """Of ``visited [V, D]``: those as near to ``known [K, D]`` as 95 % of ``unseen [U, D]`` are, which were recorded
    like these and are of other episodes."""
    mean, spread = known.mean(0), known.std(0)
    scale = np.where(spread > 1e-8, spread, 1.0)

    def drawn(rows: np.ndarray, most: int) -> Any:
        chosen = rows if len(rows) <= most else rows[generator.choice(len(rows), most, replace=False)]
        return (chosen - mean) / scale

    tree = cKDTree(drawn(known, MOST_KNOWN))
    own, others = (tree.query(drawn(rows, MOST_ASKED))[0] for rows in (unseen, visited))
    radius, usual = float(np.quantile(own, LEVEL)), float(np.median(own))
    share = float((others <= radius + 1e-9).mean())
    return Coverage(share, radius, len(visited), episodes, float(np.median(others)) / usual if usual > 0 else None)
