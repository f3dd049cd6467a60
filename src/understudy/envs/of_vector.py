"""Gymnasium vector environments, whatever they do when an episode ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv

from understudy.envs.simulator import Outcome, blank, copied, put, spread
from understudy.errors import EnvironmentFailure
from understudy.policies.policy import Observation

SEEDS_EACH_COPY = "seeds_each_copy"
"""What the metadata of a vector environment hold where its ``reset`` takes a seed a copy and a ``reset_mask``, as
SyncVectorEnv's does, and each copy's episodes are those of a single environment on the same seed, bit for bit."""


class VectorSimulator:
    """A vector environment. Only Sync- and AsyncVectorEnv, and those that say so, take a seed a copy and can begin
    single copies anew; in others ``begin`` seeds the whole by its first seed."""

    def __init__(self, env: VectorEnv[Any, Any, Any], spec_id: str, max_episode_steps: int | None) -> None:
        self.env, self.spec_id, self.max_episode_steps = env, spec_id, max_episode_steps
        self.copies, self.plays = int(env.num_envs), 0
        self.observation_space, self.action_space = env.single_observation_space, env.single_action_space
        seeds_each = bool(env.metadata.get(SEEDS_EACH_COPY))
        self.restartable = isinstance(env.unwrapped, SyncVectorEnv | AsyncVectorEnv) or seeds_each
        self._settle = SETTLE[_mode(env, spec_id)]
        self._none = np.zeros(self.copies, bool)
        self._none.setflags(write=False)
        self._over = self._none  # copies whose next step is only a reset
        self._resting: np.ndarray | None = None  # None: endless play
        blank(self.observation_space, 0)  # refuses spaces that no array can hold

    def reset(self, seed: int | None = None) -> Observation:
        """An episode in every copy, followed by others without end."""
        self.plays += 1
        self._over, self._resting = self._none, None
        return self._reset(spread(seed, self.copies) if self.restartable else spread(seed, 1)[0])

    def begin(self, copies: Sequence[int], seeds: Sequence[int | None]) -> Observation:
        """One episode in each of these copies; the others' steps count for nothing."""
        self.plays += 1
        chosen = np.zeros(self.copies, bool)
        chosen[list(copies)] = True
        own: list[int | None] = [None] * self.copies
        for i, seed in zip(copies, seeds, strict=True):
            own[int(i)] = None if seed is None else int(seed)
        if not self.restartable:
            observation, resting = self._reset(own[0]), ~chosen
            self._over = self._none
        elif self._resting is None:
            observation, resting = self._reset(own), ~chosen
            self._over = self._none
        else:
            observation, resting = self._reset(own, {"reset_mask": chosen}), self._resting & ~chosen
            self._over = self._over & ~chosen
        self._resting = resting
        return observation

    def _reset(self, seed: Any, options: dict[str, Any] | None = None) -> Observation:
        try:
            return self.env.reset(seed=seed, options=options)[0]
        except Exception as error:
            raise EnvironmentFailure(f"resetting {self.spec_id} failed: {type(error).__name__}: {error}") from error

    def step(self, action: np.ndarray) -> Outcome:
        try:
            observation, reward, terminated, truncated, infos = self.env.step(action)
        except Exception as error:
            raise EnvironmentFailure(f"stepping {self.spec_id} failed: {type(error).__name__}: {error}") from error
        played = Outcome(observation, reward, terminated, truncated, self._none)
        settled = self._settle(self, played, terminated | truncated, infos)
        return settled if self._resting is None else self._without_rest(settled, self._resting)

    def _next_step(self, played: Outcome, ended: np.ndarray, infos: dict[str, Any]) -> Outcome:
        """The copies that ended last time were only reset now; their action was ignored."""
        fake, self._over = self._over, self._none
        if fake.any():
            ended = ended & ~fake
            played = played._replace(
                reward=np.where(fake, 0, played.reward), terminated=played.terminated & ~fake, start=fake, valid=~fake
            )
        if not ended.any():
            return played._replace(terminated=self._none, truncated=self._none)
        self._over = ended
        return _told_apart(played, ended)._replace(final=played.observation)

    def _same_step(self, played: Outcome, ended: np.ndarray, infos: dict[str, Any]) -> Outcome:
        """What is seen is the new episode's first observation; the old one's last is in the infos."""
        if not ended.any():
            return played
        return _told_apart(played, ended)._replace(final=self._final(played, ended, infos), start=ended)

    def _disabled(self, played: Outcome, ended: np.ndarray, infos: dict[str, Any]) -> Outcome:
        """Nothing was reset: done here, at once."""
        if not ended.any():
            return played
        final = copied(played.observation)
        observation = self._reset(None, {"reset_mask": ended.copy()})
        return _told_apart(played, ended)._replace(observation=observation, final=final, start=ended)

    def _final(self, played: Outcome, ended: np.ndarray, infos: dict[str, Any]) -> Observation:
        found = infos.get("final_obs", infos.get("final_observation"))
        if found is None:
            raise EnvironmentFailure(
                f"{self.spec_id} resets in the same step without giving the last observation; "
                "it must put it into infos['final_obs'], or use another autoreset mode."
            )
        if isinstance(found, dict) or found.dtype != object:
            return found
        final = copied(played.observation)
        for i in np.flatnonzero(ended):
            put(final, i, found[i])
        return final

    def _without_rest(self, settled: Outcome, resting: np.ndarray) -> Outcome:
        """In play of single episodes: copies at rest give nothing, and those that end now go to rest."""
        active = ~resting
        terminated, truncated = settled.terminated & active, settled.truncated & active
        ended = terminated | truncated
        self._resting = resting | ended
        reward = np.where(active, settled.reward, 0)
        final = settled.final if ended.any() else None
        return Outcome(settled.observation, reward, terminated, truncated, self._none, final, active)

    def close(self) -> None:
        self.env.close()


def _told_apart(played: Outcome, ended: np.ndarray) -> Outcome:
    """An episode that reaches its time limit in a terminal state was terminated."""
    return played._replace(truncated=ended & ~played.terminated)


def _mode(env: VectorEnv[Any, Any, Any], spec_id: str) -> AutoresetMode:
    mode = env.metadata.get("autoreset_mode")
    try:
        return mode if isinstance(mode, AutoresetMode) else AutoresetMode(mode)
    except ValueError:
        known = ", ".join(str(one) for one in AutoresetMode)
        raise EnvironmentFailure(
            f"{spec_id} does not say what it does when an episode ends: its metadata['autoreset_mode'] is {mode!r}, "
            f"and must be one of {known}. Guessing would put fake steps into the data."
        ) from None


SETTLE = {
    AutoresetMode.NEXT_STEP: VectorSimulator._next_step,
    AutoresetMode.SAME_STEP: VectorSimulator._same_step,
    AutoresetMode.DISABLED: VectorSimulator._disabled,
}
