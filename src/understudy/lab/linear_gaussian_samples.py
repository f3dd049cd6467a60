"""Linear-quadratic control by sampled episodes, through the deep engine's steps: a check of the closed form."""

from __future__ import annotations

import numpy as np
import torch

from understudy.engines.steps import Answers, WindowSteps
from understudy.lab.linear_gaussian import Linear, LinearQuadratic, unflat, value_at
from understudy.math.distributions import Gaussian
from understudy.math.heads import Heads
from understudy.methods.method import Method
from understudy.methods.surrogate import surrogate


def sampled_update(
    method: Method, problem: LinearQuadratic, teacher: Linear, theta: torch.Tensor, episodes: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error ``[P]`` of Eq. 1 on sampled episodes of the one problem, through the deep engine's steps.

    Visits are not discounted, as in that engine.
    """
    batches, generator = 20, np.random.default_rng(seed)
    actions = problem.push.shape[-1]
    frozen = unflat(theta, actions)
    found = []
    for _ in range(batches):
        live = theta.detach().clone().requires_grad_()
        control = teacher if method.control.teacher == 1 else frozen
        drawn = _episodes(problem, control, episodes // batches, generator)
        window = _window(problem, teacher, unflat(live, actions), frozen, *drawn)
        (gradient,) = torch.autograd.grad(surrogate(method, window), live)
        found.append(gradient[0].numpy())
    return np.mean(found, 0), np.std(found, 0, ddof=1) / batches**0.5


def _episodes(
    problem: LinearQuadratic, control: Linear, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States ``[L, count, n]``, actions ``[L, count, m]``, and how many steps each episode has."""
    length = generator.geometric(problem.end, count)
    a, b, gain = (x[0].numpy() for x in (problem.drift, problem.push, control.gain))
    deviation = torch.exp(control.log_std[0]).numpy()
    first, shock = (torch.linalg.cholesky(x[0]).numpy() for x in (problem.start, problem.noise))
    x = generator.standard_normal((count, len(a))) @ first.T
    states, actions = [], []
    for _ in range(length.max()):
        u = x @ gain.T + deviation * generator.standard_normal((count, len(gain)))
        states.append(x)
        actions.append(u)
        x = x @ a.T + u @ b.T + generator.standard_normal(x.shape) @ shock.T
    return np.array(states), np.array(actions), length


def _window(
    problem: LinearQuadratic,
    teacher: Linear,
    live: Linear,
    frozen: Linear,
    states: np.ndarray,
    actions: np.ndarray,
    length: np.ndarray,
) -> WindowSteps:
    """Sampled episodes as the deep engine holds them."""
    time = np.arange(len(states))[:, None]
    x, u = torch.as_tensor(states), torch.as_tensor(actions)
    reward = -torch.einsum("tki,ij,tkj->tk", x, problem.state_cost[0], x)
    reward = reward - torch.einsum("tki,ij,tkj->tk", u, problem.action_cost[0], u)
    flat = x.reshape(1, -1, x.shape[-1])

    def answer(policy: Linear, of_value: Linear) -> Heads:
        mean = (x @ policy.gain[0].T).reshape(u.shape)
        return Heads(Gaussian(mean, policy.log_std[0]), value_at(problem, of_value, flat).reshape(reward.shape))

    answers = Answers(answer(live, frozen), answer(teacher, teacher))
    valid = torch.as_tensor(time < length, dtype=x.dtype)
    none = torch.zeros((0, 2), dtype=torch.long)
    stop = time == length - 1
    return WindowSteps(answers.student, answers.teacher, u, reward, valid, stop, problem.gamma, None, none, len(length))
