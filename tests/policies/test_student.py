"""Students: every description with every kind of action, and how they begin."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.envs.actions import ActionMap, family_of
from understudy.math.distributions import Family
from understudy.policies.student import Student

FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)
PICTURE = spaces.Box(0, 255, (12, 12, 1), np.uint8)
ACTIONS = {
    "discrete": (spaces.Discrete(3, start=1), False),
    "multi-discrete": (spaces.MultiDiscrete([2, 3]), False),
    "multi-binary": (spaces.MultiBinary(4), False),
    "box": (spaces.Box(-1, 1, (2,), np.float32), False),
    "squashed box": (spaces.Box(-2, 1, (2,), np.float32), True),
}
SPECS = ["linear", "mlp:8", "mlp:8:relu:layernorm", "cnn:small", "gru:8", "lstm:8"]


def student(spec="mlp:8", kind="discrete", **options):
    action_space, squashed = ACTIONS[kind]
    space = PICTURE if spec.startswith("cnn") else FLAT
    return Student(space, action_space, family_of(action_space, squashed), spec, **options)


def seen(policy, *lead):
    return torch.rand(*lead, *policy.observation_space.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("state_dependent_std", [False, True])
@pytest.mark.parametrize("kind", ACTIONS)
@pytest.mark.parametrize("spec", SPECS)
def test_every_student_answers_distributions_whose_actions_its_environment_takes(spec, kind, state_dependent_std):
    policy = student(spec, kind, with_value=True, state_dependent_std=state_dependent_std)
    heads, _ = policy(seen(policy, 3, 5))
    assert heads.policy.flat.shape == (3, 5, policy.family.parameters)
    assert heads.value.shape == (3, 5)
    action_space = ACTIONS[kind][0]
    raw = policy.family.sample(heads.policy.flat[0].detach().numpy(), np.random.default_rng(0))
    assert all(action_space.contains(action) for action in ActionMap(policy.family, action_space).to_env(raw))
    heads.policy.log_prob(torch.tensor(raw)).sum().backward()
    acting = [*policy.network.parameters(), *([] if policy.log_std is None else [policy.log_std])]
    assert all(p.grad is not None for p in acting)


def test_it_begins_near_the_uniform_policy():
    policy = student()
    probability = torch.softmax(policy.flat(seen(policy, 50))[0], -1)
    assert (probability - 1 / 3).abs().max() < 0.05


def test_the_seed_decides_the_weights_and_nothing_else_does():
    state = torch.get_rng_state()
    one, two, other = (student("gru:8", with_value=True, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["network.memory.weight_hh_l0"], other["network.memory.weight_hh_l0"])
    assert not torch.equal(one["value_network.layers.0.weight"], other["value_network.layers.0.weight"])


@pytest.mark.parametrize(
    ("spec", "kind", "expected"),
    [
        ("linear", "discrete", 4 * 3 + 3),
        ("mlp:16,8", "discrete", 4 * 16 + 16 + 16 * 8 + 8 + 8 * 3 + 3),
        ("mlp:8:layernorm", "discrete", 4 * 8 + 8 + 2 * 8 + 8 * 3 + 3),
        ("mlp:8", "box", 4 * 8 + 8 + 8 * 2 + 2 + 2),
        ("gru:8", "discrete", 3 * (4 * 8 + 8 * 8 + 2 * 8) + 8 * 3 + 3),
        ("lstm:8", "discrete", 4 * (4 * 8 + 8 * 8 + 2 * 8) + 8 * 3 + 3),
        (
            "cnn:small",
            "discrete",
            (16 * 1 * 9 + 16) + (32 * 16 * 9 + 32) + (32 * 5 * 5 * 128 + 128) + (128 * 3 + 3),
        ),
    ],
)
def test_its_parameters_are_those_that_act(spec, kind, expected):
    assert student(spec, kind).parameter_count == expected
    assert student(spec, kind, with_value=True).parameter_count == expected


def test_deviations_are_one_vector_or_the_networks():
    own, each = student(kind="box"), student(kind="box", state_dependent_std=True)
    assert own.log_std.shape == (2,)
    assert (own.flat(seen(own, 5))[0][:, 2:] == own.log_std).all()
    assert each.log_std is None
    assert (each.flat(seen(each, 5))[0][:, 2:].std(0) > 0).all()
    assert student(state_dependent_std=True).log_std is None


@pytest.mark.parametrize("state_dependent_std", [False, True])
def test_it_can_begin_at_its_teachers_deviations(state_dependent_std):
    policy = student(kind="box", state_dependent_std=state_dependent_std)
    teacher = torch.tensor([[9.0, 9.0, -2.0, 0.5], [9.0, 9.0, -1.0, 1.5]])
    policy.begin_like(teacher)
    flat = policy.flat(seen(policy, 50))[0].detach()
    torch.testing.assert_close(flat[:, 2:].mean(0), torch.tensor([-1.5, 1.0]), atol=0.05, rtol=0)


def test_for_discrete_actions_there_is_nothing_to_begin_like():
    policy = student()
    before = {key: value.clone() for key, value in policy.state_dict().items()}
    policy.begin_like(torch.randn(5, 3))
    assert all(torch.equal(value, before[key]) for key, value in policy.state_dict().items())


def test_it_says_what_it_is():
    policy = student("gru:8", with_value=True)
    assert (policy.description, policy.memory_size, policy.has_value, policy.full_support) == ("gru:8", 8, True, True)
    assert student("lstm:8").memory_size == 16
    assert not student().has_value
    assert policy.family == Family("categorical", (3,))
