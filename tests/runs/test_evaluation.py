"""Evaluations against a plain Gymnasium loop, and what they print."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import understudy
from understudy import cli
from understudy.errors import ConfigurationError
from understudy.math.distributions import Family
from understudy.policies.student import Student
from understudy.policies.student_file import save_student

TEACHER = Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip"
ID = "CartPole-v1"


def lean(observation: np.ndarray) -> np.ndarray:
    """Falls over after some ten to fifty steps, by its seed."""
    return (observation[:, 2] > 0).astype(np.int64)


def by_hand(seeds: range) -> list[float]:
    env, returns = gymnasium.make(ID), []
    for seed in seeds:
        observation, over, total = env.reset(seed=seed)[0], False, 0.0
        while not over:
            observation, reward, terminated, truncated, _ = env.step(int(lean(observation[None])[0]))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    return returns


@pytest.mark.parametrize("copies", [1, 3, 20])
def test_returns_are_those_of_a_plain_loop_whatever_the_number_of_copies(copies: int) -> None:
    found = understudy.evaluate(lean, ID, episodes=7, seed=40, copies=copies)
    expected = by_hand(range(40, 47))
    assert list(found.returns) == expected
    assert found.mean_return == pytest.approx(np.mean(expected))
    assert found.std_return == pytest.approx(np.std(expected))
    assert (found.mean_length, found.terminated) == (found.mean_return, 1.0)
    assert found.interval[0] < found.mean_return < found.interval[1]
    assert found.worst_5_percent == found.min_return == min(expected)


def test_json_is_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(TEACHER), "--env", ID, "--episodes", "4", "--json"]
    assert cli.main(words) == 0
    out = capsys.readouterr().out
    found = json.loads(out)
    assert out.count("\n") == 1
    assert {"mean_return", "std_return", "episodes", "mean_length"} <= set(found)
    assert (found["mean_return"], found["episodes"]) == (500.0, 4)
    assert cli.main(words) == 0
    again = json.loads(capsys.readouterr().out)
    assert found | {"seconds": 0} == again | {"seconds": 0}


def test_without_json_people_read_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", str(TEACHER), "--env", ID, "--episodes", "2"]) == 0
    assert "500.00 ± 0.00 over 2 episodes" in capsys.readouterr().out


def test_sampled_actions_differ_from_deterministic_ones_and_repeat_by_seed() -> None:
    def odds(observation: np.ndarray) -> np.ndarray:
        return np.full((len(observation), 2), 0.5, np.float32)

    runs = [understudy.evaluate(odds, ID, episodes=5, seed=1, deterministic=False).returns for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0] != understudy.evaluate(odds, ID, episodes=5, seed=1).returns


def test_a_student_brings_its_wrappers_and_its_view(tmp_path: Path) -> None:
    seen = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    student = Student(seen, gymnasium.spaces.Discrete(2), Family("categorical", (2,)), "mlp:4")
    save_student(student, tmp_path / "student", wrappers=["time-feature"], view="0,4")
    found = understudy.evaluate(tmp_path, ID, episodes=2)
    assert found.wrappers == ("time-feature",)
    assert understudy.evaluate(understudy.load_student(tmp_path), ID, episodes=2).returns == found.returns


def test_an_environment_may_be_a_function() -> None:
    def short() -> gymnasium.Env:
        return gymnasium.wrappers.TimeLimit(gymnasium.make(ID), 6)

    found = understudy.evaluate(lean, short, episodes=3)
    assert (found.env, found.mean_length, found.terminated) == ("short", 6.0, 0.0)


def test_unknown_options_are_not_swallowed() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown key 'episode'\. Did you mean 'episodes'\?"):
        understudy.evaluate(lean, ID, episode=3)


def test_distilling_in_python_gives_the_result_of_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = understudy.distill(
        TEACHER, ID, student="mlp:8", seed=2, out=out, steps=1024, final_episodes=10, quiet=True
    )
    written = json.loads((out / "result.json").read_text())
    keys = {
        "teacher_return", "random_return", "student_return", "recovered", "recovered_interval", "env_steps", "updates",
        "seconds", "teacher_parameters", "student_parameters", "stopped_because",
    }  # fmt: skip
    assert keys <= set(written)
    assert written["student_return"] == result.student_return
    assert result.student_parameters == 4 * 8 + 8 + 8 * 2 + 2
    played = understudy.evaluate(out, ID, episodes=10)
    assert played.mean_return == pytest.approx(result.student_return)
    assert {file.name for file in out.iterdir()} >= {"config.toml", "provenance.json", "metrics.jsonl", "student"}
