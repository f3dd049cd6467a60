"""Who acts: the NumPy forward pass against PyTorch's, memories, and mixtures."""

import itertools

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.actor import MixedActor, PolicyActor, UniformActor, numpy_forward, random_actor
from understudy.envs.actions import ActionMap, family_of
from understudy.envs.views import ObservationViews
from understudy.math.distributions import Family
from understudy.policies.policy import tensors
from understudy.policies.student import Student

FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)
VIEW = ObservationViews().student


def student(spec, space=FLAT, action_space=None, **options):
    action_space = action_space or spaces.Discrete(3)
    policy = Student(space, action_space, family_of(action_space), spec, seed=1, **options)
    with torch.no_grad():
        policy.network.layers[-1].weight.mul_(30)
        policy.network.fit_inputs(3 + 2 * torch.randn(50, *space.shape, generator=torch.Generator().manual_seed(0)))
    return policy


def seen(shape=(4,), count=64, seed=0):
    return (5 * np.random.default_rng(seed).standard_normal((count, *shape))).astype(np.float32)


@pytest.mark.parametrize("spec", ["linear", "mlp:8", "mlp:64,64", "mlp:8,8:relu", "mlp:8,8:silu"])
@pytest.mark.parametrize(
    ("space", "action_space"),
    [
        (FLAT, spaces.Discrete(3)),
        (spaces.Box(-9, 9, (2, 3), np.float64), spaces.MultiDiscrete([2, 3])),
        (FLAT, spaces.Box(-1, 1, (2,), np.float32)),
    ],
    ids=["flat", "matrix", "continuous"],
)
def test_the_numpy_forward_is_pytorchs(spec, space, action_space):
    policy = student(spec, space, action_space)
    forward = numpy_forward(policy)
    x = seen(space.shape).astype(space.dtype)
    with torch.no_grad():
        expected = policy.flat(tensors(x))[0].numpy()
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(forward(x), expected, atol=1e-5, rtol=1e-5)


def test_the_numpy_forward_knows_deviations_that_depend_on_the_state():
    action_space = spaces.Box(-1, 1, (2,), np.float32)
    policy = Student(FLAT, action_space, Family("squashed-gaussian", (2,)), "mlp:8", state_dependent_std=True)
    with torch.no_grad():
        np.testing.assert_allclose(numpy_forward(policy)(seen()), policy.flat(torch.tensor(seen()))[0], atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "space"),
    [
        ("mlp:8:layernorm", FLAT),
        ("mlp:8:gelu", FLAT),
        ("mlp:256,256", FLAT),
        ("gru:8", FLAT),
        ("mlp:8", spaces.Discrete(4)),
        ("mlp:8", spaces.MultiBinary(4)),
        ("mlp:8", spaces.Dict({"a": FLAT, "b": FLAT})),
        ("mlp:8", spaces.Dict({"a": FLAT})),
        ("cnn:small", spaces.Box(0, 255, (12, 12, 1), np.uint8)),
    ],
)
def test_what_numpy_does_not_know_is_left_to_pytorch(spec, space):
    policy = Student(space, spaces.Discrete(3), Family("categorical", (3,)), spec)
    assert numpy_forward(policy) is None


def test_only_students_are_read_by_numpy():
    assert numpy_forward(object()) is None


@pytest.mark.parametrize("spec", ["mlp:8", "mlp:8:gelu"])
def test_without_a_generator_the_mode_is_played_and_with_one_the_distribution(spec):
    policy = student(spec)
    x, start = np.repeat(seen(count=1), 20_000, 0), np.zeros(20_000, bool)
    with torch.no_grad():
        chances = torch.softmax(policy.flat(torch.tensor(x[:1]))[0], -1)[0].numpy()
    assert (PolicyActor(policy, VIEW, None)(x, start) == chances.argmax()).all()
    drawn = PolicyActor(policy, VIEW, np.random.default_rng(0))(x, start)
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / len(drawn), chances, atol=0.015)


def test_the_actor_sees_only_its_view():
    policy = student("mlp:8")
    actor = PolicyActor(policy, lambda observation: observation["part"], None)
    expected = PolicyActor(policy, VIEW, None)(seen(), np.zeros(64, bool))
    assert (actor({"part": seen(), "other": None}, np.zeros(64, bool)) == expected).all()


@pytest.mark.parametrize("spec", ["gru:8", "lstm:8"])
def test_memories_are_carried_and_reset_where_episodes_start(spec):
    policy = student(spec)
    actor = PolicyActor(policy, VIEW, None)
    window = np.stack([seen(count=3, seed=t) for t in range(12)])
    start = np.random.default_rng(0).random((12, 3)) < 0.3
    start[0] = True
    played = np.stack([actor(window[t], start[t]) for t in range(12)])
    for copy in range(3):
        firsts = [*np.flatnonzero(start[:, copy]), 12]
        for begin, end in itertools.pairwise(firsts):
            with torch.no_grad():
                alone = policy.flat(torch.tensor(window[begin:end, copy : copy + 1]))[0][:, 0]
            assert (played[begin:end, copy] == alone.argmax(-1).numpy()).all()


def test_when_copies_leave_the_others_keep_their_memories():
    policy = student("gru:8")
    both, few = PolicyActor(policy, VIEW, None), PolicyActor(policy, VIEW, None)
    start = np.zeros(6, bool)
    for t in range(5):
        both(seen(count=6, seed=t), start)
        few(seen(count=6, seed=t), start)
    rows = np.array([4, 1])
    few.keep(rows)
    both(last := seen(count=6, seed=9), start)
    few(last[rows], start[rows])
    torch.testing.assert_close(few.memory, both.memory[rows])


def test_a_mixture_lets_each_act_as_often_as_its_weight():
    actors = [lambda observation, start, k=k: np.full(len(start), k) for k in range(3)]
    mixed = MixedActor(actors, np.random.default_rng(0))
    mixed.weights = (0.6, 0.3, 0.1)
    start = np.zeros(500, bool)
    drawn = np.stack([mixed(start, start) for _ in range(100)])
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / drawn.size, (0.6, 0.3, 0.1), atol=0.01)
    again = (drawn[1:] == 0) & (drawn[:-1] == 0)
    assert again.mean() == pytest.approx(0.36, abs=0.01)  # drawn anew at each step


def test_a_weight_of_one_leaves_nothing_to_chance():
    actors = [lambda observation, start, k=k: np.full(len(start), k) for k in range(3)]
    mixed = MixedActor(actors, np.random.default_rng(0))
    for k in range(3):
        mixed.weights = tuple(float(k == j) for j in range(3))
        assert (mixed(np.zeros(50), np.zeros(50, bool)) == k).all()


def test_the_random_policy_of_all_figures_begins_alike():
    space = spaces.Discrete(1000)
    actions = ActionMap(family_of(space), space)
    first, again = (random_actor(actions)(np.zeros(9), np.zeros(9, bool)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, np.random.default_rng(7).integers(0, 1000, 9))


def test_uniform_actions_cover_the_space_evenly():
    space = spaces.MultiDiscrete([2, 5])
    actor = UniformActor(ActionMap(family_of(space), space), np.random.default_rng(0))
    drawn = actor(np.zeros(20_000), np.zeros(20_000, bool))
    for part, n in enumerate(space.nvec):
        np.testing.assert_allclose(np.bincount(drawn[:, part]) / len(drawn), np.full(n, 1 / n), atol=0.015)
