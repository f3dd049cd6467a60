import gymnasium
import numpy as np
import pytest

from understudy.envs import of_gym
from understudy.envs.actions import ActionMap, family_of
from understudy.envs.play import play

SEEDS = [5, 3, 12, 0, 41, 8, 6, 3, 20, 13, 27]


class Counter:
    """Answers the number of the step since the episode's start, from a memory of its own."""

    def __init__(self):
        self.memory, self.asked = np.zeros(0, np.int64), []

    def __call__(self, observation, start):
        if len(self.memory) != len(start):
            self.memory = np.zeros(len(start), np.int64)
        self.memory = np.where(start, 0, self.memory + 1)
        self.asked.append(len(start))
        return self.memory % 3

    def keep(self, rows):
        self.memory = self.memory[rows]


def actions_of(simulator):
    return ActionMap(family_of(simulator.action_space), simulator.action_space)


@pytest.mark.parametrize("copies", [1, 3, 11, 14])
def test_each_episode_belongs_to_its_seed(build, seeded, copies):
    simulator = build([seeded] * copies)
    for _ in range(2):
        played = play(simulator, actions_of(simulator), Counter(), SEEDS)
        assert played.lengths.tolist() == [1 + seed % 7 for seed in SEEDS]
        assert played.returns.tolist() == [seed * (1 + seed % 7) for seed in SEEDS]
        assert played.terminated.all()


def test_ends_are_told_apart(build, probe):
    simulator = build([lambda: probe((4, "truncated")), lambda: probe((2, "both"))])
    played = play(simulator, actions_of(simulator), Counter(), [7, 8])
    assert played.terminated.tolist() == [False, True]
    assert played.returns.tolist() == [10, 3]


def test_an_actor_is_asked_for_fewer_copies_towards_the_end(seeded):
    simulator, actor = of_gym.make(seeded, 8), Counter()
    play(simulator, actions_of(simulator), actor, [6, 6, 2, 2, 2, 2, 0, 0])
    assert actor.asked == [8, 8, 8, 2, 2, 2, 2]


def test_progress_is_told_after_every_step(seeded):
    simulator, told = of_gym.make(seeded, 2), []
    play(simulator, actions_of(simulator), Counter(), [0, 2, 1], lambda *now: told.append(now))
    assert told == [(1, 2), (1, 4), (3, 6)]


@pytest.mark.parametrize("copies", [1, 7, 20])
def test_cartpole_returns_equal_a_bare_loop(copies):
    seeds = list(range(100, 112))

    def policy(observation):
        return int(observation[2] > 0)

    expected, env = [], gymnasium.make("CartPole-v1")
    for seed in seeds:
        observation, total, over = env.reset(seed=seed)[0], 0.0, False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total, over = total + reward, terminated or truncated
        expected.append(total)

    simulator = of_gym.make("CartPole-v1", copies)
    played = play(simulator, actions_of(simulator), lambda seen, start: np.array([policy(row) for row in seen]), seeds)
    assert played.returns.tolist() == expected
    assert len(set(expected)) > 3


def test_other_vector_environments_play_in_rounds():
    simulator = of_gym.make("vector:CartPole-v1", 4)
    actor = lambda observation, start: np.zeros(len(start), np.int64)  # noqa: E731
    once = play(simulator, actions_of(simulator), actor, range(10))
    again = play(simulator, actions_of(simulator), actor, range(10))
    assert once.returns.tolist() == again.returns.tolist() == once.lengths.tolist()
    assert 8 <= once.returns.min() <= once.returns.max() <= 11
    assert once.terminated.all()


def test_no_seeds_are_no_episodes(seeded):
    simulator = of_gym.make(seeded, 2)
    assert len(play(simulator, actions_of(simulator), Counter(), []).returns) == 0
