"""``--continue-with rl``: a distilled student goes on by the task's reward, in its run's own folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from understudy.cli import main
from understudy.errors import ConfigurationError
from understudy.policies.student_file import load_student
from understudy.runs.config import DistillConfig
from understudy.runs.folder import RunFolder
from understudy.stages.continued import check_continues
from understudy.stages.result import StagesResult

TEACHER = Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip"
FEW = ["--steps", "2000", "--evaluation-episodes", "3", "--final-episodes", "4", "--quiet"]
WORDS = [str(TEACHER), "--env", "CartPole-v1", "--student", "mlp:8", "--wrap", "time-limit:60", *FEW]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose student went on."""
    path = tmp_path_factory.mktemp("continued") / "run"
    assert main(["distill", *WORDS, "--out", str(path), "--continue-with", "rl", "--continue-steps", "5000"]) == 0
    return path


def test_it_begins_with_what_the_student_earned_in_the_same_environment(run: Path) -> None:
    result = StagesResult.from_file(run / "rl" / "result.json")
    (stage,) = result.stages
    assert result.rows["(before)"]["rl"]["return"] == pytest.approx(
        RunFolder.open(run).episodes()["student"].returns.mean()
    )
    assert stage["env_steps"] >= 5000
    assert load_student(run / "rl" / "rl").facts["wrappers"] == ["time-limit:60"]


def test_a_run_that_has_finished_is_told_again_from_any_folder(
    run: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["distill", "--resume", str(run), "--quiet"]) == 0
    assert "Stages       1 of 1" in capsys.readouterr().out


def test_a_student_that_could_not_go_on_is_told_before_it_is_distilled() -> None:
    values = {"teacher": str(TEACHER), "env": "CartPole-v1", "continue_with": "rl", "student_view": "0,1"}
    with pytest.raises(ConfigurationError, match="leave the views out"):
        check_continues(DistillConfig.of(values))
