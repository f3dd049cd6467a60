"""Linear-quadratic control with Gaussian policies, where every expectation of Eq. 1 has a closed form.

x' = A x + B u + w, reward -(x'Qx + u'Ru), u ~ N(K x, diag(exp(2 log_std))); the episode ends after every step with
a fixed probability. Everything that a row speaks of (divergences between Gaussians, log-probabilities, values, rewards)
is then an even quadratic f(x, u) = z'Sz + c. Next and to-go take even quadratics to even quadratics, so they are solved
for S and c. What Eq. 1 sums over visits is the score times such a quadratic: given x, its mean over u is a quadratic
of x, so that the visits matter through their second moments alone, and quadrature points with these moments, three a
dimension, give the expectation exactly. At these points the text of Eq. 1 is read as it stands. A gate is no
quadratic: ``v-gated`` has no such form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor

from understudy.errors import ConfigurationError
from understudy.math.distributions import Gaussian
from understudy.math.heads import Heads
from understudy.methods.method import Method, Need
from understudy.methods.surrogate import surrogate

TEACHER_DEVIATION = -1.0
THREE_POINTS, THREE_WEIGHTS = (-(3.0**0.5), 0.0, 3.0**0.5), (1 / 6, 2 / 3, 1 / 6)


@dataclass(frozen=True)
class LinearQuadratic:
    """``N`` problems side by side, float64.

    ``drift [N, n, n]`` is A, ``push [N, n, m]`` B, ``noise [N, n, n]`` the covariance of w, ``state_cost [N, n, n]`` Q,
    ``action_cost [N, m, m]`` R, ``start [N, n, n]`` the covariance of x_1, whose mean is 0. ``end``: chance that an
    episode ends after a step.
    """

    drift: Tensor
    push: Tensor
    noise: Tensor
    state_cost: Tensor
    action_cost: Tensor
    start: Tensor
    end: float = 0.1
    gamma: float = 1.0

    @property
    def kept(self) -> float:
        """gamma times the chance that the episode goes on."""
        return self.gamma * (1 - self.end)

    def repeated(self, times: int) -> LinearQuadratic:
        """The problems ``times`` over."""
        a, b, w, q, r, first = (
            x.repeat(times, 1, 1)
            for x in (self.drift, self.push, self.noise, self.state_cost, self.action_cost, self.start)
        )
        return LinearQuadratic(a, b, w, q, r, first, self.end, self.gamma)


@dataclass(frozen=True)
class Linear:
    """Gaussian policies with linear means: ``gain [N, m, n]``, ``log_std [N, m]``."""

    gain: Tensor
    log_std: Tensor

    @property
    def flat(self) -> Tensor:
        """``[N, m * n + m]``: the gains, then the log-deviations."""
        return torch.cat([self.gain.flatten(1), self.log_std], 1)

    @property
    def variance(self) -> Tensor:
        """``[N, m, m]``, diagonal."""
        return torch.diag_embed(torch.exp(2 * self.log_std))

    def at(self, state: Tensor) -> Gaussian:
        """The distributions of the action at ``state [N, K, n]``."""
        return Gaussian(state @ self.gain.mT, self.log_std[:, None, :])


def unflat(theta: Tensor, actions: int) -> Linear:
    """The policy of ``theta [N, m * n + m]``, for m actions."""
    return Linear(theta[:, :-actions].reshape(len(theta), actions, -1), theta[:, -actions:])


def lyapunov(source: Tensor, matrix: Tensor, factor: float) -> Tensor:
    """P = source + factor * matrix' P matrix, ``[N, n, n]``."""
    n = source.shape[-1]
    product = torch.einsum("nij,nkl->njlik", matrix, matrix).reshape(-1, n * n, n * n)
    solved = torch.linalg.solve(torch.eye(n * n).to(source) - factor * product, source.reshape(-1, n * n))
    return solved.reshape(source.shape)


def closed_loop(problem: LinearQuadratic, policy: Linear) -> Tensor:
    """A + B K, ``[N, n, n]``."""
    return problem.drift + problem.push @ policy.gain


def is_finite(problem: LinearQuadratic, policy: Linear, margin: float = 0.98) -> Tensor:
    """``[N]``: whether the undiscounted visits (and so every return) are finite, with some room."""
    radius = torch.linalg.eigvals(closed_loop(problem, policy)).abs().amax(-1)
    return (1 - problem.end) * radius**2 < margin


