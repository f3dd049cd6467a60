# mypy: disable-error-code="no-untyped-def"
"""A tabular student while it learns: its logits, and what is derived from them, refreshed row by row."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from understudy.engines.tabular.draws import UNIT
from understudy.engines.tabular.exponential import exponentials
from understudy.engines.tabular.texts import STUDENT_VALUE, TEACHER_VALUE, of_state
from understudy.math.compiled import kernel


class Student(NamedTuple):
    """``logits``, ``p`` = softmax(logits), ``log_p`` (where the row reads it): ``[O, A]``; ``thresholds [O * A]``.

    ``state_value [atoms, S]``: by atom, the numbers of the tracked ones and of the two values.
    ``critic [credits, S]``: of the pseudo-return.
    """

    logits: np.ndarray
    p: np.ndarray
    log_p: np.ndarray
    thresholds: np.ndarray
    state_value: np.ndarray
    critic: np.ndarray


@partial(kernel, inline=True)
def refresh(row, student, which, count, buffer):
    """What follows from the logits of the first ``count`` observations in ``which``, as many at once as fit."""
    actions = student.logits.shape[1]
    block = max(1, len(buffer) // actions)
    for first in range(0, count, block):
        rows = which[first : min(first + block, count)]
        if actions == 4:  # a constant lets the compiler unroll the loops over actions
            _refresh_rows(row, student, rows, 4, buffer)
        else:
            _refresh_rows(row, student, rows, actions, buffer)


@partial(kernel, inline=True)
def _refresh_rows(row, student, rows, actions, buffer):
    """The softmax of each row; the exponentials are taken of all rows in one loop, which the compiler vectorises."""
    logits, p, thresholds = student.logits, student.p, student.thresholds
    for k in range(len(rows)):
        o, at = np.uint64(rows[k]), np.uint64(k * actions)
        highest = logits[o, np.uint64(0)]
        for a in range(1, actions):
            highest = max(highest, logits[o, np.uint64(a)])
        for a in range(actions):
            buffer[at + np.uint64(a)] = logits[o, np.uint64(a)] - highest
    exponentials(buffer, len(rows) * actions)
    for k in range(len(rows)):
        o, at = np.uint64(rows[k]), np.uint64(k * actions)
        total = 0.0
        for a in range(actions):
            total += buffer[at + np.uint64(a)]
        share, cumulative, begin = 1.0 / total, 0.0, o * np.uint64(actions)
        for a in range(actions):
            mine = buffer[at + np.uint64(a)] * share
            p[o, np.uint64(a)] = mine
            cumulative += mine
            thresholds[begin + np.uint64(a)] = np.uint32(np.int64(cumulative * UNIT))
        if row.needs_logs:
            set_logs(logits[o], total, student.log_p[o])


@kernel
def set_logs(logits, total, log_p):
    """log softmax of one row; ``total``: of the exponentials of how far each logit is below the highest."""
    highest = logits[0]
    for a in range(1, len(logits)):
        highest = max(highest, logits[a])
    shift = highest + math.log(total)
    for a in range(len(logits)):
        log_p[a] = logits[a] - shift


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
def refresh_all(world, row, student, which, buffer):
    """Every row and every state, before the first episode; ``which [O]``: all observations."""
    refresh(row, student, which, len(which), buffer)
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
    thresholds = np.zeros(logits.size, dtype=np.uint32)
    return Student(logits, np.zeros(shape), np.zeros(shape), thresholds, state_value, critic)
