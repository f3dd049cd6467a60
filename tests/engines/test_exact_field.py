"""The exact update and its Jacobian on MDPs with cycles: by hand, by differences, by the chain rule."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from understudy.engines import exact
from understudy.errors import ConfigurationError, MethodError
from understudy.mdp.families import cycle, grid, random_mdp
from understudy.mdp.model import MDP
from understudy.methods import (
    CONTROLS,
    METHODS,
    Part,
    corrected,
    mixture,
    with_control,
    with_credit,
    with_divergence,
    with_expected_reward,
    with_weights,
)

FORMS = {
    **METHODS,
    "n-distill kl": with_divergence(METHODS["n-distill"], "kl"),
    "exp-entropy-regularised kl": with_divergence(METHODS["exp-entropy-regularised"], "kl"),
    "exp-entropy-regularised expected": with_expected_reward(METHODS["exp-entropy-regularised"]),
    "n-distill+r weighed": with_weights(METHODS["n-distill+r"], loss=0.5, task=2.0),
    "n-distill, a small credit": with_credit(METHODS["n-distill"], 0.5),
    "on-policy-distill, mixture": with_control(METHODS["on-policy-distill"], mixture(0.4)),
    "on-policy-distill, uniform": with_control(METHODS["on-policy-distill"], CONTROLS["uniform"]),
}
GRADIENT = [name for name, row in FORMS.items() if row.gradient]
KINDS = {
    "gamma 1": {"gamma": 1.0},
    "discounted visits": {"gamma": 0.9},
    "plain visits": {"gamma": 0.9, "discounted_visits": False},
}


def softmax(x):
    weight = np.exp(x - x.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def problem(seed=1, states=6, actions=3):
    generator = np.random.default_rng(seed)
    mdp = random_mdp(states, actions, 0.2, generator)
    teacher = softmax(1.5 * generator.standard_normal((states, actions)))
    return mdp, teacher, 0.7 * generator.standard_normal((states, actions))


def differences(function, theta, step=1e-5):
    """Central, in every entry of theta: first the function's shape, then theta's."""
    columns = []
    for index in np.ndindex(theta.shape):
        nudge = np.zeros_like(theta)
        nudge[index] = step
        columns.append((np.asarray(function(theta + nudge)) - np.asarray(function(theta - nudge))) / (2 * step))
    return np.stack(columns, -1).reshape(*columns[0].shape, *theta.shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FORMS)
def test_the_jacobian_is_what_differences_of_the_update_give(name, kind):
    mdp, teacher, theta = problem()
    by_hand = differences(lambda x: exact.update(FORMS[name], mdp, teacher, x, **KINDS[kind]), theta)
    found = exact.jacobian(FORMS[name], mdp, teacher, theta, **KINDS[kind]).numpy()
    np.testing.assert_allclose(found, by_hand, rtol=0, atol=1e-8 * np.abs(by_hand).max())


@pytest.mark.parametrize("gamma", [1.0, 0.9])
@pytest.mark.parametrize("name", GRADIENT)
def test_a_gradient_row_descends_its_objective(name, gamma):
    mdp, teacher, theta = problem()
    by_hand = differences(lambda x: exact.objective(FORMS[name], mdp, teacher, x, gamma=gamma), theta)
    found = exact.update(FORMS[name], mdp, teacher, theta, gamma=gamma).numpy()
    np.testing.assert_allclose(found, by_hand, rtol=0, atol=1e-8)
    assert np.abs(found).max() > 1e-3


@pytest.mark.parametrize("name", [name for name, row in FORMS.items() if not row.gradient])
def test_a_row_that_minimises_nothing_has_no_objective(name):
    mdp, teacher, theta = problem()
    with pytest.raises(MethodError, match="minimises nothing"):
        exact.objective(FORMS[name], mdp, teacher, theta)


def test_plain_visits_of_the_student_leave_no_objective_and_those_of_the_teacher_do():
    mdp, teacher, theta = problem()
    with pytest.raises(MethodError, match=r"plain visits and gamma 0\.9"):
        exact.objective(METHODS["n-distill"], mdp, teacher, theta, **KINDS["plain visits"])
    row = METHODS["teacher-distill"]
    by_hand = differences(lambda x: exact.objective(row, mdp, teacher, x, **KINDS["plain visits"]), theta)
    found = exact.update(row, mdp, teacher, theta, **KINDS["plain visits"])
    np.testing.assert_allclose(found, by_hand, rtol=0, atol=1e-8)


def test_staying_or_leaving_by_hand():
    """One state: action 0 stays, action 1 ends the episode; p stays, so an episode has 1 / (1 - p) steps."""
    mdp = MDP(np.array([[[1.0], [0.0]]]), np.array([[3.0, 1.0]]), np.ones(1))
    teacher, x = np.array([[0.25, 0.75]]), 0.4
    p = 1 / (1 + np.exp(-x))
    slope = p * (1 - p) * np.array([[1.0, -1.0]])
    cost = -0.25 * np.log(p) - 0.75 * np.log(1 - p)
    d_cost = np.array([[p - 0.25, 0.25 - p]])
    expected = {
        "on-policy-distill": d_cost / (1 - p),
        "n-distill": d_cost / (1 - p) + cost * slope / (1 - p) ** 2,
        "task-reward": -(slope * (3 - 1) / (1 - p) + (3 * p + 1 - p) * slope / (1 - p) ** 2),
        "teacher-distill": d_cost / 0.75,
    }
    for name, wanted in expected.items():
        np.testing.assert_allclose(exact.update(METHODS[name], mdp, teacher, [[x, 0.0]]), wanted, atol=1e-12)


def test_states_that_look_alike_share_the_sum_of_their_updates():
    mdp, teacher, _ = problem()
    observed = np.array([0, 1, 0, 2, 1, 1])
    blind = MDP(mdp.transitions, mdp.rewards, mdp.start, observed=observed)
    theta = np.random.default_rng(3).standard_normal((3, 3))
    for name in ("n-distill+r", "student-critic"):
        each = exact.update(METHODS[name], mdp, teacher, theta[observed], gamma=0.9).numpy()
        wanted = np.zeros_like(theta)
        np.add.at(wanted, observed, each)
        np.testing.assert_allclose(exact.update(METHODS[name], blind, teacher, theta, gamma=0.9), wanted, atol=1e-12)
        assert exact.jacobian(METHODS[name], blind, teacher, theta).shape == (3, 3, 3, 3)
        assert exact.asymmetry(METHODS[name], blind, teacher, theta, gamma=0.9) < 1e-9


@pytest.mark.parametrize("shape", [(6, 2), (6, 3, 2)], ids=["of states", "of states and actions"])
def test_linear_features_obey_the_chain_rule(shape):
    mdp, teacher, _ = problem()
    generator = np.random.default_rng(4)
    features = generator.standard_normal(shape)
    weights = generator.standard_normal((2, 3) if len(shape) == 2 else 2)
    student = exact.LinearFeatures(features)
    each = exact.update(METHODS["n-distill"], mdp, teacher, features @ weights, gamma=0.9).numpy()
    wanted = np.einsum("sf,sa->fa" if len(shape) == 2 else "saf,sa->f", features, each)
    found = exact.update(METHODS["n-distill"], mdp, teacher, weights, gamma=0.9, student=student)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    square = exact.jacobian(METHODS["on-policy-distill"], mdp, teacher, weights, student=student).numpy()
    by_hand = differences(
        lambda x: exact.update(METHODS["on-policy-distill"], mdp, teacher, x, student=student), weights
    )
    np.testing.assert_allclose(square, by_hand, atol=1e-7)


def test_shared_sigmoids_on_the_cycle_by_hand():
    """Fig. 2 of C19 with reward: E r = (1 - a)(-(1 + b)) + a (-3 b), and the loss is -4 b where a leads."""
    ring = cycle()
    a, b = 0.7, 0.2
    x = np.log([a / (1 - a), b / (1 - b)])
    student, costs = exact.SharedSigmoids(ring.shared), exact.Costs(ring.cost)
    on_policy = replace(METHODS["on-policy-distill+r"], loss=(Part(1, "reverse-cross-entropy"),))
    d_a, d_b = a * (1 - a), b * (1 - b)
    reward = np.array([d_a * (1 + b - 3 * b), d_b * (-(1 - a) - 3 * a)])
    loss = np.array([0.0, a * -4 * d_b])
    found = exact.update(on_policy, ring.mdp, costs, x, student=student)
    np.testing.assert_allclose(found, loss - reward, atol=1e-12)
    correction = np.array([-4 * b * d_a, 0.0])
    found = exact.update(corrected(on_policy), ring.mdp, costs, x, student=student)
    np.testing.assert_allclose(found, loss + correction - reward, atol=1e-12)
    objective = exact.objective(corrected(on_policy), ring.mdp, costs, x, student=student)
    assert objective == pytest.approx(-4 * a * b + (1 - a) * (1 + b) + 3 * a * b)


def test_actions_that_move_alike_share_the_update_of_their_move():
    """A hundred copies of each action, each as likely as the others: a hundredth of its update."""
    few, many = (grid(np.random.default_rng(0), size=6, actions=actions).mdp for actions in (4, 400))
    generator = np.random.default_rng(1)
    teacher, theta = softmax(generator.standard_normal((36, 4))), generator.standard_normal((36, 4))
    for name in ("on-policy-distill", "teacher-v-reward", "v-gated"):
        wanted = exact.update(METHODS[name], few, teacher, theta, gamma=0.95).numpy()
        found = exact.update(METHODS[name], many, np.tile(teacher, 100) / 100, np.tile(theta, 100), gamma=0.95).numpy()
        np.testing.assert_allclose(found, np.tile(wanted, 100) / 100, atol=1e-12)


def test_in_a_terminal_state_nothing_is_read():
    """Whatever a teacher and a student would do there."""
    mdp, _, _ = problem()
    terminal = np.arange(6) == 3
    start = np.where(terminal, 0, mdp.start)
    ends = MDP(mdp.transitions, mdp.rewards, start / start.sum(), terminal)
    generator = np.random.default_rng(2)
    teacher, theta = softmax(generator.standard_normal((6, 3))), generator.standard_normal((6, 3))
    odd, far = teacher.copy(), theta.copy()
    odd[3], far[3] = np.nan, [30.0, -30.0, 0.0]
    for row in METHODS.values():
        found = exact.update(row, ends, teacher, theta, gamma=0.9).numpy()
        np.testing.assert_allclose(exact.update(row, ends, odd, far, gamma=0.9), found, atol=1e-12)
        assert not found[3].any()


def test_arrays_and_tensors_give_the_same_tensor():
    mdp, teacher, theta = problem()
    found = exact.update(METHODS["n-distill"], mdp, teacher, theta)
    again = exact.update(METHODS["n-distill"], mdp, torch.tensor(teacher), torch.tensor(theta, requires_grad=True))
    assert torch.equal(found, again)
    assert found.dtype == torch.float64
    assert not again.requires_grad


MISTAKES = {
    "gamma": ({"gamma": 1.5}, r"gamma must lie in \(0, 1\], got 1.5"),
    "values": ({"teacher_values": np.zeros(3)}, r"teacher_values must have the shape \[6\], got \[3\]"),
    "student": ({"student": lambda x: x[:2]}, r"student's logits must have the shape \[6, 3\], got \[2, 3\]"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(name):
    options, text = MISTAKES[name]
    mdp, teacher, theta = problem()
    with pytest.raises(ConfigurationError, match=text):
        exact.update(METHODS["teacher-v-reward"], mdp, teacher, theta, **options)


def test_logits_that_do_not_fit_are_told():
    mdp, teacher, theta = problem()
    with pytest.raises(ConfigurationError, match=r"logits must have the shape \[6, 3\], got \[5, 3\]"):
        exact.update(METHODS["n-distill"], mdp, teacher, theta[:5])
    with pytest.raises(ConfigurationError, match="must be finite"):
        exact.update(METHODS["n-distill"], mdp, teacher, theta + np.inf)
    with pytest.raises(TypeError, match="gama"):
        exact.update(METHODS["n-distill"], mdp, teacher, theta, gama=0.9)


def test_a_teacher_without_full_support_is_refused_where_its_logarithm_is_read():
    mdp, teacher, theta = problem()
    teacher[4] = [0.5, 0.0, 0.5]
    with pytest.raises(MethodError, match="never takes action 1 in state 4"):
        exact.update(METHODS["entropy-regularised"], mdp, teacher, theta)
    exact.update(METHODS["n-distill"], mdp, teacher, theta)


def test_costs_are_refused_where_a_row_reads_more_of_a_teacher():
    mdp, teacher, theta = problem()
    for name, text in {
        "on-policy-distill": "forward-cross-entropy",
        "teacher-distill": "forward-cross-entropy",
        "teacher-v-reward": "teacher-value",
    }.items():
        with pytest.raises(MethodError, match=f"reads {text}, which costs cannot give"):
            exact.update(METHODS[name], mdp, exact.Costs(teacher), theta)