def visits(problem: LinearQuadratic, policy: Linear, kept: float) -> Tensor:
    """sum_t kept^(t-1) E x_t x_t', ``[N, n, n]``; the visits themselves sum to 1 / (1 - kept)."""
    spread = problem.push @ policy.variance @ problem.push.mT + problem.noise
    return lyapunov(problem.start + kept / (1 - kept) * spread, closed_loop(problem, policy).mT, kept)


def value(problem: LinearQuadratic, policy: Linear) -> tuple[Tensor, Tensor]:
    """V(x) = x'Px + p of the task reward: P ``[N, n, n]``, p ``[N]``."""
    kept = problem.kept
    cost = problem.state_cost + policy.gain.mT @ problem.action_cost @ policy.gain
    matrix = lyapunov(-cost, closed_loop(problem, policy), kept)
    spread = problem.push @ policy.variance @ problem.push.mT + problem.noise
    constant = kept * trace(matrix @ spread) - trace(problem.action_cost @ policy.variance)
    return matrix, constant / (1 - kept)


def returns(problem: LinearQuadratic, policy: Linear) -> Tensor:
    """``[N]``: the expected return from the start."""
    matrix, constant = value(problem, policy)
    return trace(matrix @ problem.start) + constant


def trace(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)


def riccati(problem: LinearQuadratic, sweeps: int = 500) -> Tensor:
    """The optimal gain ``[N, m, n]``: value iteration on P; the same for every deviation of the action."""
    a, b, kept = problem.drift, problem.push, problem.kept
    cost = problem.state_cost
    for _ in range(sweeps):
        gain = -torch.linalg.solve(problem.action_cost + kept * b.mT @ cost @ b, kept * b.mT @ cost @ a)
        cost = problem.state_cost + kept * a.mT @ cost @ (a + b @ gain)
    return gain


def improved(problem: LinearQuadratic, policy: Linear) -> Tensor:
    """The gain ``[N, m, n]`` of the best action if ``policy`` acts afterwards: one step of policy improvement."""
    matrix, _ = value(problem, policy)
    push = problem.kept * problem.push.mT @ matrix
    return torch.linalg.solve(problem.action_cost - push @ problem.push, push @ problem.drift)


def divergence(problem: LinearQuadratic, teacher: Linear, student: Linear) -> Tensor:
    """``[N]``: KL(teacher‖student) per step, under the teacher's visitation."""
    moments = visits(problem, teacher, problem.kept) * (1 - problem.kept)
    apart = teacher.gain - student.gain
    off = (apart @ moments @ apart.mT).diagonal(dim1=-2, dim2=-1)
    wider = student.log_std - teacher.log_std
    each = wider + (torch.exp(2 * teacher.log_std) + off) * 0.5 * torch.exp(-2 * student.log_std) - 0.5
    return each.sum(-1)


