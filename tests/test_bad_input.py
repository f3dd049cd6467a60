"""Bad input: a message with the fix, no traceback, exit code 2, and nothing of a file's own code runs."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from understudy import cli
from understudy.policies.spec import parse
from understudy.runs.config import DistillConfig

TEACHER = Path(__file__).parent.parent / "teachers" / "ppo-CartPole-v1.zip"
COMMANDS = ("distill", "evaluate")
FUNCTIONS = '''
import numpy as np

def act(observation):
    """Actions alone: no probabilities, no value."""
    return (observation[:, 2] > 0).astype(np.int64)

def odds(observation):
    """Probabilities, no value."""
    return np.full((len(observation), 2), 0.5, np.float32)

def breaks(observation):
    raise RuntimeError("out of cheese")

def make():
    return 3
'''

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command line in an empty folder, checks how it ends, and answers its message."""
    (tmp_path / "agent.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)

    def run(*words: Any) -> str:
        capsys.readouterr()
        assert cli.main([str(word) for word in words]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        assert not Path("runs").exists(), "a refused run leaves no folder"
        return captured.err

    return run


class Trap:
    """A pickle that writes a file where it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def rezipped(path: Path, **changes: bytes) -> Path:
    """The good teacher with some members replaced."""
    with zipfile.ZipFile(TEACHER) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, changes.get(name.replace(".", "_"), source.read(name)))
    return path


def data_with(payload: bytes, key: str) -> bytes:
    """The good teacher's JSON with another pickle under ``key``."""
    with zipfile.ZipFile(TEACHER) as source:
        data = json.loads(source.read("data"))
    entry = data[key] if isinstance(data.get(key), dict) else {":type:": "x"}
    data[key] = {**entry, ":serialized:": base64.b64encode(payload).decode()}
    return json.dumps(data).encode()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_teacher_is_named_with_its_neighbours(refused: Refused, tmp_path: Path, command: str) -> None:
    (tmp_path / "ppo-CartPole.zip").write_bytes(TEACHER.read_bytes())
    message = refused(command, "ppo-CartPol.zip", "--env", "CartPole-v1")
    assert "ppo-CartPol.zip" in message
    assert "Did you mean 'ppo-CartPole.zip'?" in message


@pytest.mark.parametrize("keep", [0, 10, 20_000, -30])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_truncated_zip_is_refused_with_its_name(refused: Refused, tmp_path: Path, command: str, keep: int) -> None:
    (tmp_path / "cut.zip").write_bytes(TEACHER.read_bytes()[:keep])
    assert "cut.zip" in refused(command, "cut.zip", "--env", "CartPole-v1")


def test_a_zip_that_holds_something_else_says_what_it_lacks(refused: Refused, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as target:
        target.writestr("holiday.jpg", b"...")
    message = refused("distill", "photos.zip", "--env", "CartPole-v1")
    assert "photos.zip" in message
    assert "data" in message


def test_members_that_are_damaged_or_missing_are_refused(refused: Refused, tmp_path: Path) -> None:
    rezipped(tmp_path / "json.zip", data=b'{"policy_class": ')
    rezipped(tmp_path / "weights.zip", policy_pth=b"not weights")
    rezipped(tmp_path / "list.zip", data=b"[1, 2]")
    for name in ("json.zip", "weights.zip", "list.zip"):
        assert name in refused("distill", name, "--env", "CartPole-v1")


@pytest.mark.parametrize("place", ["policy_class", "observation_space", "policy_kwargs", "policy.pth", "vecnormalize"])
def test_pickles_that_run_code_do_not(refused: Refused, tmp_path: Path, place: str) -> None:
    marker = tmp_path / "pwned"
    payload = pickle.dumps(Trap(marker))
    words: list[Any] = ["trap.zip", "--env", "CartPole-v1", "--episodes", "1"]
    if place == "policy.pth":
        buffer = io.BytesIO()
        torch.save({"weight": Trap(marker)}, buffer)
        rezipped(tmp_path / "trap.zip", policy_pth=buffer.getvalue())
    elif place == "vecnormalize":
        rezipped(tmp_path / "trap.zip")
        (tmp_path / "vecnormalize.pkl").write_bytes(payload)
    else:
        rezipped(tmp_path / "trap.zip", data=data_with(payload, place))
    if place in ("policy_class", "policy_kwargs"):
        # never unpickled: the agent is rebuilt from what is readable beside it
        assert cli.main(["evaluate", *map(str, words)]) in (0, 2)
    else:
        message = refused("evaluate", *words)
        assert "trap.zip" in message or "vecnormalize.pkl" in message
    assert not marker.exists()
    pickle.loads(payload)
    assert marker.exists(), "the trap itself must work, or this test shows nothing"


@pytest.mark.parametrize("suffix", ["pt", "onnx"])
def test_other_model_files_that_are_damaged_or_run_code_are_refused(
    refused: Refused, tmp_path: Path, suffix: str
) -> None:
    marker = tmp_path / "pwned"
    torch.save({"model": Trap(marker)}, tmp_path / f"trap.{suffix}")
    (tmp_path / f"cut.{suffix}").write_bytes(b"\x08\x07rubbish")
    for name in (f"trap.{suffix}", f"cut.{suffix}"):
        assert name in refused("distill", name, "--env", "CartPole-v1")
    assert not marker.exists()


def test_spaces_that_do_not_match_are_both_printed(refused: Refused) -> None:
    for command in COMMANDS:
        message = refused(command, TEACHER, "--env", "MountainCar-v0")
        assert "Box(4 of float32" in message
        assert "Box(2 of float32" in message
        assert "--wrap" in message
    message = refused("distill", TEACHER, "--env", "Acrobot-v1", "--teacher-view", "0,1,2,3")
    assert "Discrete(2)" in message
    assert "Discrete(3)" in message


@pytest.mark.parametrize(
    ("env", "hint"),
    [
        ("CartPole-v7", "Use CartPole-v1"),
        ("CartPol-v1", "Did you mean 'CartPole-v1'?"),
        ("agent.py:make", "int"),
        ("agent.py:mak", "make"),
        ("nowhere:make", "nowhere"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_environment_is_refused_with_the_nearest(
    refused: Refused, command: str, env: str, hint: str
) -> None:
    assert hint in refused(command, TEACHER, "--env", env)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--method", "n-distil"], "Did you mean 'n-distill'?"),
        (["--method", "absent.toml"], "no such file"),
        (["--student", "mpl:64"], "Did you mean 'mlp'?"),
        (["--student", "mlp:64,0"], "positive"),
        (["--student-view", "0,9"], "0 to 3"),
        (["--student-view", "position"], "position"),
        (["--wrap", "time-featur"], "Did you mean 'time-feature'?"),
        (["--vecnormalize", "absent.pkl"], "absent.pkl"),
        (["--device", "gpu"], "device is cpu, cuda, cuda:N or mps"),
        (["--env-args", "{gravity: 3}"], "JSON"),
        (["--env-args", '{"gravitas": 3}'], "gravitas"),
        (["--target", "0"], "target must lie in (0, inf)"),
        (["--control", "teacher", "--method", "n-distill"], "needs the student to act"),
        (["--config", "absent.toml"], "absent.toml"),
        (["--teacher-std", "0.1"], "teacher"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_with_the_fix(refused: Refused, words: list[str], hint: str) -> None:
    assert hint in refused("distill", TEACHER, "--env", "CartPole-v1", *words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
@pytest.mark.parametrize("command", COMMANDS)
def test_an_absent_device_is_refused_with_the_fix(refused: Refused, command: str) -> None:
    assert "--device cpu" in refused(command, TEACHER, "--env", "CartPole-v1", "--device", "cuda")


def test_unknown_configuration_keys_are_all_named(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('env = "CartPole-v1"\nsede = 1\nlearning-rate = 0.1\ntarget = "most"\n')
    message = refused("distill", TEACHER, "--config", "run.toml")
    assert "3 problems" in message
    for hint in ("run.toml", "'seed'?", "'learning_rate'?", "target must be a number"):
        assert hint in message


@pytest.mark.parametrize(
    ("teacher", "method", "need"),
    [
        ("agent.py:odds", "teacher-v-reward", "the teacher's value function"),
        ("agent.py:odds", "v-gated", "the teacher's value function"),
        ("agent.py:act", "kl-regularised", "gives every action some probability"),
        ("agent.py:act", "exp-entropy-regularised", "gives every action some probability"),
    ],
)
def test_a_method_whose_needs_are_not_met_is_refused_before_anything_runs(
    refused: Refused, teacher: str, method: str, need: str
) -> None:
    message = refused("distill", teacher, "--env", "CartPole-v1", "--method", method)
    assert method in message
    assert need in message
    assert "on-policy-distill" in message


def test_a_teacher_that_breaks_is_named(refused: Refused) -> None:
    message = refused("evaluate", "agent.py:breaks", "--env", "CartPole-v1", "--episodes", "1")
    assert "agent.py:breaks" in message
    assert "out of cheese" in message


def test_a_full_run_folder_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.txt").write_text("mine")
    message = refused("distill", TEACHER, "--env", "CartPole-v1", "--out", "kept")
    assert "kept exists and is not empty; choose another --out" in message
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("file", "content"), [("config.json", b"{"), ("config.json", b"[]"), ("model.safetensors", b"\x00" * 9), ("", b"")]
)
def test_a_damaged_or_missing_student_is_refused(refused: Refused, tmp_path: Path, file: str, content: bytes) -> None:
    import gymnasium

    from understudy.math.distributions import Family
    from understudy.policies.student import Student
    from understudy.policies.student_file import save_student

    env = gymnasium.make("CartPole-v1")
    family = Family("categorical", (2,))
    save_student(Student(env.observation_space, env.action_space, family, parse("mlp:4")), tmp_path / "run" / "student")
    if file:
        (tmp_path / "run" / "student" / file).write_bytes(content)
    else:
        (tmp_path / "run" / "student" / "model.safetensors").unlink()
    assert "run" in refused("evaluate", "run", "--env", "CartPole-v1")


def test_a_module_call_ends_the_same_way() -> None:
    words = [sys.executable, "-m", "understudy", "evaluate", "absent.zip", "--env", "CartPole-v1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_python_callers_get_the_same_messages() -> None:
    import understudy
    from understudy.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match=r"Did you mean 'seed'\?"):
        understudy.distill(str(TEACHER), "CartPole-v1", sede=3)
    with pytest.raises(ConfigurationError, match=r"episodes must lie in \[1, inf\), got 0"):
        understudy.evaluate(str(TEACHER), "CartPole-v1", episodes=0)
    assert DistillConfig("a", "b").seed == 0
