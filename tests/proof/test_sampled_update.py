"""The deep engine's update from sampled episodes against Eq. 1 enumerated, row by row.

A linear student on one-hot states is a softmax table, so the gradient in its weights is g(theta). The engine leaves
out the discounting of visits (gamma^(t-1)) and divides by steps, not episodes; both are undone or asked for here.
"""

from functools import cache

import numpy as np
import pytest
import torch
from enumerated import CROSS_ENTROPY, ROWS, Row, World, problem
from sampled import (
    ACTIONS,
    BATCHES,
    COPIES,
    FORMS,
    LONGEST,
    SEED,
    agree,
    enumerated,
    gradient,
    objective_of,
    student_of,
    teacher_of,
)

from understudy.engines.estimator import Estimator
from understudy.engines.source import FreshRollouts
from understudy.engines.steps import Answers, window_steps
from understudy.envs.of_mdp import MDPSimulator
from understudy.envs.views import ObservationViews
from understudy.math.heads import Heads
from understudy.methods import CONTROLS, METHODS, Method, Schedule, mixture, with_control, with_weights
from understudy.methods.surrogate import surrogate


@cache
def windows(control: str, limit: int = LONGEST):
    """Sampled once: the discount factor and the row play no part in it."""
    world, theta = problem(SEED)
    acts = CONTROLS.get(control) or mixture(0.3)
    simulator = MDPSimulator(world.mdp, COPIES, seed=0, max_episode_steps=limit)
    source = FreshRollouts(
        simulator,
        acts,
        teacher_of(world),
        student_of(theta),
        ObservationViews(),
        collect=1,
        seed=SEED,
        whole_episodes=True,
    )
    return [source.collect(0.0) for _ in range(BATCHES)]


def from_windows(world: World, method: Method, theta: np.ndarray) -> list[np.ndarray]:
    """The surrogate read on whole episodes in order."""
    teacher, student = teacher_of(world), student_of(theta)
    value = torch.tensor(world.at(theta).v_s[:, 0], dtype=torch.float32)
    found = []
    for window in windows(str(method.control) if str(method.control) in CONTROLS else "mixture"):
        seen = torch.as_tensor(window.observation)
        mine, theirs = student(seen)[0], teacher(seen)[0]
        steps = window_steps(window, Heads(mine.policy, seen @ value), theirs, world.gamma, None, whole_episodes=True)
        found.append(gradient(surrogate(method, steps), student))
    return found


def from_engine(
    world: World, method: Method, row: Row, theta: np.ndarray, kind: str, limit: int = LONGEST
) -> list[np.ndarray]:
    """What the learner's objective gives on freshly collected episodes, per episode."""
    objective = objective_of(world, method, row, theta, Estimator(kind, lam=1.0))
    found = []
    for window in windows(str(method.control), limit):
        stored, _ = objective.prepare(window)
        steps_per_episode = window.valid.sum() / COPIES
        found.append(steps_per_episode * gradient(objective.loss(stored, method), objective.student))
    return found


GAMMAS = pytest.mark.parametrize("gamma", [1.0, 0.9])
EVERY_ROW = pytest.mark.parametrize("key", ROWS, ids=" ".join)


@GAMMAS
@EVERY_ROW
def test_the_surrogate_on_sampled_episodes_is_eq_1(key, gamma):
    world, theta = problem(SEED, gamma)
    sampled = from_windows(world, FORMS[key[1]](METHODS[key[0]]), theta)
    agree(sampled, enumerated(world, ROWS[key](world.at(theta)), theta))


# Estimators differ in how they treat a reward term; a row without one needs no second look.
CASES = [
    pytest.param(key, kind, gamma, id=f"{' '.join(key)} {kind} {gamma}")
    for key in ROWS
    for kind, gamma in (("returns", 1.0), ("returns", 0.9), ("gae", 0.9), ("ppo", 0.9))
    if METHODS[key[0]].reward or (kind, gamma) == ("returns", 1.0)
]


