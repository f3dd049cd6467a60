# mypy: disable-error-code="no-untyped-def"
"""Every atom a second time, for compiled code: its value at a step, and its gradient in the student's logits.

Their PyTorch texts are in :mod:`understudy.methods.atoms`; a test holds the two together. An atom's number is its
place in ATOMS, so that one compiled kernel serves every method. A row is ``p``, ``log_p`` (student), ``q`` and
``log_q`` (teacher), ``[A]`` each. Where q(a) = 0, q(a) log q(a) is 0.
"""

from __future__ import annotations

from functools import partial

from understudy.math.compiled import kernel
from understudy.methods.method import ATOMS

NUMBER = {name: number for number, name in enumerate(ATOMS)}
FORWARD_CROSS_ENTROPY = NUMBER["forward-cross-entropy"]
REVERSE_CROSS_ENTROPY = NUMBER["reverse-cross-entropy"]
FORWARD_KL, REVERSE_KL = NUMBER["forward-kl"], NUMBER["reverse-kl"]
TEACHER_LOG_PROB, STUDENT_LOG_PROB = NUMBER["teacher-log-prob"], NUMBER["student-log-prob"]
STUDENT_ENTROPY, TASK_REWARD = NUMBER["student-entropy"], NUMBER["task-reward"]
TEACHER_VALUE, STUDENT_VALUE = NUMBER["teacher-value"], NUMBER["student-value"]
GATED_CROSS_ENTROPY = NUMBER["gated-cross-entropy"]


@partial(kernel, inline=True)
def weighted(p, log_q, actions):
    """H(p‖q) where q excludes nothing."""
    total = 0.0
    for a in range(actions):
        total -= p[a] * log_q[a]
    return total


@kernel
def cross(p, log_q):
    """H(p‖q)."""
    total = 0.0
    for a in range(len(p)):
        if p[a] > 0:
            total -= p[a] * log_q[a]
    return total


@kernel
def of_state(atom, p, log_p, q, log_q, teacher_value, student_value):
    """The value of an atom that is of the state alone; for one of the action, its expectation under the student."""
    if atom == FORWARD_CROSS_ENTROPY:
        return cross(q, log_p)
    if atom == REVERSE_CROSS_ENTROPY:
        return cross(p, log_q)
    if atom == FORWARD_KL:
        return cross(q, log_p) - cross(q, log_q)
    if atom == REVERSE_KL:
        return cross(p, log_q) - cross(p, log_p)
    if atom == TEACHER_LOG_PROB:
        return -cross(p, log_q)
    if atom == STUDENT_LOG_PROB:
        return -cross(p, log_p)
    if atom == STUDENT_ENTROPY:
        return cross(p, log_p)
    if atom == TEACHER_VALUE:
        return teacher_value
    if atom == STUDENT_VALUE:
        return student_value
    if atom == GATED_CROSS_ENTROPY:
        return cross(q, log_p) if teacher_value > student_value else 0.0
    return 0.0


@kernel
def add_along(earned, weight, atom, ahead, state, action, length, reward, log_q, log_p, seen, values):
    """Add to ``earned [T]`` ``weight`` times the atom at step t + ``ahead``, for every t that has such a step.

    Atoms of the action are read from ``reward``, ``log_q [S, A]`` and ``log_p [O, A]``, others from ``values [S]``.
    """
    if atom == TASK_REWARD:
        for t in range(ahead, length):
            earned[t - ahead] += weight * reward[state[t], action[t]]
    elif atom == TEACHER_LOG_PROB:
        for t in range(ahead, length):
            earned[t - ahead] += weight * log_q[state[t], action[t]]
    elif atom == STUDENT_LOG_PROB:
        for t in range(ahead, length):
            earned[t - ahead] += weight * log_p[seen[state[t]], action[t]]
    else:
        for t in range(ahead, length):
            earned[t - ahead] += weight * values[state[t]]


@partial(kernel, inline=True)
def add_gradient(out, weight, atom, p, log_p, q, log_q, teacher_value, student_value, actions):
    """Add to ``out [A]`` ``weight`` times the atom's derivative in the logits; the gate is held fixed.

    Of student-log-prob this is 0: its derivative, e_a - p, is the score function, see :func:`score`.
    """
    if atom == GATED_CROSS_ENTROPY:
        weight = weight if teacher_value > student_value else 0.0
    if atom in (FORWARD_CROSS_ENTROPY, FORWARD_KL, GATED_CROSS_ENTROPY):
        for a in range(actions):
            out[a] += weight * (p[a] - q[a])
    elif atom == REVERSE_CROSS_ENTROPY:
        mean = -weighted(p, log_q, actions)
        for a in range(actions):
            out[a] += weight * p[a] * (mean - log_q[a])
    elif atom == REVERSE_KL:
        mean = weighted(p, log_q, actions) - weighted(p, log_p, actions)
        for a in range(actions):
            out[a] += weight * p[a] * (log_p[a] - log_q[a] - mean)
    elif atom == STUDENT_ENTROPY:
        mean = weighted(p, log_p, actions)
        for a in range(actions):
            out[a] -= weight * p[a] * (log_p[a] + mean)


@kernel
def score(atom):
    """How many times the score function, grad log πθ(a), an atom's derivative holds."""
    return 1.0 if atom == STUDENT_LOG_PROB else 0.0
