"""The tabular engine's sampled update against Eq. 1 enumerated, for every row, form and control.

Independent answers on both sides: the enumeration spells each row out by hand, the engine reads its atoms' compiled
texts. The student's values, where a row reads them, are given and held.
"""

from dataclasses import replace

import numpy as np
import pytest
from enumerated import ROWS, Row, World, chances, problem, softmax, updates
from sampled import FORMS

from understudy.engines import exact
from understudy.engines.tabular.setting import Setting
from understudy.engines.tabular.train import SampledUpdate, sampled_update
from understudy.mdp.families import random_mdp
from understudy.mdp.model import MDP
from understudy.mdp.teachers import Teacher
from understudy.methods import CONTROLS, METHODS, Method, mixture, with_control
from understudy.methods.method import Control, Part, with_credit

EPISODES, SEED = 120_000, 5


def sampled(world: World, method: Method, theta: np.ndarray, episodes: int = EPISODES, **changes):
    values = changes.pop("values", world.at(theta).v_s[:, 0])
    setting = Setting(method, **{"gamma": world.gamma, "value_rate": 0.0, **changes})
    teacher = Teacher(world.teacher, world.teacher_value)
    return sampled_update(world.mdp, teacher, setting, theta, episodes, SEED, values)


def enumerated(world: World, row: Row, theta: np.ndarray, discounted: bool, limit: int | None = None) -> np.ndarray:
    each = updates(world, row, softmax(theta), discounted, limit)
    return np.einsum("k,ksa->sa", chances(world, row.control), each)


def agree(found: SampledUpdate, expected: np.ndarray, error: float = 0.1) -> None:
    """Every component within five of its own standard errors, the whole within twice theirs, and these are small."""
    assert (np.abs(found.mean - expected) <= 5 * found.error + 1e-9).all()
    assert np.linalg.norm(found.mean - expected) <= 2 * np.linalg.norm(found.error) + 1e-9
    assert np.linalg.norm(found.error) < error * np.linalg.norm(expected) + 1e-9


EVERY_ROW = pytest.mark.parametrize("key", ROWS, ids=" ".join)


@EVERY_ROW
@pytest.mark.parametrize(("gamma", "discounted"), [(1.0, False), (0.9, False), (0.9, True)])
def test_the_sampled_update_is_eq_1_for_every_row_and_both_kinds_of_visits(key, gamma, discounted):
    world, theta = problem(SEED, gamma)
    method = FORMS[key[1]](METHODS[key[0]])
    found = sampled(world, method, theta, discounted_visits=discounted)
    agree(found, enumerated(world, ROWS[key](world.at(theta)), theta, discounted))


LOSS_ROWS = [key for key in ROWS if METHODS[key[0]].loss and not METHODS[key[0]].reward]


@pytest.mark.parametrize("key", LOSS_ROWS, ids=" ".join)
@pytest.mark.parametrize("control", ["teacher", "student", "uniform", "mixture", "all three"])
def test_every_control_acts_in_its_proportions(key, control):
    world, theta = problem(SEED, 0.9)
    mixed = {"mixture": mixture(0.3), "all three": Control(teacher=0.2, uniform=0.3)}
    acts = CONTROLS.get(control) or mixed[control]
    tables = world.at(theta)
    teacher, student, uniform = acts.at(0.0)
    policy = teacher * tables.teacher + student * tables.student + uniform / theta.shape[1]
    row = Row(policy, ROWS[key](tables).d_loss)
    found = sampled(world, with_control(FORMS[key[1]](METHODS[key[0]]), acts), theta, discounted_visits=True)
    agree(found, enumerated(world, row, theta, True))


def cyclic(actions: int = 3, observed: np.ndarray | None = None) -> tuple[MDP, Teacher, np.ndarray]:
    """Five states that follow one another in any order, a teacher, and a random student."""
    generator = np.random.default_rng(SEED)
    loose = random_mdp(5, actions, 0.25, generator)
    mdp = MDP(loose.transitions, loose.rewards, loose.start, observed=observed)
    policy = softmax(generator.standard_normal((5, actions)))
    return mdp, Teacher(policy, np.zeros(5)), 0.7 * generator.standard_normal((mdp.observations, actions))


def against_exact(
    method: Method, mdp: MDP, teacher: Teacher, theta: np.ndarray, episodes: int = EPISODES, **changes
) -> None:
    gamma, discounted = changes.get("gamma", 1.0), changes.get("discounted_visits", False)
    values = exact.values(mdp, softmax(theta)[mdp.observed], gamma).numpy()
    teacher = Teacher(teacher.policy, exact.values(mdp, teacher.policy, gamma).numpy())
    setting = Setting(method, **{"value_rate": 0.0, **changes})
    found = sampled_update(mdp, teacher, setting, theta, episodes, SEED, values)
    options = {"gamma": gamma, "discounted_visits": discounted}
    agree(found, exact.update(method, mdp, teacher.policy, theta, **options).numpy())


@EVERY_ROW
@pytest.mark.parametrize(("gamma", "discounted"), [(1.0, False), (0.9, False), (0.9, True)])
def test_where_states_come_back_the_sampled_update_is_the_exact_one(key, gamma, discounted):
    mdp, teacher, theta = cyclic()
    against_exact(FORMS[key[1]](METHODS[key[0]]), mdp, teacher, theta, gamma=gamma, discounted_visits=discounted)


@EVERY_ROW
def test_a_student_that_cannot_tell_states_apart_adds_up_their_updates(key):
    mdp, teacher, theta = cyclic(observed=np.array([1, 0, 1, 2, 0]))
    against_exact(FORMS[key[1]](METHODS[key[0]]), mdp, teacher, theta, gamma=0.9)


