"""What goes wrong while a run goes on, caused for real: each is said with the step and the fix, and nothing is lost."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from understudy.errors import EnvironmentFailure, RunError
from understudy.runs.config import DistillConfig
from understudy.runs.execute import distill, resume
from understudy.runs.faults import told
from understudy.runs.folder import RunFolder

TEACHER = str(Path(__file__).resolve().parents[2] / "teachers" / "ppo-CartPole-v1.zip")
PATIENT = """
import gymnasium, numpy, pathlib

class Patient(gymnasium.Wrapper):
    '''CartPole that falls ill in its 150th episode, for as long as a file of the symptom's name lies beside it.'''

    episodes = 0

    def reset(self, **options):
        Patient.episodes += 1
        return self.env.reset(**options)

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        if Patient.episodes > 150:
            for path in pathlib.Path(__file__).parent.glob('*.symptom'):
                if path.stem == 'raises':
                    raise ZeroDivisionError('the pole has no mass')
                if path.stem == 'observation':
                    observation[1] = numpy.inf
                if path.stem == 'reward':
                    reward = numpy.nan
        return observation, reward, terminated, truncated, info

def make():
    return Patient(gymnasium.make('CartPole-v1'))
"""
SMALL: dict[str, Any] = {
    "student": "mlp:8", "evaluation_episodes": 2, "final_episodes": 2, "quiet": True, "copies": 4, "target": 2.0,
}  # fmt: skip


def config(tmp_path: Path, **options: Any) -> DistillConfig:
    return DistillConfig(TEACHER, **{"env": "CartPole-v1", **SMALL, "out": str(tmp_path / "run"), **options})


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.runs.run.RARELY", 500)


@pytest.mark.parametrize(
    ("symptom", "text"),
    [
        ("raises", "ZeroDivisionError: the pole has no mass"),
        ("observation", r"make: the observation\[1\] of copy \d is inf, [\d,]+ steps into its play"),
        ("reward", r"make: the reward of copy \d is nan"),
    ],
)
def test_an_environment_that_falls_ill_stops_the_run_which_goes_on_once_it_is_well(
    symptom: str, text: str, tmp_path: Path, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"patient_{symptom}"
    (tmp_path / f"{name}.py").write_text(PATIENT)
    (tmp_path / f"{symptom}.symptom").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = config(tmp_path, env=f"{name}:make", control="uniform", steps=4000)
    with pytest.raises(EnvironmentFailure, match=text) as caught:
        distill(asked)
    said = str(caught.value)
    assert re.search(r"The run had made [\d,]+ environment steps. The checkpoint at [\d,]+ is kept", said)
    assert f"go on with understudy distill --resume {tmp_path / 'run'}" in said
    folder = RunFolder.open(tmp_path / "run")
    assert not folder.result_path.exists()
    (tmp_path / f"{symptom}.symptom").unlink()
    assert resume(folder.path).env_steps == 4096


def test_a_loss_that_explodes_says_when_and_names_the_last_good_checkpoint(tmp_path: Path, often: None) -> None:
    with pytest.raises(RunError, match=r"after [0-9,]+ environment steps and .* updates") as caught:
        distill(config(tmp_path, learning_rate=1e37, steps=4000))
    assert "Lower --learning-rate" in str(caught.value)
    assert str(caught.value).count("environment steps") == 1
    assert "--resume" in str(caught.value)


def words_of(tmp_path: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "understudy", "distill", TEACHER, "--env", "CartPole-v1", "--student", "mlp:8"]
    words += ["--copies", "4", "--evaluation-episodes", "2", "--final-episodes", "2", "--target", "2"]
    return [*words, "--out", str(tmp_path / "run"), *more]


def test_a_full_disk_is_said_with_the_fix_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    """A limit on the size of files, which writing meets as it meets the end of a disk."""

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, resource.RLIM_INFINITY))

    words = words_of(tmp_path, "--steps", "20000")
    done = subprocess.run(words, preexec_fn=little_room, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert f"error: writing to {tmp_path / 'run'} failed after" in last
    assert "File too large" in last
    assert "make room and go on with understudy distill --resume" in last
    assert "Traceback" not in done.stderr
    again = [sys.executable, "-m", "understudy", "distill", "--resume", str(tmp_path / "run")]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_device_without_room_is_told_by_its_name(tmp_path: Path) -> None:
    class Learner:
        env_steps = 1234

    with pytest.raises(RunError, match="after 1,234 environment steps: No space left on device"):
        write_into("/dev/full", tmp_path, Learner())


def write_into(place: str, run: Path, learner: Any) -> None:
    with told(RunFolder(run), learner), Path(place).open("w") as file:
        file.write("x")
        file.flush()


def test_other_errors_of_the_system_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), told(RunFolder(tmp_path), None):  # type: ignore[arg-type]
        (tmp_path / "nothing").read_text()


MANY = "import runpy, sys; runpy.run_path(sys.argv[1], {'words': sys.argv[2:], 'rarely': 3000})"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_a_checkpoint_and_going_on_from_it_gives_the_same_bits(
    sent: signal.Signals, tmp_path: Path
) -> None:
    run, steps = tmp_path / "run", ("--steps", "20000", "--learning-rate", "1e-4")
    words = words_of(tmp_path, *steps)[3:]
    started = subprocess.Popen(
        [sys.executable, "-c", MANY, str(Path(__file__).with_name("command_with_many_checkpoints.py")), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background ignores it
    )
    end = time.monotonic() + 60
    while time.monotonic() < end and not list((run / "checkpoints").glob("0*")):
        time.sleep(0.01)
    os.kill(started.pid, sent)
    said = started.communicate(timeout=60)[1]
    assert started.returncode == 130, said
    assert "stopping after this round; once more to stop at once" in said
    assert f"go on with understudy distill --resume {run}" in said
    found = re.search(r"stopped after ([\d,]+) environment steps. The checkpoint at ([\d,]+) is kept", said)
    assert found is not None
    assert found[1] == found[2] != "20,000"
    again = [sys.executable, "-m", "understudy", "distill", "--resume", str(run)]
    subprocess.run(again, capture_output=True, check=True)
    straight = tmp_path / "straight"
    subprocess.run([*words_of(straight, *steps)], capture_output=True, check=True)
    bits = [(one / "student" / "model.safetensors").read_bytes() for one in (run, straight / "run")]
    assert bits[0] == bits[1]


def test_a_second_ctrl_c_stops_at_once() -> None:
    """In a process of its own, for signals are everyone's."""
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from understudy.runs.console import Silent\n"
        "from understudy.runs.halt import Halt\n"
        "with Halt(Silent()) as halt:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    assert halt.asked\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(5)\n"
        "    except KeyboardInterrupt:\n"
        "        print('at once')\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "at once"


def test_numbers_of_a_run_are_finite(tmp_path: Path) -> None:
    result = distill(config(tmp_path, steps=512))
    assert np.isfinite([result.student_return, result.teacher_return, result.random_return]).all()
