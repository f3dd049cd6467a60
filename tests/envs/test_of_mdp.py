from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from understudy.envs.of_gym import make
from understudy.envs.of_mdp import MDPEnv, MDPSimulator
from understudy.errors import ConfigurationError, EnvironmentFailure
from understudy.mdp.families import grid, random_mdp
from understudy.mdp.model import MDP
from understudy.mdp.solve import Chain


def line(length=3):
    """0, 1, 2, ...: each step moves right and pays the state's number; the last state's step ends the episode."""
    transitions = np.eye(length, k=1)[:, None, :]
    return MDP(transitions, np.arange(float(length))[:, None], np.eye(length)[0])


def act(copies):
    return np.zeros(copies, dtype=np.int64)


def test_an_episode_follows_another_and_the_last_observation_is_kept():
    simulator = MDPSimulator(line(2), 2, seed=0)
    assert simulator.reset().tolist() == [[1, 0], [1, 0]]
    first, second = simulator.step(act(2)), simulator.step(act(2))
    assert first.reward.tolist() == [0, 0]
    assert first.final is None
    assert not first.terminated.any()
    assert second.reward.tolist() == [1, 1]
    assert second.terminated.all()
    assert second.start.all()
    assert second.final.tolist() == [[0, 0], [0, 0]]
    assert second.observation.tolist() == [[1, 0], [1, 0]]
    assert second.valid is None


def test_a_time_limit_truncates_and_shows_where_the_episode_would_go_on():
    simulator = MDPSimulator(line(3), 1, seed=0, max_episode_steps=2)
    simulator.reset()
    simulator.step(act(1))
    cut = simulator.step(act(1))
    assert cut.truncated.all()
    assert not cut.terminated.any()
    assert cut.final.tolist() == [[0, 0, 1]]
    at_once = MDPSimulator(line(3), 1, seed=0, max_episode_steps=3)
    at_once.reset()
    last = [at_once.step(act(1)) for _ in range(3)][-1]
    assert (last.terminated.all(), last.truncated.any()) == (True, False)


def test_a_terminal_state_ends_the_episode_on_arrival():
    mdp = MDP(np.array([[[0.0, 1.0]], [[1.0, 0.0]]]), np.ones((2, 1)), [1.0, 0.0], [False, True])
    simulator = MDPSimulator(mdp, 1, seed=0)
    simulator.reset()
    outcome = simulator.step(act(1))
    assert outcome.terminated.all()
    assert outcome.final.tolist() == [[0, 1]]


def test_a_copy_that_was_begun_plays_one_episode_and_rests():
    simulator = MDPSimulator(line(2), 3, seed=0)
    simulator.begin([0, 2], [5, 6])
    outcomes = [simulator.step(act(3)) for _ in range(3)]
    assert [o.valid.tolist() for o in outcomes] == [[True, False, True]] * 2 + [[False] * 3]
    assert [o.reward.tolist() for o in outcomes] == [[0, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert outcomes[1].terminated.tolist() == [True, False, True]
    assert not outcomes[1].start.any()


def test_an_episode_depends_on_its_seed_and_not_on_its_copy_or_its_neighbours():
    mdp = random_mdp(6, 2, 0.05, np.random.default_rng(0))

    def states(copies, seeds, row):
        simulator = MDPSimulator(mdp, 4, seed=1)
        seen = [simulator.begin(copies, seeds)[row]]
        seen += [simulator.step(act(4)).observation[row] for _ in range(10)]
        return np.array(seen)

    np.testing.assert_array_equal(states([0, 1], [7, 8], 1), states([3], [8], 3))
    assert (states([0], [7], 0) != states([0], [8], 0)).any()


def test_transitions_and_ends_come_with_their_own_probabilities():
    mdp = random_mdp(4, 2, 0.3, np.random.default_rng(0))
    simulator = MDPSimulator(mdp, 2000, seed=3)
    state = simulator.reset().argmax(-1)
    counts, generator = np.zeros((4, 2, 5)), np.random.default_rng(1)
    for _ in range(50):
        action = generator.integers(2, size=2000)
        outcome = simulator.step(action)
        arrived = outcome.observation.argmax(-1)
        np.add.at(counts, (state, action, np.where(outcome.terminated, 4, arrived)), 1)
        state = arrived
    full = np.concatenate([mdp.transitions, 1 - mdp.transitions.sum(-1, keepdims=True)], -1)
    expected = counts.sum(-1, keepdims=True) * full
    assert ((counts - expected) ** 2 / expected).sum() < 62.5  # 8 rows of 4 degrees of freedom: once in a thousand


def test_the_first_states_come_with_their_own_probabilities_and_each_reset_is_another():
    mdp = random_mdp(4, 2, 0.3, np.random.default_rng(0))
    simulator = MDPSimulator(mdp, 20_000, seed=3)
    one, two = simulator.reset(), simulator.reset()
    expected = 20_000 * mdp.start
    assert ((one.sum(0) - expected) ** 2 / expected).sum() < 16.3
    assert (one != two).any()
    np.testing.assert_array_equal(simulator.reset(3), one)


def test_the_environment_passes_gymnasiums_own_check():
    env = MDPEnv(random_mdp(4, 2, 0.3, np.random.default_rng(0)))
    env.spec = gymnasium.envs.registration.EnvSpec("mdp-v0", entry_point=lambda mdp=env.mdp: MDPEnv(mdp))
    check_env(env, skip_render_check=True)


def test_the_environment_plays_the_line():
    env = MDPEnv(line(3))
    seen, _ = env.reset(seed=0)
    played = [env.step(0) for _ in range(3)]
    assert seen.tolist() == [1, 0, 0]
    assert [reward for _, reward, *_ in played] == [0, 1, 2]
    assert [ended for _, _, ended, *_ in played] == [False, False, True]


def test_no_copies_are_refused():
    with pytest.raises(ValueError, match="copies must be at least 1, got 0"):
        MDPSimulator(line(), 0, seed=0)


def test_each_beginning_is_counted_once():
    simulator = MDPSimulator(line(2), 2, seed=0)
    simulator.reset()
    simulator.begin([0], [3])
    assert simulator.plays == 2


def shared():
    """Three states in a ring, two actions of one move; the student takes states 0 and 2 for one."""
    ring = np.roll(np.eye(3), 1, axis=1)[:, None, :] * 0.9
    return MDP(ring, np.arange(6.0).reshape(3, 2), [1, 0, 0], action_map=np.zeros(2, int), observed=np.array([0, 1, 0]))


def test_a_student_sees_the_observation_and_each_action_pays_its_own_reward():
    env = MDPEnv(shared())
    assert env.observation_space.shape == (2,)
    assert env.action_space.n == 2
    seen, info = env.reset(seed=0)
    assert (seen.tolist(), info) == ([1, 0], {"state": 0})
    for state, shown in [(1, [0, 1]), (2, [1, 0])]:
        seen, reward, ended, cut, info = env.step(1)
        assert (seen.tolist(), reward, ended, cut, info) == (shown, 2 * state - 1, False, False, {"state": state})


@pytest.mark.parametrize("rows", [3, 2])
def test_features_are_of_states_or_of_observations(rows):
    features = np.arange(2.0 * rows).reshape(rows, 2) - 1
    simulator = MDPSimulator(shared(), 2, seed=0, features=features)
    assert simulator.observation_space == gymnasium.spaces.Box(-1, features.max(), (2,), np.float32)
    assert simulator.reset()[0].tolist() == [-1, 0]
    shown = [simulator.step(act(2)).observation[0].tolist() for _ in range(2)]
    assert shown == ([[1, 2], [3, 4]] if rows == 3 else [[1, 2], [-1, 0]])


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((4, 2)), r"shape \[3, F\] or \[2, F\], got \[4, 2\]"),
        (np.zeros(3), r"got \[3\]"),
        (np.full((3, 1), np.inf), r"finite, got inf at \[0, 0\]"),
    ],
)
def test_features_that_fit_nothing_are_refused(features, message):
    with pytest.raises(ConfigurationError, match=message):
        MDPEnv(shared(), features=features)


