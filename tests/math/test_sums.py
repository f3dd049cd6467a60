"""Sums along time against loops written by hand, episode by episode."""

import numpy as np
import pytest

from understudy.math.sums import discounted_sums, following, gae

L, N = 9, 4


@pytest.fixture
def window():
    """Several episodes a copy; the last row always stops, as a window's does. Tails differ from 0 at some stops."""
    generator = np.random.default_rng(0)
    stop = generator.random((L, N)) < 0.3
    stop[-1] = True
    tail = np.where(stop & (generator.random((L, N)) < 0.5), generator.standard_normal((L, N)), 0.0)
    return generator.standard_normal((L, N)), generator.standard_normal((L, N)), stop, tail


def episodes(stop, copy):
    """The steps of each episode of one copy."""
    found, steps = [], []
    for t in range(L):
        steps.append(t)
        if stop[t, copy]:
            found.append(steps)
            steps = []
    return found


@pytest.mark.parametrize("discount", [1.0, 0.9, 0.0])
def test_returns_to_go_stop_at_the_end_of_their_episode(window, discount):
    x, _, stop, tail = window
    expected = np.zeros((L, N))
    for n in range(N):
        for steps in episodes(stop, n):
            for t in steps:
                later = [i for i in steps if i >= t]
                expected[t, n] = sum(discount ** (i - t) * x[i, n] for i in later)
                expected[t, n] += discount ** len(later) * tail[steps[-1], n]
    np.testing.assert_allclose(discounted_sums(x, stop, discount, tail), expected)


def test_without_a_tail_nothing_lies_beyond(window):
    x, _, stop, _ = window
    np.testing.assert_array_equal(discounted_sums(x, stop, 0.9), discounted_sums(x, stop, 0.9, np.zeros((L, N))))


def test_a_return_worked_out_by_hand():
    x = np.array([[1.0], [2.0], [4.0]])
    stop = np.array([[False], [True], [True]])
    tail = np.array([[0.0], [0.0], [8.0]])
    assert discounted_sums(x, stop, 0.5, tail).tolist() == [[2.0], [2.0], [8.0]]


def test_the_following_value_is_the_next_steps_or_the_tail(window):
    _, values, stop, tail = window
    expected = [[tail[t, n] if stop[t, n] else values[t + 1, n] for n in range(N)] for t in range(L)]
    np.testing.assert_array_equal(following(values, stop, tail), expected)


@pytest.mark.parametrize("discount", [1.0, 0.9, 0.0])
@pytest.mark.parametrize("lam", [1.0, 0.95, 0.0])
def test_generalised_advantages_are_the_weighted_mean_of_all_n_step_advantages(window, discount, lam):
    """By their definition (Schulman et al. 2016, eq. 16), not by the recursion."""
    rewards, values, stop, tail = window
    expected = np.zeros((L, N))
    for n in range(N):
        for steps in episodes(stop, n):
            beyond = tail[steps[-1], n]
            for t in steps:
                left = len(steps) - steps.index(t)
                advantages = []
                for k in range(1, left + 1):
                    after = values[t + k, n] if k < left else beyond
                    gain = sum(discount**i * rewards[t + i, n] for i in range(k))
                    advantages.append(gain + discount**k * after - values[t, n])
                weights = [(1 - lam) * lam ** (k - 1) for k in range(1, left)] + [lam ** (left - 1)]
                expected[t, n] = np.dot(weights, advantages)
    np.testing.assert_allclose(gae(rewards, values, stop, tail, discount, lam), expected, atol=1e-12)
