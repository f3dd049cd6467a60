"""Stages that add a column each: the earlier ones stay as they are, and play their own tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cutter import Cutter
from staged import LONG, SHORT, same, stages, weights
from understudy.errors import ConfigurationError
from understudy.policies.progressive import ProgressiveStudent
from understudy.policies.student_file import load_student
from understudy.runs.console import Silent
from understudy.stages.execute import resume_stages, run_stages

COLUMN = SHORT | {"adapters": True}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A stage, and two columns that are added to it."""
    config = stages(tmp_path_factory.mktemp("three") / "run", {}, COLUMN, {"adapters": True})
    return run_stages(config, console=Silent())


def test_earlier_columns_are_unchanged_to_the_bit_and_play_their_own_tasks(three: Any) -> None:
    path = Path(three.path)
    for stage in ("s1", "s2"):
        assert same(weights(path / "s0"), weights(path / stage / "heads" / "s0"))
    assert same(weights(path / "s1"), weights(path / "s2" / "heads" / "s1"))
    rows = three.rows
    assert rows["s2"]["s0"] == rows["s1"]["s0"] == rows["s0"]["s0"]
    assert rows["s2"]["s1"] == rows["s1"]["s1"]
    assert (three.matrix.forgetting() == 0).all()


def test_the_last_stage_has_a_column_for_each_and_its_own_has_learned(three: Any) -> None:
    student = load_student(Path(three.path) / "s2")
    assert isinstance(student, ProgressiveStudent)
    assert student.columns == 3
    first, second = (load_student(Path(three.path) / name).network for name in ("s0", "s1"))
    for column, known in zip(student.network.earlier, (first, second), strict=True):
        state = known.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in column.state_dict().items())
    assert student.network.state_dict()["adapters.0.adding.weight"].any()
    carried = first.inputs.state_dict()
    assert all(torch.equal(value, carried[name]) for name, value in student.network.inputs.state_dict().items())


def test_a_column_that_is_stopped_goes_on_to_the_same_bits(three: Any, tmp_path: Path) -> None:
    config = stages(tmp_path / "run", {}, COLUMN, {"adapters": True})
    with pytest.raises(KeyboardInterrupt):
        run_stages(config, console=Cutter(8, politely=True))
    again = resume_stages(tmp_path / "run", console=Silent())
    assert again.rows == three.rows
    for part in ("s1", "s2", "s2/heads/s1"):
        assert same(weights(Path(three.path) / part), weights(tmp_path / "run" / part))


@pytest.mark.parametrize("own_std", [True, False])
def test_a_new_columns_deviations_come_from_where_the_configuration_says(tmp_path: Path, own_std: bool) -> None:
    swing = {"env": "Pendulum-v1", "steps": 128, "store": 0}
    run_stages(stages(tmp_path / "run", swing, swing | {"adapters": True}, own_std=own_std), console=Silent())
    for name in ("s0", "s1"):
        student = load_student(tmp_path / "run" / name)
        assert student.state_dependent_std == own_std
        assert (student.log_std is None) == own_std


def test_a_new_column_begins_unguarded_and_a_stage_behind_it_may_go_on_with_it(three: Any, tmp_path: Path) -> None:
    assert three.stages[1]["returned"] == 0
    run_stages(stages(tmp_path / "run", {}, COLUMN, {}), console=Silent())
    on, before = (weights(tmp_path / "run" / name) for name in ("s2", "s1"))
    frozen = [name for name in on if "earlier" in name]
    assert frozen
    assert all(torch.equal(on[name], before[name]) for name in frozen)
    assert not same(on, before)


def test_it_is_evaluated_as_any_teacher_is(three: Any, capsys: Any) -> None:
    from understudy.cli import main

    assert main(["evaluate", f"{three.path}/s2", "--env", LONG, "--episodes", "3", "--json"]) == 0
    assert "progressive of 3 columns" in json.dumps(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("more", "tables", "told"),
    [
        ({"student": "gru:8"}, ({}, COLUMN), "stage s1: adapters read the hidden layers"),
        ({}, ({}, COLUMN, {"heads": "own"}), "columns share no body"),
        ({}, ({}, COLUMN | {"anchors": [{"policy": "s0"}]}), "nothing to anchor"),
        ({}, (COLUMN,), "adapters needs an earlier stage"),
    ],
)
def test_what_columns_cannot_be_is_said_before_any_stage(
    tmp_path: Path, more: dict[str, Any], tables: tuple[dict[str, Any], ...], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        run_stages(stages(tmp_path / "run", *tables, **more), console=Silent())
    assert not (tmp_path / "run" / "s0").exists()
