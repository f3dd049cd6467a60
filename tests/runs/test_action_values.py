"""Greedy play as the teacher's action values see it, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.math.distributions import Family
from understudy.methods import QMethod
from understudy.reports.run_words import valued
from understudy.runs.action_values import action_values
from understudy.runs.agreement import Asked

TEACHER = np.array([[1.0, 3.0, 0.0], [5.0, 4.0, 4.5], [2.0, 2.0, 2.0]])
STUDENT = np.array([[0.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])


def asked(teacher: np.ndarray, student: np.ndarray, kind: str = "categorical") -> Asked:
    rows = len(teacher)
    nothing = np.zeros((rows, 0))
    counted = np.arange(rows)
    return Asked(Family(kind, (3,)), teacher, student, nothing, np.zeros(rows, int), counted, np.full(rows, rows))


def test_each_decision_counts_as_much_as_its_gap() -> None:
    """Gaps 2, 0.5 and 0; the first is the same, the second costs 5 − 4; in units twice as large."""
    found = action_values(asked(TEACHER, STUDENT), 2.0, None)
    assert found is not None
    assert found["weighted"] == pytest.approx(2 / 2.5)
    assert found["lost"] == pytest.approx(2 * (0 + 1 + 0) / 3)
    assert found["gap"] == pytest.approx(2 * 2.5 / 3)
    assert found["error"] is None
    assert found["level"] is None


def test_errors_between_actions_and_of_the_level_are_told_apart() -> None:
    found = action_values(asked(TEACHER, TEACHER / 2 + 10), 1.0, 2.0)
    assert found is not None
    assert found["error"] == pytest.approx(0)
    assert found["level"] == pytest.approx(20)
    found = action_values(asked(TEACHER[:1], STUDENT[:1]), 1.0, 1.0)
    assert found is not None
    centred = np.array([1, 3, 0]) - 4 / 3, np.array([0, 1, 0]) - 1 / 3
    assert found["error"] == pytest.approx(np.abs(centred[0] - centred[1]).mean())
    assert found["level"] == pytest.approx(1)


def test_where_nothing_is_better_than_anything_no_share_is_said() -> None:
    found = action_values(asked(np.ones((2, 3)), STUDENT[:2]), 1.0, None)
    assert found is not None
    assert found["weighted"] is None
    assert "weighted by that" not in valued(found)


def test_a_teacher_without_action_values_has_nothing_to_say() -> None:
    assert action_values(asked(TEACHER, STUDENT), None, 1.0) is None
    assert valued(None) == ""


def test_the_words_leave_out_what_a_row_does_not_learn() -> None:
    told = valued(action_values(asked(TEACHER, STUDENT), 1.0, 1.0))
    assert "80 % are the same" in told
    assert "their level in a state by" in told
    assert "nothing of the level" in valued(action_values(asked(TEACHER, STUDENT), 1.0, 1.0, levelled=False))


def test_a_row_of_ones_own_is_asked_for_its_level_too() -> None:
    """Softmax leaves a constant free, under whatever name."""
    assert not QMethod("mine", "ce").fixes_level
    assert QMethod("mine", "mse").fixes_level
    assert QMethod("mine", "ce", td=0.5).fixes_level
