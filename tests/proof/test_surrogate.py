"""The library's Eq. 1 over *all* trajectories at once, against the enumeration: no sampling, so equal to rounding."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from enumerated import CROSS_ENTROPY, EXPECTED, KL, KL_EXPECTED, ROWS, World, chances, direction, problem
from torch import Tensor

from understudy.math.distributions import Categorical
from understudy.math.heads import Heads
from understudy.methods import METHODS, with_divergence, with_expected_reward
from understudy.methods.steps import Beyond
from understudy.methods.surrogate import returns, surrogate


@dataclass(frozen=True)
class AllSteps:
    """Every trajectory, weighted by its probability: tensors ``[K, T]`` in float64."""

    student: Heads
    teacher: Heads
    action: Tensor
    reward: Tensor
    alive: Tensor
    chance: Tensor
    gamma: float
    discounted: bool
    beyond: Beyond | None = None

    @property
    def held(self) -> "AllSteps":
        return replace(self, student=self.student.detached(), teacher=self.teacher.detached())

    def next(self, x: Tensor, beyond: Tensor | None) -> Tensor:
        x = x * self.alive
        return self.gamma * torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], 1)

    def to_go(self, x: Tensor, credit: float) -> Tensor:
        total, columns = torch.zeros_like(x[:, 0]), []
        for column in (x * self.alive).unbind(1)[::-1]:
            total = column + self.gamma * credit * total
            columns.append(total)
        return torch.stack(columns[::-1], 1)

    def expect(self, x: Tensor) -> Tensor:
        discount = self.gamma ** torch.arange(x.shape[1], dtype=x.dtype) if self.discounted else 1.0
        return ((x * self.alive * discount).sum(1) * self.chance).sum()


def all_steps(world: World, method, logits: Tensor, teacher_logits: Tensor, discounted: bool) -> AllSteps:
    tables, paths = world.at(logits.detach().numpy()), world.trajectories
    state, action = torch.as_tensor(paths.state), torch.as_tensor(paths.action)
    control = world.teacher if str(method.control) == "teacher" else tables.student

    def heads(table: Tensor, value: np.ndarray) -> Heads:
        return Heads(Categorical(table[state]), torch.as_tensor(value[:, 0])[state])

    return AllSteps(
        heads(logits, tables.v_s),
        heads(teacher_logits, tables.v_t),
        action,
        torch.tensor(world.mdp.rewards)[state, action],
        torch.as_tensor(paths.alive, dtype=torch.float64),
        torch.as_tensor(chances(world, control)),
        world.gamma,
        discounted,
    )


FORMS = {
    CROSS_ENTROPY: lambda row: row,
    KL: lambda row: with_divergence(row, "kl"),
    EXPECTED: with_expected_reward,
    KL_EXPECTED: lambda row: with_expected_reward(with_divergence(row, "kl")),
}


@pytest.mark.parametrize("discounted", [True, False], ids=["discounted visits", "plain visits"])
@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("key", ROWS, ids=" ".join)
def test_the_surrogate_of_all_trajectories_has_the_enumerated_gradient(key, gamma, discounted):
    world, theta = problem(5, gamma)
    logits = torch.tensor(theta, requires_grad=True)
    method = FORMS[key[1]](METHODS[key[0]])
    teacher = torch.tensor(np.log(world.teacher))
    (sampled,) = torch.autograd.grad(surrogate(method, all_steps(world, method, logits, teacher, discounted)), logits)
    np.testing.assert_allclose(sampled, direction(world, key, theta, discounted), rtol=0, atol=1e-12)


def test_an_expected_reward_taken_before_the_divergence_is_the_same_row():
    world, theta = problem(5, 0.9)
    logits = torch.tensor(theta, requires_grad=True)
    method = with_divergence(with_expected_reward(METHODS["exp-entropy-regularised"]), "kl")
    steps = all_steps(world, method, logits, torch.tensor(np.log(world.teacher)), True)
    (sampled,) = torch.autograd.grad(surrogate(method, steps), logits)
    np.testing.assert_allclose(sampled, direction(world, ("exp-entropy-regularised", KL_EXPECTED), theta), atol=1e-12)


@pytest.mark.parametrize("name", [name for name, row in METHODS.items() if row.reward])
def test_returns_and_gates_are_held_fixed(name):
    """Through the reward alone, nothing may flow: neither into the student nor into its value."""
    world, theta = problem(5, 0.9)
    logits = torch.tensor(theta, requires_grad=True)
    method = METHODS[name]
    steps = all_steps(world, method, logits, torch.tensor(np.log(world.teacher)), True)
    assert not returns(method, steps).requires_grad
