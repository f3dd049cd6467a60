"""Worlds and teachers from (seed, index): the same ones always, others elsewhere, mixed as said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_sweeps import GROUND, TUTOR

from understudy.errors import ConfigurationError
from understudy.lab.curve import Ground, Tutor
from understudy.lab.draw import Stream, draw_mdp, draw_teacher, floored, number, training_seeds


def test_every_seed_index_and_stream_has_a_number_of_its_own() -> None:
    numbers = [number(seed, index, stream) for seed in range(3) for index in range(3) for stream in Stream]
    assert len(set(numbers)) == 9 * len(Stream)
    assert training_seeds(1, range(3)).tolist() == [number(1, index, Stream.TRAINING) for index in range(3)]
    assert training_seeds(1, range(2, 3))[0] == training_seeds(1, range(3))[2]


@pytest.mark.parametrize("kind", ["grid", "random", "corridor"])
def test_a_world_has_the_size_that_was_asked_for_and_is_the_same_each_time(kind: str) -> None:
    ground = Ground(kind, size=5, actions=6)
    first, again, other = (draw_mdp(ground, 0, index) for index in (1, 1, 2))
    assert (first.states, first.actions) == ({"grid": 25, "random": 5, "corridor": 5}[kind], 6)
    assert (first.rewards == again.rewards).all()
    assert (first.transitions == again.transitions).all()
    assert kind == "corridor" or not np.array_equal(first.rewards, other.rewards)


def test_more_actions_move_through_the_same_world() -> None:
    few, many = (draw_mdp(Ground(size=6, actions=actions), 3, 5) for actions in (4, 40))
    assert (many.transitions == few.transitions).all()
    assert (many.rewards == np.tile(few.rewards, 10)).all()


def test_noise_and_then_the_floor_are_mixed_into_the_teacher() -> None:
    mdp = draw_mdp(GROUND, 0, 0)
    sharp = replace(TUTOR, temperature=0.0)
    plain = draw_teacher(sharp, mdp, 0, 0).policy
    noisy = draw_teacher(replace(sharp, noise=0.25), mdp, 0, 0).policy
    both = draw_teacher(replace(sharp, noise=0.25, floor=0.1), mdp, 0, 0).policy
    best = plain.max(-1) == 1
    assert best.any()
    assert np.allclose(np.sort(noisy[best], -1), [0.0625, 0.0625, 0.0625, 0.8125])  # 0.75 + 0.25 / 4
    assert np.allclose(np.sort(both[best], -1), [0.1375, 0.1375, 0.1375, 0.5875])  # 0.1 + 0.6 times that
    assert np.allclose(floored(np.array([[0.0, 1.0]]), 0.2), [[0.2, 0.8]])


def test_noise_in_states_replaces_its_share_of_them_by_one_action_and_leaves_the_others() -> None:
    mdp = draw_mdp(Ground(), 0, 0)
    clean = draw_teacher(TUTOR, mdp, 0, 0)
    hit = draw_teacher(replace(TUTOR, noise=0.25, noise_in="states", values_of="noiseless"), mdp, 0, 0)
    changed = (hit.policy != clean.policy).any(-1)
    assert abs(changed.mean() - 0.25) < 0.08  # 3.7 standard errors of 400 states
    assert (hit.policy[changed].max(-1) == 1).all()
    assert (hit.values == clean.values).all()
    own = draw_teacher(replace(TUTOR, noise=0.25, noise_in="states"), mdp, 0, 0)
    assert (own.policy == hit.policy).all()
    assert (own.values != clean.values).any()


def test_a_floor_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"a floor for 4 actions must lie in \[0, 0.25\), got 0.25"):
        draw_teacher(replace(TUTOR, floor=0.25), draw_mdp(GROUND, 0, 0), 0, 0)


@pytest.mark.parametrize(("kind", "ends"), [("optimal", 1.0), ("adversarial", -1.0)])
def test_in_a_corridor_the_best_teacher_reaches_plus_1_and_the_adversarial_one_minus_1(kind: str, ends: float) -> None:
    mdp = draw_mdp(Ground("corridor", size=9, actions=2, slip=0.0, end=0.0), 0, 0)
    teacher = draw_teacher(Tutor(kind, temperature=0.0), mdp, 0, 0, gamma=0.9)
    assert mdp.start @ teacher.values == pytest.approx(ends * 0.9**3)  # four moves from the middle; the last one pays


def test_an_unknown_kind_of_world_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown kind of world 'gird'\. Did you mean 'grid'"):
        draw_mdp(Ground("gird"), 0, 0)
