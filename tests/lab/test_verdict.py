"""The statistics of verdicts, against closed forms, normal theory and simulated worlds whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from understudy.lab.verdict import (
    Estimate,
    area,
    band,
    difference,
    ends_above,
    iterations_to,
    mean_interval,
    mean_iterations_to,
    median_interval,
    ordered,
    ratio_interval,
    speed_up,
    wanted,
)

RNG_SEED = 5


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(RNG_SEED)


@pytest.mark.parametrize(
    ("above", "below", "words", "holds"),
    [
        (0.9, math.inf, "above 0.9", True),
        (1.0, math.inf, "above 1", False),  # the interval touches: it does not say so as a whole
        (-math.inf, 3.5, "below 3.5", True),
        (-math.inf, 2.0, "below 2", False),
        (0.5, 3.5, "within 0.5 to 3.5", True),
        (0.5, 2.5, "within 0.5 to 2.5", False),
        (1.5, 3.5, "within 1.5 to 3.5", False),
        (-math.inf, math.inf, "", None),
    ],
)
def test_an_effect_holds_where_its_whole_interval_does(above: float, below: float, words: str, holds: bool) -> None:
    effect = Estimate(2.0, 1.0, 3.0).effect("e", above, below, "times")
    assert (effect.wanted, effect.holds, effect.unit) == (words, holds, "times")
    assert (effect.value, effect.low, effect.high) == (2.0, 1.0, 3.0)
    assert wanted(above, below) == words


def test_the_interval_of_a_mean_is_that_of_normal_theory(rng: np.random.Generator) -> None:
    values = rng.normal(3, 2, 2000)
    found = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / math.sqrt(2000)
    assert found.value == values.mean()
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert mean_interval(values) == found
    assert mean_interval(values, seed=1) != found


def test_a_difference_is_paired_so_that_worlds_cancel(rng: np.random.Generator) -> None:
    world = rng.normal(0, 100, 500)
    found = difference(world + 1 + 0.1 * rng.normal(size=500), world)
    assert 0.95 < found.low < 1 < found.high < 1.05
    with pytest.raises(ValueError, match="got 500 and 3"):
        difference(world, world[:3])


def test_a_ratio_is_of_means_and_paired(rng: np.random.Generator) -> None:
    world = rng.uniform(1, 100, 400)
    assert ratio_interval(3 * world, world) == Estimate(*[pytest.approx(3.0)] * 3)
    a, b = rng.normal(6, 1, 3000), rng.normal(2, 0.5, 3000)
    found = ratio_interval(a, b)
    half = 1.96 * 3 * math.sqrt(1 / 36 / 3000 + 0.25 / 4 / 3000)  # the delta method, a and b independent
    assert found.value == pytest.approx(a.mean() / b.mean())
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)
    with pytest.raises(ValueError, match="surely positive"):
        ratio_interval(a, b - 2)


def test_a_median_counts_never_as_the_largest() -> None:
    found = median_interval(np.array([1.0, 2.0, 3.0, 4.0, math.inf]))
    assert found.value == 3.0
    assert found.high == math.inf
    assert found.low >= 1.0
    assert median_interval(np.array([1.0, 3.0])).value == 2.0
    assert median_interval(np.array([1.0, math.inf, math.inf, math.inf])).value == math.inf


def test_a_band_is_the_normal_interval_at_each_point_by_hand() -> None:
    mean, low, high = band(np.array([[0.0, 1.0], [2.0, 1.0]]))
    assert mean.tolist() == [1.0, 1.0]
    np.testing.assert_allclose(high, [1 + 1.959964, 1.0])  # deviation sqrt(2), over sqrt(2) worlds
    np.testing.assert_allclose(low, [1 - 1.959964, 1.0])
    assert [side.tolist() for side in band(np.array([[3.0, 4.0]]))] == [[3.0, 4.0]] * 3


def test_a_level_is_reached_between_two_measurements_or_never() -> None:
    iterations = np.array([0, 10, 30])
    curves = np.array([[0.0, 1.0, 2.0], [1.6, 0.0, 0.0], [0.0, 2.0, 1.0], [0.0, 0.5, 1.0]])
    assert iterations_to(curves, iterations, 1.5).tolist() == [20.0, 0.0, 7.5, math.inf]
    assert iterations_to(curves, iterations, np.array([1.0, 2.0, 2.0, 1.0])).tolist() == [10.0, math.inf, 10.0, 30.0]
    assert float(iterations_to(curves[0], iterations, 0.5)) == 5.0


def rising(times: np.ndarray, iterations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Straight lines to 1 at ``times``, times a world's own scale."""
    return rng.uniform(0.9, 1.1, (len(times), 1)) * np.minimum(iterations / times[:, None], 1.0)


