"""One row on one finite MDP: what is checked once, and the steps that Eq. 1 is read on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from understudy.engines.exact.steps import Chains, EveryAction, ExactSteps, SolvedChain, moves_of
from understudy.engines.exact.students import Numbers, Parametrisation, Table
from understudy.errors import ConfigurationError, MethodError
from understudy.math.heads import Heads
from understudy.mdp.model import MDP
from understudy.methods.method import Method, Need


@dataclass(frozen=True, eq=False)
class Costs:
    """A teacher that is only a loss, ``table [S, A]``: -log π(a|s) is the cost of a in s, and π sums to nothing.

    H(πθ‖π)(s) = E_{a~πθ} cost(s, a) is then a loss that no teacher has, and ``reverse-cross-entropy`` its atom: rows
    that read a teacher in no other way than through log π take it.
    """

    table: Numbers


Teacher = Numbers | Costs


class Options(TypedDict, total=False):
    """What the functions of this engine share.

    ``gamma``: in (0, 1]. ``discounted_visits``: weigh step t by gamma^(t-1), as Eq. 1 is printed; False: as deep
    engines do. ``teacher_values [S]``: given, not computed from the teacher's policy. ``student``: what makes logits of
    the parameters; by default a table over what the student observes. ``progress``: where schedules are read.
    """

    gamma: float
    discounted_visits: bool
    teacher_values: Numbers | None
    student: Parametrisation | None
    progress: float


@dataclass(frozen=True, eq=False)
class Problem:
    """``weights``: of teacher, student and uniform in the control policy. ``teacher_value [S, 1]``: where read."""

    method: Method
    mdp: MDP
    teacher: EveryAction
    teacher_value: Tensor | None
    student: Parametrisation
    weights: tuple[float, float, float]
    gamma: float
    discounted_visits: bool

    def steps(self, live: Tensor, frozen: Tensor, chains: Chains = SolvedChain) -> ExactSteps:
        """Losses and log-probabilities from ``live``; control, visits, returns and values from ``frozen``."""
        moves = moves_of(self.mdp)
        held = _policy(self.student(frozen))
        policy = held.probs[:, 0]
        control = self._control(policy)
        chain = cache(lambda discount: chains(self.mdp, control, discount))
        value = None
        if Need.STUDENT_VALUE in self.method.needs:
            own = chain(self.gamma) if control is policy else chains(self.mdp, policy, self.gamma)
            value = own.values(moves.alive * (policy * moves.rewards).sum(-1))[:, None]
        return ExactSteps(
            self.mdp,
            Heads(_policy(self.student(live)), value),
            Heads(held, value),
            Heads(self.teacher, self.teacher_value),
            control,
            moves.alive * chain(self.gamma if self.discounted_visits else 1.0).visits(),
            chain,
            self.gamma,
        )

    def parameters(self, numbers: Numbers) -> Tensor:
        """A student's parameters in float64, finite, of a shape that gives logits ``[S, A]``."""
        parameters = _numbers(numbers)
        if not parameters.isfinite().all():
            raise ConfigurationError("a student's parameters must be finite; an infinite logit has no gradient")
        _check_shape("a student's logits", self.student(parameters), (self.mdp.states, self.mdp.actions))
        return parameters

    def _control(self, student: Tensor) -> Tensor:
        by_teacher, by_student, by_chance = self.weights
        if by_student == 1:
            return student
        acts = by_student * student + by_chance / self.mdp.actions
        return acts + by_teacher * self.teacher.probs[:, 0] if by_teacher else acts


def problem(
    method: Method,
    mdp: MDP,
    teacher: Teacher,
    *,
    gamma: float = 1.0,
    discounted_visits: bool = True,
    teacher_values: Numbers | None = None,
    student: Parametrisation | None = None,
    progress: float = 0.0,
) -> Problem:
    """Check what the row needs, and find the teacher's values where it reads them; keywords: :class:`Options`."""
    if not 0 < gamma <= 1:
        raise ConfigurationError(f"gamma must lie in (0, 1], got {gamma}")
    policy = _costs(method, mdp, teacher) if isinstance(teacher, Costs) else _teacher(method, mdp, teacher)
    value = None
    if Need.TEACHER_VALUE in method.needs:
        value = policy_values(mdp, policy, gamma) if teacher_values is None else _numbers(teacher_values)
        _check_shape("teacher_values", value, (mdp.states,))
        value = value[:, None]
    table = Table(mdp.observed, (mdp.observations, mdp.actions))
    weights = method.control.at(progress)
    return Problem(method.at(progress), mdp, policy, value, student or table, weights, gamma, discounted_visits)


def policy_values(mdp: MDP, policy: EveryAction, gamma: float) -> Tensor:
    """``[S]``: the expected (discounted) task reward from each state on."""
    moves, probs = moves_of(mdp), policy.probs[:, 0]
    return SolvedChain(mdp, probs, gamma).values(moves.alive * (probs * moves.rewards).sum(-1))


def probabilities(mdp: MDP, policy: Numbers, whose: str = "teacher") -> Tensor:
    """``[S, A]``, checked; rows of terminal states, where nobody acts, become uniform."""
    table = _numbers(policy)
    _check_shape(whose, table, (mdp.states, mdp.actions))
    acts = ~torch.tensor(mdp.terminal)
    wrong = acts & ((table.sum(-1) - 1).abs() > 1e-6) | acts & (~(table >= 0)).any(-1)
    if wrong.any():
        s = int(wrong.nonzero()[0, 0])
        raise ConfigurationError(
            f"{whose} must hold probabilities that sum to 1 in each state, got {table[s].tolist()[:8]} in state {s}"
        )
    return torch.where(acts[:, None], table, 1 / mdp.actions)


def _teacher(method: Method, mdp: MDP, teacher: Numbers) -> EveryAction:
    table = probabilities(mdp, teacher)
    missing = (table == 0).nonzero()
    if len(missing) and Need.FULL_SUPPORT in method.needs:
        s, a = missing[0].tolist()
        raise MethodError(
            f"{method.name} needs {Need.FULL_SUPPORT.value}, but the teacher never takes action {a} in state {s}. "
            "Give it a least probability, or use a row without log π, such as on-policy-distill."
        )
    return _policy(table.log())


def _costs(method: Method, mdp: MDP, costs: Costs) -> EveryAction:
    table = _numbers(costs.table)
    _check_shape("costs", table, (mdp.states, mdp.actions))
    samples = [part.atom for part in method.parts if part.atom.startswith(("forward", "gated", "teacher-value"))]
    if samples or method.control.teacher != 0:
        what = samples[0] if samples else f"control {method.control}"
        raise MethodError(
            f"{method.name} reads {what}, which costs cannot give; they stand for -log π alone. "
            "Use a row whose atoms are reverse-cross-entropy or teacher-log-prob, and student control."
        )
    return EveryAction(-table[:, None], normalised=False)


def _policy(logits: Tensor) -> EveryAction:
    return EveryAction(logits[:, None])


def _numbers(numbers: Numbers) -> Tensor:
    if isinstance(numbers, Tensor):
        return numbers.detach().to(torch.float64)
    return torch.tensor(np.asarray(numbers, dtype=np.float64))


def _check_shape(name: str, tensor: Tensor, wanted: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != wanted:
        raise ConfigurationError(f"{name} must have the shape {list(wanted)}, got {list(tensor.shape)}")
