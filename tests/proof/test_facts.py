"""The facts of METHODS.md section 2, by enumerating every trajectory; the catalogue's claims against them."""

import itertools

import numpy as np
import pytest
from enumerated import (
    CROSS_ENTROPY,
    EXPECTED,
    KL,
    KL_EXPECTED,
    OBJECTIVES,
    ROWS,
    Row,
    World,
    asymmetry,
    by_differences,
    chances,
    direction,
    objective,
    problem,
    pseudo_returns,
    softmax,
    state_values,
    updates,
)

from understudy.methods import METHODS

GAMMAS = (1.0, 0.9)
SEED = 5  # its gate is open in some states and shut in others


@pytest.fixture(params=GAMMAS, ids=["gamma=1", "gamma=0.9"])
def world_and_student(request):
    return problem(SEED, request.param)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_every_method_is_spelled_out_here_a_second_time():
    assert {name for name, _ in ROWS} == set(METHODS)


def test_the_trajectories_are_all_there_are(world_and_student):
    world, theta = world_and_student
    for policy in (softmax(theta), world.teacher):
        assert chances(world, policy).sum() == pytest.approx(1, abs=1e-12)
    paths = world.trajectories
    returns = (world.mdp.rewards[paths.state, paths.action] * paths.alive) @ world.gamma ** np.arange(3)
    value = state_values(world.mdp, world.teacher, world.gamma)
    assert chances(world, world.teacher) @ returns == pytest.approx(world.mdp.start @ value, abs=1e-12)


@pytest.mark.parametrize("key", ROWS, ids=" ".join)
def test_the_gradient_field_column(key, world_and_student):
    world, theta = world_and_student
    measured = asymmetry(world, key, theta)
    if METHODS[key[0]].gradient:
        assert measured < 1e-6
    else:
        assert measured > 0.05


@pytest.mark.parametrize("key", OBJECTIVES, ids=" ".join)
def test_a_gradient_row_is_the_gradient_of_what_it_says_it_minimises(key, world_and_student):
    world, theta = world_and_student
    by_hand = by_differences(lambda x: objective(world, key, x), theta)
    np.testing.assert_allclose(direction(world, key, theta), by_hand, rtol=0, atol=1e-8)


def test_a_row_has_an_objective_exactly_if_it_is_a_gradient_field():
    assert {name for name, _ in OBJECTIVES} == {name for name, row in METHODS.items() if row.gradient}
    assert all((row.objective != "none exists") == bool(row.gradient) for row in METHODS.values())


@pytest.mark.parametrize("name", ["on-policy-distill", "on-policy-distill+r"])
@pytest.mark.parametrize("seed", range(4))
def test_theorem_1_on_policy_distillation_is_no_gradient_field(name, seed):
    assert asymmetry(*_at(seed, (name, CROSS_ENTROPY))) > 0.05


def _at(seed, key):
    world, theta = problem(seed)
    return world, key, theta