def test_the_mean_curve_reaches_its_level_when_lines_say(rng: np.random.Generator) -> None:
    iterations = np.linspace(0, 1000, 101)
    curves = np.minimum(iterations / np.full((50, 1), 400.0), 1.0) + np.zeros((50, 1))
    found = mean_iterations_to(curves, iterations, 0.5)
    assert (found.value, found.low, found.high) == (pytest.approx(200),) * 3
    assert mean_iterations_to(curves, iterations, 1.01) == Estimate(math.inf, math.inf, math.inf)


def test_a_speed_up_is_the_ratio_of_times_of_the_same_worlds(rng: np.random.Generator) -> None:
    iterations = np.linspace(0, 1000, 201)
    times = rng.uniform(90, 110, 300)
    slow, quick = (rising(k * times, iterations, np.random.default_rng(1)) for k in (6.0, 2.0))
    found = speed_up(slow, quick, iterations, 0.8)
    assert found.value == pytest.approx(3.0, rel=0.01)
    assert 2.95 < found.low <= found.value <= found.high < 3.05
    assert speed_up(0 * slow, quick, iterations, 0.8).value == math.inf
    assert speed_up(slow, 0 * quick, iterations, 0.8).value == 0.0
    assert math.isnan(speed_up(0 * slow, 0 * quick, iterations, 0.8).value)


def test_an_area_is_the_mean_height_however_the_measurements_lie() -> None:
    iterations = np.array([0.0, 1.0, 10.0, 100.0])
    assert area(2 * iterations + 1, iterations) == pytest.approx(101.0)
    assert area(np.full((2, 4), 7.0), iterations).tolist() == [7.0, 7.0]


def test_an_order_at_the_end_holds_only_where_the_interval_of_the_gap_is_positive(rng: np.random.Generator) -> None:
    world = rng.normal(0, 5, (200, 4))
    better, same = world + 0.5, world + rng.normal(0, 1, (200, 4)) * 0.0
    assert ends_above("e", better, world).holds is True
    assert ends_above("e", world, better).holds is False
    assert ends_above("e", same, world).holds is False
    assert ends_above("e", better, world, by=0.6).holds is False
    late = world.copy()
    late[:, :-1] += 100
    assert ends_above("e", late, better).holds is False
    assert ends_above("e", late, better, last=2).holds is True


def test_an_order_is_an_effect_for_each_two_neighbours(rng: np.random.Generator) -> None:
    world = rng.normal(0, 5, 200)
    effects = ordered("return", {"a": world + 2, "b": world + 1, "c": world + 1.5})
    assert [(effect.name, effect.holds) for effect in effects] == [("return, a - b", True), ("return, b - c", False)]
    assert [effect.value for effect in effects] == [pytest.approx(1.0), pytest.approx(-0.5)]


@pytest.mark.parametrize("bad", [np.array([]), np.array([1.0, math.nan]), np.zeros((2, 2))])
def test_what_has_no_mean_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="non-empty vector"):
        mean_interval(bad)


def test_a_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    """Exponential numbers of mean 1, 60 at a time: 95 % intervals hold 1 in 88 to 99 % of 200 cases."""
    rng = np.random.default_rng(3)
    found = [mean_interval(rng.exponential(1, 60), seed) for seed in range(200)]
    assert 0.88 <= np.mean([one.low < 1 < one.high for one in found]) <= 0.99
