"""The closed form of linear-quadratic control against Monte Carlo, Riccati, finite differences and hand calculation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_bench import bench

from understudy.lab.linear_gaussian import (
    Linear,
    LinearQuadratic,
    asymmetry,
    divergence,
    field,
    improved,
    jacobian,
    random_problems,
    random_students,
    returns,
    riccati,
    rule,
    steps,
    teachers,
    unflat,
    value,
    visits,
)
from understudy.lab.linear_gaussian_samples import _episodes, sampled_update
from understudy.lab.linear_quadratic import LINEAR_QUADRATIC, ROWS, descend
from understudy.methods import METHODS

torch.set_num_threads(1)


def numbers(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def scalar_problem(gamma=1.0):
    """x' = 0.8 x + 0.5 u + w, var w = 0.1, cost x^2 + 0.3 u^2, var x_1 = 0.7, end 0.2."""
    a, b, w, q, r, first = (numbers([[x]]) for x in (0.8, 0.5, 0.1, 1.0, 0.3, 0.7))
    return LinearQuadratic(a, b, w, q, r, first, 0.2, gamma)


def setting(count=3, states=2, actions=1):
    problem = random_problems(count, 3, states, actions)
    generator = torch.Generator().manual_seed(1)
    return problem, teachers(problem, generator)["weak"], random_students(problem, generator)


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_the_return_of_a_scalar_problem_is_what_summing_step_by_step_gives(gamma):
    problem, k, deviation = scalar_problem(gamma), -0.4, 0.6
    spread, total, share = 0.7, 0.0, 1.0
    for _ in range(400):
        total -= share * (spread + 0.3 * (k**2 * spread + deviation**2))
        spread = (0.8 + 0.5 * k) ** 2 * spread + 0.25 * deviation**2 + 0.1
        share *= gamma * 0.8
    policy = Linear(numbers([[k]]), numbers([np.log(deviation)]))
    assert returns(problem, policy).item() == pytest.approx(total, abs=1e-10)


def test_riccatis_gain_beats_its_neighbours_and_is_what_no_step_of_improvement_changes():
    problem, *_ = setting(20, 3, 2)
    best = riccati(problem)
    still = torch.zeros(20, 2, dtype=torch.float64)
    top = returns(problem, Linear(best, still))
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        other = best + 0.02 * torch.randn(best.shape, generator=generator, dtype=torch.float64)
        assert (returns(problem, Linear(other, still)) < top).all()
    torch.testing.assert_close(improved(problem, Linear(best, still)), best, rtol=0, atol=1e-9)


def test_the_gradient_is_that_of_the_return_and_zero_at_the_optimum():
    """task-reward descends minus the return; its derivative by differences of a formula that Eq. 1 has no part in."""
    problem, teacher, theta = setting(4, 2, 2)
    g = field(METHODS["task-reward"], problem, teacher)(theta)
    step = 1e-5
    for j in range(theta.shape[1]):
        nudge = torch.zeros_like(theta)
        nudge[:, j] = step
        up, down = (returns(problem, unflat(theta + s * nudge, 2)) for s in (1, -1))
        torch.testing.assert_close(g[:, j], -(up - down) / (2 * step), rtol=1e-6, atol=1e-7)
    best = Linear(riccati(problem), theta[:, -2:])
    gains = field(METHODS["task-reward"], problem, teacher)(best.flat)[:, :-2]
    torch.testing.assert_close(gains, torch.zeros_like(gains), rtol=0, atol=1e-8)


def test_the_update_of_a_scalar_copy_is_what_one_gets_by_hand():
    """on-policy-distill: d/dk of KL is (k - k_T) x^2 / s^2, and d/dlog s is 1 - (s_T^2 + (k - k_T)^2 x^2) / s^2."""
    problem, k, kt, s, st = scalar_problem(), -0.4, -0.9, 0.6, 0.5
    policy, teacher = (Linear(numbers([[gain]]), numbers([np.log(x)])) for gain, x in ((k, s), (kt, st)))
    mass = 1 / 0.2
    loop = (0.8 + 0.5 * k) ** 2
    second = (0.7 + 0.8 / 0.2 * (0.25 * s**2 + 0.1)) / (1 - 0.8 * loop)
    assert visits(problem, policy, 0.8).item() == pytest.approx(second, abs=1e-12)
    by_hand = [(k - kt) * second / s**2, mass - (mass * st**2 + (k - kt) ** 2 * second) / s**2]
    g = field(METHODS["on-policy-distill"], problem, teacher)(policy.flat)
    np.testing.assert_allclose(g[0].numpy(), by_hand, atol=1e-12)


@pytest.mark.parametrize("name", ROWS)
def test_sampled_episodes_agree_with_the_closed_form(name):
    problem, teacher, theta = setting(1)
    problem = replace(problem, gamma=0.9)
    mean, error = sampled_update(METHODS[name], problem, teacher, theta, episodes=8_000, seed=2)
    exact = field(METHODS[name], problem, teacher, discounted=False)(theta)[0].numpy()
    assert (np.abs(mean - exact) < 5 * error).all()
    assert error.max() < 0.5 * np.abs(exact).max()


