"""Flows against closed forms."""

import numpy as np
import pytest

from understudy.engines import exact
from understudy.errors import ConfigurationError
from understudy.mdp.families import random_mdp
from understudy.mdp.model import MDP
from understudy.methods import METHODS

COIN = MDP(np.zeros((1, 2, 1)), np.array([[0.0, 1.0]]), np.ones(1))
SIGMOID = exact.SharedSigmoids(np.zeros(1, dtype=int))
HALF = np.full((1, 2), 0.5)


def test_one_choice_flows_as_its_solution_says():
    """x' = p (1 - p) with p = sigmoid(x): sinh x + x = t / 2 + const."""
    times = np.array([0.0, 0.5, 3.0, 50.0, 400.0])
    found = exact.flow(METHODS["task-reward"], COIN, HALF, [-2.0], times, student=SIGMOID)
    x = found.parameters[:, 0].numpy()
    np.testing.assert_allclose(2 * (np.sinh(x) + x), 2 * (np.sinh(-2) - 2) + times, rtol=1e-7)
    assert found.times.tolist() == times.tolist()


def test_the_tolerance_is_that_of_a_step():
    truth, rough = (
        exact.flow(METHODS["task-reward"], COIN, HALF, [-2.0], [0.0, 50.0], student=SIGMOID, tolerance=tolerance)
        for tolerance in (1e-12, 1e-3)
    )
    error = abs(float(truth.parameters[-1] - rough.parameters[-1]))
    assert 1e-9 < error < 1e-2


def test_a_copy_is_reached_and_kept():
    generator = np.random.default_rng(0)
    mdp = random_mdp(4, 3, 0.3, generator)
    teacher = generator.dirichlet(np.ones(3), 4)
    end = exact.flow(METHODS["on-policy-distill"], mdp, teacher, np.zeros((4, 3)), [0.0, 400.0]).parameters[-1]
    np.testing.assert_allclose(end.softmax(-1), teacher, atol=1e-4)


def test_a_gate_that_opens_and_shuts_does_not_stop_the_flow():
    generator = np.random.default_rng(1)
    mdp = random_mdp(4, 3, 0.3, generator)
    teacher = generator.dirichlet(np.ones(3), 4)
    path = exact.flow(METHODS["v-gated"], mdp, teacher, np.zeros((4, 3)), [0.0, 10.0, 20.0], tolerance=1e-6)
    value = [float(mdp.start @ exact.values(mdp, logits.softmax(-1)).numpy()) for logits in path.parameters]
    assert value[0] < value[1] < value[2]


@pytest.mark.parametrize("times", [[0.0], [0.0, 0.0], [1.0, 0.5], [[0.0, 1.0]]])
def test_times_ascend(times):
    with pytest.raises(ConfigurationError, match="ascending"):
        exact.flow(METHODS["task-reward"], COIN, HALF, [0.0], times, student=SIGMOID)