@pytest.mark.parametrize(("key", "kind", "gamma"), CASES)
def test_what_the_learner_minimises_is_eq_1(key, kind, gamma):
    world, theta = problem(SEED, gamma)
    row = ROWS[key](world.at(theta))
    sampled = from_engine(world, FORMS[key[1]](METHODS[key[0]]), row, theta, kind)
    agree(sampled, enumerated(world, row, theta))


@pytest.mark.parametrize("key", [key for key in ROWS if METHODS[key[0]].reward], ids=" ".join)
def test_beyond_a_time_limit_the_critic_and_the_final_observation_stand_for_the_rest(key):
    """With an exact critic nothing is lost: the steps before the limit earn what they would have earned."""
    world, theta = problem(SEED, 0.9)
    row = ROWS[key](world.at(theta))
    sampled = from_engine(world, FORMS[key[1]](METHODS[key[0]]), row, theta, "gae", 2)
    agree(sampled, enumerated(world, row, theta, 2))


def test_a_mixture_of_teacher_and_student_acts_in_its_proportions():
    world, theta = problem(SEED)
    method = with_control(METHODS["on-policy-distill"], mixture(0.3))
    tables = world.at(theta)
    row = Row(0.3 * tables.teacher + 0.7 * tables.student, tables.d_forward)
    agree(from_windows(world, method, theta), enumerated(world, row, theta))


def test_the_uniform_policy_acts_uniformly():
    world, theta = problem(SEED)
    method = with_control(METHODS["on-policy-distill"], CONTROLS["uniform"])
    row = Row(np.full_like(theta, 1 / ACTIONS), world.at(theta).d_forward)
    agree(from_windows(world, method, theta), enumerated(world, row, theta))


@pytest.mark.parametrize("kind", ["returns", "ppo"])
@EVERY_ROW
def test_no_gradient_reaches_the_teacher(key, kind):
    world, theta = problem(SEED, 0.9)
    method = FORMS[key[1]](METHODS[key[0]])
    row = ROWS[key](world.at(theta))
    objective = objective_of(world, method, row, theta, Estimator(kind, lam=1.0))
    stored, _ = objective.prepare(windows(str(method.control))[0])
    objective.loss(stored, method).backward()
    assert objective.teacher.logits.grad is None
    assert objective.teacher.values.grad is None
    assert objective.student.network.layers[-1].weight.grad.abs().max() > 0


def test_answers_beyond_the_window_are_those_of_both_sides():
    """In order, too: the surrogate on a truncated window, with the tail of the return dropped."""
    world, theta = problem(SEED, 0.9)
    key = ("student-critic", CROSS_ENTROPY)
    row, value = ROWS[key](world.at(theta)), torch.tensor(world.at(theta).v_s[:, 0], dtype=torch.float32)
    student, teacher, found = student_of(theta), teacher_of(world), []
    for window in windows("student", 2):
        seen, final = torch.as_tensor(window.observation), torch.as_tensor(window.beyond_observation)
        heads, after = student(seen)[0], student(final)[0]
        beyond = Answers(Heads(after.policy, final @ value), teacher(final)[0])
        mine = Heads(heads.policy, seen @ value)
        steps = window_steps(window, mine, teacher(seen)[0], 0.9, beyond, whole_episodes=True)
        found.append(gradient(surrogate(METHODS[key[0]], steps), student))
    agree(found, enumerated(world, row, theta, 2))


def test_a_scheduled_weight_is_the_same_number_in_the_loss_and_in_its_correction():
    """Half-way, the row is the row with half the weight: by the enumeration, not by the same code at another time."""
    world, theta = problem(SEED)
    tables = world.at(theta)
    scheduled = with_weights(METHODS["n-distill+r"], loss=Schedule("linear", 1.0, 0.0))
    row = Row(tables.student, 0.5 * tables.d_forward, tables.r, -0.5 * tables.forward)
    objective = objective_of(world, scheduled, row, theta, Estimator("returns"))
    found = []
    for window in windows("student"):
        stored, _ = objective.prepare(window, progress=0.5)
        loss = objective.loss(stored, scheduled.at(0.5))
        found.append(window.valid.sum() / COPIES * gradient(loss, objective.student))
    agree(found, enumerated(world, row, theta))
