"""Eq. 1 by enumeration: every trajectory of a small acyclic MDP, in plain NumPy.

Independent on purpose: no method, atom or operator of the library is read here. Each row of the table is spelled
out a second time, by hand, for a student that is a softmax table ``theta [S, A]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from understudy.mdp.families import acyclic
from understudy.mdp.model import MDP

Array = np.ndarray
CROSS_ENTROPY, KL, EXPECTED, KL_EXPECTED = "cross-entropy", "kl", "expected", "kl expected"


@dataclass(frozen=True)
class Trajectories:
    """All of them, padded: ``state``, ``action``, ``alive [K, T]``; ``chance [K]`` is the environment's share."""

    state: Array
    action: Array
    alive: Array
    chance: Array


def all_trajectories(mdp: MDP) -> Trajectories:
    """Depth first. Every way to begin, act, move and end; the policies' share of the probability is left out."""
    found: list[tuple[list[int], list[int], float]] = []

    def extend(states: list[int], actions: list[int], chance: float) -> None:
        here = states[-1]
        for action in range(mdp.actions):
            stops = 1.0
            for there in range(mdp.states):
                move = mdp.transitions[here, action, there]
                if move > 0:
                    extend([*states, there], [*actions, action], chance * move)
                    stops -= move
            if stops > 1e-12:
                found.append((states, [*actions, action], chance * stops))

    for first in range(mdp.states):
        if mdp.start[first] > 0:
            extend([first], [], mdp.start[first])
    longest = max(len(states) for states, _, _ in found)
    pad = [
        (states + [0] * (longest - len(states)), actions + [0] * (longest - len(states)))
        for states, actions, _ in found
    ]
    alive = np.array([[t < len(states) for t in range(longest)] for states, _, _ in found])
    return Trajectories(
        np.array([s for s, _ in pad]), np.array([a for _, a in pad]), alive, np.array([c for *_, c in found])
    )


