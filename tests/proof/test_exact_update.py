"""The exact engine against the enumeration of all trajectories: every row, every form, equal to rounding."""

import numpy as np
import pytest
from enumerated import CROSS_ENTROPY, OBJECTIVES, ROWS, Row, World, chances, direction, objective, problem, updates
from sampled import FORMS

from understudy.engines import exact
from understudy.methods import (
    CONTROLS,
    METHODS,
    Method,
    Part,
    Schedule,
    corrected,
    mixture,
    with_control,
    with_credit,
    with_weights,
)

SEED = 5  # its gate is open in some states and shut in others
GAMMAS = pytest.mark.parametrize("gamma", [1.0, 0.9])
VISITS = pytest.mark.parametrize("discounted", [True, False], ids=["discounted visits", "plain visits"])


def summed(world: World, row: Row, theta: np.ndarray, discounted: bool = True) -> np.ndarray:
    each = updates(world, row, world.at(theta).student, discounted)
    return np.einsum("k,ksa->sa", chances(world, row.control), each)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@VISITS
@GAMMAS
@pytest.mark.parametrize("key", ROWS, ids=" ".join)
def test_the_exact_update_is_the_sum_over_all_trajectories(key, gamma, discounted):
    world, theta = problem(SEED, gamma)
    method = FORMS[key[1]](METHODS[key[0]])
    found = exact.update(method, world.mdp, world.teacher, theta, gamma=gamma, discounted_visits=discounted)
    close(found, direction(world, key, theta, discounted))


@GAMMAS
@pytest.mark.parametrize("key", OBJECTIVES, ids=" ".join)
def test_the_exact_objective_is_the_sum_over_all_trajectories(key, gamma):
    world, theta = problem(SEED, gamma)
    found = exact.objective(FORMS[key[1]](METHODS[key[0]]), world.mdp, world.teacher, theta, gamma=gamma)
    assert found == pytest.approx(objective(world, key, theta), abs=1e-12)


def halved(tables):
    return Row(tables.student, 0.5 * tables.d_forward, 3 * tables.r, -0.5 * tables.forward)


# What a row may be changed into, beside what it is by name.
CHANGED = {
    "weights": (with_weights(METHODS["n-distill+r"], loss=0.5, task=3.0), halved),
    "a schedule half-way": (
        with_weights(METHODS["n-distill+r"], loss=Schedule("linear", 1.0, 0.0), task=3.0),
        halved,
    ),
    "a credit": (
        with_credit(METHODS["n-distill"], 0.5),
        lambda w: Row(w.student, w.d_forward, 0.0, -w.forward, credit=0.5),
    ),
    "a mixture in control": (
        with_control(METHODS["on-policy-distill"], mixture(0.3)),
        lambda w: Row(0.3 * w.teacher + 0.7 * w.student, w.d_forward),
    ),
    "a scheduled mixture half-way": (
        with_control(METHODS["on-policy-distill"], mixture(Schedule("linear", 0.6, 0.0))),
        lambda w: Row(0.3 * w.teacher + 0.7 * w.student, w.d_forward),
    ),
    "nobody in control": (
        with_control(METHODS["on-policy-distill"], CONTROLS["uniform"]),
        lambda w: Row(np.full_like(w.theta, 1 / 3), w.d_forward),
    ),
    "the student in control": (
        with_control(METHODS["teacher-distill"], CONTROLS["student"]),
        lambda w: Row(w.student, w.d_forward),
    ),
}


@VISITS
@GAMMAS
@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_row_is_the_sum_over_all_trajectories(name, gamma, discounted):
    world, theta = problem(SEED, gamma)
    method, row = CHANGED[name]
    options = {"gamma": gamma, "discounted_visits": discounted, "progress": 0.5}
    found = exact.update(method, world.mdp, world.teacher, theta, **options)
    close(found, summed(world, row(world.at(theta)), theta, discounted))


def test_two_credits_in_one_reward_are_two_returns():
    world, theta = problem(SEED, 0.9)
    method = with_credit(METHODS["n-distill+r"], 0.25)
    tables = world.at(theta)
    rows = (
        Row(tables.student, tables.d_forward, 0.0, -tables.forward, credit=0.25),
        Row(tables.student, 0.0, tables.r),
    )
    close(
        exact.update(method, world.mdp, world.teacher, theta, gamma=0.9),
        sum(summed(world, row, theta) for row in rows),
    )


@GAMMAS
def test_a_loss_given_as_costs_is_what_the_student_is_expected_to_pay(gamma):
    """l(s) = E_{a~πθ} c(s, a), plain and corrected by Theorem 2."""
    world, theta = problem(SEED, gamma)
    cost = np.random.default_rng(0).standard_normal(theta.shape)
    student = world.at(theta).student
    loss = (student * cost).sum(-1, keepdims=True)
    plain = Method("paid", CONTROLS["student"], loss=(Part(1, "reverse-cross-entropy"),), gradient=False)
    for method, reward in ((plain, 0.0), (corrected(plain), -loss)):
        row = Row(student, student * (cost - loss), 0.0, reward)
        close(exact.update(method, world.mdp, exact.Costs(cost), theta, gamma=gamma), summed(world, row, theta))
    paid = chances(world, student) @ (
        (loss[world.trajectories.state, 0] * world.trajectories.alive) @ gamma ** np.arange(3)
    )
    assert exact.objective(corrected(plain), world.mdp, exact.Costs(cost), theta, gamma=gamma) == pytest.approx(paid)


def test_a_teacher_that_never_takes_some_actions_is_copied_all_the_same():
    world, theta = problem(SEED)
    teacher = np.eye(3)[world.teacher.argmax(-1)]
    certain = World(world.mdp, teacher)
    row = Row(certain.at(theta).student, certain.at(theta).student - teacher)
    for name in ("on-policy-distill", "n-distill"):
        later = -certain.at(theta).forward if name == "n-distill" else 0.0
        for form in (CROSS_ENTROPY, "kl"):
            changed = Row(row.control, row.d_loss, 0.0, later)
            close(exact.update(FORMS[form](METHODS[name]), world.mdp, teacher, theta), summed(certain, changed, theta))


def test_values_of_a_teacher_may_be_given():
    world, theta = problem(SEED, 0.9)
    given = np.arange(6.0)
    tables = world.at(theta)
    row = Row(tables.student, 0.0, tables.r, given[:, None], credit=0.0)
    options = {"gamma": 0.9, "teacher_values": given}
    found = exact.update(METHODS["teacher-critic"], world.mdp, world.teacher, theta, **options)
    close(found, summed(world, row, theta))
