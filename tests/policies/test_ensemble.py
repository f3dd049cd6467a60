import math
import tempfile

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.errors import ConfigurationError, SpaceError
from understudy.math.distributions import Family
from understudy.policies.ensemble import MIXTURES, Ensemble
from understudy.policies.open_function import of_object
from understudy.policies.teachers import open_teacher
from understudy.policies.tempered import Tempered

SEES = spaces.Box(-1, 1, (3,))
X = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (6, 3)), dtype=torch.float32)


def constant(row, acts, name="logits", **more):
    def answer(observation):
        return {k: np.tile(v, (len(observation), 1)) for k, v in {name: row, **more}.items()}

    return of_object(answer, observation_space=SEES, action_space=acts)


def test_probabilities_are_averaged():
    three = spaces.Discrete(3)
    a = constant([0.5, 0.25, 0.25], three, "probabilities")
    b = constant([0.1, 0.1, 0.8], three, "probabilities")
    assert torch.allclose(Ensemble([a, b])(X)[0].policy.log_probs.exp(), torch.tensor([0.3, 0.175, 0.525]))
    heavy = Ensemble([a, b], weights=[3, 1])
    assert torch.allclose(heavy(X)[0].policy.log_probs.exp(), torch.tensor([0.4, 0.2125, 0.3875]))


def test_an_action_that_one_member_never_takes_keeps_the_others_share():
    two = spaces.Discrete(2)
    never = constant([1.0, 0.0], two, "probabilities")
    even = constant([0.5, 0.5], two, "probabilities")
    both = Ensemble([never, even])
    assert torch.allclose(both(X)[0].policy.log_probs.exp(), torch.tensor([0.75, 0.25]))
    assert both.full_support
    assert not Ensemble([never, never]).full_support


def test_coins_and_parts_are_averaged_one_by_one():
    coins = Ensemble([constant([p, 0.5], spaces.MultiBinary(2), "probabilities") for p in (0.2, 0.6)])
    assert torch.allclose(coins(X)[0].policy.flat.sigmoid(), torch.tensor([0.4, 0.5]))
    two = spaces.MultiDiscrete([2, 2])
    parts = Ensemble([constant([p, 1 - p, 0.5, 0.5], two, "probabilities") for p in (0.2, 0.6)])
    assert torch.allclose(parts(X)[0].policy.parts[0].log_probs.exp(), torch.tensor([0.4, 0.6]))


def test_gaussians_keep_the_mean_and_variance_of_their_mixture():
    one = spaces.Box(-9, 9, (1,))
    a, b = constant([1.0], one, "mean", std=[2.0]), constant([4.0], one, "mean", std=[1.0])
    mixed = Ensemble([a, b], weights=[0.25, 0.75])(X)[0].policy
    # E = 0.25 * 1 + 0.75 * 4; E[x^2] = 0.25 * (4 + 1) + 0.75 * (1 + 16)
    mean, second = 3.25, 0.25 * 5 + 0.75 * 17
    assert torch.allclose(mixed.mean, torch.tensor(mean))
    assert torch.allclose(mixed.log_std, torch.tensor(0.5 * math.log(second - mean**2)))


def test_squashed_gaussians_are_mixed_before_the_tanh():
    family = Family("squashed-gaussian", (1,))
    flats, weight = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([[0.5], [0.5]])
    expected = torch.tensor([1.0, 0.5 * math.log(2)])
    assert torch.allclose(MIXTURES[family.kind](flats, weight, family), expected)


def test_the_value_is_the_mean_where_all_have_one():
    two = spaces.Discrete(2)
    a, b = (constant([0.0, 1.0], two, value=[v]) for v in (1.0, 5.0))
    assert torch.equal(Ensemble([a, b], weights=[1, 3])(X)[0].value, torch.full((6,), 4.0))
    mute = Ensemble([a, constant([0.0, 1.0], two)])
    assert not mute.has_value
    assert mute(X)[0].state_value is None


def test_members_that_can_do_without_their_value_leave_it_out():
    pytest.importorskip("stable_baselines3", reason="needs the extra sb3")
    from stable_baselines3 import PPO

    with tempfile.TemporaryDirectory() as folder:
        PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu").save(f"{folder}/agent.zip")
        agent = open_teacher(f"{folder}/agent.zip", temperature=0.5)
    both = Ensemble([agent, agent])
    bare = both.without_value()
    x = torch.linspace(-1, 1, 8).reshape(2, 4)
    assert both(x)[0].value.shape == (2,)
    assert bare(x)[0].state_value is None
    assert torch.equal(bare(x)[0].policy.flat, both(x)[0].policy.flat)


def test_modules_are_counted_and_no_gradient_comes_out():
    nets = [torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)]
    policies = [of_object(net, observation_space=SEES, action_space=spaces.Discrete(2)) for net in nets]
    both = Ensemble(policies)
    assert both.parameter_count == 16
    heads, memory = both(X.requires_grad_())
    assert not heads.policy.flat.requires_grad
    assert memory is None
    assert both.description.count("Linear") == 2


def test_members_with_a_memory_each_keep_their_own():
    from understudy.policies.student import Student

    acts = spaces.Discrete(2)
    family = Family("categorical", (2,))
    members = [Student(SEES, acts, family, spec) for spec in ("gru:3", "mlp:4", "lstm:2")]
    both = Ensemble(members)
    window, start = X.reshape(3, 2, 3).detach(), torch.zeros(3, 2, dtype=torch.bool)
    whole, after = both(window, torch.zeros(2, 7), start)
    first, between = both(window[:1], torch.zeros(2, 7), start[:1])
    rest, end = both(window[1:], between, start[1:])
    assert both.memory_size == 7
    assert torch.allclose(torch.cat([first.policy.flat, rest.policy.flat]), whole.policy.flat, atol=1e-6)
    assert torch.allclose(end, after, atol=1e-6)


def test_members_of_other_kinds_are_refused_with_both_spaces():
    two, three = constant([0.0, 1.0], spaces.Discrete(2)), constant([0.0, 1.0, 2.0], spaces.Discrete(3))
    with pytest.raises(SpaceError, match=r"Discrete\(2\).*Discrete\(3\)"):
        Ensemble([two, three])
    blind = of_object(
        lambda o: np.zeros((len(o), 2)), observation_space=spaces.Box(-1, 1, (5,)), action_space=two.action_space
    )
    with pytest.raises(SpaceError, match=r"\(3,\).*\(5,\)"):
        Ensemble([two, blind])


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, math.nan]])
def test_weights_must_be_positive_and_as_many_as_the_members(weights):
    two = constant([0.0, 1.0], spaces.Discrete(2))
    with pytest.raises(ConfigurationError, match="2 positive weights"):
        Ensemble([two, two], weights)


def test_action_values_need_a_temperature_before_they_are_averaged():
    q = constant([0.0, 1.0], spaces.Discrete(2), "q")
    with pytest.raises(ConfigurationError, match="temperature"):
        Ensemble([q, q])
    assert Ensemble([Tempered(q, 0.01), Tempered(q, 0.01)]).has_value
