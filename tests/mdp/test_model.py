import pickle
import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from understudy.mdp.families import random_mdp
from understudy.mdp.model import MDP, Successors


def arrays():
    transitions = np.zeros((2, 1, 2))
    transitions[0, 0] = 0.25, 0.5
    return {"transitions": transitions, "rewards": np.zeros((2, 1)), "start": np.array([1.0, 0.0])}


def lists(following, probability):
    return Successors(np.array(following), np.array(probability, dtype=float))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("transitions", np.zeros((2, 1, 3)), r"shape \[S, A, S\], got \[2, 1, 3\]"),
        ("transitions", np.zeros((3, 1, 3)), r"with S = 2, as start has, got \[3, 1, 3\]"),
        ("transitions", np.full((2, 1, 2), 0.6), r"at most 1, got 1.2 in state 0, action 0"),
        ("transitions", np.array([[[0.5, 0.2]], [[-0.1, 0.2]]]), r"got -0.1 at \[1, 0, 0\]"),
        ("transitions", np.full((2, 1, 2), np.nan), "must be probabilities, got nan"),
        ("transitions", sparse.csr_array((3, 2)), r"shape \[S \* M, S\] with S = 2, got \[3, 2\]"),
        ("transitions", sparse.csr_array([[0.0, -0.5], [0, 0]]), r"got -0.5 at \[0, 0, 1\]"),
        ("transitions", lists([[[0]], [[2]]], [[[1]], [[1]]]), r"states below 2, got 2 at \[1, 0, 0\]"),
        ("transitions", lists([[[0]], [[0.5]]], [[[1]], [[1]]]), "whole numbers, got float64"),
        ("transitions", lists([[[0]], [[0]]], [[[1, 0]], [[1, 0]]]), r"got \[2, 1, 1\] and \[2, 1, 2\]"),
        ("transitions", lists([[[0, 0]], [[0, 0]]], np.full((2, 1, 2), 0.6)), "got 1.2 in state 0, action 0"),
        ("rewards", np.zeros((1, 2)), r"rewards must have the shape \[2, 1\], got \[1, 2\]"),
        ("rewards", np.array([[0.0], [np.inf]]), "finite, got inf in state 1, action 0"),
        ("start", np.array([0.5, 0.4]), "start must sum to 1, got 0.9"),
        ("start", np.array([1.5, -0.5]), r"start must be probabilities, got -0.5 at \[1\]"),
        ("start", np.array([np.nan, 1]), r"start must be probabilities, got nan at \[0\]"),
        ("start", np.ones((1, 1)), r"start must have the shape \[S\], got \[1, 1\]"),
        ("start", ["all", "none"], "start must be numbers in an array"),
        ("terminal", np.array([True, False]), "cannot start in the terminal state 0"),
        ("terminal", np.array([True]), r"terminal must have the shape \[2\], got \[1\]"),
        ("action_map", np.array([0, 1]), "below the 1 moves, got 1 for action 1"),
        ("action_map", np.array([0.0]), r"a vector of whole numbers, got float64 \[1\]"),
        ("observed", np.array([0, -1]), "below the 2 states, got -1 for state 1"),
        ("observed", np.array([0]), r"observed must have the shape \[2\], got \[1\]"),
    ],
)
def test_an_array_that_describes_no_process_is_refused_with_its_value(name, value, message):
    with pytest.raises(ValueError, match=message):
        MDP(**{**arrays(), name: value})


def test_a_row_of_too_much_is_told_by_its_move_where_actions_share_moves():
    with pytest.raises(ValueError, match=r"got 1\.2 in state 0, move 0"):
        MDP(np.full((2, 1, 2), 0.6), np.zeros((2, 3)), [1, 0], action_map=np.zeros(3, dtype=int))


def test_rows_may_sum_to_less_than_one_and_arrays_cannot_be_written():
    mdp = MDP(**arrays())
    assert (mdp.states, mdp.actions, mdp.moves, mdp.observations) == (2, 1, 1, 2)
    for array in (mdp.rewards, mdp.start, mdp.transitions, mdp.successors.probability, mdp.successors.next):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1
    with pytest.raises(AttributeError):
        mdp.rewards = np.ones((2, 1))


def test_changing_the_array_that_was_given_changes_nothing():
    given = arrays()
    mdp = MDP(**given)
    given["transitions"][0, 0] = 0
    assert mdp.transitions[0, 0].tolist() == [0.25, 0.5]


def test_dense_sparse_and_listed_transitions_are_one_process():
    dense = np.array([[[0.5, 0, 0.25], [0, 0, 0]], [[0, 1, 0], [0.1, 0.2, 0.7]], [[0, 0, 0.5], [0, 0.5, 0]]])
    rest = np.arange(6.0).reshape(3, 2), [0, 0, 1]
    listed = lists(
        [[[2, 0, 0], [1, 1, 1]], [[1, 1, 0], [2, 0, 1]], [[2, 0, 0], [1, 0, 0]]],
        [[[0.25, 0.5, 0], [0, 0, 0]], [[0.25, 0.75, 0], [0.7, 0.1, 0.2]], [[0.5, 0, 0], [0.5, 0, 0]]],
    )
    for given in (dense, listed, sparse.csr_matrix(dense.reshape(6, 3)), sparse.coo_array(dense.reshape(6, 3))):
        np.testing.assert_array_equal(MDP(given, *rest).transitions, dense)
    assert MDP(dense, *rest).successors.next.shape == (3, 2, 3)


def test_the_rows_of_a_terminal_state_are_ignored_whatever_they_hold():
    given = arrays()
    given["transitions"][1], given["rewards"][1] = np.nan, np.nan
    mdp = MDP(**given, terminal=[False, True])
    assert mdp.transitions[:, 0].tolist() == [[0.25, 0.5], [0, 0]]
    assert mdp.rewards.tolist() == [[0], [0]]


def test_many_actions_that_move_alike_cost_no_transitions():
    mapped = np.arange(4000) % 4
    few = random_mdp(400, 4, 0.1, np.random.default_rng(0), branching=4)
    rewards = np.zeros((400, 4000))
    tracemalloc.start()
    mdp = MDP(few.successors, rewards, few.start, action_map=mapped)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert (mdp.actions, mdp.moves) == (4000, 4)
    assert used < 1.1 * rewards.nbytes


def test_what_is_expected_next_follows_each_actions_own_move():
    mdp = random_mdp(5, 7, 0.2, np.random.default_rng(0), moves=3)
    values = np.arange(5.0) ** 2
    by_hand = [[mdp.transitions[s, a % 3] @ values for a in range(7)] for s in range(5)]
    np.testing.assert_allclose(mdp.expected_next(values), by_hand, rtol=1e-14)
    weight = np.random.default_rng(1).random((5, 7))
    added = np.stack([weight[:, [0, 3, 6]].sum(1), weight[:, [1, 4]].sum(1), weight[:, [2, 5]].sum(1)], axis=1)
    np.testing.assert_allclose(mdp.by_move(weight), added, rtol=1e-14)


def test_the_value_of_a_terminal_state_counts_nothing():
    mdp = MDP(np.full((2, 1, 2), 0.5), np.zeros((2, 1)), [1, 0], [False, True])
    assert mdp.expected_next(np.array([2.0, 100.0])).tolist() == [[1.0], [0.0]]


def test_a_process_can_be_sent_elsewhere():
    mdp = random_mdp(5, 3, 0.2, np.random.default_rng(0), branching=2)
    there = pickle.loads(pickle.dumps(mdp))
    np.testing.assert_array_equal(there.transitions, mdp.transitions)
