"""What is in play comes back from seeds and actions, in every kind of simulator, or is known not to."""

import copy
import os
from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from understudy.engines.actor import UniformActor
from understudy.envs import of_gym, rollout, tape
from understudy.envs.actions import ActionMap, family_of
from understudy.envs.rollout import Rollout
from understudy.envs.tape import Tape


def rollout_of(simulator, seed=0):
    return Rollout(simulator, ActionMap(family_of(simulator.action_space), simulator.action_space), seed)


def leaning(rng):
    """Mostly towards where the pole falls, so that episodes are of very different lengths."""

    def act(observation, start):
        towards = (observation[:, 2] + 0.3 * observation[:, 3] > 0).astype(np.int64)
        return np.where(rng.random(len(start)) < 0.8, towards, rng.integers(2, size=len(start)))

    return act


def make_pole():
    return gymnasium.make("CartPole-v1", max_episode_steps=90)


def same(one, other):
    for name in ("observation", "action", "reward", "terminated", "truncated", "start", "valid", "beyond_observation"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    for first, second in zip(one.finished, other.finished, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_tape_holds_the_actions_since_each_episode_began():
    kept = Tape(2)
    kept.begin(np.array([0, 1]), np.array([10, 20]))
    kept.extend(np.array([[1, 2], [3, 4]]))
    assert (kept.ages.tolist(), kept.actions.tolist()) == ([2, 2], [[1, 2], [3, 4]])
    kept.begin(np.array([0]), np.array([11]), ahead=1)  # after the first step of the next three
    kept.extend(np.array([[5, 6], [7, 8], [9, 0]]))
    assert kept.seeds.tolist() == [11, 20]
    assert kept.ages.tolist() == [2, 5]
    assert kept.actions.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8], [9, 0]]
    kept.begin(np.array([1]), np.array([21]), ahead=2)
    kept.extend(np.array([[1, 1], [2, 2]]))
    assert kept.ages.tolist() == [4, 0]
    assert kept.actions.tolist() == [[7, 8], [9, 0], [1, 1], [2, 2]]
    assert len(kept.pieces) == 2  # the first window has gone


def test_a_tape_of_nothing_holds_no_actions():
    kept = Tape(3)
    kept.begin(np.arange(3), np.arange(3))
    assert kept.actions.shape == (0, 3)
    kept.extend(np.zeros((4, 3, 2)))
    kept.begin(np.arange(3), np.arange(3))
    assert kept.actions.shape == (0, 3, 2)


def test_the_youngest_episodes_are_those_that_are_short_together():
    kept = Tape(4)
    kept.ages[:] = [50, 5, 9, 4]
    assert kept.youngest(18).tolist() == [3, 1, 2]
    assert kept.youngest(17).tolist() == [3, 1]
    assert kept.youngest(1).tolist() == [3]


@pytest.mark.parametrize("steps", [1, 13, 60])
def test_play_goes_on_in_a_new_simulator_as_in_the_old_one(build_any, steps):
    whole = rollout_of(build_any([make_pole] * 3))
    rng = np.random.default_rng(5)
    for _ in range(4):
        whole.collect(leaning(rng), steps)
    state, held = copy.deepcopy(whole.state()), rng.bit_generator.state
    expected = whole.collect(leaning(rng), 120)
    assert len(expected.finished.returns) > 2
    again, fresh = rollout_of(build_any([make_pole] * 3), seed=9), np.random.default_rng()
    assert again.restore(state)
    fresh.bit_generator.state = held
    same(again.collect(leaning(fresh), 120), expected)


def test_play_that_was_brought_back_is_brought_back_again(build_any):
    rng = np.random.default_rng(5)
    whole, simulators = rollout_of(build_any([make_pole] * 3)), [build_any([make_pole] * 3) for _ in range(3)]
    for simulator in simulators:
        whole.collect(leaning(rng), 11)
        again = rollout_of(simulator, seed=9)
        assert again.restore(whole.state())
        held = rng.bit_generator.state
        expected = whole.collect(leaning(rng), 11)
        rng.bit_generator.state = held
        same(again.collect(leaning(rng), 11), expected)
        whole = again