@pytest.mark.parametrize("actions", [2, 4, 7, 40])
@pytest.mark.parametrize("name", ["entropy-regularised", "exp-entropy-regularised"])
def test_any_number_of_actions_is_drawn_in_its_proportions(name, actions):
    """Four have code of their own, many are found by bisection."""
    against_exact(METHODS[name], *cyclic(actions), episodes=2_000_000, gamma=0.5)


@pytest.mark.parametrize("name", METHODS)
def test_a_critic_with_lambda_1_leaves_the_expected_update_as_it_is(name):
    mdp, teacher, theta = cyclic()
    if METHODS[name].control.is_student:
        against_exact(METHODS[name], mdp, teacher, theta, gamma=0.9, baseline=True)


def test_lambda_shortens_the_sight_of_the_estimator_where_the_critic_says_nothing():
    """With a critic of 0 that never learns, GAE(lambda) is the return whose credit is lambda."""
    mdp, teacher, theta = cyclic()
    seen = Method("short", CONTROLS["student"], reward=(Part(1, "task-reward", credit=0.4),))
    options = {"gamma": 0.9, "discounted_visits": False}
    expected = exact.update(seen, mdp, teacher.policy, theta, **options).numpy()
    setting = Setting(METHODS["task-reward"], gamma=0.9, baseline=True, lam=0.4, value_rate=0.0)
    agree(sampled_update(mdp, teacher, setting, theta, EPISODES, SEED), expected)


def test_a_critic_lowers_the_variance():
    mdp, teacher, theta = cyclic()
    plain, with_critic = (
        sampled_update(mdp, teacher, Setting(METHODS["entropy-regularised"], baseline=b), theta, 20_000, SEED)
        for b in (False, True)
    )
    assert with_critic.variance < 0.8 * plain.variance


def test_a_learned_critic_makes_even_one_step_advantages_agree():
    """GAE with lambda 0 is biased only as far as the critic is wrong; a slow critic comes close to the exact one."""
    mdp, teacher, theta = cyclic()
    options = {"gamma": 0.9, "baseline": True, "lam": 0.0, "value_rate": 0.003}
    found = sampled_update(mdp, teacher, Setting(METHODS["task-reward"], **options), theta, EPISODES, SEED)
    options = {"gamma": 0.9, "discounted_visits": False}
    expected = exact.update(METHODS["task-reward"], mdp, teacher.policy, theta, **options).numpy()
    assert np.linalg.norm(found.mean - expected) < 0.1 * np.linalg.norm(expected)


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_student_values_are_learned_while_training(lam):
    """v-gated's gate reads them: with the teacher's values all far below, none is open once they are learned."""
    mdp, teacher, theta = cyclic()
    loss_only = Method("gate", CONTROLS["student"], loss=(Part(1, "gated-cross-entropy"),))
    values = exact.values(mdp, softmax(theta), 0.9).numpy()
    for shift, is_open in ((-0.2, False), (0.2, True)):
        gate = Teacher(teacher.policy, values + shift)
        setting = Setting(loss_only, gamma=0.9, lam=lam, value_rate=0.003)
        found = sampled_update(mdp, gate, setting, theta, EPISODES, SEED, np.zeros(5))
        expected = exact.update(METHODS["on-policy-distill"], mdp, teacher.policy, theta).numpy()
        ratio = np.linalg.norm(found.mean) / np.linalg.norm(expected)
        assert (ratio > 0.95) if is_open else (ratio < 0.2)


CUT = {
    "student-critic": lambda w: Row(w.student, 0.0, w.r, w.v_s, credit=0.0),
    "teacher-critic": lambda w: Row(w.student, 0.0, w.r, w.v_t, credit=0.0),
    "exp-entropy-regularised": lambda w: Row(w.student, w.d_reverse, 0.0, w.log_teacher, credit=0.0),
    "n-distill": lambda w: Row(w.student, w.d_forward, 0.0, -w.forward, credit=0.0),
}


@pytest.mark.parametrize("name", CUT)
def test_at_a_time_limit_the_next_state_is_still_read(name):
    """One-step forms lose nothing: quantities of the next action become their expectation."""
    world, theta = problem(SEED, 0.9)
    found = sampled(world, with_credit(METHODS[name], 0.0), theta, max_steps=2)
    agree(found, enumerated(world, CUT[name](world.at(theta)), theta, False, 2))


def test_beyond_a_time_limit_a_critic_stands_for_the_rest_and_without_one_it_is_dropped():
    """With one state that comes back the critic learns the rest, though no episode is longer than a step."""
    mdp = MDP(np.array([[[0.5], [0.8]]]), np.array([[1.0, 2.0]]), np.ones(1))
    policy, theta, setting = np.array([[0.5, 0.5]]), np.zeros((1, 2)), Setting(METHODS["task-reward"], max_steps=1)
    teacher = Teacher(policy, np.zeros(1))
    by_hand = -0.25 * ((2.0 + 0.8 * 1.5 / 0.35) - (1.0 + 0.5 * 1.5 / 0.35))
    slow = replace(setting, baseline=True, value_rate=0.002)
    found = sampled_update(mdp, teacher, slow, theta, EPISODES, SEED)
    assert found.mean[0] == pytest.approx([-by_hand, by_hand], rel=0.05)
    found = sampled_update(mdp, teacher, setting, theta, EPISODES, SEED)
    assert found.mean[0] == pytest.approx([0.25, -0.25], abs=5 * found.error.max())


def test_the_log_probability_of_the_student_may_be_a_loss():
    world, theta = problem(SEED)
    method = Method("score", CONTROLS["teacher"], loss=(Part(1, "student-log-prob"),))
    tables = world.at(theta)
    row = Row(tables.teacher, tables.teacher - tables.student)
    agree(sampled(world, method, theta), enumerated(world, row, theta, False))
