"""Whole episodes, one for each seed, in parallel: what evaluations are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from understudy.envs.actions import ActionMap
from understudy.envs.rollout import Actor, Episodes, Stage
from understudy.envs.simulator import Simulator, take
from understudy.policies.policy import Observation

Watch = Callable[[int, int], None]
"""Told after every vector step: episodes finished, environment steps played."""


def play(
    simulator: Simulator, actions: ActionMap, actor: Actor, seeds: Sequence[int], watch: Watch | None = None
) -> Episodes:
    """One episode a seed, in the order of the seeds.

    Where copies can be begun one by one, each takes the next seed as its episode ends, and an episode depends on its
    seed alone, for any number of copies; so it does with EnvPool, in rounds. Other vector environments take one seed
    a round.
    """
    return _Bill(simulator, actions, actor, seeds).run(watch)


class _Bill:
    """The episodes to play, and which copy plays which."""

    def __init__(self, simulator: Simulator, actions: ActionMap, actor: Actor, seeds: Sequence[int]) -> None:
        self.stage, self.seeds, self.next = Stage(simulator, actions), list(seeds), 0
        self.cast = _Cast(actor, actions, simulator.copies, min(simulator.copies, len(self.seeds)))
        self.episode = np.full(simulator.copies, -1)
        self.sums, self.lengths = np.zeros(simulator.copies), np.zeros(simulator.copies, np.int64)
        count = len(self.seeds)
        self.played = Episodes(np.zeros(count), np.zeros(count, np.int64), np.zeros(count, bool))

    def run(self, watch: Watch | None) -> Episodes:
        stage, finished, steps = self.stage, 0, 0
        busy = self._admit(np.arange(stage.simulator.copies))
        while busy:
            outcome = stage.advance(self.cast)[1]
            self.sums += outcome.reward
            self.lengths += 1
            steps += busy
            if outcome.final is not None:
                ended = self._close(outcome.terminated, outcome.truncated)
                finished += len(ended)
                busy -= len(ended)
                busy += self._follow(ended, busy)
            if watch is not None:
                watch(finished, steps)
        stage.stop()
        return self.played

    def _admit(self, free: np.ndarray) -> int:
        """The next seeds' episodes begin in free copies; how many."""
        chosen = free[: len(self.seeds) - self.next]
        if len(chosen):
            first, self.next = self.next, self.next + len(chosen)
            self.episode[chosen] = np.arange(first, self.next)
            self.sums[chosen], self.lengths[chosen] = 0, 0
            self.stage.begin(chosen, self.seeds[first : self.next])
        return len(chosen)

    def _close(self, terminated: np.ndarray, truncated: np.ndarray) -> np.ndarray:
        """The copies whose episodes are over, entered into the results."""
        ended = np.flatnonzero((terminated | truncated) & (self.episode >= 0))
        which = self.episode[ended]
        self.played.returns[which], self.played.lengths[which] = self.sums[ended], self.lengths[ended]
        self.played.terminated[which] = terminated[ended]
        self.episode[ended] = -1
        return ended

    def _follow(self, ended: np.ndarray, busy: int) -> int:
        """What follows in the copies that are free: the next seeds, or a smaller cast."""
        if self.next < len(self.seeds):
            if self.stage.simulator.restartable:
                return self._admit(ended)
            return 0 if busy else self._admit(np.arange(len(self.episode)))
        self.cast.dismiss(self.episode >= 0, busy)
        return 0


class _Cast:
    """The actor, asked for the copies that still play only. One with a memory offers ``keep`` for this."""

    def __init__(self, actor: Actor, actions: ActionMap, copies: int, playing: int) -> None:
        self.actor: Any = actor
        self.idle = np.zeros((copies, *actions.shape), actions.dtype)
        self.rows: np.ndarray | None = np.arange(playing) if playing < copies else None

    def __call__(self, observation: Observation, start: np.ndarray) -> np.ndarray:
        if self.rows is None:
            return self.actor(observation, start)
        action = self.idle.copy()
        action[self.rows] = self.actor(take(observation, self.rows), start[self.rows])
        return action

    def dismiss(self, playing: np.ndarray, busy: int) -> None:
        """Once half of the copies asked for are at rest, ask for the others only."""
        asked = np.arange(len(playing)) if self.rows is None else self.rows
        if 0 < busy <= len(asked) // 2 and hasattr(self.actor, "keep"):
            still = np.flatnonzero(playing[asked])
            self.actor.keep(still)
            self.rows = asked[still]
