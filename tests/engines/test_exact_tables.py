"""Visits and values of small chains, by hand."""

import numpy as np
import pytest

from understudy.engines import exact
from understudy.errors import ConfigurationError
from understudy.mdp.model import MDP


def two_rooms() -> MDP:
    """Room 0: action 0 stays, action 1 goes to room 1 (3/4) or out (1/4). Room 1: out; 2 is terminal."""
    transitions = np.zeros((3, 2, 3))
    transitions[0, 0, 0] = 1
    transitions[0, 1, 1] = 0.75
    transitions[1, :, 2] = 1
    rewards = np.array([[1.0, 2.0], [4.0, 8.0], [0.0, 0.0]])
    return MDP(transitions, rewards, np.array([1.0, 0.0, 0.0]), np.array([False, False, True]))


POLICY = np.array([[0.5, 0.5], [0.25, 0.75], [np.nan, np.nan]])


def test_visits_are_a_geometric_series():
    assert exact.visits(two_rooms(), POLICY).tolist() == pytest.approx([2.0, 0.75, 0.0])
    discounted = 1 / (1 - 0.8 * 0.5)
    assert exact.visits(two_rooms(), POLICY, 0.8).tolist() == pytest.approx(
        [discounted, discounted * 0.5 * 0.75 * 0.8, 0.0]
    )


def test_values_are_what_is_earned_until_the_end():
    last = 0.25 * 4 + 0.75 * 8
    assert exact.values(two_rooms(), POLICY).tolist() == pytest.approx([2 * (1.5 + 0.375 * last), last, 0.0])
    first = (1.5 + 0.8 * 0.375 * last) / (1 - 0.4)
    assert exact.values(two_rooms(), POLICY, 0.8).tolist() == pytest.approx([first, last, 0.0])


def test_values_of_anything_that_is_paid_per_step():
    assert exact.values(two_rooms(), POLICY, per_step=np.ones((3, 2))).tolist() == pytest.approx([2.75, 1.0, 0.0])


def test_a_policy_must_hold_probabilities():
    with pytest.raises(ConfigurationError, match=r"sum to 1 in each state, got \[0.5, 0.6\] in state 1"):
        exact.visits(two_rooms(), np.array([[0.5, 0.5], [0.5, 0.6], [0.5, 0.5]]))
    with pytest.raises(ConfigurationError, match=r"the shape \[3, 2\], got \[2, 3\]"):
        exact.visits(two_rooms(), np.ones((2, 3)) / 3)


def test_an_episode_that_never_ends_is_told():
    with pytest.raises(ConfigurationError, match="state 0"):
        exact.visits(two_rooms(), np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]]))
