"""Agreement of two policies, by hand: counts, differences, divergences, and which states are chosen."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from understudy.envs.actions import ActionMap
from understudy.math.distributions import Family
from understudy.runs.agreement import APART, PER_EPISODE, Asked, agreement, apart, described, entries, flattened

COIN = Family("categorical", (2,))


def asked(family: Family, teacher: Any, student: Any, **more: Any) -> Asked:
    """States of one episode, in order."""
    teacher, student = np.array(teacher, np.float32), np.array(student, np.float32)
    count = len(teacher)
    known = {
        "observation": np.arange(count, dtype=float)[:, None],
        "episode": np.zeros(count, int),
        "step": np.arange(count),
        "length": np.full(count, count),
    }
    return Asked(family, teacher, student, **known | more)


def test_choices_are_counted_teacher_by_student() -> None:
    """Three actions, numbered from 5 on: the teacher takes 5, 5, 6, 7, 7, the student 5, 6, 6, 5, 7."""
    teacher, student = np.eye(3)[[0, 0, 1, 2, 2]], np.eye(3)[[0, 1, 1, 0, 2]]
    found = agreement(
        asked(Family("categorical", (3,)), teacher, student),
        ActionMap(Family("categorical", (3,)), spaces.Discrete(3, start=5)),
    )
    assert found["kind"] == "choices"
    assert (found["states"], found["episodes"], found["same"]) == (5, 1, 0.6)
    assert found["parts"] == [{"labels": ["5", "6", "7"], "counts": [[1, 1, 0], [0, 1, 0], [1, 0, 1]]}]


def test_parts_are_counted_each_and_the_same_means_all_of_them() -> None:
    family = Family("multi-categorical", (2, 3))
    teacher = [[1, 0, 1, 0, 0], [0, 1, 0, 0, 1]]  # (0, 0) and (1, 2)
    student = [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1]]  # (0, 1) and (1, 2)
    found = agreement(asked(family, teacher, student), ActionMap(family, spaces.MultiDiscrete([2, 3])))
    assert found["same"] == 0.5
    assert [part["counts"] for part in found["parts"]] == [[[1, 0], [0, 1]], [[0, 1, 0], [0, 0, 0], [0, 0, 1]]]


def test_coins_are_choices_of_two() -> None:
    family = Family("bernoulli", (2,))
    found = agreement(asked(family, [[1, -1]], [[1, 1]]), ActionMap(family, spaces.MultiBinary(2)))
    assert [part["counts"] for part in found["parts"]] == [[[0, 0], [0, 1]], [[0, 1], [0, 0]]]
    assert found["same"] == 0


def test_amounts_are_compared_as_the_environment_takes_them() -> None:
    """Bounds of -2 and 2: a mean of 9 is an action of 2. Differences 0, 1, 1; correlation by NumPy."""
    family = Family("gaussian", (1,))
    teacher, student = [[-2.0, 0], [0.0, 0], [9.0, 0]], [[-2.0, 0], [1.0, 0], [1.0, 0]]
    (found,) = agreement(asked(family, teacher, student), ActionMap(family, spaces.Box(-2, 2, (1,))))["dimensions"]
    assert found["difference"] == pytest.approx(2 / 3)
    assert found["relative"] == pytest.approx(2 / 3 / 4)
    assert found["correlation"] == pytest.approx(np.corrcoef([-2, 0, 2], [-2, 1, 1])[0, 1])
    assert (found["teacher"], found["student"]) == ([-2, 0, 2], [-2, 1, 1])


def test_amounts_without_bounds_have_no_range_and_constants_no_correlation() -> None:
    family = Family("gaussian", (1,))
    space = spaces.Box(-np.inf, np.inf, (1,))
    (found,) = agreement(asked(family, [[1.0, 0], [1.0, 0]], [[0.0, 0], [3.0, 0]]), ActionMap(family, space))[
        "dimensions"
    ]
    assert found["difference"] == 1.5
    assert found["relative"] is None
    assert found["correlation"] is None


def test_the_divergence_is_that_of_the_teacher_from_the_student() -> None:
    """KL((1/2, 1/2)‖(1/4, 3/4)) = ln 2 / 2 + ln(2/3) / 2, and the other way round another number."""
    half, quarter = [0.0, 0.0], [math.log(0.25), math.log(0.75)]
    found = asked(COIN, [half, quarter], [quarter, half]).divergence
    assert found[0] == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), rel=1e-6)
    assert found[1] == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), rel=1e-6)


def spread(generator: np.random.Generator, episodes: int = 6, length: int = 100) -> Asked:
    """Episodes in which the two differ by chance, in all states, and much more at one moment of the first."""
    count = episodes * length
    teacher, student = generator.normal(size=(2, count, 2))
    student[40:60] -= 20 * (teacher[40:60] - teacher[40:60].mean(-1, keepdims=True))
    return asked(
        COIN,
        teacher,
        student,
        observation=generator.normal(size=(count, 3)),
        episode=np.repeat(np.arange(episodes), length),
        step=np.tile(np.arange(length), episodes),
        length=np.full(count, length),
    )


@pytest.mark.parametrize("seed", range(5))
def test_chosen_states_differ_most_and_are_not_of_one_moment(seed: int) -> None:
    found = spread(np.random.default_rng(seed))
    chosen = apart(found, 6)
    size = found.divergence
    assert len(chosen) == 6
    assert chosen[0] == int(size.argmax())
    assert [size[s] for s in chosen] == sorted((size[s] for s in chosen), reverse=True)
    assert max(np.bincount(found.episode[chosen])) <= PER_EPISODE
    for a, b in combinations(chosen, 2):
        assert found.episode[a] != found.episode[b] or abs(found.step[a] - found.step[b]) >= APART * 100


def test_what_looks_alike_is_taken_only_where_nothing_else_is_left() -> None:
    """Four episodes of one state each; the first two look the same and differ most."""
    logits = [[3.0, 0], [2.5, 0], [2.0, 0], [1.0, 0]]
    known = {"episode": np.arange(4), "step": np.zeros(4, int), "length": np.full(4, 50)}
    found = asked(COIN, logits, np.zeros((4, 2)), observation=np.array([[0.0], [0.0], [5.0], [-5.0]]), **known)
    assert apart(found, 3) == [0, 2, 3]
    assert apart(found, 4) == [0, 1, 2, 3]


def test_pictures_are_told_apart_by_what_both_answer() -> None:
    """Four states of as many episodes: two with the same answers, and two others."""
    known = {"episode": np.arange(4), "step": np.zeros(4, int), "length": np.full(4, 50)}
    student = [[0.0, 0], [0.0, 0], [0.0, 3], [0.0, 5]]
    found = asked(COIN, [[6.0, 0], [6.0, 0], [3.0, 0], [0.0, 0]], student, observation=np.zeros((4, 0)), **known)
    assert apart(found, 3) == sorted((0, 2, 3), key=lambda s: -found.divergence[s])


def test_a_teacher_that_is_certain_is_told_apart_by_what_it_takes() -> None:
    """A teacher that is a function gives its choice a logit of 0 and all others none at all."""
    teacher = np.where(np.arange(2) == np.arange(40)[:, None] % 2, 0.0, -np.inf).astype(np.float32)
    student = np.tile(np.float32([0.1, 0.0]), (40, 1))
    seen = asked(COIN, teacher, student, observation=np.zeros((40, 0)), length=np.full(40, 40))
    assert np.isfinite(seen.features).all()
    first, second = apart(seen, 2)
    assert (first % 2, second % 2) == (1, 0)  # of what is farthest, and unlike it


def test_states_in_which_both_are_the_same_are_never_chosen() -> None:
    assert apart(asked(COIN, [[1.0, 0], [0, 0]], [[1.0, 0], [0, 1.0]]), 6) == [1]
    assert apart(asked(COIN, [[1.0, 0]], [[1.0, 0]]), 6) == []


def test_a_state_is_described_by_what_stands_out_and_what_each_would_do() -> None:
    observation = np.array([[0.0, 7.0], [0.0, 7.0], [0.0, 7.0], [4.0, 7.0]])
    found = asked(COIN, [[0.0, 0]] * 4, [[0.0, math.log(3)]] * 4, observation=observation)
    told = described(found, 3, ActionMap(COIN, spaces.Discrete(2)))
    assert told["standing_out"][0] == {"entry": 0, "deviations": pytest.approx(3 / math.sqrt(3))}
    assert told["standing_out"][1]["deviations"] == 0
    assert told["teacher"]["parts"] == [[0.5, 0.5]]
    assert told["student"]["parts"][0] == pytest.approx([0.25, 0.75])
    assert (told["step"], told["length"], told["observation"]) == (3, 4, [4.0, 7.0])


def test_what_is_seen_becomes_named_numbers_unless_it_is_a_picture() -> None:
    both = spaces.Dict({"place": spaces.Box(-1, 1, (2,)), "room": spaces.Discrete(3)})
    assert entries(both) == ("place[0]", "place[1]", "room[0]")
    seen = {"place": np.array([[[1.0, 2.0]], [[3.0, 4.0]]]), "room": np.array([[0], [2]])}
    assert flattened(both, seen).tolist() == [[[1, 2, 0]], [[3, 4, 2]]]
    picture = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    assert entries(picture) == ()
    assert flattened(picture, np.zeros((5, 2, 4, 84, 84), np.uint8)).shape == (5, 2, 0)
