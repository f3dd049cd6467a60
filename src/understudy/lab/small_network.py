"""A small network as the student of a finite MDP: the deep engine trains it, exact sums measure it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from understudy.engines.critic import Critic
from understudy.engines.estimator import Estimator
from understudy.engines.learner import Learner
from understudy.engines.objective import Objective, Remedy, columns_needed
from understudy.engines.schedule import Rhythm
from understudy.engines.source import FreshRollouts
from understudy.envs.of_mdp import MDPSimulator
from understudy.envs.views import ObservationViews, View
from understudy.math.distributions import Family
from understudy.math.heads import Heads
from understudy.mdp.model import MDP
from understudy.mdp.solve import Chain
from understudy.mdp.teachers import Teacher
from understudy.methods.method import Method
from understudy.policies.policy import TensorObservation
from understudy.policies.spec import parse
from understudy.policies.student import Student

IMPOSSIBLE = -1e4  # the logit of an action that a deterministic teacher never takes


@dataclass(frozen=True)
class TeacherTable:
    """A teacher of an MDP as a policy of the deep engine: it reads the state's number, and answers its row."""

    logits: Tensor
    values: Tensor
    memory_size, has_value, parameter_count, description = 0, True, 0, "a table"

    @property
    def family(self) -> Family:
        return Family("categorical", (self.logits.shape[-1],))

    @property
    def full_support(self) -> bool:
        return bool((self.logits > IMPOSSIBLE).all())

    @property
    def observation_space(self) -> gymnasium.Space[np.ndarray]:
        return spaces.Box(0.0, float(len(self.logits)), (1,), np.float32)

    @property
    def action_space(self) -> gymnasium.Space[np.int64]:
        return spaces.Discrete(self.logits.shape[-1])

    def __call__(
        self, observation: TensorObservation, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Heads, Tensor | None]:
        assert isinstance(observation, Tensor)
        state = observation[..., 0].long()
        return Heads(self.family(self.logits[state]), self.values[state]), None

    def to(self, device: torch.device | str) -> TeacherTable:
        return self


def teacher_table(teacher: Teacher) -> TeacherTable:
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(teacher.policy), IMPOSSIBLE)
    return TeacherTable(*(torch.tensor(x, dtype=torch.float32) for x in (logits, teacher.values)))


@dataclass(frozen=True)
class NetworkSetting:
    """One update an iteration, from one episode in each of ``episodes`` copies; Adam, the same for every row.

    ``critic``: advantages over a learned critic of the pseudo-return (GAE), in place of plain returns.
    """

    method: Method
    student: str = "mlp:64"
    episodes: int = 16
    learning_rate: float = 3e-3
    critic: bool = False
    gamma: float = 1.0
    lam: float = 0.95


@dataclass(frozen=True)
class NetworkCurve:
    """Measured after ``updates [P]`` updates: the student's exact return and the KL per step under its own visits."""

    updates: np.ndarray
    returns: np.ndarray
    divergence: np.ndarray


def train_network(
    mdp: MDP, features: np.ndarray, teacher: Teacher, setting: NetworkSetting, measure_at: np.ndarray, seed: int
) -> NetworkCurve:
    """``features [S, F]``: what the student sees of each state. ``measure_at``: ascending numbers of updates."""
    learner = _learner(mdp, features, teacher, setting, seed)
    seen = torch.as_tensor(features)
    found = []
    for wanted in measure_at:
        while learner.updates < wanted:
            learner.step()
        with torch.no_grad():
            found.append(_measured(mdp, teacher, learner.student.flat(seen)[0].double().softmax(-1).numpy()))
    returns, divergence = np.array(found).T
    return NetworkCurve(np.asarray(measure_at), returns, divergence)


def _measured(mdp: MDP, teacher: Teacher, policy: np.ndarray) -> tuple[float, float]:
    visits = Chain(mdp, policy).visits()
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(teacher.policy > 0, teacher.policy * (np.log(teacher.policy) - np.log(policy)), 0.0)
    returned = float((visits[:, None] * policy * mdp.rewards).sum())
    return returned, float((visits * terms.sum(-1)).sum() / visits.sum())


def _learner(mdp: MDP, features: np.ndarray, teacher: Teacher, setting: NetworkSetting, seed: int) -> Learner:
    width = features.shape[1]
    numbered = np.concatenate([features, np.arange(mdp.states)[:, None]], axis=1).astype(np.float32)
    simulator: Any = MDPSimulator(mdp, setting.episodes, seed, features=numbered)
    views = ObservationViews(
        View("features", entries=tuple(range(width))),
        View("state", entries=(width,)),
        View("features", entries=tuple(range(width))),
    )
    table, method = teacher_table(teacher), setting.method
    space = views.student.space(simulator.observation_space)
    student = Student(space, simulator.action_space, table.family, setting.student, seed=seed)
    estimator = Estimator("gae" if setting.critic else "returns", lam=setting.lam)
    columns = columns_needed(method, estimator)
    critic = Critic(space, parse(setting.student), columns, seed + 1) if columns else None
    objective = Objective(method, table, student, views, estimator, setting.gamma, Remedy(), critic)
    # one batch holds all episodes of an iteration, whatever their length
    rhythm = Rhythm(
        batch=1_000_000, keep=False, learning_rate=setting.learning_rate, final_learning_rate=setting.learning_rate
    )
    source = FreshRollouts(simulator, method.control, table, student, views, collect=1, seed=seed, whole_episodes=True)
    return Learner(source, objective, rhythm, budget=1_000_000_000, seed=seed)
