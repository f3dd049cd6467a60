"""What the sampled tests share: one problem as tables, as policies and as a critic, and what agreement means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from enumerated import CROSS_ENTROPY, EXPECTED, KL, KL_EXPECTED, Row, World, chances, pseudo_values, updates
from gymnasium import spaces

from understudy.engines.critic import Critic
from understudy.engines.estimator import Estimator
from understudy.engines.objective import Objective, Remedy, columns_needed
from understudy.envs.views import ObservationViews
from understudy.math.distributions import Family
from understudy.math.heads import Heads
from understudy.methods import Method, with_divergence, with_expected_reward
from understudy.policies.spec import parse
from understudy.policies.student import Student

SEED, STATES, ACTIONS, LONGEST = 5, 6, 3, 3
BATCHES, COPIES = 24, 1500
FORMS = {
    CROSS_ENTROPY: lambda row: row,
    KL: lambda row: with_divergence(row, "kl"),
    EXPECTED: with_expected_reward,
    KL_EXPECTED: lambda row: with_expected_reward(with_divergence(row, "kl")),
}
OBSERVED = spaces.Box(0.0, 1.0, (STATES,), np.float32)
FAMILY = Family("categorical", (ACTIONS,))


@dataclass(frozen=True)
class TablePolicy:
    """The teacher: logits and values read by state."""

    logits: torch.Tensor
    values: torch.Tensor
    family = FAMILY
    observation_space = OBSERVED
    action_space = spaces.Discrete(ACTIONS)
    memory_size, has_value, full_support, description, parameter_count = 0, True, True, "table", 18

    def __call__(self, observation, memory=None, start=None):
        return Heads(FAMILY(observation @ self.logits), observation @ self.values), None

    def to(self, device):
        return self


def teacher_of(world: World) -> TablePolicy:
    logits, values = np.log(world.teacher), world.teacher_value
    return TablePolicy(*(torch.tensor(x, dtype=torch.float32).requires_grad_() for x in (logits, values)))


def student_of(theta: np.ndarray) -> Student:
    student = Student(OBSERVED, spaces.Discrete(ACTIONS), FAMILY, "linear")
    with torch.no_grad():
        student.network.layers[-1].weight.copy_(torch.tensor(theta.T))
    return student


def critic_of(columns: list[np.ndarray]) -> Critic:
    critic = Critic(OBSERVED, parse("linear"), len(columns), seed=0)
    with torch.no_grad():
        critic.network.layers[-1].weight.copy_(torch.tensor(np.stack(columns)))
        critic.network.layers[-1].bias.zero_()
    return critic


def enumerated(world: World, row: Row, theta: np.ndarray, limit: int | None = None) -> np.ndarray:
    each = updates(world, row, world.at(theta).student, discounted=False, limit=limit)
    return np.einsum("k,ksa->sa", chances(world, row.control), each)


def agree(sampled: list[np.ndarray], exact: np.ndarray, within: float = 0.04) -> None:
    """Every component within six of its own standard errors, and the whole within a few per cent."""
    mean = np.mean(sampled, axis=0)
    error = np.std(sampled, axis=0, ddof=1) / np.sqrt(len(sampled))
    assert (np.abs(mean - exact) <= 6 * error + 1e-6).all()
    assert np.linalg.norm(mean - exact) < within * np.linalg.norm(exact) + 1e-6


def gradient(scalar: torch.Tensor, student: Student) -> np.ndarray:
    (weight,) = torch.autograd.grad(scalar, student.network.layers[-1].weight)
    return weight.numpy().T.astype(np.float64)


def objective_of(world: World, method: Method, row: Row, theta: np.ndarray, estimator: Estimator) -> Objective:
    """The learner's own, with exact values for its critic."""
    exact = [world.at(theta).v_s[:, 0], pseudo_values(world, row)]
    columns = exact[-columns_needed(method, estimator) :] if estimator.has_critic else exact[:1]
    critic = critic_of(columns) if columns_needed(method, estimator) else None
    sides = teacher_of(world), student_of(theta), ObservationViews()
    return Objective(method, *sides, estimator, world.gamma, Remedy(), critic)