@dataclass(frozen=True)
class Rule:
    """Points and weights of a standard normal in d dimensions, exact to degree 5 in each; ``fit``: values to (S, c)."""

    points: Tensor
    weights: Tensor
    fit: Tensor

    def quadratic(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """S ``[N, d, d]`` and c ``[N]`` of the even quadratic with these ``values [N, K]`` at the points."""
        d = self.points.shape[1]
        coefficients = values @ self.fit.T
        return coefficients[:, :-1].reshape(-1, d, d), coefficients[:, -1]

    def values(self, matrix: Tensor, constant: Tensor) -> Tensor:
        """``[N, K]``: the other way round."""
        return torch.einsum("ki,nij,kj->nk", self.points, matrix, self.points) + constant[:, None]


@cache
def rule(dimensions: int) -> Rule:
    """The product of three-point Gauss-Hermite rules."""
    grids = torch.meshgrid(*[torch.tensor(THREE_POINTS, dtype=torch.float64)] * dimensions, indexing="ij")
    shares = torch.meshgrid(*[torch.tensor(THREE_WEIGHTS, dtype=torch.float64)] * dimensions, indexing="ij")
    points = torch.stack(grids, -1).reshape(-1, dimensions)
    weights = torch.stack(shares, -1).reshape(-1, dimensions).prod(-1)
    products = (points[:, :, None] * points[:, None, :]).flatten(1)  # the least-norm fit has a symmetric S
    return Rule(points, weights, torch.linalg.pinv(torch.cat([products, torch.ones(len(points), 1)], 1)))


@dataclass(frozen=True)
class MomentSteps:
    """The protocol ``Steps`` at quadrature points ``[N, K]`` of what ``control`` visits."""

    problem: LinearQuadratic
    control: Linear
    student: Heads
    frozen: Heads
    teacher: Heads
    state: Tensor
    action: Tensor
    root: Tensor
    mass: float
    beyond: None = None

    @property
    def held(self) -> MomentSteps:
        return replace(self, student=self.frozen)

    @property
    def rule(self) -> Rule:
        return rule(self.state.shape[-1] + self.action.shape[-1])

    @property
    def reward(self) -> Tensor:
        x, u = self.state, self.action
        state = torch.einsum("nki,nij,nkj->nk", x, self.problem.state_cost, x)
        return -state - torch.einsum("nki,nij,nkj->nk", u, self.problem.action_cost, u)

    def expect(self, x: Tensor) -> Tensor:
        """Summed over the problems, which share no parameter: each one's gradient is its own."""
        return self.mass * (x @ self.rule.weights).sum()

    @cached_property
    def moved(self) -> tuple[Tensor, Tensor]:
        """The next state in units of the visits' root: its mean as a matrix of the point, and its covariance."""
        problem, control = self.problem, self.control
        mean = torch.cat(
            [closed_loop(problem, control) @ self.root, problem.push * torch.exp(control.log_std)[:, None]], -1
        )
        matrix = torch.linalg.solve_triangular(self.root, mean, upper=False)
        inverse = torch.linalg.solve_triangular(self.root, torch.eye(self.root.shape[-1]).to(self.root), upper=False)
        return matrix, inverse @ problem.noise @ inverse.mT

    def next(self, x: Tensor, beyond: Tensor | None) -> Tensor:
        matrix, constant = self.rule.quadratic(x)
        return self.rule.values(*self._next(matrix, constant, self.problem.kept))

    def _next(self, matrix: Tensor, constant: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        move, noise = self.moved
        n = noise.shape[-1]
        over_state, over_action = matrix[:, :n, :n], matrix[:, n:, n:]
        left = constant + trace(over_state @ noise) + trace(over_action)
        return factor * move.mT @ over_state @ move, factor * left

    def to_go(self, x: Tensor, credit: float) -> Tensor:
        factor = self.problem.kept * credit
        matrix, constant = self.rule.quadratic(x)
        move, noise = self.moved
        n = noise.shape[-1]
        ahead = lyapunov(matrix[:, :n, :n], move[:, :, :n], factor)
        total = matrix + factor * move.mT @ ahead @ move
        left = constant + factor * (trace(ahead @ noise) + trace(total[:, n:, n:]))
        return self.rule.values(total, left / (1 - factor))


def value_at(problem: LinearQuadratic, policy: Linear, state: Tensor) -> Tensor:
    matrix, constant = value(problem, policy)
    return torch.einsum("nki,nij,nkj->nk", state, matrix, state) + constant[:, None]


def steps(
    method: Method, problem: LinearQuadratic, teacher: Linear, live: Linear, frozen: Linear, discounted: bool
) -> MomentSteps:
    """Visits, actions and values are those of ``frozen``; log-probabilities and losses read ``live``."""
    own, student, _ = method.control.at(0.0)
    if max(own, student) < 1:
        raise ConfigurationError(f"{method.name}: control must be the student or the teacher, not {method.control}")
    control = teacher if own == 1 else frozen
    kept = problem.kept if discounted else 1 - problem.end
    root = torch.linalg.cholesky(visits(problem, control, kept) * (1 - kept))
    n = problem.drift.shape[-1]
    points = rule(n + problem.push.shape[-1]).points
    state = points[:, :n] @ root.mT
    action = state @ control.gain.mT + points[:, n:] * torch.exp(control.log_std)[:, None]
    own_value = value_at(problem, frozen, state) if Need.STUDENT_VALUE in method.needs else None
    teacher_value = value_at(problem, teacher, state) if Need.TEACHER_VALUE in method.needs else None
    sides = (
        Heads(live.at(state), own_value),
        Heads(frozen.at(state), own_value),
        Heads(teacher.at(state), teacher_value),
    )
    return MomentSteps(problem, control, *sides, state, action, root, 1 / (1 - kept))


Field = Callable[[Tensor], Tensor]


def field(method: Method, problem: LinearQuadratic, teacher: Linear, discounted: bool = True) -> Field:
    """The map from theta ``[N, m * n + m]`` to g(theta) of Eq. 1 in expectation: per episode, exact.

    ``discounted``: weigh the visits of step t by gamma^(t-1), as Eq. 1 is printed.
    """
    actions = problem.push.shape[-1]
    rule(problem.drift.shape[-1] + actions)  # a tensor that is first made inside a transform would belong to it

    def scalar(live: Tensor, frozen: Tensor) -> Tensor:
        sides = unflat(live, actions), unflat(frozen, actions)
        return surrogate(method, steps(method, problem, teacher, *sides, discounted))

    derivative = torch.func.grad(scalar)
    return lambda theta: derivative(theta, theta)


def jacobian(function: Field, theta: Tensor) -> Tensor:
    """``[N, P, P]``: live and frozen parameters move together; one forward derivative a parameter."""
    columns = []
    for j in range(theta.shape[1]):
        nudge = torch.zeros_like(theta)
        nudge[:, j] = 1.0
        columns.append(torch.func.jvp(function, (theta,), (nudge,))[1])
    return torch.stack(columns, -1)


def asymmetry(matrix: Tensor) -> Tensor:
    """max|J - J^T| / max|J| of each ``[N, P, P]``."""
    return (matrix - matrix.mT).abs().amax((1, 2)) / matrix.abs().amax((1, 2))


def random_problems(count: int, seed: int, states: int = 2, actions: int = 1) -> LinearQuadratic:
    """Drift with spectral radius 0.6 to 1, everything else random and well conditioned."""
    generator = np.random.default_rng([seed, states, actions])
    drift = generator.standard_normal((count, states, states))
    radius = np.abs(np.linalg.eigvals(drift)).max(-1)
    drift *= (generator.uniform(0.6, 1.0, count) / radius)[:, None, None]
    push = generator.standard_normal((count, states, actions))

    def positive(size: int, least: float) -> np.ndarray:
        root = generator.standard_normal((count, size, size)) / size**0.5
        return root @ root.transpose(0, 2, 1) + least * np.eye(size)

    noise, start = 0.1 * positive(states, 0.3), positive(states, 0.3)
    arrays = drift, push, noise, positive(states, 0.2), 0.3 * positive(actions, 0.5), start
    a, b, w, q, r, first = (torch.as_tensor(x) for x in arrays)
    return LinearQuadratic(a, b, w, q, r, first)


def teachers(problem: LinearQuadratic, generator: torch.Generator) -> dict[str, Linear]:
    """Optimal: Riccati's gain. Weak: a third of it, and an error. Harmful: its opposite, where returns are finite."""
    best = riccati(problem)
    error = 0.1 * torch.randn(best.shape, generator=generator, dtype=best.dtype)
    deviation = torch.full(best.shape[:2], TEACHER_DEVIATION, dtype=best.dtype)
    gains = {"optimal": best, "weak": best / 3 + error, "harmful": -best}
    return {name: Linear(_tamed(problem, gain, deviation), deviation) for name, gain in gains.items()}


def _tamed(problem: LinearQuadratic, gain: Tensor, deviation: Tensor) -> Tensor:
    """The gain, or the nearest fraction 3/4, 9/16, ... of it with which returns are finite, with some room."""
    for _ in range(60):
        wild = ~is_finite(problem, Linear(gain, deviation), margin=0.9)
        if not wild.any():
            break
        gain = torch.where(wild[:, None, None], 0.75 * gain, gain)
    return gain


def random_students(problem: LinearQuadratic, generator: torch.Generator) -> Tensor:
    """``[N, P]``: half way to the optimal gain, with an error as large, and any deviation."""
    best = riccati(problem)
    error = torch.randn(best.shape, generator=generator, dtype=best.dtype) * best.abs().mean((1, 2), keepdim=True)
    deviation = 0.5 * torch.randn(best.shape[:2], generator=generator, dtype=best.dtype) - 0.5
    return Linear(_tamed(problem, 0.5 * (best + error), deviation), deviation).flat
