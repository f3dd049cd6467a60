# mypy: disable-error-code="no-untyped-def"
"""One episode of a tabular MDP, and what Eq. 1 makes of it; compiled, for every method."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from understudy.engines.tabular.draws import advanced, chosen, lower, scrambled, upper
from understudy.engines.tabular.pack import ENDED
from understudy.engines.tabular.student import refresh, track
from understudy.engines.tabular.texts import (
    STUDENT_VALUE,
    add_along,
    add_gradient,
    of_state,
    score,
)
from understudy.math.compiled import kernel

_BUFFER = 1024


class Steps(NamedTuple):
    """Room for one episode, reused: ``state``, ``action`` and numbers ``[T]``; ``visits``, ``pull [S]`` are 0 between.

    ``unique``: the states of the episode, once each. ``visits``: how often each, weighed by gamma^(t-1) if asked.
    ``pull``: sum of what the actions taken there earned. ``gradient [A]``: one row's. ``buffer``: some rows.
    """

    state: np.ndarray
    action: np.ndarray
    earned: np.ndarray
    advantage: np.ndarray
    held: np.ndarray
    unique: np.ndarray
    visits: np.ndarray
    pull: np.ndarray
    changed: np.ndarray
    marked: np.ndarray
    gradient: np.ndarray
    buffer: np.ndarray


def room(states: int, observations: int, actions: int, max_steps: int) -> Steps:
    """Empty."""
    return Steps(
        state=np.zeros(max_steps, dtype=np.int64),
        action=np.zeros(max_steps, dtype=np.int64),
        earned=np.zeros(max_steps),
        advantage=np.zeros(max_steps),
        held=np.zeros(max_steps),
        unique=np.zeros(states + 1, dtype=np.int64),
        visits=np.zeros(states),
        pull=np.zeros(states),
        changed=np.zeros(observations + 1, dtype=np.int64),
        marked=np.zeros(observations, dtype=np.bool_),
        gradient=np.zeros(actions),
        buffer=np.zeros(max(actions, _BUFFER)),
    )


@kernel
def act(bounds, student_odds, student_begin, teacher_odds, teacher_begin, actions, draw, random):
    """The action, where not always the student acts, and the generator's state: another draw says who does."""
    random = advanced(random)
    who = upper(scrambled(random))
    if who < bounds[0]:
        return chosen(teacher_odds, teacher_begin, actions, draw), random
    if who < bounds[1]:
        return np.int64((np.uint64(draw) * np.uint64(actions)) >> np.uint64(31)), random
    return chosen(student_odds, student_begin, actions, draw), random


@kernel
def play(world, row, student, teacher_odds, steps, i, random):
    """An episode: (its length, how many states it saw, where it was cut or ENDED, the generator's state)."""
    states, moves, width = world.probability.shape
    odds, move_odds, following, seen = student.thresholds, world.thresholds, world.following, world.seen
    state, action, unique, visits = steps.state, steps.action, steps.unique, steps.visits
    bounds, actions = row.control[min(i, len(row.control) - 1)], len(world.move)
    student_acts, discount = bounds[1] == 0, row.gamma if row.discounted_visits else 1.0
    random = advanced(random)
    s = np.uint64(chosen(world.first, np.uint64(0), states, upper(scrambled(random))))
    length, count, weight = 0, 0, 1.0
    while True:
        random = advanced(random)
        bits = scrambled(random)
        begin = (s if world.sees_all else np.uint64(seen[s])) * np.uint64(actions)
        if student_acts:
            a = np.uint64(chosen(odds, begin, actions, upper(bits)))
        else:
            acted, random = act(bounds, odds, begin, teacher_odds, s * np.uint64(actions), actions, upper(bits), random)
            a = np.uint64(acted)
        state[np.uint64(length)], action[np.uint64(length)], unique[np.uint64(count)] = s, a, s
        length += 1
        count += visits[s] == 0
        visits[s] += weight
        weight *= discount
        move = a if world.own_move else np.uint64(world.move[a])
        k = (s * np.uint64(moves) + move) * np.uint64(width)
        draw = lower(bits)
        while draw >= move_odds[k]:
            k += np.uint64(1)
        ahead = following[k]
        if ahead == ENDED or length == row.max_steps:
            return length, count, np.int64(ahead), random
        s = np.uint64(np.uint32(ahead))


