import numpy as np
import pytest

from understudy.envs import of_gym
from understudy.envs.actions import ActionMap, family_of
from understudy.envs.play import play
from understudy.envs.rollout import Rollout
from understudy.errors import EnvironmentFailure

envpool = pytest.importorskip("envpool")


def actions_of(simulator):
    return ActionMap(family_of(simulator.action_space), simulator.action_space)


def left(observation, start):
    return np.zeros(len(start), np.int64)


def test_a_pool_of_another_size_plays_the_same_episodes():
    played = []
    for copies in (2, 5):
        simulator = of_gym.make("envpool:CartPole-v1", copies)
        played.append(play(simulator, actions_of(simulator), left, range(40, 45)))
        simulator.close()
    assert played[0].returns.tolist() == played[1].returns.tolist()
    assert played[0].returns.tolist() == played[0].lengths.tolist()
    assert 8 <= played[0].returns.min() <= played[0].returns.max() <= 11
    assert played[0].terminated.all()


def test_the_fake_steps_of_a_pool_are_dropped():
    simulator = of_gym.make("envpool:CartPole-v1", 3)
    window = Rollout(simulator, actions_of(simulator), 0).collect(left, 40)
    simulator.close()
    for n in range(3):
        ends = np.flatnonzero(window.terminated[:, n])
        assert np.flatnonzero(~window.valid[:, n]).tolist() == [t + 1 for t in ends if t < 39]
        assert np.flatnonzero(window.start[:, n]).tolist() == [0] + [t + 2 for t in ends if t < 38]
        assert (np.abs(window.observation[window.start[:, n], n]) <= 0.05).all()
        assert (window.reward[:, n] == window.valid[:, n]).all()
    assert len(window.finished.returns) == window.terminated.sum() > 6


def test_time_limits_of_a_pool_are_not_terminal():
    simulator = of_gym.make("envpool:Pendulum-v1", 2, env_kwargs={"max_episode_steps": 6})
    assert simulator.max_episode_steps == 6
    rollout = Rollout(simulator, actions_of(simulator), 0)
    window = rollout.collect(lambda observation, start: np.zeros((2, 1), np.float32), 10)
    simulator.close()
    assert not window.terminated.any()
    assert np.argwhere(window.truncated).tolist() == [[5, 0], [5, 1]]
    assert window.beyond_index.tolist() == [[5, 0], [5, 1], [9, 0], [9, 1]]
    np.testing.assert_array_equal(window.beyond_observation[:2], window.observation[6])


def test_an_unknown_id_of_the_pool_is_refused_with_a_near_one():
    with pytest.raises(EnvironmentFailure, match="Did you mean 'CartPole-v1'"):
        of_gym.make("envpool:CartPool-v1", 2)
