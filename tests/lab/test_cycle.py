"""The cycle against what one finds by hand: x and y are the logits of the two probabilities p and q."""

from dataclasses import replace

import numpy as np
import pytest
from small_bench import bench, effect

from understudy.lab.cycle import (
    ARRIVING,
    ARRIVING_WITHOUT_REWARD,
    CYCLE,
    TURNING,
    TURNING_WITHOUT_REWARD,
    Path,
    field_figure,
    follow,
    logit,
    sampled,
    slope,
)
from understudy.mdp.families import coin_cycle, cycle

POINTS = [(0.3, 0.8), (0.55, 0.5), (0.9, 0.15)]


def by_hand(p, q):
    """dp/dt and dq/dt of each row. The return is -1 - q + p - 2pq, the loss at sR -4q; logits move by p(1 - p)."""
    dp, dq = (p * (1 - p)) ** 2, (q * (1 - q)) ** 2
    return {
        "turning": ((1 - 2 * q) * dp, (2 * p - 1) * dq),
        "arriving": ((1 + 2 * q) * dp, (2 * p - 1) * dq),
        "turning coin": ((2 * q - 1) * dp / 2, (1 - 2 * p) * dq / 2),
        "arriving coin": (-dp / 2, dq / 2),
    }


CASES = {
    "turning": (TURNING, cycle()),
    "arriving": (ARRIVING, cycle()),
    "turning coin": (TURNING_WITHOUT_REWARD, coin_cycle()),
    "arriving coin": (ARRIVING_WITHOUT_REWARD, coin_cycle()),
}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", CASES)
def test_the_speed_is_what_one_derives_by_hand(name, point):
    method, world = CASES[name]
    np.testing.assert_allclose(slope(method, world, point), by_hand(*point)[name], atol=1e-12)


@pytest.mark.parametrize("name", ["turning", "turning coin"])
def test_a_turning_path_keeps_cosh_x_plus_cosh_y(name):
    method, world = CASES[name]
    kept = np.cosh(logit(follow(method, world, (0.8, 0.5)).points)).sum(-1)
    np.testing.assert_allclose(kept, kept[0], rtol=1e-4)


def test_a_small_turn_takes_sixteen_pi():
    path = follow(TURNING, cycle(), (0.51, 0.5))
    assert path.period == pytest.approx(16 * np.pi, rel=2e-3)
    np.testing.assert_allclose(path.radii, 0.01, rtol=5e-3)


def test_turns_and_radii_of_a_spiral_are_counted():
    angle = np.linspace(0, 5 * np.pi, 2001)
    radius = 0.1 * (1 + angle / (2 * np.pi))
    circle = np.stack([np.cos(angle), -np.sin(angle)], -1)
    path = Path(3 * angle, 0.5 + radius[:, None] * circle)
    assert path.turns[-1] == pytest.approx(2.5)
    np.testing.assert_allclose(path.radii, [0.1, 0.2, 0.3], atol=1e-4)
    assert path.period == pytest.approx(6 * np.pi, rel=1e-3)


def test_the_mean_of_many_sampled_first_steps_is_the_expected_update(monkeypatch):
    monkeypatch.setattr("understudy.lab.cycle.BATCH", 20_000)
    monkeypatch.setattr("understudy.lab.cycle.SAMPLED_DURATION", 0.01)
    for correct, method in ((False, TURNING), (True, ARRIVING)):
        paths = sampled(correct, 1, seed=0)
        moved = np.array([path.points[1] - path.points[0] for path in paths]) / 0.01
        error = moved.std(0, ddof=1) / len(moved) ** 0.5
        expected = slope(method, cycle(), paths[0].points[0])
        assert (np.abs(moved.mean(0) - expected) < 4 * error + 1e-4).all()


def test_arrows_point_where_the_update_goes_and_have_one_length():
    figure = field_figure("any", ARRIVING, cycle(), [], row=0)
    np.testing.assert_allclose(np.hypot(figure.u, figure.v), 0.03, rtol=1e-3)
    assert min(figure.u) > 0
    assert all((v > 0) == (x > 0.5) for x, v in zip(figure.x, figure.v, strict=True) if abs(x - 0.5) > 1e-9)


def test_the_experiment_reproduces_the_cycle_and_would_say_if_it_did_not(monkeypatch):
    for name, value in {"RUNS": 4, "DURATION": 180.0, "MOMENTS": 61, "SAMPLED_DURATION": 180.0}.items():
        monkeypatch.setattr(f"understudy.lab.cycle.{name}", value)
    monkeypatch.setattr("understudy.lab.cycle.STARTS", ((0.55, 0.5), (0.7, 0.5)))
    findings = CYCLE.run(bench(mdps=2, iterations=1000))
    assert {claim.number: claim.outcome for claim in findings.claims} == dict.fromkeys(
        ("4", "4a", "4b", "4c", "4d"), "reproduced"
    )
    assert effect(findings, "4", "turns made").low > 3
    swapped = replace(ARRIVING, name=TURNING.name)
    monkeypatch.setattr("understudy.lab.cycle.TURNING", swapped)
    changed = CYCLE.run(bench(mdps=2, iterations=200))
    assert next(claim for claim in changed.claims if claim.number == "4").outcome != "reproduced"