@pytest.mark.parametrize("seed", range(4))
def test_theorem_2_corrects_any_one_step_loss(seed, monkeypatch):
    """A loss that no row has: theta[s, a] squared, weighted at random."""
    world, theta = problem(seed, gamma=0.9)
    weight = np.random.default_rng(seed).random(theta.shape)

    def cost(w):
        return (weight * w.theta**2).sum(-1, keepdims=True)

    def d_cost(w):
        return 2 * weight * w.theta

    plain, fixed = ("squares", "plain"), ("squares", "corrected")
    monkeypatch.setitem(ROWS, plain, lambda w: Row(w.student, d_cost(w)))
    monkeypatch.setitem(ROWS, fixed, lambda w: Row(w.student, d_cost(w), 0.0, -cost(w)))
    monkeypatch.setitem(OBJECTIVES, fixed, lambda w: (w.student, cost(w)))
    assert asymmetry(world, plain, theta) > 0.05
    assert asymmetry(world, fixed, theta) < 1e-6
    by_hand = by_differences(lambda x: objective(world, fixed, x), theta)
    np.testing.assert_allclose(direction(world, fixed, theta), by_hand, rtol=0, atol=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_teacher_v_reward_is_a_gradient_field_and_the_printed_form_is_not(seed):
    assert asymmetry(*_at(seed, ("teacher-v-reward", CROSS_ENTROPY))) < 1e-6
    assert asymmetry(*_at(seed, ("teacher-v-reward-printed", CROSS_ENTROPY))) > 0.05


EQUAL = [
    (("entropy-regularised", CROSS_ENTROPY), ("exp-entropy-regularised", CROSS_ENTROPY)),
    (("entropy-regularised+r", CROSS_ENTROPY), ("exp-entropy-regularised+r", CROSS_ENTROPY)),
    (("exp-entropy-regularised", CROSS_ENTROPY), ("exp-entropy-regularised", EXPECTED)),
    (("exp-entropy-regularised+r", CROSS_ENTROPY), ("exp-entropy-regularised+r", EXPECTED)),
    (("entropy-regularised", KL), ("kl-regularised", CROSS_ENTROPY)),
    (("entropy-regularised", KL), ("exp-entropy-regularised", KL)),
    (("exp-entropy-regularised", KL), ("exp-entropy-regularised", KL_EXPECTED)),
    (("teacher-v-reward", CROSS_ENTROPY), ("task-reward", CROSS_ENTROPY)),
    (("student-critic", CROSS_ENTROPY), ("task-reward", CROSS_ENTROPY)),
    (("on-policy-distill", KL), ("on-policy-distill", CROSS_ENTROPY)),
    (("teacher-distill", KL), ("teacher-distill", CROSS_ENTROPY)),
]


@pytest.mark.parametrize(("one", "other"), EQUAL, ids=lambda key: " ".join(key))
def test_equal_in_expectation(one, other, world_and_student):
    world, theta = world_and_student
    close(direction(world, one, theta), direction(world, other, theta))


def test_a_divergence_as_a_reward_is_another_row_than_a_cross_entropy():
    world, theta = problem(SEED)
    for name in ("n-distill", "exp-entropy-regularised", "entropy-regularised"):
        difference = direction(world, (name, KL), theta) - direction(world, (name, CROSS_ENTROPY), theta)
        assert np.abs(difference).max() > 0.01


def variance(world, key, theta):
    """Of one trajectory's update, summed over theta."""
    row = ROWS[key](world.at(theta))
    chance, update = chances(world, row.control), updates(world, row, softmax(theta))
    mean = np.einsum("k,ksa->sa", chance, update)
    return float(np.einsum("k,ksa->", chance, (update - mean) ** 2))


@pytest.mark.parametrize("seed", range(6))
def test_rows_that_are_equal_in_expectation_differ_in_variance(seed):
    world, theta = problem(seed)
    sampled, inner, expected = (
        variance(world, key, theta)
        for key in (
            ("entropy-regularised", CROSS_ENTROPY),
            ("exp-entropy-regularised", CROSS_ENTROPY),
            ("exp-entropy-regularised", EXPECTED),
        )
    )
    assert expected < inner < sampled
    rewarded, shaped, bootstrapped = (
        variance(world, (name, CROSS_ENTROPY), theta) for name in ("task-reward", "teacher-v-reward", "student-critic")
    )
    assert bootstrapped < rewarded
    assert abs(shaped / rewarded - 1) > 0.01


def test_shaping_by_the_teachers_value_telescopes_to_a_baseline(world_and_student):
    world, theta = world_and_student
    tables, paths = world.at(theta), world.trajectories
    shaped = pseudo_returns(world, ROWS["teacher-v-reward", CROSS_ENTROPY](tables))
    plain = pseudo_returns(world, ROWS["task-reward", CROSS_ENTROPY](tables))
    close(shaped * paths.alive, (plain - tables.v_t[paths.state, 0]) * paths.alive)


def best_values(mdp, gamma):
    """V* as the best over every deterministic policy: no Bellman equation."""
    policies = itertools.product(np.eye(mdp.actions), repeat=mdp.states)
    return np.max([state_values(mdp, np.array(policy), gamma) for policy in policies], axis=0)


def test_proposition_4_with_an_optimal_teacher_v_reward_pays_the_advantage(world_and_student):
    world, theta = world_and_student
    mdp, gamma = world.mdp, world.gamma
    best = best_values(mdp, gamma)
    action_value = mdp.rewards + gamma * mdp.transitions @ best
    optimal = np.eye(mdp.actions)[action_value.argmax(-1)]
    expert = World(mdp, optimal, gamma)
    tables, paths = expert.at(theta), expert.trajectories
    reward = Row(tables.student, 0.0, tables.r - tables.v_t, tables.v_t, credit=0.0)
    paid = pseudo_returns(expert, reward)
    chance = chances(expert, tables.student)[:, None] * paths.alive
    total, weight = np.zeros_like(theta), np.zeros_like(theta)
    np.add.at(total, (paths.state, paths.action), chance * paid)
    np.add.at(weight, (paths.state, paths.action), chance)
    mean = total / weight
    close(mean, action_value - best[:, None])
    close(mean[optimal == 1], 0.0)
    assert mean[optimal == 0].max() < -1e-6


def test_without_discounted_visits_even_the_plain_policy_gradient_is_no_gradient_field():
    world, theta = problem(SEED, gamma=0.9)
    key = ("task-reward", CROSS_ENTROPY)
    assert asymmetry(world, key, theta, discounted=True) < 1e-6
    assert 0.01 < asymmetry(world, key, theta, discounted=False) < 0.2


def test_a_perfect_copy_pays_nothing_under_kl_and_the_teachers_entropy_under_cross_entropy():
    world, _ = problem(SEED)
    tables = world.at(np.log(world.teacher))
    entropy = -(world.teacher * np.log(world.teacher)).sum(-1)
    for cost in (tables.forward, tables.reverse):
        close(cost[:, 0], entropy)
    for cost in (tables.forward_kl, tables.reverse_kl):
        close(cost[:, 0], 0.0)
    copy = np.log(world.teacher)
    assert np.abs(direction(world, ("n-distill", KL), copy)).max() < 1e-12
    assert np.abs(direction(world, ("n-distill", CROSS_ENTROPY), copy)).max() > 0.01


def test_reverse_cross_entropy_asks_for_the_best_action_and_forward_for_a_copy():
    teacher = np.array([[0.6, 0.3, 0.1]])
    world, _ = problem(SEED)
    for attribute, d_attribute, sought in (
        ("forward", "d_forward", teacher),
        ("reverse", "d_reverse", np.array([[1.0, 0.0, 0.0]])),
        ("reverse_kl", "d_reverse_kl", teacher),
    ):
        theta = np.zeros((1, 3))
        single = World(world.mdp, teacher)
        for _ in range(4000):
            theta = theta - 0.5 * getattr(single.at(theta), d_attribute)
        np.testing.assert_allclose(single.at(theta).student, sought, atol=2e-3, err_msg=attribute)
