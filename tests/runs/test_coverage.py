"""How much of what a student comes through its data have, on points where the answer is known."""

from __future__ import annotations

import numpy as np

from understudy.runs.coverage import covered, rows_of


def points(count: int, seed: int, centre: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, [1.0, 50.0, 0.0], (count, 3))


def of(visited: np.ndarray) -> float:
    return covered(points(4000, 0), points(1000, 1), visited, 1, np.random.default_rng(0)).share


def test_states_drawn_as_the_data_were_are_covered_as_the_data_themselves_are() -> None:
    assert abs(of(points(2000, 2)) - 0.95) < 0.02


def test_states_far_from_all_data_are_not_covered() -> None:
    far = points(1000, 3) + np.array([0.0, 1000.0, 0.0])
    assert of(far) == 0
    assert abs(of(np.concatenate([far, points(1000, 2)])) - 0.475) < 0.02


def test_units_change_nothing() -> None:
    known, unseen, visited = points(4000, 0), points(1000, 1), points(500, 4) * 2
    units = np.array([1000.0, 1e-3, 7.0])
    found = [covered(a, b, c, 1, np.random.default_rng(0)) for a, b, c in (
        (known, unseen, visited), (known * units, unseen * units, visited * units)
    )]  # fmt: skip
    assert abs(found[0].share - found[1].share) < 0.01
    assert 0.1 < found[0].share < 0.9


def test_of_states_that_are_counted_those_that_occur_are_covered() -> None:
    known, unseen = np.repeat(np.arange(5.0), 50)[:, None], np.arange(5.0)[:, None]
    found = covered(known, unseen, np.array([[0.0], [4.0], [5.0], [9.0]]), 1, np.random.default_rng(0))
    assert (found.share, found.radius) == (0.5, 0)


def test_rows_of_pieces() -> None:
    assert rows_of(np.array([[4, 6], [0, 1]])).tolist() == [4, 5, 0]