def test_each_episode_has_a_seed_of_its_own(build, seeded):
    window = rollout_of(build([seeded] * 3)).collect(lambda observation, start: observation["time"] % 3, 40)
    seeds = window.observation["seed"][window.start]
    assert len(seeds) > 20
    assert len(np.unique(seeds)) == len(seeds)


class Old(gymnasium.Wrapper):
    """Shows how often it was reset, or pays more each time."""

    def __init__(self, env, part):
        super().__init__(env)
        self.part, self.resets = part, 0

    def reset(self, **options):
        self.resets += 1
        observation, info = self.env.reset(**options)
        return self.worn(observation), info

    def worn(self, observation):
        return observation + np.float32(1e-3 * self.resets) if self.part == "observation" else observation

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        return self.worn(observation), reward + (0.01 * self.resets if self.part == "reward" else 0), *rest


class Restless(gymnasium.Wrapper):
    """Trembles otherwise each time."""

    def __init__(self, env, part):
        super().__init__(env)

    def step(self, action):
        observation, *rest = self.env.step(action)
        return observation + np.frombuffer(os.urandom(4), np.uint8).astype(np.float32) * 1e-6, *rest


def pole_with(kind, part):
    return kind(make_pole(), part)


@pytest.mark.parametrize("steps", [5, 60])
@pytest.mark.parametrize(("kind", "part"), [(Old, "observation"), (Old, "reward"), (Restless, "observation")])
def test_what_does_not_come_back_is_found_out(kind, part, steps):
    simulator = of_gym.make(partial(pole_with, kind, part), 4)
    played = rollout_of(simulator)
    played.collect(leaning(np.random.default_rng(0)), steps)
    assert not played.replays(lambda copies: of_gym.make(partial(pole_with, kind, part), copies))


@pytest.mark.parametrize(("limit", "back"), [(19, False), (20, False), (21, True)])
def test_episodes_that_end_where_they_did_not_do_not_come_back(limit, back):
    played = rollout_of(of_gym.make(make_pole, 4))
    window = played.collect(lambda seen, start: (seen[:, 2] + 0.3 * seen[:, 3] > 0).astype(np.int64), 20)
    assert not len(window.finished.returns)
    shorter = partial(gymnasium.make, "CartPole-v1", max_episode_steps=limit)
    assert played.replays(lambda copies: of_gym.make(shorter, copies)) == back


@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize(("kind", "part"), [(Old, "observation"), (Old, "reward"), (Restless, "observation")])
def test_whole_episodes_that_do_not_come_back_are_found_out(kind, part, windows):
    made = partial(pole_with, kind, part)
    played, rng = rollout_of(of_gym.make(made, 4)), np.random.default_rng(0)
    for _ in range(windows):
        played.episodes(leaning(rng))
    assert not played.replays(lambda copies: of_gym.make(made, copies))


def test_whole_episodes_that_come_back_are_found_out_too(build_any):
    played, rng = rollout_of(build_any([make_pole] * 3)), np.random.default_rng(0)
    for _ in range(2):
        lengths = played.episodes(leaning(rng)).finished.lengths
        assert played.replays(lambda copies: build_any([make_pole] * copies))
        assert rollout_of(build_any([make_pole] * 3)).restore(copy.deepcopy(played.state()))
        assert 0 < played.state()["tape"]["ages"].max() < lengths.max()


def test_only_the_beginnings_of_whole_episodes_are_kept(monkeypatch):
    monkeypatch.setattr(rollout, "PROOF", 10)
    played = rollout_of(of_gym.make(make_pole, 6))
    window = played.episodes(leaning(np.random.default_rng(0)))
    assert window.valid.sum(0).max() > 11
    assert played.state()["tape"]["actions"].shape == (10, 6)
    assert played.replays(lambda copies: of_gym.make(make_pole, copies))


