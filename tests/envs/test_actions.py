import numpy as np
import pytest
from gymnasium import spaces

from understudy.envs.actions import ActionMap, family_of
from understudy.errors import SpaceError
from understudy.math.distributions import Family

INF = np.inf
SPACES = {
    "discrete": spaces.Discrete(3),
    "discrete-from-5": spaces.Discrete(3, start=5),
    "multi-discrete": spaces.MultiDiscrete([2, 3, 4]),
    "multi-discrete-shifted": spaces.MultiDiscrete([[2, 3], [4, 2]], start=[[1, -1], [0, 7]]),
    "multi-binary": spaces.MultiBinary((2, 3)),
    "box": spaces.Box(np.array([-2, 0], np.float32), np.array([2, 0.5], np.float32)),
    "box-matrix": spaces.Box(-1, 3, (2, 2), np.float64),
    "box-half-open": spaces.Box(np.array([-INF, 1, -INF], np.float32), np.array([INF, INF, -3], np.float32)),
    "box-whole": spaces.Box(0, 9, (2,), np.uint8),
}


def action_map(name, squashed=False):
    return ActionMap(family_of(SPACES[name], squashed), SPACES[name])


@pytest.mark.parametrize("name", SPACES)
def test_uniform_actions_are_in_the_space(name):
    actions = action_map(name)
    raw = actions.uniform(200, np.random.default_rng(0))
    assert raw.shape == (200, *actions.family.action_shape)
    assert raw.dtype == actions.dtype
    sent = actions.to_env(raw)
    assert all(SPACES[name].contains(one) for one in sent)
    assert len(np.unique(sent.reshape(200, -1), axis=0)) > 2


@pytest.mark.parametrize("name", ["box", "box-matrix"])
def test_uniform_squashed_actions_are_uniform_in_the_space(name):
    actions, space = action_map(name, squashed=True), SPACES[name]
    sent = actions.to_env(actions.uniform(4000, np.random.default_rng(0)))
    assert all(space.contains(one) for one in sent)
    share = (sent - space.low) / (space.high - space.low)
    assert np.abs(share.mean(0) - 0.5).max() < 0.02
    assert np.abs(share.var(0) - 1 / 12).max() < 0.005


def test_gaussian_actions_are_clipped_and_shaped():
    raw = np.array([[9, -9, 0.25, 2.5]], np.float32)
    np.testing.assert_array_equal(action_map("box-matrix").to_env(raw), [[[3, -1], [0.25, 2.5]]])


def test_squashed_actions_reach_their_bounds_and_the_middle():
    raw = np.array([[30, -30], [0, 0]], np.float32)
    np.testing.assert_array_equal(action_map("box", True).to_env(raw), np.array([[2, 0], [0, 0.25]], np.float32))


def test_indices_are_shifted_to_the_start_of_the_space():
    assert action_map("discrete-from-5").to_env(np.array([0, 2])).tolist() == [5, 7]
    assert action_map("discrete").to_env(np.array([0, 2])).tolist() == [0, 2]
    shifted = action_map("multi-discrete-shifted").to_env(np.array([[1, 2, 3, 1]]))
    assert shifted.tolist() == [[[2, 1], [3, 8]]]


def test_whole_numbers_are_rounded_not_cut():
    assert action_map("box-whole").to_env(np.array([[1.6, 12.0]], np.float32)).tolist() == [[2, 9]]


def test_uniform_actions_without_bounds_are_standard_normal():
    free = action_map("box-half-open").uniform(4000, np.random.default_rng(1))
    assert abs(free[:, 0].mean()) < 0.05
    assert abs(free[:, 0].std() - 1) < 0.05
    assert abs(free[:, 1].mean() - 2) < 0.07
    assert abs(free[:, 2].mean() + 4) < 0.07


def test_a_family_of_another_space_is_refused():
    with pytest.raises(SpaceError, match=r"gaussian\(2\) cannot act in Discrete\(3\)"):
        ActionMap(Family("gaussian", (2,)), SPACES["discrete"])


def test_squashing_without_bounds_is_refused():
    with pytest.raises(SpaceError, match="finite bounds"):
        action_map("box-half-open", squashed=True)


def test_spaces_without_a_distribution_are_refused():
    with pytest.raises(SpaceError, match="Wrap the environment"):
        family_of(spaces.Text(3))
