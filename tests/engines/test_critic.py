"""The critic's scales change; what it predicts does not."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.critic import Critic
from understudy.policies.policy import tensors
from understudy.policies.spec import parse

FLAT = spaces.Box(-1, 1, (3,), np.float32)
BOTH = spaces.Dict({"flat": FLAT, "picture": spaces.Box(0, 255, (12, 12, 3), np.uint8)})


def observations(space, count=6):
    space.seed(0)
    drawn = [space.sample() for _ in range(count)]
    if isinstance(space, spaces.Dict):
        return tensors({key: np.stack([one[key] for one in drawn]) for key in space})
    return tensors(np.stack(drawn))


@pytest.fixture(params=["linear", "mlp:8", "cnn:small"])
def critic(request):
    space = BOTH if request.param == "cnn:small" else FLAT
    critic = Critic(space, parse(request.param), 2, seed=0)
    critic.rescale(torch.tensor([[100.0, -3.0], [300.0, 5.0]]))
    return critic, observations(space)


def test_rescaling_moves_the_scale_and_no_prediction(critic):
    critic, seen = critic
    before, scale = critic(seen), critic.std.clone()
    critic.rescale(torch.tensor([[-1000.0, 0.5], [1000.0, 0.75], [2000.0, 1.0]]))
    torch.testing.assert_close(critic(seen), before, rtol=1e-4, atol=1e-3)
    assert (critic.std != scale).all()


def test_the_first_scale_is_that_of_the_first_targets_and_later_ones_follow_slowly():
    critic = Critic(FLAT, parse("linear"), 1, seed=0)
    critic.rescale(torch.tensor([[10.0], [20.0]]))
    assert critic.mean.item() == pytest.approx(15)
    assert critic.std.item() == pytest.approx(5)  # of the population, so that one target has a deviation too
    critic.rescale(torch.tensor([[115.0], [115.0]]))
    assert critic.mean.item() == pytest.approx(15 + 0.2 * 100)


def test_a_single_column_as_a_network_predicts_what_the_critic_does(critic):
    critic, seen = critic
    for column in range(2):
        alone = critic.value_network(column)
        torch.testing.assert_close(alone(seen)[0][..., 0], critic(seen)[..., column], rtol=1e-4, atol=1e-4)


def test_the_error_is_in_the_columns_own_units_and_only_over_steps_that_were_played():
    critic = Critic(FLAT, parse("linear"), 2, seed=0)
    critic.rescale(torch.tensor([[0.0, 10.0], [200.0, 30.0]]))
    seen = observations(FLAT, 4).reshape(2, 2, 3)
    targets = critic(seen).detach() + critic.std * torch.tensor([1.0, 2.0])
    targets[1, 1] = 1e9
    valid = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    assert critic.loss(seen, targets, valid).item() == pytest.approx((1 + 4) / 2, rel=1e-3)
    assert critic.loss(seen[0], targets[0], None).item() == pytest.approx((1 + 4) / 2, rel=1e-3)


def test_a_value_that_has_moved_far_from_its_old_one_learns_no_more():
    """Targets 10, old values 0, limit 2, and predictions 1, 3 and -3: errors to 1, 2 and -2; only the first moves."""
    critic = Critic(FLAT, parse("linear"), 1, seed=0)
    critic.rescale(torch.tensor([[-4.0], [12.0]]))  # mean 4, deviation 8
    (last,) = critic.network.last_layers
    with torch.no_grad():
        last.weight.copy_(torch.tensor([[1.0, 3.0, -3.0]]) / 8)
        last.bias.fill_(-4 / 8)
    seen, targets = torch.eye(3), torch.full((3, 1), 10.0)
    torch.testing.assert_close(critic(seen)[:, 0], torch.tensor([1.0, 3.0, -3.0]))
    loss = critic.loss(seen, targets, None, (torch.zeros(3, 1), 2.0))
    assert loss.item() == pytest.approx((81 + 64 + 144) / 3 / 64)
    (gradient,) = torch.autograd.grad(loss, last.weight)
    torch.testing.assert_close(gradient, torch.tensor([[2 * -9 / 8 / 3, 0.0, 0.0]]))


def test_a_critic_without_a_rate_keeps_the_unit_of_the_returns():
    critic = Critic(FLAT, parse("linear"), 1, seed=0, rate=0.0)
    critic.rescale(torch.tensor([[100.0], [300.0]]))
    assert (critic.mean.item(), critic.std.item()) == (0.0, 1.0)
