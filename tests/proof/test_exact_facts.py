"""The facts of METHODS.md section 2 in MDPs with cycles, where nothing can be enumerated; by the exact engine."""

import numpy as np
import pytest
from enumerated import CROSS_ENTROPY, EXPECTED, KL, KL_EXPECTED, softmax
from sampled import FORMS

from understudy.engines import exact
from understudy.engines.exact.problem import problem as prepared
from understudy.mdp.families import random_mdp
from understudy.methods import METHODS, Method, Part, corrected, with_divergence, with_weights
from understudy.methods.surrogate import pseudo_reward

SEEDS = pytest.mark.parametrize("seed", range(5))
GAMMAS = pytest.mark.parametrize("gamma", [1.0, 0.9])
PLAIN = {"gamma": 0.9, "discounted_visits": False}


def problem(seed, states=7, actions=4, end=0.1):
    generator = np.random.default_rng(100 + seed)
    mdp = random_mdp(states, actions, end, generator)
    teacher = softmax(1.5 * generator.standard_normal((states, actions)))
    return mdp, teacher, 0.7 * generator.standard_normal((states, actions))


@SEEDS
@GAMMAS
@pytest.mark.parametrize("divergence", [CROSS_ENTROPY, KL])
def test_the_gradient_field_column(divergence, gamma, seed):
    for name, row in METHODS.items():
        if not row.gradient:
            continue
        measured = exact.asymmetry(with_divergence(row, divergence), *problem(seed), gamma=gamma)
        assert measured < 1e-9, name


@SEEDS
@GAMMAS
@pytest.mark.parametrize("name", ["on-policy-distill", "on-policy-distill+r", "teacher-v-reward-printed"])
def test_theorem_1_and_the_printed_row_are_no_gradient_fields(name, gamma, seed):
    assert exact.asymmetry(METHODS[name], *problem(seed), gamma=gamma) > 0.05


@SEEDS
@pytest.mark.parametrize("atom", ["reverse-kl", "student-entropy", "reverse-cross-entropy", "forward-kl"])
def test_theorem_2_corrects_any_loss_of_the_state(atom, seed):
    plain = Method("any", METHODS["on-policy-distill"].control, loss=(Part(1.5, atom),), gradient=False)
    for gamma in (1.0, 0.9):
        assert exact.asymmetry(plain, *problem(seed), gamma=gamma) > 0.01
        assert exact.asymmetry(corrected(plain), *problem(seed), gamma=gamma) < 1e-9


@SEEDS
def test_a_weight_on_the_reward_of_a_bootstrapped_row_makes_it_no_gradient_field(seed):
    weighed = with_weights(METHODS["student-critic"], task=2.0)
    assert exact.asymmetry(weighed, *problem(seed)) > 0.01
    assert not weighed.gradient
    assert with_weights(METHODS["teacher-v-reward"], task=2.0).gradient


@SEEDS
def test_with_plain_visits_and_gamma_below_1_the_column_breaks(seed):
    """Even for the policy gradient; a loss alone under the teacher's control is untouched."""
    broken = {
        name: exact.asymmetry(row, *problem(seed), **PLAIN)
        for name, row in METHODS.items()
        if row.gradient and row.control.is_student
    }
    assert 0.005 < broken["task-reward"] < 0.09
    assert min(broken.values()) > 1e-4
    assert exact.asymmetry(METHODS["teacher-distill"], *problem(seed), **PLAIN) < 1e-9


EQUAL = [
    (("entropy-regularised", CROSS_ENTROPY), ("exp-entropy-regularised", CROSS_ENTROPY)),
    (("entropy-regularised+r", CROSS_ENTROPY), ("exp-entropy-regularised+r", CROSS_ENTROPY)),
    (("exp-entropy-regularised", CROSS_ENTROPY), ("exp-entropy-regularised", EXPECTED)),
    (("entropy-regularised", KL), ("kl-regularised", CROSS_ENTROPY)),
    (("exp-entropy-regularised", KL), ("exp-entropy-regularised", KL_EXPECTED)),
    (("exp-entropy-regularised", KL), ("kl-regularised", CROSS_ENTROPY)),
    (("teacher-v-reward", CROSS_ENTROPY), ("task-reward", CROSS_ENTROPY)),
    (("student-critic", CROSS_ENTROPY), ("task-reward", CROSS_ENTROPY)),
    (("on-policy-distill", KL), ("on-policy-distill", CROSS_ENTROPY)),
]


@pytest.mark.parametrize("options", [{"gamma": 1.0}, {"gamma": 0.9}, PLAIN], ids=["1", "0.9", "0.9 plain visits"])
@pytest.mark.parametrize(("one", "other"), EQUAL, ids=lambda key: " ".join(key))
def test_equal_in_expectation(one, other, options):
    found = [exact.update(FORMS[form](METHODS[name]), *problem(0), **options) for name, form in (one, other)]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-12)
    assert found[0].abs().max() > 1e-3


def best_values(mdp, gamma):
    """V* by value iteration, until nothing moves."""
    value = np.zeros(mdp.states)
    for _ in range(2000):
        value = (mdp.rewards + gamma * mdp.transitions @ value).max(-1)
    return value


@SEEDS
@GAMMAS
def test_proposition_4_with_an_optimal_teacher_v_reward_pays_the_advantage(gamma, seed):
    mdp, _, theta = problem(seed)
    best = best_values(mdp, gamma)
    advantage = mdp.rewards + gamma * mdp.transitions @ best - best[:, None]
    optimal = np.eye(mdp.actions)[advantage.argmax(-1)]
    found = prepared(METHODS["teacher-v-reward"], mdp, optimal, gamma=gamma)
    parameters = found.parameters(theta)
    paid = pseudo_reward(found.method, found.steps(parameters, parameters), 1.0).numpy()
    np.testing.assert_allclose(paid, advantage, atol=1e-9)
    np.testing.assert_allclose(paid[optimal == 1], 0, atol=1e-9)
    assert paid[optimal == 0].max() < -1e-9