def test_sampled_states_have_the_moments_that_the_closed_form_says():
    problem, _, theta = setting(1)
    policy = unflat(theta, 1)
    states, _, length = _episodes(problem, policy, 40_000, np.random.default_rng(0))
    played = np.arange(len(states))[:, None] < length
    moments = np.einsum("tki,tkj,tk->ij", states, states, played) / len(length)
    np.testing.assert_allclose(moments, visits(problem, policy, 0.9)[0], rtol=0.05, atol=0.02)


def test_the_sum_to_go_of_the_reward_is_the_value_averaged_over_the_visits():
    problem, teacher, theta = setting(1)
    policy = unflat(theta, 1)
    taken = steps(METHODS["task-reward"], problem, teacher, policy, policy, discounted=True)
    matrix, constant = value(problem, policy)
    summed = (matrix * visits(problem, policy, 0.9)).sum() + 10 * constant.sum()
    assert taken.expect(taken.to_go(taken.reward, 1.0)).item() == pytest.approx(summed.item(), rel=1e-10)


@pytest.mark.parametrize("discounted", [True, False])
@pytest.mark.parametrize("name", ["on-policy-distill", "n-distill", "kl-regularised+r", "teacher-v-reward-printed"])
def test_the_jacobian_is_what_finite_differences_of_the_update_give(name, discounted):
    problem, teacher, theta = setting(2)
    update = field(METHODS[name], replace(problem, gamma=0.9), teacher, discounted)
    columns = []
    for j in range(theta.shape[1]):
        nudge = torch.zeros_like(theta)
        nudge[:, j] = 1e-5
        columns.append((update(theta + nudge) - update(theta - nudge)) / 2e-5)
    torch.testing.assert_close(jacobian(update, theta), torch.stack(columns, -1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if row.gradient is not None])
def test_the_gradient_field_column_holds_for_two_actions_and_three_states_too(name):
    problem, teacher, theta = setting(4, 3, 2)
    found = asymmetry(jacobian(field(METHODS[name], problem, teacher), theta))
    assert (found.max() < 1e-10) if METHODS[name].gradient else (found.min() > 1e-3)


def test_the_rule_integrates_even_quadratics_and_returns_them():
    three = rule(3)
    matrix = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix = matrix + matrix.mT
    values = three.values(matrix, numbers(0.5, -1.0).reshape(2))
    fitted, constant = three.quadratic(values)
    torch.testing.assert_close(fitted, matrix)
    torch.testing.assert_close(constant, numbers(0.5, -1.0).reshape(2))
    torch.testing.assert_close(values @ three.weights, matrix.diagonal(dim1=1, dim2=2).sum(-1) + constant)


def test_the_divergence_is_pytorchs_own_averaged_over_the_teachers_states():
    problem, k, kt = scalar_problem(), -0.4, -0.9
    student, teacher = (Linear(numbers([[g]]), numbers([np.log(s)])) for g, s in ((k, 0.6), (kt, 0.5)))
    x = np.random.default_rng(0).standard_normal(200_000) * np.sqrt(visits(problem, teacher, 0.8).item() * 0.2)
    normal = torch.distributions.Normal
    x = torch.tensor(x)
    sampled = torch.distributions.kl_divergence(normal(kt * x, 0.5), normal(k * x, 0.6)).mean()
    assert divergence(problem, teacher, student).item() == pytest.approx(sampled.item(), rel=0.02)


def test_teacher_critic_ends_at_one_step_of_improvement_and_task_reward_at_riccati():
    problem, teacher, _ = setting(3)
    for name, aim in (("teacher-critic", improved(problem, teacher)), ("task-reward", riccati(problem))):
        _, measured = descend(METHODS[name], problem, teacher, 300, 2)
        still = torch.full_like(teacher.log_std, -20.0)
        idle, top, own = (returns(problem, Linear(gain, still)) for gain in (0 * aim, riccati(problem), aim))
        expected = ((own - idle) / (top - idle)).numpy()
        np.testing.assert_allclose(measured["score"][-1], expected, atol=0.01)


def test_the_value_at_the_start_is_the_return():
    problem, _, theta = setting(3)
    policy = unflat(theta, 1)
    matrix, constant = value(problem, policy)
    at_start = (matrix * problem.start).sum((1, 2)) + constant
    torch.testing.assert_close(at_start, returns(problem, policy))


def test_the_experiment_answers_its_questions_at_the_smallest_scale(monkeypatch):
    monkeypatch.setattr("understudy.lab.linear_quadratic.FEWEST_ITERATIONS", 20)
    findings = LINEAR_QUADRATIC.run(bench(mdps=10, iterations=750))
    assert [claim.number for claim in findings.claims] == ["L1", "L2", "L3", "L4"]
    assert findings.claims[0].outcome == "reproduced"
    assert {figure.kind for figure in findings.figures} == {"curves", "table"}
