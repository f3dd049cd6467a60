import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.errors import ConfigurationError
from understudy.policies.open_function import of_object
from understudy.policies.tempered import Tempered

SEES = spaces.Box(-1, 1, (3,))
X = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (6, 3)), dtype=torch.float32)


def opened(function, acts):
    return of_object(function, observation_space=SEES, action_space=acts)


@pytest.mark.parametrize("temperature", [0.01, 0.5, 3.0])
def test_probabilities_are_raised_to_one_over_t_and_renormalised(temperature):
    policy = opened(lambda o: {"logits": o, "value": o[:, 0]}, spaces.Discrete(3))
    heads, _ = Tempered(policy, temperature)(X)
    raised = torch.softmax(X.double(), -1) ** (1 / temperature)
    expected = raised / raised.sum(-1, keepdim=True)
    assert torch.allclose(heads.policy.log_probs.exp().double(), expected, atol=1e-5)
    assert torch.equal(heads.policy.mode(), policy(X)[0].policy.mode())
    assert torch.equal(heads.value, X[:, 0])


def test_coins_and_parts_are_tempered_one_by_one():
    coins = Tempered(opened(lambda o: 2 * o, spaces.MultiBinary(3)), 0.5)(X)[0].policy
    p = torch.sigmoid(2 * X)
    assert torch.allclose(coins.flat.sigmoid(), p**2 / (p**2 + (1 - p) ** 2), atol=1e-6)
    parts = Tempered(opened(lambda o: np.tile(o, (1, 2)), spaces.MultiDiscrete([4, 2])), 0.5)(X)[0].policy.parts
    p = torch.softmax(torch.cat([X, X], -1)[:, :4], -1)
    assert torch.allclose(parts[0].log_probs.exp(), p**2 / (p**2).sum(-1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.25, 4.0])
def test_the_density_of_a_gaussian_is_raised_and_renormalised(temperature):
    policy = opened(lambda o: {"mean": o[:, :1], "std": np.exp(o[:, 1:2])}, spaces.Box(-1, 1, (1,)))
    heads, _ = Tempered(policy, temperature)(X)
    grid = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    for row in range(len(X)):
        mean, std = X[row, 0].double(), X[row, 1].double().exp()
        raised = torch.exp(-0.5 * ((grid - mean) / std) ** 2 / temperature)
        mass = torch.trapezoid(raised, grid)
        at = torch.tensor([0.3])
        expected = torch.exp(-0.5 * ((0.3 - mean) / std) ** 2 / temperature) / mass
        assert math.isclose(heads.policy.log_prob(at)[row].exp().item(), expected.item(), rel_tol=1e-4)
    assert torch.equal(heads.policy.mode(), X[:, :1])


def test_it_is_the_policy_otherwise_and_has_no_gradient():
    net = torch.nn.Linear(3, 3)
    policy = of_object(net, observation_space=SEES, action_space=spaces.Discrete(3))
    softer = Tempered(policy, 2.0)
    assert not softer(X.requires_grad_())[0].policy.flat.requires_grad
    assert (softer.family, softer.parameter_count, softer.full_support) == (policy.family, 12, True)
    assert "temperature 2" in softer.description


def test_a_deterministic_policy_stays_deterministic():
    policy = Tempered(opened(lambda o: (o[:, 0] > 0).astype(int), spaces.Discrete(2)), 2.0)
    assert not policy.full_support
    assert set(policy(X)[0].policy.log_probs.exp().ravel().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_not_positive_is_refused_with_a_small_one(temperature):
    policy = opened(lambda o: o, spaces.Discrete(3))
    with pytest.raises(ConfigurationError, match=r"above 0.*0\.01"):
        Tempered(policy, temperature)