@partial(kernel, inline=True)
def earn(world, row, student, steps, i, credit, length, beyond):
    """rhat_t of the parts with this credit, in ``steps.earned``; the next state's quantities are 0 at an end."""
    steps.earned[:length] = 0.0
    for k in range(len(row.reward)):
        if row.credit_of[k] != credit:
            continue
        weight = row.reward_weight[k, min(i, row.reward_weight.shape[1] - 1)]
        atom, ahead = row.reward[k], np.int64(row.later[k])
        if ahead:
            weight *= row.gamma
            if beyond != ENDED:
                steps.earned[length - 1] += weight * expected(world, student, atom, beyond)
        values, logs, seen = student.state_value[atom], student.log_p, world.seen
        add_along(
            steps.earned, weight, atom, ahead, steps.state, steps.action, length,
            world.reward, world.log_teacher, logs, seen, values,
        )  # fmt: skip


@kernel
def expected(world, student, atom, s):
    """An atom at the state where an episode was cut; in expectation over the student's action."""
    o = world.seen[s]
    values = student.state_value[:, s]
    return of_state(
        atom,
        student.p[o],
        student.log_p[o],
        world.teacher[s],
        world.log_teacher[s],
        world.teacher_value[s],
        values[STUDENT_VALUE],
    )


@kernel
def estimate(table, row, steps, length, beyond, decay, advantage):
    """Add GAE(lam) of ``steps.earned`` to ``advantage``, and move the table of values to the lambda-returns.

    The values that are read are those from before the episode; a state that was visited often moves once a visit.
    """
    for t in range(length):
        steps.held[t] = table[steps.state[t]]
    ahead = 0.0 if beyond == ENDED else table[beyond]
    total = 0.0
    for t in range(length - 1, -1, -1):
        value = steps.held[t]
        total = steps.earned[t] + decay * ahead - value + decay * row.lam * total
        advantage[t] += total
        table[steps.state[t]] += row.value_rate * (total + value - table[steps.state[t]])
        ahead = value


@kernel
def to_go(earned, advantage, length, decay):
    """Add the return-to-go of ``steps.earned`` to ``steps.advantage``."""
    total = 0.0
    for t in range(length - 1, -1, -1):
        total = earned[t] + decay * total
        advantage[t] += total


@partial(kernel, inline=True)
def reinforce(world, row, student, steps, i, length, beyond, target, rate):
    """The score function's part of -g times ``rate``, at the actions taken; what is left for the rows is the pull."""
    own = 0.0
    for k in range(len(row.loss)):
        own += score(row.loss[k]) * row.loss_weight[k, min(i, row.loss_weight.shape[1] - 1)]
    if len(row.reward) == 0 and own == 0:
        return
    steps.advantage[:length] = -own
    for credit in range(len(row.credits)):
        decay = row.gamma * row.credits[credit]
        earn(world, row, student, steps, i, credit, length, beyond)
        if row.baseline:
            estimate(student.critic[credit], row, steps, length, beyond, decay, steps.advantage)
        else:
            to_go(steps.earned, steps.advantage, length, decay)
    weight = 1.0
    for t in range(length):
        s, a = steps.state[t], steps.action[t]
        earned = weight * steps.advantage[t]
        steps.pull[s] += earned
        target[world.seen[s], a] += rate * earned
        if row.discounted_visits:
            weight *= row.gamma


