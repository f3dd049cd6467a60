"""Aggregates over runs, against rliable (Agarwal et al. 2021) and values worked out by hand."""

import numpy as np
import pytest
from rliable import library, metrics

from understudy.math.aggregates import (
    combined,
    improvement_interval,
    interquartile_interval,
    interquartile_mean,
    probability_of_improvement,
)

SHAPES = ((3, 1), (1, 4), (5, 3), (10, 6), (7, 2))
RESAMPLES = 8_000


def scores(shape, seed=0):
    generator = np.random.default_rng(seed)
    return np.round(generator.gamma(2.0, 3.0, shape) + np.arange(shape[1]) * 2, 1)  # rounded, so that there are ties


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interquartile_mean_is_rliables(shape):
    assert interquartile_mean(scores(shape)) == metrics.aggregate_iqm(scores(shape))


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end():
    assert interquartile_mean(np.array([[-1000.0], [2.0], [4.0], [1000.0]])) == 3.0
    assert interquartile_mean(np.array([[1.0], [2.0], [6.0]])) == 3.0


@pytest.mark.parametrize("shape", SHAPES)
def test_the_probability_of_improvement_is_rliables(shape):
    x, y = scores(shape), scores((shape[0] + 2, shape[1]), 1)
    assert probability_of_improvement(x, y) == pytest.approx(metrics.probability_of_improvement(x, y), abs=1e-12)


def test_a_tie_counts_half():
    x, y = np.array([[1.0], [2.0]]), np.array([[1.0], [3.0]])  # 1 = 1, 1 < 3, 2 > 1, 2 < 3
    assert probability_of_improvement(x, y) == (0.5 + 0 + 1 + 0) / 4
    assert probability_of_improvement(x, x) == 0.5


@pytest.mark.parametrize("shape", [(6, 4), (10, 1)])
def test_the_interval_is_rliables_up_to_the_drawing(shape):
    x = scores(shape)
    np.random.seed(0)  # rliable draws from the global generator
    _, theirs = library.get_interval_estimates(
        {"x": x}, lambda drawn: np.array([metrics.aggregate_iqm(drawn)]), reps=RESAMPLES
    )
    ours = interquartile_interval(x, np.random.default_rng(0), RESAMPLES)
    width = float(np.ptp(theirs["x"]))
    np.testing.assert_allclose([ours.low, ours.high], theirs["x"][:, 0], atol=0.05 * width)
    assert ours.low < ours.point == metrics.aggregate_iqm(x) < ours.high


def test_the_interval_of_the_improvement_is_rliables_up_to_the_drawing():
    x, y = scores((8, 3)), scores((6, 3), 1)
    np.random.seed(0)
    _, theirs = library.get_interval_estimates(
        {"pair": [x, y]},
        lambda one, other: np.array([metrics.probability_of_improvement(one, other)]),
        reps=1_000,
    )
    ours = improvement_interval(x, y, np.random.default_rng(0))
    np.testing.assert_allclose([ours.low, ours.high], theirs["pair"][:, 0], atol=0.04)


def test_runs_are_drawn_within_their_task_only():
    """Tasks of one value each, far apart: whatever is drawn, the mean is the same."""
    x = np.tile([[0.0, 1000.0]], (5, 1))
    found = interquartile_interval(x, np.random.default_rng(0), 500)
    assert (found.point, found.low, found.high) == (500.0, 500.0, 500.0)


def test_with_equal_episodes_the_recovered_fraction_has_rliables_interval():
    """Runs of constant episodes leave nothing but the runs to draw; recovered is then the return, scaled."""
    runs = scores((8, 1), 3)[:, 0]
    found = combined(
        np.tile(runs[:, None], (1, 20)), np.full(20, 30.0), np.full(9, 2.0), np.random.default_rng(0), RESAMPLES
    )
    alone = interquartile_interval(runs[:, None], np.random.default_rng(1), RESAMPLES)
    width = alone.high - alone.low
    assert found.returns.point == pytest.approx(alone.point)
    assert found.returns.low == pytest.approx(alone.low, abs=0.05 * width)
    assert found.returns.high == pytest.approx(alone.high, abs=0.05 * width)
    assert found.recovered.point == pytest.approx((alone.point - 2) / 28)
    assert found.recovered.low == pytest.approx((alone.low - 2) / 28, abs=0.05 * width / 28)


def test_one_run_has_the_interval_of_its_episodes():
    generator = np.random.default_rng(4)
    episodes, random = generator.normal(80, 10, 400), np.zeros(5)
    found = combined(episodes[None], np.full(400, 100.0), random, generator, RESAMPLES).recovered
    error = 1.96 * episodes.std() / 20 / 100
    assert found.low == pytest.approx(episodes.mean() / 100 - error, abs=0.1 * error)
    assert found.high == pytest.approx(episodes.mean() / 100 + error, abs=0.1 * error)


def test_episodes_are_drawn_together_with_the_teachers():
    """Students that earn nine tenths of the teacher in every episode recover nine tenths, however episodes differ."""
    teacher = np.random.default_rng(5).normal(100, 40, 50)
    found = combined(np.tile(0.9 * teacher, (3, 1)), teacher, np.zeros(4), np.random.default_rng(0))
    assert found.recovered.low == pytest.approx(0.9)
    assert found.recovered.high == pytest.approx(0.9)
    assert found.returns.high - found.returns.low > 15  # while their returns are uncertain


def test_runs_add_to_the_interval():
    """Noise of the runs, none of the episodes: three runs span their range, for each is drawn thrice now and then."""
    returns = np.array([[50.0], [60.0], [100.0]]) * np.ones((1, 30))
    found = combined(returns, np.full(30, 100.0), np.zeros(4), np.random.default_rng(0))
    assert (found.returns.low, found.returns.high) == (50.0, 100.0)
    assert found.returns.point == 70.0


def test_nothing_is_recovered_of_a_teacher_that_is_not_above_random():
    generator = np.random.default_rng(6)
    teacher, random = generator.normal(0, 10, 30), generator.normal(0, 10, 30)
    found = combined(generator.normal(0, 10, (3, 30)), teacher, random, generator)
    assert found.recovered is None
    assert np.isfinite(found.returns.point)


@pytest.mark.parametrize("call", [
    lambda: interquartile_mean(np.zeros(3)),
    lambda: interquartile_mean(np.zeros((0, 2))),
    lambda: probability_of_improvement(np.zeros((2, 1)), np.zeros((2, 2))),
    lambda: combined(np.zeros((2, 3)), np.zeros(4), np.zeros(3), np.random.default_rng(0)),
    lambda: combined(np.zeros((2, 3)), np.zeros(3), np.zeros(0), np.random.default_rng(0)),
])  # fmt: skip
def test_scores_of_the_wrong_shape_are_refused(call):
    with pytest.raises(ValueError):
        call()
