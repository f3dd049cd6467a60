"""Configurations of several tasks: texts, files, and what is refused before anything is opened."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from understudy.cli import main
from understudy.errors import ConfigurationError
from understudy.runs.config import DistillConfig
from understudy.runs.fields import fields_of
from understudy.runs.tasks.config import OWN, TasksConfig, read_tasks
from understudy.runs.tasks.result import geometric_mean

TABLES: dict[str, dict[str, Any]] = {
    "a": {"teacher": "a.zip", "env": "A-v0"},
    "b": {"teacher": "b.zip", "env": "B-v0", "weight": 2},
}


def made(**values: Any) -> TasksConfig:
    return TasksConfig.of({"tasks": TABLES, "out": "run"} | values)


def test_texts_name_a_teacher_and_an_environment() -> None:
    texts = ["dqn-a.zip@CartPole-v1", "b=hf://sb3/dqn@v2@ALE/Pong-v5", "runs/x=y.zip@module:make"]
    assert read_tasks(texts) == {
        "CartPole-v1": {"teacher": "dqn-a.zip", "env": "CartPole-v1"},
        "b": {"teacher": "hf://sb3/dqn@v2", "env": "ALE/Pong-v5"},
        "module-make": {"teacher": "runs/x=y.zip", "env": "module:make"},
    }


@pytest.mark.parametrize("text", ["dqn.zip", "@CartPole-v1", "dqn.zip@", "name=@CartPole-v1"])
def test_a_text_that_lacks_a_part_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="a task is a teacher and its environment, --task TEACHER@ENV"):
        read_tasks([text])


def test_two_tasks_of_one_name_are_refused_and_the_mend_is_one() -> None:
    with pytest.raises(ConfigurationError, match=r"--task A-v0-2=y\.zip@A-v0") as caught:
        read_tasks(["x.zip@A-v0", "y.zip@A-v0"])
    mend = str(caught.value).rpartition("--task ")[2]
    assert list(read_tasks(["x.zip@A-v0", mend])) == ["A-v0", "A-v0-2"]


def test_each_task_is_a_configuration_of_its_own_with_its_part_of_the_steps() -> None:
    tables = {"a": TABLES["a"] | {"copies": 3, "env_args": {"x": 1}}, "b": TABLES["b"]}
    config = made(tasks=tables, steps=1001, copies=5, student="mlp:9", method="q-kl", frames=2)
    first, second = (task.config for task in config.tasks)
    assert [(task.name, task.weight) for task in config.tasks] == [("a", 1.0), ("b", 2.0)]
    assert (first.copies, second.copies, first.env_args, second.env_args) == (3, 5, '{"x": 1}', "")
    assert (first.out, second.out) == (str(Path("run/tasks/a")), str(Path("run/tasks/b")))
    assert (first.steps, second.steps, config.steps) == (500, 500, 1001)
    assert {one.student for one in (first, second)} == {"mlp:9"}


def test_a_configuration_survives_a_file(tmp_path: Path) -> None:
    tables = {"a.1": TABLES["a"] | {"wrap": ["x:y"], "student_view": "0,1"}, "b-2": TABLES["b"] | {"gamma": 0.5}}
    config = made(tasks=tables, heads="one", mix="turns", steps=77, target=0.5, seed=3)
    path = tmp_path / "tasks.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert TasksConfig.from_toml(path) == config
    assert TasksConfig.from_toml(path, out="elsewhere").tasks[0].config.out == str(Path("elsewhere/tasks/a.1"))


def test_every_option_is_each_tasks_or_the_whole_runs() -> None:
    assert set(OWN) <= fields_of(DistillConfig).keys()
    assert not set(OWN) & {"student", "method", "seed", "out", "steps", "target", "learning_rate", "store", "device"}


def test_all_problems_are_reported_at_once() -> None:
    tables = {
        "a/b": {"teacher": "a.zip", "env": "A-v0", "wieght": 1},
        "b": {"env": "B-v0", "weight": 0, "student": "mlp:8"},
        "c": {"teacher": "c.zip", "env": "C-v0", "weight": math.nan, "copies": 0},
    }
    with pytest.raises(ConfigurationError) as caught:
        made(tasks=tables, heads="two", mix="sums", target=0, teacher="t.zip", sede=1)
    wanted = (
        "a task's name is letters, digits, '_', '-' and '.', for it names a folder; got 'a/b'",
        "task a/b: unknown key 'wieght'. Did you mean 'weight'?",
        "task b: weight must be a number above 0, got 0",
        "task b: teacher is missing",
        "task b: student is the whole run's; write it above the tables",
        "task c: weight must be a number above 0, got nan",
        "task c: copies must lie in [1, inf), got 0",
        "heads must be one of own, one, got 'two'",
        "mix must be one of sum, turns, got 'sums'. Did you mean 'sum'?",
        "target must lie in (0, inf), got 0.0",
        "teacher is each task's own",
        "unknown key 'sede'. Did you mean 'seed'?",
    )
    for text in wanted:
        assert text in str(caught.value)
    assert str(caught.value).startswith("12 problems")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tasks": {"a": TABLES["a"]}}, "two or more, got 1"),
        ({"tasks": ["a.zip@A-v0"]}, r"tasks must be tables.*\[tasks.NAME\]"),
        ({"method": "v-gated"}, "rows with a reward term, such as v-gated.*on-policy-distill or q-kl"),
        ({"method": "q-kl", "student": "gru:8"}, "gru:8.*Use mlp or cnn"),
        ({"method": "q-mse", "heads": "one"}, "action values, whose scale is each task's own.*q-kl"),
        ({"method": "dqn+q-kl", "heads": "one"}, "action values, whose scale is each task's own"),
        ({"clip": 0.1}, "task a: --clip is for rows with a reward term"),
    ],
)
def test_what_several_tasks_cannot_do_is_said(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        made(**values)


@pytest.mark.parametrize(
    ("before", "tables", "message"),
    [
        ('metod = "q-kl"', True, "unknown key 'metod'. Did you mean 'method'?"),
        ("weight = 2.0", True, "unknown key 'weight'"),
        ("tasks = 3", False, "tasks must be tables, one for each task"),
        ("[[tasks]]", False, "tasks must be tables, one for each task"),
        ("[tasks]", False, "several tasks are two or more, got 0"),
        ("tasks.a = 1", False, "tasks must be tables, one for each task"),
    ],
)
def test_the_command_line_refuses_what_is_wrong_in_a_file(
    before: str, tables: bool, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = "".join(f'\n[tasks.{name}]\nteacher = "x.zip"\nenv = "CartPole-v1"\n' for name in "ab")
    (tmp_path / "tasks.toml").write_text(before + (both if tables else "\n"))
    assert main(["distill", "--config", str(tmp_path / "tasks.toml"), "--out", str(tmp_path / "run")]) == 2
    assert message in capsys.readouterr().err


def test_one_head_for_logits_is_fine() -> None:
    assert made(method="q-kl", heads="one").heads == "one"


def test_the_geometric_mean_is_that_of_normalised_returns() -> None:
    assert geometric_mean([0.8, 1.25]) == pytest.approx(1.0)
    assert geometric_mean([0.5, 0.5, 0.5]) == pytest.approx(0.5)
    assert geometric_mean([0.9, 0.0]) == geometric_mean([0.9, -2.0]) == 0.0
    assert geometric_mean([0.9, None]) is None
    assert geometric_mean([]) is None