@partial(kernel, inline=True)
def descend(world, row, student, steps, i, count, target, rate, actions):
    """The rest of -g times ``rate``, in the rows of the states that were visited."""
    g, seen, pull = steps.gradient, world.seen, steps.pull
    teacher_value, student_value = world.teacher_value, student.state_value[STUDENT_VALUE]
    for u in range(count):
        s = steps.unique[u]
        o = seen[s]
        p, log_p, q, log_q = student.p[o], student.log_p[o], world.teacher[s], world.log_teacher[s]
        for a in range(actions):
            g[a] = p[a] * pull[s]
        for k in range(len(row.loss)):
            weight = steps.visits[s] * row.loss_weight[k, min(i, row.loss_weight.shape[1] - 1)]
            add_gradient(g, weight, row.loss[k], p, log_p, q, log_q, teacher_value[s], student_value[s], actions)
        for a in range(actions):
            target[o, a] -= rate * g[a]


@kernel
def learn_value(world, row, student, steps, length, beyond):
    """TD(lam) of the task reward, for the student's value table."""
    for t in range(length):
        steps.earned[t] = world.reward[steps.state[t], steps.action[t]]
    estimate(student.state_value[STUDENT_VALUE], row, steps, length, beyond, row.gamma, steps.advantage)


@partial(kernel, inline=True)
def update(world, row, student, steps, i, length, count, beyond, target, rate):
    """Subtract ``rate`` times the episode's g (Eq. 1) from ``target [O, A]``."""
    reinforce(world, row, student, steps, i, length, beyond, target, rate)
    if target.shape[1] == 4:  # a constant lets the compiler unroll the loops over actions
        descend(world, row, student, steps, i, count, target, rate, 4)
    else:
        descend(world, row, student, steps, i, count, target, rate, target.shape[1])
    if row.learns_value:
        learn_value(world, row, student, steps, length, beyond)
    for u in range(count):
        s = steps.unique[u]
        steps.visits[s] = 0.0
        steps.pull[s] = 0.0


@partial(kernel, inline=True)
def follow(world, row, student, steps, count):
    """Refresh whatever depends on the rows of the first ``count`` unique states."""
    if world.sees_all and len(row.tracked) == 0:
        refresh(row, student, steps.unique, count, steps.buffer)
        return
    rows = 0
    for u in range(count):
        o = world.seen[steps.unique[u]]
        steps.changed[rows] = o
        rows += not steps.marked[o]
        steps.marked[o] = True
    refresh(row, student, steps.changed, rows, steps.buffer)
    for k in range(rows):
        o = steps.changed[k]
        steps.marked[o] = False
        if len(row.tracked):
            for m in range(world.first_member[o], world.first_member[o + 1]):
                track(world, row, student, world.members[m])


@kernel
def run(world, row, student, thresholds, steps, random, begin, end, counts):
    """Iterations ``begin`` to ``end`` (not included) of one student; returns the generator's state."""
    for i in range(begin, end):
        length, count, beyond, random = play(world, row, student, thresholds, steps, i, random)
        rate = row.learning_rate[min(i, len(row.learning_rate) - 1)]
        update(world, row, student, steps, i, length, count, beyond, student.logits, rate)
        follow(world, row, student, steps, count)
        counts[0] += length
        counts[1] += beyond != ENDED
    return random


@kernel
def sample(world, row, student, thresholds, steps, random, episodes, g, sums):
    """Add up each episode's ``g`` and its square at fixed logits, in ``sums [2, O, A]``."""
    for _ in range(episodes):
        length, count, beyond, random = play(world, row, student, thresholds, steps, 0, random)
        update(world, row, student, steps, 0, length, count, beyond, g, -1.0)
        for u in range(count):
            o = world.seen[steps.unique[u]]
            for a in range(g.shape[1]):
                sums[0, o, a] += g[o, a]
                sums[1, o, a] += g[o, a] * g[o, a]
                g[o, a] = 0.0
