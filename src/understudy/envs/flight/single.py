"""The tasks as a Gymnasium environment: a vector environment of one copy."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from understudy.envs.flight.seeing import ACTION, OBSERVATION
from understudy.envs.flight.vector import FlightVectorEnv


class FlightEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One copy of a task; its time limit is the wrapper's that ``gymnasium.make`` adds."""

    metadata = {  # noqa: RUF012 - as Gymnasium declares it
        "render_modes": ["rgb_array"],
        "render_fps": 20,
    }

    def __init__(self, task: str = "Combat", render_mode: str | None = None) -> None:
        self.observation_space, self.action_space, self.render_mode = OBSERVATION, ACTION, render_mode
        self.vector = FlightVectorEnv(task, 1, None, render_mode)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.vector.generators = [self.np_random]
        observation, infos = self.vector.reset()
        return observation[0], _own(infos)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, _, infos = self.vector.step(np.asarray(action)[None])
        return observation[0], float(reward[0]), bool(terminated[0]), False, _own(infos)

    def render(self) -> np.ndarray | None:
        pictures = self.vector.render()
        return None if pictures is None else pictures[0]


def _own(infos: dict[str, Any]) -> dict[str, Any]:
    return {name: value[0].item() for name, value in infos.items() if not name.startswith("_")}
