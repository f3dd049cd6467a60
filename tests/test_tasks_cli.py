"""The words of ``understudy distill`` for several tasks, and the same from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import understudy
from understudy.cli import main, tasks
from understudy.errors import ConfigurationError

FILE = """
student = "mlp:9,9"
heads = "one"
steps = 900
copies = 3
[tasks.a]
teacher = "a.zip"
env = "A-v0"
copies = 5
[tasks.b]
teacher = "b.zip"
env = "B-v0"
weight = 2
env_args = {size = 3}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "tasks.toml"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def test_a_file_with_tables_is_of_several_tasks(file: str, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text('teacher = "a.zip"\n', encoding="utf-8")
    assert tasks.several(file, [])
    assert not tasks.several(str(tmp_path / "one.toml"), ["--student", "mlp:8"])
    assert not tasks.several(None, ["t.zip", "--task-weight", "2"])
    assert all(tasks.several(None, [word]) for word in ("--task=a.zip@A-v0", "--heads", "--mix=sum"))


def test_the_command_line_wins_over_the_file(file: str) -> None:
    words = ["--heads=own", "--mix", "turns", "--steps", "400", "--student", "mlp:7,7", "--out", "here"]
    config = tasks.read(file, words, "")
    assert (config.heads, config.mix, config.steps, config.shared.student) == ("own", "turns", 400, "mlp:7,7")
    assert [(one.name, one.weight, one.config.copies) for one in config.tasks] == [("a", 1.0, 5), ("b", 2.0, 3)]
    assert config.tasks[1].config.env_args == '{"size": 3}'
    replaced = tasks.read(file, ["--task", "c=c.zip@C-v0", "--task=d.zip@D-v0", "--copies", "2"], "")
    assert [(one.name, one.config.teacher, one.config.copies) for one in replaced.tasks] == [
        ("c", "c.zip", 2),
        ("D-v0", "d.zip", 2),
    ]


TWO = ["--task", "a.zip@A-v0", "--task", "b.zip@B-v0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["t.zip", *TWO], "teacher 't.zip' is of no task; with several write --task TEACHER@ENV"),
        ([*TWO, "--env", "C-v0"], "env 'C-v0' is of no task"),
        (["--heads", "one"], "are for several tasks, and none was named"),
        (["--task"], "--task needs a teacher and its environment"),
        (["--task", "a.zip"], "a task is a teacher and its environment, --task TEACHER@ENV"),
        ([*TWO, "--heads", "two"], "heads must be one of own, one, got 'two'"),
        ([*TWO, "--target", "0"], "--target must lie in"),
        ([*TWO, "--studnet", "linear"], "unknown option --studnet. Did you mean '--student'?"),
        ([*TWO, "--method", "v-gated"], "several tasks are not distilled by rows with a reward term"),
        (["--config", "nowhere.toml", "--student", "linear"], "no such configuration file: nowhere.toml"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["distill", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert len(said.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_the_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(option in said for option in ("--task [NAME=]TEACHER@ENV", "--heads own|one", "--mix sum|turns"))


def test_python_says_the_same() -> None:
    with pytest.raises(ConfigurationError, match="two or more, got 1"):
        understudy.distill_tasks({"a": {"teacher": "a.zip", "env": "A-v0"}})
