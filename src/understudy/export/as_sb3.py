"""A student as an agent of Stable-Baselines3: the format's row, over ``to_sb3``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.export.formats import Facts, Written
from understudy.export.to_sb3 import PURPOSE, STATISTICS, Spaces, convert
from understudy.policies import sb3_library
from understudy.policies.policy import Observation
from understudy.policies.sb3_archive import read_archive
from understudy.policies.sb3_places import places
from understudy.policies.sb3_trusted import flat_of
from understudy.policies.student import Student


def write(
    student: Student, path: Path, facts: Facts, algorithm: str = "auto", fold_normaliser: bool = False
) -> Written:
    """The zip, and ``vecnormalize.pkl`` beside it where the student standardises. A zip has no room for the facts."""
    agent = convert(student, algorithm, fold_normaliser)
    behind = f", behind VecNormalize.load of {STATISTICS}, without which it plays badly" if agent.normaliser else ""
    return Written(tuple(agent.save(path)), (f"it loads with {agent.algorithm}.load{behind}", *agent.notes))


def strays(path: Path) -> tuple[Path, ...]:
    """Statistics that would be taken for those of an agent at ``path``."""
    return places(path)


class OpenedAgent:
    """The zip as SB3 loads and plays it, ``model.predict`` behind ``VecNormalize.normalize_obs``."""

    remembered = None

    def __init__(self, path: Path, student: Student) -> None:
        self.up_to_constant = student.temperature is None
        algorithm = sb3_library.algorithm(read_archive(path).algorithm, PURPOSE)
        self.model = algorithm.load(path, device="cpu")
        self.normaliser: Any = None
        statistics = path.with_name(STATISTICS)
        if statistics.is_file():
            vec_env = sb3_library.vec_env(PURPOSE)
            env = vec_env.DummyVecEnv([lambda: Spaces(student.observation_space, student.action_space)])
            self.normaliser = vec_env.VecNormalize.load(str(statistics), env)
        self.memory: Any = None

    def begin(self) -> None:
        self.memory = None

    def __call__(self, observation: Observation, start: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        seen = self._seen(observation)
        flat = self._parameters(seen, start)
        action, self.memory = self.model.predict(seen, self.memory, start, deterministic=True)
        return action, flat

    def act(self, observation: Observation) -> Any:
        action, self.memory = self.model.predict(self._seen(observation), self.memory, deterministic=True)
        return action

    def _seen(self, observation: Observation) -> Any:
        return observation if self.normaliser is None else self.normaliser.normalize_obs(observation)

    @torch.no_grad()
    def _parameters(self, seen: Any, start: np.ndarray) -> torch.Tensor:
        """Flat parameters ``[N, P]`` at the present memory; a DQN's are its action values."""
        policy = self.model.policy
        batch, _ = policy.obs_to_tensor(seen)
        if hasattr(policy, "q_net"):
            return policy.q_net(batch)
        if hasattr(policy, "actor"):
            mean, log_std, _ = policy.actor.get_action_dist_params(batch)
            return torch.cat([mean, log_std], -1)
        if hasattr(policy, "lstm_actor"):
            found, _ = policy.get_distribution(batch, self._states(len(start)), torch.tensor(start).float())
            return flat_of(found)[0]
        return flat_of(policy.get_distribution(batch))[0]

    def _states(self, copies: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self.memory is None:
            layers, _, width = self.model.policy.lstm_hidden_state_shape
            return torch.zeros(layers, copies, width), torch.zeros(layers, copies, width)
        hidden, cell = (torch.as_tensor(part) for part in self.memory)
        return hidden, cell


def open_file(path: Path, student: Student) -> OpenedAgent:
    """As Stable-Baselines3 reads it."""
    return OpenedAgent(path, student)
