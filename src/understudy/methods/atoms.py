"""One short text per atom, for PyTorch. Names and needs are in :data:`understudy.methods.method.ATOMS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from understudy.math.divergences import cross_entropy, kl
from understudy.methods.method import ATOMS, Part, Term
from understudy.methods.schedule import at
from understudy.methods.steps import Batch, Beyond, Steps

# Atoms of the state alone read only what Beyond offers; the others read the step's action or reward too.
TEXTS: dict[str, Callable[[Any], Tensor]] = {
    "forward-cross-entropy": lambda s: cross_entropy(s.teacher.policy, s.student.policy),
    "reverse-cross-entropy": lambda s: cross_entropy(s.student.policy, s.teacher.policy),
    "forward-kl": lambda s: kl(s.teacher.policy, s.student.policy),
    "reverse-kl": lambda s: kl(s.student.policy, s.teacher.policy),
    "teacher-log-prob": lambda s: s.teacher.policy.log_prob(s.action),
    "student-log-prob": lambda s: s.student.policy.log_prob(s.action),
    "student-entropy": lambda s: s.student.policy.entropy(),
    "task-reward": lambda s: s.reward,
    "teacher-value": lambda s: s.teacher.value,
    "student-value": lambda s: s.student.value,
    "gated-cross-entropy": lambda s: (
        cross_entropy(s.teacher.policy, s.student.policy) * (s.teacher.value > s.student.value)
    ),
}


def of_state(name: str, beyond: Beyond) -> Tensor:
    """An atom at states whose action is not known: its expectation over the student's action."""
    expected = ATOMS[name].expected or ((1.0, name),)
    return sum(
        (weight * TEXTS[atom](beyond) for weight, atom in expected[1:]),
        expected[0][0] * TEXTS[expected[0][1]](beyond),
    )


def read(term: Term, steps: Batch) -> Tensor | float:
    """A term's number at every step; 0.0 for an empty term."""
    numbers = [_weighted(part, steps) for part in term]
    return sum(numbers[1:], numbers[0]) if numbers else 0.0


def _weighted(part: Part, steps: Batch) -> Tensor:
    x = TEXTS[part.atom](steps)
    if part.later:
        assert isinstance(steps, Steps)
        x = steps.next(x, None if steps.beyond is None else of_state(part.atom, steps.beyond))
    weight = at(part.weight, 0.0)
    return x if weight == 1 else weight * x  # a product with 1 would cost a pass of autograd in the innermost loop