def test_whole_episodes_of_another_environment_do_not_come_back():
    old = rollout_of(of_gym.make(make_pole, 3))
    old.episodes(leaning(np.random.default_rng(0)))
    assert not rollout_of(of_gym.make(partial(pole_with, Old, "observation"), 3)).restore(old.state())


def test_what_comes_back_is_found_out_too(build_any):
    played = rollout_of(build_any([make_pole] * 3))
    for steps in (3, 40):
        played.collect(leaning(np.random.default_rng(0)), steps)
        assert played.replays(lambda copies: build_any([make_pole] * copies))


BACK = {  # what docs/runs.md says of Gymnasium's environments, after so many windows of play
    "CartPole-v1": ("", 8, True), "Acrobot-v1": ("", 4, True), "MountainCar-v0": ("", 4, True),
    "Pendulum-v1": ("", 4, True), "LunarLander-v3": ("Box2D", 6, True), "BipedalWalker-v3": ("Box2D", 2, False),
    "Hopper-v5": ("mujoco", 2, True), "HalfCheetah-v5": ("mujoco", 2, True), "ALE/Pong-v5": ("ale_py", 1, True),
}  # fmt: skip


@pytest.mark.parametrize("env", BACK)
def test_which_environments_come_back_after_long_use(env):
    package, windows, back = BACK[env]
    if package:
        pytest.importorskip(package)
    played, found = rollout_of(of_gym.make(env, 4)), []
    actor = UniformActor(played.actions, np.random.default_rng(0))
    for _ in range(windows):
        played.collect(actor, 250)
        found.append(played.replays(lambda copies: of_gym.make(env, copies), 1))
    assert all(found) == back


def test_only_a_part_is_played_to_find_out(monkeypatch):
    monkeypatch.setattr(rollout, "PROOF", 30)
    played, asked, steps = rollout_of(of_gym.make(make_pole, 6)), [], []
    played.collect(leaning(np.random.default_rng(0)), 25)

    class Counted(gymnasium.Wrapper):
        def step(self, action):
            steps.append(1)
            return super().step(action)

    def make(copies):
        asked.append(copies)
        return of_gym.make(lambda: Counted(make_pole()), copies)

    assert played.replays(make)
    assert 1 <= asked[0] < 6
    assert len(steps) <= 60


def test_play_that_does_not_come_back_begins_anew():
    old = rollout_of(of_gym.make(make_pole, 3))
    old.collect(leaning(np.random.default_rng(0)), 20)
    again = rollout_of(of_gym.make(partial(pole_with, Old, "observation"), 3))
    assert not again.restore(old.state())
    window = again.collect(leaning(np.random.default_rng(0)), 5)
    assert window.start[0].all()


def test_nothing_in_play_is_nothing_to_bring_back(build_any):
    old = rollout_of(build_any([make_pole] * 3))
    old.episodes(leaning(np.random.default_rng(0)))
    assert not old.in_play
    again = rollout_of(build_any([make_pole] * 3), seed=9)
    assert again.restore(old.state())
    same(again.episodes(leaning(np.random.default_rng(1))), old.episodes(leaning(np.random.default_rng(1))))


def test_a_tape_that_is_too_long_is_broken_off(monkeypatch):
    class Endless(gymnasium.Env):
        observation_space, action_space = spaces.Box(-1e9, 1e9, (1,)), spaces.Box(-1, 1, (2,))

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.sum = self.np_random.random()
            return np.array([self.sum], np.float32), {}

        def step(self, action):
            self.sum += float(action[0])
            return np.array([self.sum], np.float32), 1.0, False, False, {}

    monkeypatch.setattr(tape, "LONGEST", 100)
    rng = np.random.default_rng(0)
    played = rollout_of(of_gym.make(Endless, 2))

    def act(observation, start):
        return rng.uniform(-1, 1, (2, 2)).astype(np.float32)

    for steps, settled in ((20, True), (5, True), (1, False)):  # 26 steps of 2 copies with 2 numbers each
        played.collect(act, steps)
        assert played.settled == settled
        played.settle()
        assert played.in_play == settled
    assert played.collect(act, 1).start.all()