def test_a_time_limit_of_no_steps_is_refused():
    with pytest.raises(ValueError, match="max_episode_steps must be at least 1, got 0"):
        MDPEnv(line(), max_episode_steps=0)


def test_the_environment_is_cut_short_at_its_time_limit_and_not_at_its_end():
    for limit, expected in [(2, [(False, False), (False, True)]), (3, [(False, False)] * 2 + [(True, False)])]:
        env = MDPEnv(line(3), max_episode_steps=limit)
        for _ in range(2):
            env.reset(seed=0)
            assert [env.step(0)[2:4] for _ in range(limit)] == expected


def test_a_grid_world_passes_gymnasiums_own_check_and_is_made_by_its_name():
    name = "understudy.envs.of_mdp:grid_world"
    spec = gymnasium.envs.registration.EnvSpec("world-v0", entry_point=name, kwargs={"world": 3, "window": 5})
    env = gymnasium.make(spec)
    check_env(env.unwrapped, skip_render_check=True)
    with_features = MDPEnv(grid(np.random.default_rng(0), 5).mdp, features=grid(np.random.default_rng(0), 5).features())
    with_features.spec = spec
    check_env(with_features, skip_render_check=True)


def test_the_deep_engines_simulator_takes_any_process_and_pays_what_its_chain_says():
    """400 episodes of the uniform policy: their mean return lies within four standard errors."""
    mdp = grid(np.random.default_rng(3), 5, end=0.2).mdp
    simulator, generator = make(partial(MDPEnv, mdp), 20), np.random.default_rng(0)
    returns, total = [], np.zeros(20)
    simulator.reset(0)
    while len(returns) < 400:
        outcome = simulator.step(generator.integers(4, size=20))
        total += outcome.reward
        ended = outcome.terminated | outcome.truncated
        returns += total[ended].tolist()
        total[ended] = 0
    exact = Chain(mdp, np.full((25, 4), 0.25)).values(mdp.rewards) @ mdp.start
    assert abs(np.mean(returns) - exact) < 4 * np.std(returns) / 20


def test_a_grid_world_by_name_has_the_options_of_its_family():
    simulator = make("understudy.envs.of_mdp:grid_world", 2, env_kwargs={"world": 1, "size": 4, "odds": {"wall": 0.5}})
    assert simulator.observation_space.shape == (16,)
    with pytest.raises(EnvironmentFailure, match="There are wall, minus_one"):
        make("understudy.envs.of_mdp:grid_world", 1, env_kwargs={"odds": {"walls": 0.5}})
