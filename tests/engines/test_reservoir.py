"""Stored states: a uniform sample of all that was offered, by statistics; what is stored, and that it comes back."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.stats import chisquare

from understudy.engines.reservoir import Reservoir, merged
from understudy.envs.rollout import Window
from understudy.envs.views import parse_view
from understudy.errors import ConfigurationError, SpaceError
from understudy.math.distributions import Family
from understudy.policies.student import Student


def reservoir(capacity, seed=0):
    return Reservoir(capacity, np.random.default_rng(seed))


def numbers(first, count):
    return {"observation": torch.arange(first, first + count, dtype=torch.float32)[:, None]}


def held(one):
    return one.rows()["observation"][:, 0].long().tolist()


def test_all_is_kept_until_it_is_full():
    one = reservoir(10)
    for first in (0, 3, 6):
        one.offer(numbers(first, 3))
    assert sorted(held(one)) == list(range(9))
    one.offer(numbers(9, 1))
    assert sorted(held(one)) == list(range(10))
    one.offer(numbers(10, 1000))
    assert len(one) == 10
    assert one.offered == 1010
    assert len(set(held(one))) == 10


@pytest.mark.parametrize("sizes", [(40,), (1,) * 40, (7, 13, 20), (25, 15), (3, 37)])
def test_every_offer_stays_with_the_same_probability_however_it_came(sizes):
    """5 places of 40 offers, 1,600 times: chi-square of how often each stayed, against 200 each."""
    generator, counts, times = np.random.default_rng(0), np.zeros(40), 1600
    for _ in range(times):
        one, first = Reservoir(5, generator), 0
        for size in sizes:
            one.offer(numbers(first, size))
            first += size
        stayed = held(one)
        assert len(set(stayed)) == 5
        counts[stayed] += 1
    assert chisquare(counts).pvalue > 0.001
    assert counts.mean() == times * 5 / 40


def test_two_offers_stay_together_as_often_as_a_uniform_sample_says():
    """3 places of 6 offers: each of the 20 subsets with the same probability."""
    generator, counts = np.random.default_rng(1), {}
    for _ in range(4000):
        one = Reservoir(3, generator)
        one.offer(numbers(0, 4))
        one.offer(numbers(4, 2))
        key = tuple(sorted(held(one)))
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 20
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_a_merger_is_a_uniform_sample_of_all_offers_to_all():
    """Reservoirs of 8 that were offered 10 and 30: after the merger each of the 40 stays with the same probability."""
    generator, counts = np.random.default_rng(2), np.zeros(40)
    for _ in range(2500):
        first, second = Reservoir(8, generator), Reservoir(8, generator)
        first.offer(numbers(0, 10))
        second.offer(numbers(10, 30))
        both = merged([first, second], 5, generator)
        assert len(both) == 5
        assert both.offered == 40
        counts[held(both)] += 1
    assert chisquare(counts).pvalue > 0.001


def test_a_merger_goes_on_as_a_reservoir_of_all_and_is_no_larger_than_its_shares_allow():
    first, second = reservoir(50), reservoir(5)
    first.offer(numbers(0, 30))
    second.offer(numbers(30, 3))
    assert sorted(held(merged([first, second, reservoir(2)], 100, np.random.default_rng(0)))) == list(range(33))
    second.offer(numbers(33, 100))
    assert merged([first, second], 100, np.random.default_rng(0)).capacity == 5
    with pytest.raises(ConfigurationError, match="nothing to merge"):
        merged([reservoir(2)], 10, np.random.default_rng(0))


def test_it_goes_on_to_the_same_bits():
    one = reservoir(10)
    one.offer(numbers(0, 50))
    state = one.state()
    state = {**state, "columns": {k: v.clone() for k, v in state["columns"].items()}}
    other = reservoir(3, seed=9)
    other.restore(state)
    for both in (one, other):
        both.offer(numbers(50, 50))
    assert held(one) == held(other)
    assert other.capacity == 10
    assert other.offered == 100


FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)


def test_the_answers_are_a_policys_at_what_it_sees(simulator):
    policy = Student(
        spaces.Box(-np.inf, np.inf, (2,), np.float32), spaces.Discrete(3), Family("categorical", (3,)), "mlp:8"
    )
    one = reservoir(5000)
    one.offer({"observation": torch.randn(3000, 4)})
    view = parse_view("3,1")
    assert not one.labelled
    one.label(policy, view)
    rows = one.rows()
    assert one.labelled
    assert rows["flat"].shape == (3000, 3)
    with torch.no_grad():
        expected = policy(rows["observation"][:, [3, 1]])[0].policy.flat
    torch.testing.assert_close(rows["flat"], expected)
    with pytest.raises(SpaceError, match=r"stored states are observation \[4\], flat \[3\]"):
        one.offer({"observation": torch.randn(3, 4)})


def test_a_dict_of_observations_is_stored_by_its_keys():
    one = reservoir(10)
    one.offer({"observation/a": torch.ones(3, 2), "observation/b": torch.arange(3)})
    assert {key: tuple(part.shape) for key, part in one.seen().items()} == {"a": (3, 2), "b": (3,)}
    assert one.seen(parse_view("key:b")).tolist() == [0, 1, 2]


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(ConfigurationError, match="at least 1, got 0"):
        reservoir(0)
    recurrent = Student(FLAT, spaces.Discrete(3), Family("categorical", (3,)), "gru:8")
    one = reservoir(10)
    one.offer({"observation": torch.randn(3, 4)})
    with pytest.raises(ConfigurationError, match=r"has a memory.*Anchor it on visited states"):
        one.label(recurrent)
    with pytest.raises(ConfigurationError, match="no state was stored yet"):
        reservoir(10).label(Student(FLAT, spaces.Discrete(3), Family("categorical", (3,)), "mlp:8"))
    with pytest.raises(SpaceError, match="keep one store for each environment"):
        one.offer({"observation": torch.randn(3, 5)})


def test_steps_in_which_nothing_was_played_are_not_stored():
    """The observation of an autoreset's fake step is that of an episode's end, which no policy was asked about."""
    nothing = np.zeros(0)
    valid = np.array([[True, True], [True, False], [False, True]])
    seen = np.arange(6, dtype=np.float32).reshape(3, 2, 1)
    one = reservoir(10)
    one.watch(Window(seen, *[nothing] * 5, valid, nothing, nothing, nothing, None))
    assert sorted(held(one)) == [0, 1, 2, 5]
    assert one.offered == 4
