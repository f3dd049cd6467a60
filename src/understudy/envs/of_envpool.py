"""EnvPool's vector environments, ``envpool:ID``. Their seeds are fixed when a pool is made, so each play makes one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from understudy.envs.of_vector import VectorSimulator
from understudy.envs.simulator import Outcome, spread
from understudy.errors import EnvironmentFailure, MissingExtra, nearest
from understudy.policies.policy import Observation


def make(env_id: str, copies: int, env_kwargs: dict[str, Any] | None = None) -> EnvPoolSimulator:
    """``copies`` environments of the id (without ``envpool:``) in one pool."""
    try:
        import envpool
    except ImportError:
        raise MissingExtra("EnvPool", "envpool", f"envpool:{env_id}") from None
    known = envpool.list_all_envs()
    if env_id not in known:
        raise EnvironmentFailure(f"EnvPool has no environment {env_id!r}.{nearest(env_id, known)}")
    return EnvPoolSimulator(envpool, env_id, copies, env_kwargs or {})


class EnvPoolSimulator:
    """A pool, made anew with its seeds by ``reset`` and ``begin``. Copies cannot be begun one by one."""

    restartable = False

    def __init__(self, envpool: Any, env_id: str, copies: int, env_kwargs: dict[str, Any]) -> None:
        self._envpool, self._id, self._kwargs = envpool, env_id, env_kwargs
        self.copies, self.spec_id, self.plays = copies, f"envpool:{env_id}", 0
        self._pool: VectorSimulator | None = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the precision of its own bounds
                spec = envpool.make_spec(env_id, **env_kwargs)
                self.observation_space = spec.gymnasium_observation_space
                self.action_space = spec.gymnasium_action_space
        except (AssertionError, TypeError, ValueError, RuntimeError) as error:
            raise EnvironmentFailure(f"{self.spec_id} refused {env_kwargs}: {error}") from error
        self.max_episode_steps: int | None = int(spec.config.max_episode_steps)

    def _fresh(self, seeds: list[int]) -> VectorSimulator:
        self.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env = self._envpool.make_gymnasium(self._id, num_envs=self.copies, seed=seeds, **self._kwargs)
            self._pool = VectorSimulator(env, self.spec_id, self.max_episode_steps)
        self.plays += 1
        return self._pool

    def reset(self, seed: int | None = None) -> Observation:
        known = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        return self._fresh([int(own or 0) for own in spread(known, self.copies)]).reset()

    def begin(self, copies: Sequence[int], seeds: Sequence[int]) -> Observation:
        padded = [int(seed) for seed in seeds] + [0] * (self.copies - len(seeds))
        return self._fresh(padded).begin(copies, [None] * len(seeds))

    def step(self, action: np.ndarray) -> Outcome:
        assert self._pool is not None, "reset or begin comes first"
        return self._pool.step(action)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None
