"""The termination trap and what avoids it; and a student with a memory that sees less than its teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import understudy
from understudy.runs.result import Result

TEACHER = Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip"
TRAPPED = ("n-distill", "exp-entropy-regularised")


def distilled(out: Path, **options: Any) -> Result:
    small = {"evaluation_episodes": 5, "final_episodes": 10, "seed": 0, "quiet": True}
    return understudy.distill(TEACHER, "CartPole-v1", out=str(out / "run"), **small | options)


@pytest.mark.parametrize("method", TRAPPED)
def test_without_a_remedy_episodes_stay_short_and_the_trap_is_named_before_and_after(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = distilled(tmp_path, method=method, steps=10_000)
    assert result.student_length is not None
    assert result.student_length < 60
    assert result.termination_trap is not None
    assert "--remedy absorbing" in result.termination_trap
    assert len(result.warnings) == 1
    assert result.warnings[0] in capsys.readouterr().err


@pytest.mark.parametrize("method", TRAPPED)
@pytest.mark.parametrize(
    ("remedy", "divergence"), [("absorbing", "cross-entropy"), ("absorbing", "kl"), ("credit:0", "cross-entropy")]
)
def test_with_a_remedy_the_same_row_balances_the_pole(
    method: str, remedy: str, divergence: str, tmp_path: Path
) -> None:
    result = distilled(tmp_path, method=method, remedy=remedy, divergence=divergence, steps=10_000)
    assert result.student_length is not None
    assert result.student_length > 250
    assert (result.termination_trap, result.warnings) == (None, ())


def test_a_charge_above_the_task_reward_is_named_before_and_after(tmp_path: Path) -> None:
    """The teacher is sure of its actions, so that a beginner pays more than the 1 that every step earns."""
    result = distilled(tmp_path, method="entropy-regularised+r", steps=10_000)
    assert len(result.warnings) == 1
    assert "--task-weight" in result.warnings[0]
    assert result.termination_trap is not None
    assert "--task-weight" in result.termination_trap


def test_a_memory_makes_up_for_the_velocities_that_a_student_does_not_see(tmp_path: Path) -> None:
    hidden = {"student_view": "0,2", "steps": 6_000}
    remembering = distilled(tmp_path / "lstm", student="lstm:32", **hidden)
    forgetful = distilled(tmp_path / "mlp", student="mlp:64,64", **hidden)
    assert remembering.recovered is not None
    assert forgetful.recovered is not None
    assert remembering.recovered > 0.4
    assert forgetful.recovered < 0.2
