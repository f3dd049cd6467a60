import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from understudy.envs import of_gym
from understudy.envs.wrappers import check_spaces, infer_wrappers, wrapped
from understudy.errors import ConfigurationError, EnvironmentFailure, SpaceError


def twice(env):
    return gymnasium.wrappers.TransformReward(env, lambda reward: 2 * reward)


def box(*shape, dtype=np.float32):
    return spaces.Box(0 if dtype == np.uint8 else -np.inf, 255 if dtype == np.uint8 else np.inf, shape, dtype)


def test_the_time_feature_is_that_of_sb3_contrib():
    theirs = pytest.importorskip("sb3_contrib.common.wrappers").TimeFeatureWrapper
    made = [gymnasium.make("Pendulum-v1", max_episode_steps=20) for _ in range(2)]
    ours, theirs = wrapped(made[0], ["time-feature"]), theirs(made[1])
    assert ours.observation_space == theirs.observation_space
    rng = np.random.default_rng(0)
    for seed in (1, 2):
        pairs = [(ours.reset(seed=seed)[0], theirs.reset(seed=seed)[0])]
        for _ in range(20):
            action = rng.uniform(-2, 2, 1).astype(np.float32)
            pairs.append((ours.step(action)[0], theirs.step(action)[0]))
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        assert pairs[5][0][-1] == np.float32(1 - 5 / 20)
        assert pairs[-1][0][-1] == 0


def test_the_time_feature_needs_a_length(probe):
    with pytest.raises(EnvironmentFailure, match="time-feature:1000"):
        of_gym.make(lambda: probe((3, "terminated")), 1, wrappers=["time-feature"])
    simulator = of_gym.make(lambda: probe((3, "terminated")), 1, wrappers=["time-feature:10"])
    assert simulator.reset(0).tolist() == [[0, 0, 1]]
    assert simulator.step(np.array([0])).observation[0, 2] == np.float32(0.9)


def test_wrappers_are_put_on_in_order():
    simulator = of_gym.make("CartPole-v1", 2, wrappers=["frame-stack:3", "flatten"])
    assert simulator.observation_space.shape == (12,)
    assert simulator.max_episode_steps == 500
    assert of_gym.make("Pendulum-v1", 1, wrappers=["rescale-action"]).action_space == spaces.Box(-1, 1, (1,))


def test_an_atari_game_is_prepared_as_deep_q_networks_had_it():
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    simulator = of_gym.make("ALE/Pong-v5", 1, wrappers=["atari"])
    assert simulator.observation_space == spaces.Box(0, 255, (4, 84, 84), np.uint8)
    simulator.reset(0)
    assert simulator.step(np.array([0])).observation.shape == (1, 4, 84, 84)


@pytest.mark.parametrize("name", ["frame-stak", "frame-stack:no", "flatten:2", "numpy:pi", "nowhere:at_all"])
def test_wrappers_that_do_not_exist_are_refused(name):
    with pytest.raises(ConfigurationError, match="wrapper"):
        of_gym.make("CartPole-v1", 1, wrappers=[name])
    if name == "frame-stak":
        with pytest.raises(ConfigurationError, match="Did you mean 'frame-stack'"):
            of_gym.make("CartPole-v1", 1, wrappers=[name])


def test_a_time_feature_is_inferred_from_one_number_more():
    more = spaces.Box(np.array([-np.inf] * 8 + [0], np.float32), np.array([np.inf] * 8 + [1], np.float32))
    names, message = infer_wrappers(more, box(8), 1000)
    assert names == ("time-feature",)
    assert "9 numbers" in message
    assert infer_wrappers(box(9), box(8), 1000) == ((), None)
    assert infer_wrappers(more, box(8), None) == ((), None)
    assert infer_wrappers(box(8), box(8), 1000) == ((), None)


def test_atari_preparation_is_inferred_from_a_stack_of_images():
    for shape in ((4, 84, 84), (84, 84, 4)):
        assert infer_wrappers(box(*shape, dtype=np.uint8), box(210, 160, 3, dtype=np.uint8), None)[0] == ("atari",)
    assert infer_wrappers(box(3, 64, 64, dtype=np.uint8), box(64, 64, 3, dtype=np.uint8), None) == ((), None)


def test_spaces_match_by_kind_and_shape_whatever_their_bounds():
    check_spaces(box(8), spaces.Discrete(4), spaces.Box(-1, 1, (8,)), spaces.Discrete(4, start=1))
    check_spaces(box(84, 84, 4), box(2), box(4, 84, 84), spaces.Box(-1, 1, (2,)))
    check_spaces(spaces.Dict(a=box(1)), spaces.MultiBinary(3), spaces.Dict(a=box(1)), spaces.MultiBinary(3))


@pytest.mark.parametrize(
    ("observation", "action"),
    [
        (box(9), spaces.Discrete(2)),
        (spaces.Discrete(8), spaces.Discrete(2)),
        (box(8), spaces.Discrete(3)),
        (box(8), spaces.MultiDiscrete([2])),
    ],
)
def test_spaces_that_do_not_match_are_both_printed(observation, action):
    with pytest.raises(SpaceError) as refused:
        check_spaces(observation, action, box(8), spaces.Discrete(2))
    wrong = (observation, box(8)) if observation != box(8) else (action, spaces.Discrete(2))
    said = (f"Box({space.shape[0]} of float32" if isinstance(space, spaces.Box) else str(space) for space in wrong)
    assert all(text in str(refused.value) for text in said)


def test_actions_that_are_scaled_to_bounds_need_the_same_bounds():
    wide, narrow = spaces.Box(-2, 2, (1,)), spaces.Box(-1, 1, (1,))
    check_spaces(box(3), narrow, box(3), wide)
    check_spaces(box(3), wide, box(3), wide, squashed=True)
    with pytest.raises(SpaceError, match="--wrap rescale-action"):
        check_spaces(box(3), narrow, box(3), wide, squashed=True)


def test_a_wrapper_that_refuses_the_environment_is_named_with_its_spaces():
    with pytest.raises(ConfigurationError, match=r"wrapper 'rescale-action' refuses Box.*Discrete\(2\).*Leave it out"):
        of_gym.make("CartPole-v1", 1, wrappers=("rescale-action",))
