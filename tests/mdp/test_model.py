import numpy as np
import pytest

from understudy.mdp.families import acyclic, random_mdp
from understudy.mdp.model import MDP


def arrays():
    transitions = np.zeros((2, 1, 2))
    transitions[0, 0] = 0.25, 0.5
    return {"transitions": transitions, "rewards": np.zeros((2, 1)), "start": np.array([1.0, 0.0])}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("transitions", np.zeros((2, 1, 3)), r"shape \[S, A, S\], got \[2, 1, 3\]"),
        ("transitions", np.full((2, 1, 2), 0.6), r"at most 1, got 1.2 in state 0, action 0"),
        ("transitions", np.array([[[0.5, 0.2]], [[-0.1, 0.2]]]), r"got -0.1 at \[1, 0, 0\]"),
        ("transitions", np.full((2, 1, 2), np.nan), "must be probabilities, got nan"),
        ("rewards", np.zeros((1, 2)), r"rewards must have the shape \[2, 1\], got \[1, 2\]"),
        ("rewards", np.array([[0.0], [np.inf]]), "finite, got inf in state 1, action 0"),
        ("start", np.array([0.5, 0.4]), "start must sum to 1, got 0.9"),
        ("terminal", np.array([True, False]), "cannot start in the terminal state 0"),
        ("terminal", np.array([True]), r"terminal must have the shape \[2\], got \[1\]"),
    ],
)
def test_an_array_that_describes_no_process_is_refused_with_its_value(name, value, message):
    with pytest.raises(ValueError, match=message):
        MDP(**{**arrays(), name: value})


def test_rows_may_sum_to_less_than_one_and_arrays_cannot_be_written():
    mdp = MDP(**arrays())
    assert (mdp.states, mdp.actions) == (2, 1)
    with pytest.raises(ValueError, match="read-only"):
        mdp.rewards[0, 0] = 1


def test_every_episode_of_an_acyclic_mdp_ends_within_three_steps():
    mdp = acyclic(7, 3, np.random.default_rng(0))
    reach = mdp.transitions.sum(1)
    assert (reach @ reach).any()
    assert not (reach @ reach @ reach).any()


def test_a_random_mdp_ends_with_the_given_probability_after_every_action():
    mdp = random_mdp(5, 3, 0.2, np.random.default_rng(0))
    np.testing.assert_allclose(mdp.transitions.sum(-1), 0.8)
    with pytest.raises(ValueError, match=r"end must lie in \(0, 1\]"):
        random_mdp(5, 3, 0.0, np.random.default_rng(0))
