import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import understudy  # noqa: F401 - registers the tasks
from understudy.envs.flight.pilots import PILOTS
from understudy.envs.flight.seeing import COMPONENTS
from understudy.envs.flight.task import TASKS
from understudy.envs.flight.vector import FlightVectorEnv

IDS = [f"understudy/{name}-v0" for name in TASKS]


def vector(env_id, copies, **kwargs):
    return gymnasium.make_vec(env_id, copies, vectorization_mode="vector_entry_point", **kwargs)


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("mode", [None, "rgb_array"])
def test_gymnasiums_checker_finds_nothing(env_id, mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(env_id, render_mode=mode).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_the_vector_version_is_as_many_single_ones_bit_for_bit(env_id):
    """Against Gymnasium's own vector of single environments, through ends and what follows them."""
    whole, singles = vector(env_id, 7), gymnasium.make_vec(env_id, 7, vectorization_mode="sync")
    np.testing.assert_array_equal(whole.reset(seed=3)[0], singles.reset(seed=3)[0])
    generator, ends = np.random.default_rng(0), 0
    for _ in range(420):
        action = generator.uniform(-1, 1, (7, 2)).astype(np.float32)
        *one, infos = whole.step(action)
        *other, others = singles.step(action)
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        for name in ("lock_time", "missiles_dodged", "hit", "success"):
            np.testing.assert_array_equal(infos[name], others[name])
            np.testing.assert_array_equal(infos[f"_{name}"], others[f"_{name}"])
            infos[f"_{name}"][:] = False  # the user's own from here on
        ends += int((one[2] | one[3]).sum())
    assert ends >= 7


def test_an_episode_does_not_depend_on_the_number_of_copies():
    def flown(copies):
        env = vector(IDS[2], copies)
        seen = [env.reset(seed=[11, *range(100, 99 + copies)])[0][0]]
        for t in range(60):
            seen.append(env.step(np.full((copies, 2), np.sin(t / 9), np.float32))[0][0])
        return np.array(seen)

    np.testing.assert_array_equal(flown(1), flown(2))
    np.testing.assert_array_equal(flown(1), flown(33))


def test_some_copies_begin_anew_and_the_others_go_on():
    env, other = vector(IDS[2], 4), vector(IDS[2], 4)
    for one in (env, other):
        one.reset(seed=0)
    action = np.tile(np.float32([0.5, 1]), (4, 1))
    for _ in range(20):
        before = env.step(action)[0]
        other.step(action)
    mask = np.array([False, True, False, True])
    seen, _ = env.reset(seed=[None, 5, None, 9], options={"reset_mask": mask})
    np.testing.assert_array_equal(seen[~mask], before[~mask])
    np.testing.assert_array_equal(seen[1], vector(IDS[2], 1).reset(seed=5)[0][0])
    np.testing.assert_array_equal(env.step(action)[0][~mask], other.step(action)[0][~mask])


def test_the_tasks_share_their_spaces():
    made = [gymnasium.make(env_id) for env_id in IDS]
    assert len({str(env.observation_space) for env in made}) == len({str(env.action_space) for env in made}) == 1
    assert made[0].observation_space.shape == (len(COMPONENTS),)


@pytest.mark.parametrize("env_id", IDS)
def test_all_that_is_seen_lies_within_its_space(env_id):
    env = vector(env_id, 64)
    seen, _ = env.reset(seed=1)
    for t in range(310):
        assert (np.abs(seen) <= 1).all()
        pilot = list(PILOTS.values())[t % 3]
        seen, reward, *_ = env.step(pilot(seen))
        assert np.isfinite(reward).all()
    if "Pursuit" in env_id:
        assert (seen[:, 9:] == 0).all()


def test_a_hit_terminates_and_the_limit_truncates():
    env = vector("understudy/Evasion-v0", 50)
    env.reset(seed=0)
    still, lengths, limits = np.zeros((50, 2), np.float32), np.zeros(50), 0
    for _ in range(300):
        _, reward, terminated, truncated, infos = env.step(still)
        np.testing.assert_array_equal(terminated, infos["hit"])
        assert (reward[terminated] < -15).all()
        lengths += 1
        assert (truncated <= (lengths == 300)).all()
        limits += int(truncated.sum())
        lengths[terminated | truncated] = -1  # the step that only resets
    assert env.unwrapped.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    single = gymnasium.make("understudy/Pursuit-v0")
    single.reset(seed=0)
    flags = [single.step(np.zeros(2, np.float32))[2:4] for _ in range(300)]
    assert flags == [(False, False)] * 299 + [(False, True)]


@pytest.mark.parametrize("limit", [5, None, -1])
def test_the_limit_of_time_can_be_chosen(limit):
    env = FlightVectorEnv("Pursuit", 2, max_episode_steps=limit)
    env.reset(seed=0)
    ends = [bool(env.step(np.zeros((2, 2), np.float32))[3].any()) for _ in range(305)]
    assert ends == ([(t + 1) % 6 == 5 for t in range(305)] if limit == 5 else [False] * 305)


def returns(task, pilot, copies=96):
    """Mean return of an episode each, and the share of successes."""
    env, generator = FlightVectorEnv(task, copies), np.random.default_rng(0)
    seen, _ = env.reset(seed=0)
    total, playing, success = np.zeros(copies), np.ones(copies, bool), np.zeros(copies, bool)
    while playing.any():
        action = generator.uniform(-1, 1, (copies, 2)) if pilot is None else PILOTS[pilot](seen)
        seen, reward, terminated, truncated, infos = env.step(action)
        total += reward * playing
        over = playing & (terminated | truncated)
        success[over] = infos["success"][over]
        playing &= ~over
    return total.mean(), success.mean()


def test_chasing_and_dodging_conflict():
    found = {(task, pilot): returns(task, pilot) for task in TASKS for pilot in (None, *PILOTS)}
    score = {key: value[0] for key, value in found.items()}
    success = {key: value[1] for key, value in found.items()}
    assert score["Pursuit", "chase"] > 60
    assert score["Evasion", "evade"] > 60
    assert score["Pursuit", "evade"] < 5
    assert score["Evasion", "chase"] < 5
    assert score["Combat", "chase_and_evade"] > 15
    assert max(score["Combat", "chase"], score["Combat", "evade"]) < 0
    assert max(score[task, None] for task in TASKS) < 10
    assert min(success["Pursuit", "chase"], success["Evasion", "evade"]) > 0.8
    assert success["Combat", "chase_and_evade"] > 0.35
    assert max(success["Combat", pilot] for pilot in (None, "chase", "evade")) < 0.05


def test_bad_arguments_are_refused():
    with pytest.raises(gymnasium.error.Error, match="Pursuit"):
        gymnasium.make("understudy/Pursuite-v0")
    env = FlightVectorEnv("Combat", 3)
    with pytest.raises(ValueError, match="3 copies, 2 seeds"):
        env.reset(seed=[1, 2])
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        env.step(np.zeros((2, 2), np.float32))


@pytest.mark.parametrize("mask", [[True, False], [0, 1, 0], [1, 2], "all"])
def test_a_reset_mask_that_is_none_is_refused_and_nothing_happens(mask):
    env = FlightVectorEnv("Combat", 3)
    before, _ = env.reset(seed=0)
    with pytest.raises(ValueError, match="one True or False for each of the 3 copies, got "):
        env.reset(options={"reset_mask": mask})
    seen, _ = env.reset(options={"reset_mask": [False] * 3})
    np.testing.assert_array_equal(seen, before)


def test_actions_that_are_no_numbers_are_refused_but_where_they_are_not_used():
    """Infinite ones are cut as others are; what a copy is told in the step that only resets it does not matter."""
    env = FlightVectorEnv("Combat", 3, max_episode_steps=1)
    env.reset(seed=0)
    wrong = np.array([[0, 0], [np.nan, 0], [0, np.nan]])
    with pytest.raises(ValueError, match=r"must be numbers; those of the copies \[1, 2\] are nan"):
        env.step(wrong)
    cut, *_ = env.step(np.array([[np.inf, 0], [-np.inf, 0], [0, 1e30]]))
    other = FlightVectorEnv("Combat", 3)
    other.reset(seed=0)
    np.testing.assert_array_equal(cut, other.step(np.array([[1, 0], [-1, 0], [0, 1]]))[0])
    assert np.isfinite(env.step(wrong)[0]).all()


def test_what_is_done_to_what_came_back_changes_nothing():
    env, other = FlightVectorEnv("Combat", 3), FlightVectorEnv("Combat", 3)
    for one in (env, other):
        one.reset(seed=0)
    for _ in range(3):
        seen, reward, terminated, truncated, infos = env.step(np.ones((3, 2)))
        other.step(np.ones((3, 2)))
        for array in (seen, reward, terminated, truncated, *infos.values()):
            array[:] = 0
    np.testing.assert_array_equal(env.reset()[0], other.reset()[0])


def test_a_reset_begins_the_time_of_lock_anew_and_only_where_it_resets():
    env = FlightVectorEnv("Pursuit", 4)
    seen, _ = env.reset(seed=0)
    for _ in range(250):
        seen, *_, infos = env.step(PILOTS["chase"](seen))
    assert (infos["lock_time"] > 0).all()
    mask = np.array([True, False, True, False])
    after = env.reset(options={"reset_mask": mask})[1]["lock_time"]
    np.testing.assert_array_equal(after, np.where(mask, 0, infos["lock_time"]))
    assert (env.reset()[1]["lock_time"] == 0).all()
