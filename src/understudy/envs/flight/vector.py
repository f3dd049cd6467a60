"""The tasks as a Gymnasium vector environment: N copies stepped together. The single environment is one of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from understudy.envs.flight import position
from understudy.envs.flight.drawing import Trail, draw
from understudy.envs.flight.motion import STEP
from understudy.envs.flight.registration import STEPS
from understudy.envs.flight.seeing import ACTION, OBSERVATION, observe
from understudy.envs.flight.task import TASKS
from understudy.envs.flight.world import NUMBERS, World

Infos = dict[str, Any]
SLACK = STEP / 2
"""s that times are compared with: sums of steps are not exact."""


class FlightVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N copies of a task. Each has a generator of its own, so that its episodes are those of a single environment on
    the same seed, bit for bit. ``reset`` takes a seed, one a copy, and ``options={"reset_mask": [N] bool}``."""

    metadata = {  # noqa: RUF012 - as Gymnasium declares it
        "render_modes": ["rgb_array"],
        "render_fps": 20,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "seeds_each_copy": True,
    }

    def __init__(
        self,
        task: str = "Combat",
        num_envs: int = 1,
        max_episode_steps: int | None = STEPS,
        render_mode: str | None = None,
    ) -> None:
        self.task, self.num_envs, self.render_mode = TASKS[task], num_envs, render_mode
        self.limit = np.inf if max_episode_steps in (None, -1) else max_episode_steps
        self.single_observation_space, self.single_action_space = OBSERVATION, ACTION
        self.observation_space, self.action_space = batch_space(OBSERVATION, num_envs), batch_space(ACTION, num_envs)
        self.world = World(num_envs, self.task.missiles)
        self.generators: list[np.random.Generator | None] = [None] * num_envs
        self._steps = np.zeros(num_envs, np.int64)
        self._lock = np.zeros(num_envs)  # s
        self._over = np.zeros(num_envs, bool)  # copies that the next step only resets
        self._seen = np.zeros((num_envs, *OBSERVATION.shape), np.float32)
        self._trail = None if render_mode is None else Trail(num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, Infos]:
        seeds = [None] * self.num_envs if seed is None else seed
        if isinstance(seeds, int | np.integer):
            seeds = [int(seeds) + i for i in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise ValueError(f"there are {self.num_envs} copies, {len(seeds)} seeds: give one a copy, or one number.")
        mask = self._chosen((options or {}).get("reset_mask"))
        chosen = np.flatnonzero(mask)
        for i in chosen.tolist():
            if seeds[i] is not None:
                self.generators[i] = seeding.np_random(seeds[i])[0]
        self._begin(chosen)
        seen = observe(self.world, *self.world.sight())
        self._seen = np.where(mask[:, None], seen, self._seen)
        if self._trail is not None:
            self._trail.note(self.world, chosen.tolist())
        return self._seen.copy(), self._infos()

    def _chosen(self, mask: Any) -> np.ndarray:
        """``[N] bool``: the copies that a ``reset_mask`` names, or all."""
        found = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask)
        if found.dtype != bool or found.shape != (self.num_envs,):
            raise ValueError(f"reset_mask is one True or False for each of the {self.num_envs} copies, got {mask!r}.")
        return found

    def _begin(self, copies: np.ndarray) -> None:
        """New episodes in these copies, each by its own generator."""
        uniform = np.empty((len(copies), NUMBERS))
        for row, i in zip(uniform, copies, strict=True):
            generator = self.generators[i]
            if generator is None:
                generator = self.generators[i] = seeding.np_random()[0]
            generator.random(out=row)
        self.world.begin(copies, np.ascontiguousarray(uniform.T))
        self._steps[copies], self._lock[copies], self._over[copies] = 0, 0, False

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Infos]:
        fresh, world, task = np.flatnonzero(self._over), self.world, self.task
        actions = np.asarray(actions, np.float64)
        if actions.shape != self.action_space.shape:
            raise ValueError(f"actions have the shape {actions.shape}; {self.action_space.shape} are needed.")
        if np.isnan(actions).any():
            wrong = np.flatnonzero(np.isnan(actions).any(1) & ~self._over).tolist()
            if wrong:
                raise ValueError(f"actions must be numbers; those of the copies {wrong} are nan.")
        world.step(np.clip(np.ascontiguousarray(actions.T), -1, 1))
        self._steps += 1
        if len(fresh):
            self._begin(fresh)
        foe, threat = world.sight()
        self._lock += np.where(position.locked(foe), STEP, 0)
        reward = world.hit * float(task.hit)
        if task.escape:
            reward += position.escape(foe) * (task.escape * STEP)
        if task.chase:
            reward += position.worth(foe) * (task.chase * STEP)
        terminated, truncated = world.hit.copy(), self._steps >= self.limit
        reward[fresh], truncated[fresh], self._lock[fresh] = 0, False, 0
        self._over = terminated | truncated
        self._seen = observe(world, foe, threat)
        if self._trail is not None:
            self._trail.note(world, range(self.num_envs))
        return self._seen.copy(), reward, terminated, truncated, self._infos()

    def _infos(self) -> Infos:
        """``lock_time`` s, ``missiles_dodged``, ``hit`` and ``success`` of the episodes so far, ``[N]`` each."""
        world, task = self.world, self.task
        lived = (world.time > task.survival_time - SLACK) & ~world.hit
        known = {
            "lock_time": self._lock.copy(),
            "missiles_dodged": world.dodged.copy(),
            "hit": world.hit.copy(),
            "success": lived & (self._lock > task.lock_time - SLACK),
        }
        return known | {f"_{name}": np.ones(self.num_envs, bool) for name in known}

    def render(self) -> tuple[np.ndarray, ...] | None:
        """A picture of each copy, uint8 ``[480, 480, 3]``, where it was made with ``render_mode="rgb_array"``."""
        if self._trail is None:
            gymnasium.logger.warn("Nothing is drawn without a render_mode: make it with render_mode='rgb_array'.")
            return None
        foe, _ = self.world.sight()
        locked = position.locked(foe)
        return tuple(
            draw(self.world, i, past, self.task.name, bool(locked[i]), float(self._lock[i]))
            for i, past in enumerate(self._trail.moments)
        )
