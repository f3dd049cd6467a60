"""The stage x task matrix against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.errors import ConfigurationError
from understudy.stages.matrix import Matrix

THREE = Matrix(
    ("a", "b", "c"),
    np.array(
        [
            [0.0, 1.0, 2.0],  # before
            [10.0, 3.0, 2.0],  # after a
            [6.0, 21.0, 5.0],  # after b
            [8.0, 11.0, 42.0],  # after c
        ]
    ),
    np.array([0.0, 1.0, 2.0]),
)


def test_forgetting_is_the_best_return_of_an_earlier_stage_less_the_last() -> None:
    assert THREE.forgetting().tolist() == [10 - 8, 21 - 11]


def test_normalised_forgetting_is_in_the_unit_of_what_each_stage_gained() -> None:
    assert THREE.forgetting(normalised=True) == pytest.approx([2 / 10, 10 / 20])


def test_backward_transfer_counts_from_the_return_after_the_own_stage() -> None:
    assert THREE.backward_transfer().tolist() == [-2, -10]


def test_a_task_that_a_later_stage_improved_counts_from_there_in_forgetting_alone() -> None:
    returns = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [9.0, 5.0, 0.0], [6.0, 5.0, 7.0]])
    found = Matrix(("a", "b", "c"), returns, np.zeros(3))
    assert found.forgetting().tolist() == [3, 0]
    assert found.backward_transfer().tolist() == [2, 0]


def test_what_a_task_earned_before_its_own_stage_is_not_what_it_forgot() -> None:
    returns = np.array([[50.0, 50.0, 0.0], [4.0, 9.0, 0.0], [4.0, 5.0, 0.0], [4.0, 6.0, 7.0]])
    assert Matrix(("a", "b", "c"), returns, np.zeros(3)).forgetting().tolist() == [0, -1]


def test_forward_transfer_is_what_a_task_earns_before_its_stage_less_the_untrained_policy() -> None:
    assert THREE.forward_transfer().tolist() == [3 - 1, 5 - 2]


def test_the_averages_are_of_all_earlier_or_later_tasks() -> None:
    facts = THREE.facts()
    assert facts["average_forgetting"] == 6
    assert facts["average_backward_transfer"] == -6
    assert facts["average_forward_transfer"] == 2.5
    assert facts["average_forgetting_normalised"] == pytest.approx(0.35)


def test_a_task_on_which_nothing_was_learned_has_no_normalised_figure() -> None:
    found = Matrix(("a", "b"), np.array([[0.0, 0.0], [-1.0, 0.0], [5.0, 3.0]]), np.zeros(2))
    assert found.facts()["average_forgetting_normalised"] is None
    assert found.facts()["average_forgetting"] == -6


def test_one_stage_has_no_averages() -> None:
    assert Matrix(("a",), np.array([[0.0], [1.0]]), np.zeros(1)).facts() == {}


def test_a_matrix_needs_a_column_for_each_task() -> None:
    with pytest.raises(ConfigurationError, match="a column for each of 2 tasks"):
        Matrix(("a", "b"), np.zeros((2, 3)), np.zeros(2))
