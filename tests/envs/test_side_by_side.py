"""Several simulators as one, against each of them alone."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.envs.of_gym import make
from understudy.envs.side_by_side import SideBySide
from understudy.errors import SpaceError


def test_each_copy_plays_as_it_does_in_its_own_simulator() -> None:
    both = SideBySide([make("CartPole-v1", 2), make("CartPole-v1", 3, wrappers=("time-limit:9",))])
    alone = [make("CartPole-v1", 2), make("CartPole-v1", 3, wrappers=("time-limit:9",))]
    seeds = [11, 12, 13, 14, 15]
    seen = both.begin(range(5), seeds)
    first, second = alone[0].begin(range(2), seeds[:2]), alone[1].begin(range(3), seeds[2:])
    generator = np.random.default_rng(0)
    ends = 0
    for _ in range(40):
        assert np.array_equal(seen, np.concatenate([first, second]))
        action = generator.integers(2, size=5)
        joint, apart = both.step(action), [alone[0].step(action[:2]), alone[1].step(action[2:])]
        seen, first, second = joint.observation, apart[0].observation, apart[1].observation
        for name in ("reward", "terminated", "truncated", "start"):
            assert np.array_equal(getattr(joint, name), np.concatenate([getattr(one, name) for one in apart]))
        for part, one in ((slice(0, 2), apart[0]), (slice(2, 5), apart[1])):
            ended = one.terminated | one.truncated
            ends += int(ended.sum())
            if ended.any():
                assert joint.final is not None
                assert one.final is not None
                assert np.array_equal(joint.final[part][ended], one.final[ended])
            valid = np.ones(len(ended), bool) if one.valid is None else one.valid
            assert np.array_equal(np.ones(len(ended), bool) if joint.valid is None else joint.valid[part], valid)
    assert ends == 5


def test_one_copy_can_be_begun_while_the_others_go_on() -> None:
    both = SideBySide([make("CartPole-v1", 1), make("CartPole-v1", 1, wrappers=("time-limit:2",))])
    both.begin([0, 1], [1, 2])
    both.step(np.array([0, 1]))
    outcome = both.step(np.array([1, 0]))
    assert outcome.truncated.tolist() == [False, True]
    seen = both.begin([1], [5])
    assert np.array_equal(seen[0], outcome.observation[0])
    assert np.array_equal(seen[1], make("CartPole-v1", 1).begin([0], [5])[0])


def test_endless_play_goes_on_in_all_of_them() -> None:
    both = SideBySide([make("CartPole-v1", 1), make("CartPole-v1", 2)])
    both.reset(3)
    starts = np.zeros(3, int)
    for _ in range(60):
        outcome = both.step(np.ones(3, int))
        starts += outcome.start
        assert outcome.valid is None
    assert (starts >= 3).all()


def test_other_spaces_are_refused() -> None:
    with pytest.raises(SpaceError, match="cannot be trained on side by side"):
        SideBySide([make("CartPole-v1", 1), make("Acrobot-v1", 1)])
