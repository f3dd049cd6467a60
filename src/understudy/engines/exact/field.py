"""The expected update as a vector field over a student's parameters: itself, its Jacobian, what it descends."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

import torch
from torch import Tensor

from understudy.engines.exact.problem import Options, Problem, Teacher, problem
from understudy.engines.exact.steps import Chains, DifferentiableChain
from understudy.engines.exact.students import Numbers
from understudy.errors import MethodError
from understudy.mdp.model import MDP
from understudy.methods.atoms import read
from understudy.methods.method import VALUES, Method, Term, negated
from understudy.methods.surrogate import surrogate


def update(method: Method, mdp: MDP, teacher: Teacher, logits: Numbers, **options: Unpack[Options]) -> Tensor:
    """g(theta) of Eq. 1 in expectation, per episode, in the shape of ``logits``: descent subtracts it.

    ``logits``: the student's parameters, ``[S, A]`` (``[O, A]`` where it observes less) or what ``student`` takes.
    """
    found = problem(method, mdp, teacher, **options)
    return descent(found, found.parameters(logits))


def descent(found: Problem, parameters: Tensor) -> Tensor:
    """The derivative in the live parameters where both are ``parameters``; the frozen ones need no derivative."""
    live = parameters.clone().requires_grad_()
    scalar = surrogate(found.method, found.steps(live, parameters))
    (gradient,) = torch.autograd.grad(scalar, live, materialize_grads=True)
    return gradient


def jacobian(
    method: Method, mdp: MDP, teacher: Teacher, logits: Numbers, *, chunk: int | None = 256, **options: Unpack[Options]
) -> Tensor:
    """``[*P, *P]``: the derivative of :func:`update`, first its components, then the parameters.

    Both the live and the frozen parameters move here: visits, returns and values change with the student, although
    the update holds them fixed. ``chunk``: rows computed at a time, for memory; None: all.
    """
    found = problem(method, mdp, teacher, **options)
    parameters = found.parameters(logits)
    found.steps(parameters, parameters)  # a chain without an end is told here, by its own name

    def field(theta: Tensor) -> Tensor:
        return torch.func.grad(lambda live: _scalar(found, live, theta, DifferentiableChain))(theta)

    rows: Tensor = torch.func.jacrev(field, chunk_size=chunk)(parameters)
    return rows


def _scalar(found: Problem, live: Tensor, frozen: Tensor, chains: Chains) -> Tensor:
    return surrogate(found.method, found.steps(live, frozen, chains))


def asymmetry(method: Method, mdp: MDP, teacher: Teacher, logits: Numbers, **options: Unpack[Options]) -> float:
    """max|J - J^T| / max|J|: 0, up to rounding, exactly where the update is a gradient field."""
    square = jacobian(method, mdp, teacher, logits, **options)
    square = square.flatten(square.ndim // 2).flatten(0, -2)
    largest = float(square.abs().max())
    return float((square - square.T).abs().max()) / largest if largest else 0.0


def objective(method: Method, mdp: MDP, teacher: Teacher, logits: Numbers, **options: Unpack[Options]) -> float:
    """What a gradient row minimises, per episode; a MethodError where nothing is.

    Control without the student: the loss, where the control leads. The student in control: minus the reward, with each
    part counted where it arises: a part at s_{t+1} is missing at the first state alone, which nobody chooses, and
    what it changes there the loss term changes. Values are shaping or a bootstrap, and no cost.
    """
    found = problem(method, mdp, teacher, **options)
    cost = _cost(found)
    if not method.gradient or not cost:
        raise MethodError(
            f"{method.name} minimises nothing: its expected update is no gradient field, or not always one. "
            "`understudy methods` shows which rows are."
        )
    if found.weights[1] and not found.discounted_visits and found.gamma < 1:
        raise MethodError(
            f"{method.name} minimises nothing with plain visits and gamma {found.gamma:g}. Use discounted_visits=True."
        )
    parameters = found.parameters(logits)
    steps = found.steps(parameters, parameters)
    return float(steps.expect(torch.as_tensor(read(cost, steps))))


def _cost(found: Problem) -> Term:
    if not found.weights[1]:
        return found.method.loss
    earned = tuple(part for part in found.method.reward if part.atom not in VALUES)
    return tuple(replace(part, later=False) for part in negated(earned))
