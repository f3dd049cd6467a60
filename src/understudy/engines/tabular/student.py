# mypy: disable-error-code="no-untyped-def"
"""A tabular student while it learns: its logits, and what is derived from them, refreshed row by row."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from understudy.engines.tabular.draws import set_thresholds
from understudy.engines.tabular.texts import STUDENT_VALUE, TEACHER_VALUE, of_state
from understudy.math.compiled import kernel


class Student(NamedTuple):
    """``logits``, ``p``, ``log_p`` (where the row reads it) and ``thresholds``: ``[O, A]``; ``p`` is softmax(logits).

    ``state_value [atoms, S]``: by atom, the numbers of the tracked ones and of the two values.
    ``critic [credits, S]``: of the pseudo-return.
    """

    logits: np.ndarray
    p: np.ndarray
    log_p: np.ndarray
    thresholds: np.ndarray
    state_value: np.ndarray
    critic: np.ndarray


@kernel
def refresh(row, student, o):
    """What follows from the logits of observation ``o``."""
    x, p = student.logits[o], student.p[o]
    highest = x[0]
    for a in range(1, len(x)):
        highest = max(highest, x[a])
    total = 0.0
    for a in range(len(x)):
        p[a] = math.exp(x[a] - highest)
        total += p[a]
    for a in range(len(x)):
        p[a] /= total
    set_thresholds(p, student.thresholds[o])
    if row.needs_logs:
        shift = highest + math.log(total)
        for a in range(len(x)):
            student.log_p[o, a] = x[a] - shift


@kernel
def track(world, row, student, s):
    """The tracked atoms' values in state ``s``."""
    o = world.seen[s]
    for atom in row.tracked:
        student.state_value[atom, s] = of_state(
            atom,
            student.p[o],
            student.log_p[o],
            world.teacher[s],
            world.log_teacher[s],
            student.state_value[TEACHER_VALUE, s],
            student.state_value[STUDENT_VALUE, s],
        )


@kernel
def refresh_all(world, row, student):
    """Every row and every state, before the first episode."""
    for o in range(len(student.logits)):
        refresh(row, student, o)
    if len(row.tracked):
        for s in range(len(world.seen)):
            if world.acting[s]:
                track(world, row, student, s)


def student_of(logits: np.ndarray, teacher_value: np.ndarray, row_credits: int, atoms: int) -> Student:
    """A student with these logits, values 0, and room for what :func:`refresh_all` derives."""
    shape, states = logits.shape, len(teacher_value)
    state_value = np.zeros((atoms, states))
    state_value[TEACHER_VALUE] = teacher_value
    critic = np.zeros((row_credits, states))
    thresholds = np.zeros(shape, dtype=np.uint32)
    return Student(logits, np.zeros(shape), np.zeros(shape), thresholds, state_value, critic)
