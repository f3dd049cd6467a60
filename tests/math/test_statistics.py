"""Intervals against closed forms, by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.math.statistics import bootstrap_interval, recovered, worst_mean

Z = 1.959964


def test_an_interval_of_many_values_agrees_with_the_normal_one() -> None:
    generator = np.random.default_rng(0)
    values = generator.exponential(3.0, 2_000)
    low, high = bootstrap_interval(values, generator)
    half = Z * values.std(ddof=1) / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.06 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.06 * half)


def test_intervals_of_the_mean_cover_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(1)
    hits = 0
    for _ in range(500):
        low, high = bootstrap_interval(generator.normal(2.0, 1.5, 60), generator, resamples=1_000)
        hits += low <= 2.0 <= high
    # A percentile interval of 60 normal values covers 94.2 %; three standard errors of 500 trials are 3 %.
    assert 0.91 <= hits / 500 <= 0.975


def test_recovered_intervals_cover_the_truth_when_seeds_decide_most() -> None:
    generator = np.random.default_rng(2)
    hits = 0
    for _ in range(400):
        seeds = generator.normal(0, 30, 60)
        teacher = 100 + seeds + generator.normal(0, 3, 60)
        student = 90 + seeds + generator.normal(0, 3, 60)
        random = generator.normal(0, 20, 60)
        found = recovered(student, teacher, random, generator, resamples=800)
        assert found is not None
        hits += found.interval[0] <= 0.9 <= found.interval[1]
    assert 0.905 <= hits / 400 <= 0.98


def test_the_recovered_interval_agrees_with_the_delta_method() -> None:
    generator = np.random.default_rng(3)
    n, m = 400, 200
    seeds = generator.normal(0, 30, n)
    teacher, student = 100 + seeds, 80 + seeds + generator.normal(0, 10, n)
    random = generator.normal(0, 20, m)
    found = recovered(student, teacher, random, generator)
    assert found is not None
    gap = teacher.mean() - random.mean()
    rho = (student.mean() - random.mean()) / gap
    variance = (student - rho * teacher).var(ddof=1) / n + (1 - rho) ** 2 * random.var(ddof=1) / m
    half = Z * np.sqrt(variance) / gap
    assert found.point == pytest.approx(rho, rel=1e-12)
    assert found.interval == pytest.approx((rho - half, rho + half), abs=0.08 * half)


def test_pairing_makes_the_interval_of_a_copy_a_point() -> None:
    returns = np.random.default_rng(4).normal(50, 30, 100)
    found = recovered(returns, returns, np.zeros(20), np.random.default_rng(5))
    assert found is not None
    assert (found.point, *found.interval) == pytest.approx((1.0, 1.0, 1.0), abs=1e-12)


def test_recovered_is_exact_for_returns_without_noise_and_below_zero() -> None:
    found = recovered(np.full(9, -180.0), np.full(9, -150.0), np.full(5, -1150.0), np.random.default_rng(6))
    assert found is not None
    assert found.point == pytest.approx(0.97)
    assert found.interval == pytest.approx((0.97, 0.97))


def test_nothing_is_recovered_of_a_teacher_that_does_not_beat_random() -> None:
    generator = np.random.default_rng(7)
    noise = generator.normal(0, 10, 50)
    assert recovered(noise, noise, generator.normal(0, 10, 50), generator) is None
    assert recovered(noise, noise - 40, noise, generator) is None


def test_unpaired_episodes_are_refused() -> None:
    with pytest.raises(ValueError, match="9 and 10"):
        recovered(np.ones(9), np.ones(10), np.zeros(3), np.random.default_rng(0))


def test_the_same_generator_gives_the_same_interval_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(30.0)
    whole = bootstrap_interval(values, np.random.default_rng(8), resamples=500)
    monkeypatch.setattr("understudy.math.statistics.CHUNK", 64)
    assert bootstrap_interval(values, np.random.default_rng(8), resamples=500) == pytest.approx(whole, rel=0.05)


def test_the_worst_twentieth_is_the_mean_of_the_lowest_episodes() -> None:
    values = np.random.default_rng(9).permutation(np.arange(100.0))
    assert worst_mean(values) == pytest.approx(2.0)
    assert worst_mean(np.array([3.0, 1.0])) == 1.0
    assert worst_mean(values, 1.0) == pytest.approx(values.mean())