def softmax(theta: Array) -> Array:
    weight = np.exp(theta - theta.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def state_values(mdp: MDP, policy: Array, gamma: float) -> Array:
    """``[S]`` by backward recursion: exact, because every episode ends within S steps."""
    value = np.zeros(mdp.states)
    for _ in range(mdp.states):
        value = (policy * (mdp.rewards + gamma * mdp.transitions @ value)).sum(-1)
    return value


@dataclass(frozen=True)
class World:
    """An MDP, a teacher (its probabilities ``[S, A]``) and one discount factor."""

    mdp: MDP
    teacher: Array
    gamma: float = 1.0

    @cached_property
    def trajectories(self) -> Trajectories:
        return all_trajectories(self.mdp)

    @cached_property
    def teacher_value(self) -> Array:
        return state_values(self.mdp, self.teacher, self.gamma)

    def at(self, theta: Array) -> Tables:
        return Tables(self, theta)


@dataclass(frozen=True)
class Tables:
    """Everything that a row may speak of, as tables ``[S]`` or ``[S, A]``; ``d_*``: derivatives in theta[s, :]."""

    world: World
    theta: Array

    @cached_property
    def student(self) -> Array:
        return softmax(self.theta)

    @cached_property
    def log_student(self) -> Array:
        return np.log(self.student)

    @property
    def teacher(self) -> Array:
        return self.world.teacher

    @cached_property
    def log_teacher(self) -> Array:
        return np.log(self.teacher)

    @property
    def r(self) -> Array:
        return self.world.mdp.rewards

    @property
    def v_t(self) -> Array:
        return self.world.teacher_value[:, None]

    @cached_property
    def v_s(self) -> Array:
        return state_values(self.world.mdp, self.student, self.world.gamma)[:, None]

    @cached_property
    def forward(self) -> Array:
        """H(teacher‖student)."""
        return -(self.teacher * self.log_student).sum(-1, keepdims=True)

    @cached_property
    def reverse(self) -> Array:
        """H(student‖teacher)."""
        return -(self.student * self.log_teacher).sum(-1, keepdims=True)

    @cached_property
    def forward_kl(self) -> Array:
        return (self.teacher * (self.log_teacher - self.log_student)).sum(-1, keepdims=True)

    @cached_property
    def reverse_kl(self) -> Array:
        return (self.student * (self.log_student - self.log_teacher)).sum(-1, keepdims=True)

    @cached_property
    def d_forward(self) -> Array:
        """Also of KL(teacher‖student): they differ by the teacher's entropy."""
        return self.student - self.teacher

    @cached_property
    def d_reverse(self) -> Array:
        return -self.student * (self.log_teacher + self.reverse)

    @cached_property
    def d_reverse_kl(self) -> Array:
        return self.student * (self.log_student - self.log_teacher - self.reverse_kl)

    @cached_property
    def gate(self) -> Array:
        return (self.v_t > self.v_s).astype(float)


@dataclass(frozen=True)
class Row:
    """Eq. 1's blanks as tables: who acts, the loss's derivative, the reward of (s_i, a_i) and of (s_{i+1}, a_{i+1})."""

    control: Array
    d_loss: Array | float = 0.0
    now: Array | float = 0.0
    later: Array | float = 0.0
    credit: float = 1.0


# METHODS.md section 2, one line a row, in the divergence or form that the second key names.
ROWS: dict[tuple[str, str], Callable[[Tables], Row]] = {
    ("teacher-distill", CROSS_ENTROPY): lambda w: Row(w.teacher, w.d_forward),
    ("on-policy-distill", CROSS_ENTROPY): lambda w: Row(w.student, w.d_forward),
    ("on-policy-distill+r", CROSS_ENTROPY): lambda w: Row(w.student, w.d_forward, w.r),
    ("entropy-regularised", CROSS_ENTROPY): lambda w: Row(w.student, 0.0, w.log_teacher),
    ("entropy-regularised+r", CROSS_ENTROPY): lambda w: Row(w.student, 0.0, w.log_teacher + w.r),
    ("kl-regularised", CROSS_ENTROPY): lambda w: Row(w.student, 0.0, w.log_teacher - w.log_student),
    ("kl-regularised+r", CROSS_ENTROPY): lambda w: Row(w.student, 0.0, w.log_teacher - w.log_student + w.r),
    ("n-distill", CROSS_ENTROPY): lambda w: Row(w.student, w.d_forward, 0.0, -w.forward),
    ("n-distill+r", CROSS_ENTROPY): lambda w: Row(w.student, w.d_forward, w.r, -w.forward),
    ("exp-entropy-regularised", CROSS_ENTROPY): lambda w: Row(w.student, w.d_reverse, 0.0, w.log_teacher),
    ("exp-entropy-regularised+r", CROSS_ENTROPY): lambda w: Row(w.student, w.d_reverse, w.r, w.log_teacher),
    ("teacher-v-reward", CROSS_ENTROPY): lambda w: Row(w.student, 0.0, w.r - w.v_t, w.v_t),
    ("teacher-v-reward-printed", CROSS_ENTROPY): lambda w: Row(w.student, 0.0, w.r - w.v_s, w.v_t),
    ("v-gated", CROSS_ENTROPY): lambda w: Row(w.student, w.d_forward * w.gate, w.r),
    ("teacher-critic", CROSS_ENTROPY): lambda w: Row(w.student, 0.0, w.r, w.v_t, credit=0.0),
    ("student-critic", CROSS_ENTROPY): lambda w: Row(w.student, 0.0, w.r, w.v_s, credit=0.0),
    ("task-reward", CROSS_ENTROPY): lambda w: Row(w.student, 0.0, w.r),
    ("teacher-distill", KL): lambda w: Row(w.teacher, w.d_forward),
    ("on-policy-distill", KL): lambda w: Row(w.student, w.d_forward),
    ("on-policy-distill+r", KL): lambda w: Row(w.student, w.d_forward, w.r),
    ("entropy-regularised", KL): lambda w: Row(w.student, 0.0, w.log_teacher - w.log_student),
    ("entropy-regularised+r", KL): lambda w: Row(w.student, 0.0, w.log_teacher - w.log_student + w.r),
    ("n-distill", KL): lambda w: Row(w.student, w.d_forward, 0.0, -w.forward_kl),
    ("n-distill+r", KL): lambda w: Row(w.student, w.d_forward, w.r, -w.forward_kl),
    ("exp-entropy-regularised", KL): lambda w: Row(w.student, w.d_reverse_kl, 0.0, w.log_teacher - w.log_student),
    ("exp-entropy-regularised+r", KL): lambda w: Row(w.student, w.d_reverse_kl, w.r, w.log_teacher - w.log_student),
    ("exp-entropy-regularised", EXPECTED): lambda w: Row(w.student, w.d_reverse, 0.0, -w.reverse),
    ("exp-entropy-regularised+r", EXPECTED): lambda w: Row(w.student, w.d_reverse, w.r, -w.reverse),
    ("exp-entropy-regularised", KL_EXPECTED): lambda w: Row(w.student, w.d_reverse_kl, 0.0, -w.reverse_kl),
    ("exp-entropy-regularised+r", KL_EXPECTED): lambda w: Row(w.student, w.d_reverse_kl, w.r, -w.reverse_kl),
}

# What each gradient row minimises: who acts, and the cost of (s_t, a_t).
OBJECTIVES: dict[tuple[str, str], Callable[[Tables], tuple[Array, Array]]] = {
    ("teacher-distill", CROSS_ENTROPY): lambda w: (w.teacher, w.forward),
    ("teacher-distill", KL): lambda w: (w.teacher, w.forward_kl),
    ("entropy-regularised", CROSS_ENTROPY): lambda w: (w.student, -w.log_teacher),
    ("entropy-regularised+r", CROSS_ENTROPY): lambda w: (w.student, -w.log_teacher - w.r),
    ("entropy-regularised", KL): lambda w: (w.student, w.reverse_kl),
    ("entropy-regularised+r", KL): lambda w: (w.student, w.reverse_kl - w.r),
    ("kl-regularised", CROSS_ENTROPY): lambda w: (w.student, w.reverse_kl),
    ("kl-regularised+r", CROSS_ENTROPY): lambda w: (w.student, w.reverse_kl - w.r),
    ("n-distill", CROSS_ENTROPY): lambda w: (w.student, w.forward),
    ("n-distill+r", CROSS_ENTROPY): lambda w: (w.student, w.forward - w.r),
    ("n-distill", KL): lambda w: (w.student, w.forward_kl),
    ("n-distill+r", KL): lambda w: (w.student, w.forward_kl - w.r),
    ("exp-entropy-regularised", CROSS_ENTROPY): lambda w: (w.student, -w.log_teacher),
    ("exp-entropy-regularised+r", CROSS_ENTROPY): lambda w: (w.student, -w.log_teacher - w.r),
    ("exp-entropy-regularised", EXPECTED): lambda w: (w.student, -w.log_teacher),
    ("exp-entropy-regularised+r", EXPECTED): lambda w: (w.student, -w.log_teacher - w.r),
    ("exp-entropy-regularised", KL): lambda w: (w.student, w.reverse_kl),
    ("exp-entropy-regularised+r", KL): lambda w: (w.student, w.reverse_kl - w.r),
    ("exp-entropy-regularised", KL_EXPECTED): lambda w: (w.student, w.reverse_kl),
    ("exp-entropy-regularised+r", KL_EXPECTED): lambda w: (w.student, w.reverse_kl - w.r),
    ("teacher-v-reward", CROSS_ENTROPY): lambda w: (w.student, -w.r),
    ("student-critic", CROSS_ENTROPY): lambda w: (w.student, -w.r),
    ("task-reward", CROSS_ENTROPY): lambda w: (w.student, -w.r),
}


def chances(world: World, control: Array) -> Array:
    """``[K]``: probability of each trajectory when ``control`` acts."""
    paths = world.trajectories
    acted = np.where(paths.alive, control[paths.state, paths.action], 1.0)
    return paths.chance * acted.prod(-1)


def pseudo_returns(world: World, row: Row) -> Array:
    """``Rhat_t [K, T]``: each sum over i >= t written out, not accumulated."""
    paths, shape = world.trajectories, world.mdp.rewards.shape
    now, later = (
        np.broadcast_to(table, shape)[paths.state, paths.action] * paths.alive for table in (row.now, row.later)
    )
    following = np.concatenate([later[:, 1:], np.zeros_like(later[:, :1])], axis=1)
    earned = now + world.gamma * following
    steps = np.arange(earned.shape[1])
    ahead = steps - steps[:, None]
    reach = np.where(ahead >= 0, (world.gamma * row.credit) ** np.maximum(ahead, 0.0), 0.0)
    return np.einsum("ti,ki->kt", reach, earned)


def updates(world: World, row: Row, student: Array, discounted: bool = True, limit: int | None = None) -> Array:
    """``[K, S, A]``: what Eq. 1 takes from each trajectory, or from its first ``limit`` steps."""
    paths = world.trajectories
    earned = pseudo_returns(world, row)
    d_loss = np.broadcast_to(row.d_loss, student.shape)
    total = np.zeros((len(paths.chance), *student.shape))
    every = np.arange(len(paths.chance))
    for t in range(paths.state.shape[1])[:limit]:
        s, a = paths.state[:, t], paths.action[:, t]
        d_log_prob = np.eye(student.shape[1])[a] - student[s]
        weight = paths.alive[:, t, None] * (world.gamma**t if discounted else 1.0)
        total[every, s] += weight * (d_loss[s] - d_log_prob * earned[:, t, None])
    return total


def direction(world: World, key: tuple[str, str], theta: Array, discounted: bool = True) -> Array:
    """g(theta) ``[S, A]``; ``discounted``: with the factor gamma^(t-1) of Eq. 1."""
    tables = world.at(theta)
    row = ROWS[key](tables)
    return np.einsum("k,ksa->sa", chances(world, row.control), updates(world, row, tables.student, discounted))


def pseudo_values(world: World, row: Row) -> Array:
    """``[S]``: the expected pseudo-return from each state on, by backward recursion."""
    shape = world.mdp.rewards.shape
    later = (row.control * np.broadcast_to(row.later, shape)).sum(-1)
    earned = np.broadcast_to(row.now, shape) + world.gamma * world.mdp.transitions @ later
    value = np.zeros(shape[0])
    for _ in range(shape[0]):
        value = (row.control * (earned + world.gamma * row.credit * world.mdp.transitions @ value)).sum(-1)
    return value


def objective(world: World, key: tuple[str, str], theta: Array) -> float:
    """What the row minimises: the expected discounted sum of its cost."""
    tables = world.at(theta)
    control, cost = OBJECTIVES[key](tables)
    paths = world.trajectories
    cost = np.broadcast_to(cost, theta.shape)[paths.state, paths.action] * paths.alive
    discount = world.gamma ** np.arange(cost.shape[1])
    return float(chances(world, control) @ (cost @ discount))


def by_differences(function: Callable[[Array], Array | float], theta: Array, step: float = 1e-5) -> Array:
    """Central differences of ``function`` in every entry of theta: its own shape, then theta's."""
    columns = []
    for index in np.ndindex(theta.shape):
        nudge = np.zeros_like(theta)
        nudge[index] = step
        columns.append((np.asarray(function(theta + nudge)) - function(theta - nudge)) / (2 * step))
    return np.stack(columns, axis=-1).reshape(*columns[0].shape, *theta.shape)


def asymmetry(world: World, key: tuple[str, str], theta: Array, discounted: bool = True) -> float:
    """|J - J^T| / |J| of g: 0 for a gradient field."""
    jacobian = by_differences(lambda x: direction(world, key, x, discounted), theta)
    jacobian = jacobian.reshape(theta.size, theta.size)
    return float(np.linalg.norm(jacobian - jacobian.T) / np.linalg.norm(jacobian))


def problem(seed: int, gamma: float = 1.0, states: int = 6, actions: int = 3) -> tuple[World, Array]:
    """A random world and a random student."""
    generator = np.random.default_rng(seed)
    mdp = acyclic(states, actions, generator)
    teacher = softmax(1.5 * generator.standard_normal((states, actions)))
    return World(mdp, teacher, gamma), 0.7 * generator.standard_normal((states, actions))
