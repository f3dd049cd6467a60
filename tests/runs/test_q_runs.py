"""Runs that learn action values: stopped and gone on with, what they settle, and what they refuse early."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import understudy
from cutter import Cut, Cutter
from understudy.engines import replay
from understudy.errors import ConfigurationError, MethodError, RunError, TeacherError, UnderstudyError
from understudy.math.distributions import Categorical
from understudy.methods import Q_METHODS
from understudy.policies.families import family_of
from understudy.policies.student import Student
from understudy.policies.student_file import load_student, save_student
from understudy.runs import q_parts
from understudy.runs import run as running
from understudy.runs.checkpoints import Checkpoints
from understudy.runs.config import DistillConfig
from understudy.runs.console import Silent
from understudy.runs.execute import distill, resume
from understudy.runs.folder import RunFolder
from understudy.runs.q_parts import sharpness

CARTPOLE = Path(__file__).resolve().parents[2] / "teachers" / "ppo-CartPole-v1.zip"
CLOCK = {"seconds", "evaluation_seconds", "final_seconds", "total_seconds", "cpu_seconds", "path"}
SMALL: dict[str, Any] = {
    "env": "CartPole-v1", "student": "mlp:8", "evaluation_episodes": 4, "final_episodes": 4, "target": 3.0, "seed": 3,
    "quiet": True,
}  # fmt: skip
PUSHES = np.array([0.3, 0.6, 6.0, 1.0], np.float32)


def balance(observation: np.ndarray) -> dict[str, np.ndarray]:
    """Action values that balance the pole, about 50."""
    score = observation @ PUSHES
    return {"q": np.stack([50 - score, 50 + score], -1)}


def asked(out: Path, **options: Any) -> DistillConfig:
    return DistillConfig.of({"teacher": "balance", **SMALL, "out": str(out), **options})


def few(method: str) -> dict[str, Any]:
    """Not many steps before the first update, where there would be."""
    return {"prefill": 99} if "dqn" in method else {}


def told(path: Path) -> dict[str, Any]:
    """What a run leaves, without the clock's part in it."""
    lines = map(json.loads, (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    return {
        "student": (path / "student" / "model.safetensors").read_bytes(),
        "records": [{k: v for k, v in line.items() if k != "seconds"} for line in lines],
        "result": {k: v for k, v in result.items() if k not in CLOCK},
    }


class Falling(gymnasium.Env[np.ndarray, np.int64]):
    """Three frames of a dot that falls and is to be caught left or right; some episodes are cut off."""

    observation_space, action_space = spaces.Box(0, 255, (3, 8, 8), np.uint8), spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.column, self.row = int(self.np_random.integers(8)), 0
        self.frames = [self._frame()] * 3
        return np.stack(self.frames), {}

    def _frame(self) -> np.ndarray:
        frame = np.zeros((8, 8), np.uint8)
        frame[self.row, self.column] = 255
        return frame

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.row += 1
        self.frames = [*self.frames[1:], self._frame()]
        caught = float((self.column < 4) == (action == 0))
        return np.stack(self.frames), caught, self.row == 7, self.row == 5 and self.column % 2 == 0, {}


def catch(observation: np.ndarray) -> dict[str, np.ndarray]:
    left = (observation[..., :4] > 0).any((1, 2, 3)).astype(np.float32)
    return {"q": np.stack([left, 1 - left], -1)}


JOINT = {"method": "dqn+q-kl", "n_step": 2, "target_update": "hard:10", "prefill": 200, "updates": 8, "steps": 1500}
PICTURES = {"teacher": "catch", "env": "falling", "student": "cnn:small:x0.1", "batch_size": 16, "updates": 2}
RUNS: dict[str, dict[str, Any]] = {
    "pure": {"method": "q-mse", "student": "mlp:8:dueling", "steps": 2000},
    "joint": JOINT,
    "dqn": {"method": "dqn", "target_update": "soft:0.01", "prefill": 200, "updates": 8, "steps": 1500, "store": 800},
    "a mixture": JOINT | {"control": "mixture:linear:1:0", "epsilon": "linear:0.5:0"},
    "pictures": JOINT | PICTURES,
}
GIVEN: dict[str, Any] = {"balance": balance, "catch": catch, "falling": Falling}


def given(config: DistillConfig) -> dict[str, Any]:
    """The objects that the names stand for."""
    return {"teacher": GIVEN[config.teacher], "env": GIVEN.get(config.env)}


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "RARELY", 600)


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_that_was_cut_off_goes_on_to_the_same_bits(kind: str, tmp_path: Path, often: None) -> None:
    whole = asked(tmp_path / "whole", **RUNS[kind])
    distill(whole, console=Silent(), **given(whole))
    rounds = sum(record["kind"] == "train" for record in told(tmp_path / "whole")["records"])
    assert rounds >= 8
    half = dataclasses.replace(whole, out=str(tmp_path / "half"))
    with pytest.raises(Cut):
        distill(half, console=Cutter(rounds // 2), **given(half))
    with pytest.raises(Cut):
        resume(tmp_path / "half", console=Cutter(rounds // 4), **given(half))
    resume(tmp_path / "half", console=Silent(), **given(half))
    assert RunFolder.open(tmp_path / "half").provenance["resumed"][-1]["env_steps"] > 0
    for part, expected in told(tmp_path / "whole").items():
        assert told(tmp_path / "half")[part] == expected, part


@pytest.mark.parametrize("method", ["q-kl", "q-mse", "dqn"])
def test_what_a_first_look_found_holds_where_the_environment_shows_something_else_later(
    method: str, tmp_path: Path, often: None
) -> None:
    factor = [1.0]

    def louder() -> gymnasium.Env[Any, Any]:
        env = gymnasium.make("CartPole-v1")
        return gymnasium.wrappers.TransformObservation(env, lambda seen: seen * np.float32(factor[0]), None)

    config = asked(tmp_path / "run", method=method, steps=2000, updates=4, **few(method))
    with pytest.raises(Cut):
        distill(config, console=Cutter(12), teacher=balance, env=louder)
    factor[0] = 1000.0  # and the gaps between the teacher's values are as much larger
    assert resume(tmp_path / "run", console=Silent(), teacher=balance, env=louder).env_steps >= 2000


@pytest.mark.parametrize("kind", ["joint", "pictures"])
def test_light_checkpoints_leave_the_store_out_and_the_run_goes_on(kind: str, tmp_path: Path, often: None) -> None:
    """Eight environment steps a round, one a copy: nothing can be learned from at first."""
    options = RUNS[kind] | {"collect": 8, "steps": 800, "updates": 1}
    sizes = {}
    for light in (False, True):
        config = asked(tmp_path / str(light), light_checkpoints=light, **options)
        with pytest.raises(Cut):
            distill(config, console=Cutter(60), **given(config))
        checkpoints = Checkpoints(tmp_path / str(light) / "checkpoints")
        saved = checkpoints.latest(10**9)
        assert saved is not None
        assert saved.state["learner"]["store"]["kept"] is not light
        sizes[light] = max(path.stat().st_size for path in checkpoints.folder.iterdir() if path.stem.isdigit())
    assert sizes[True] < 0.8 * sizes[False]
    result = resume(tmp_path / "True", console=Silent(), **given(config))
    assert result.env_steps == 800
    assert all(math.isfinite(x["loss"]) for x in told(tmp_path / "True")["records"] if x["kind"] == "train")


def test_a_student_of_values_is_saved_as_one(tmp_path: Path) -> None:
    for name, temperature in (("q-mse", 2.0), ("q-kl", None), ("dqn+q-kl", 1.0), ("dqn", 2.0)):
        out = tmp_path / name
        config = asked(out, method=name, steps=300, teacher_temperature=2.0, **few(name))
        distill(config, console=Silent(), **given(config))
        back = load_student(out)
        assert back.temperature == temperature
        assert RunFolder.open(out).provenance["resolved"]["temperature"] == 2.0
        seen = torch.randn(5, 4)
        torch.testing.assert_close(back(seen)[0].policy.flat, back.action_values(seen) / (temperature or 1))


def test_q_mse_keeps_what_the_teacher_plays(tmp_path: Path) -> None:
    result = understudy.distill(
        balance, "CartPole-v1", student="linear", method="q-mse", out=str(tmp_path / "run"), seed=1, quiet=True,
        evaluation_episodes=5, final_episodes=10,
    )  # fmt: skip
    assert result.recovered is not None
    assert result.recovered > 0.95


# Refusals


def refused(error: type[UnderstudyError], tmp_path: Path, given: Any = balance, **options: Any) -> str:
    """The message; no run folder is begun."""
    out = tmp_path / "refused"
    with pytest.raises(error) as caught:
        distill(asked(out, steps=300, **options), console=Silent(), teacher=given)
    assert not (out / "metrics.jsonl").exists()
    return str(caught.value)


@pytest.mark.parametrize("student", ["gru:8", "lstm:8"])
@pytest.mark.parametrize("method", ["q-kl", "dqn"])
def test_a_student_with_a_memory_is_refused(method: str, student: str, tmp_path: Path) -> None:
    text = refused(MethodError, tmp_path, method=method, student=student)
    assert f"which a student with a memory ({student}) cannot learn from. Use mlp or cnn, or a row of policies" in text


def test_a_teacher_with_a_memory_is_refused(tmp_path: Path) -> None:
    env = gymnasium.make("CartPole-v1")
    policy = Student(env.observation_space, env.action_space, family_of(env.action_space), "gru:6", seed=4)
    text = refused(MethodError, tmp_path, policy, method="q-kl")
    assert "q-kl asks the teacher about single states, which one with a memory (gru:6) cannot answer" in text


@pytest.mark.parametrize("method", ["q-mse", "q-kl", "dqn"])
def test_a_continuous_teacher_is_refused(method: str, tmp_path: Path) -> None:
    def swing(observation: np.ndarray) -> np.ndarray:
        return np.zeros((len(observation), 1), np.float32)

    text = refused(MethodError, tmp_path, swing, method=method, env="Pendulum-v1")
    assert f"{method} learns a value for each of a number of actions (a Discrete space)" in text
    assert "answers a gaussian distribution. Use a row of policies, such as on-policy-distill" in text


@pytest.mark.parametrize("method", ["q-mse", "dqn+q-mse"])
def test_a_policy_teaches_preferences_and_no_values(method: str, tmp_path: Path) -> None:
    text = refused(MethodError, tmp_path, None, method=method, teacher=str(CARTPOLE))
    assert f"{method} needs a teacher that answers action values" in text
    assert "answers a policy. Use q-kl or q-nll" in text


@pytest.mark.parametrize("method", ["q-kl", "q-nll", "q-ce", "dqn+q-kl"])
def test_a_policy_teaches_what_needs_its_preferences_only(method: str, tmp_path: Path) -> None:
    config = asked(tmp_path / "run", method=method, teacher=str(CARTPOLE), steps=300, **few(method))
    distill(config, console=Silent())
    assert RunFolder.open(tmp_path / "run").provenance["resolved"]["temperature"] == 1.0


def test_actions_alone_teach_labels_and_nothing_else(tmp_path: Path) -> None:
    def actions(observation: np.ndarray) -> np.ndarray:
        return balance(observation)["q"].argmax(-1)

    for method in ("q-kl", "q-ce"):
        text = refused(MethodError, tmp_path, actions, method=method)
        assert "needs a number for each action" in text
        assert "answers actions alone, or rules some out. Use q-nll" in text
    config = asked(tmp_path / "run", method="q-nll", steps=300)
    distill(config, console=Silent(), teacher=actions)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    def broken(observation: np.ndarray) -> dict[str, np.ndarray]:
        return {"q": np.full((len(observation), 2), value, np.float32)}

    assert "not a number" in refused(TeacherError, tmp_path, broken, method="q-mse")


@pytest.mark.filterwarnings("ignore:invalid value")
def test_values_that_stop_being_numbers_end_the_run_with_a_word(tmp_path: Path) -> None:
    def growing(observation: np.ndarray) -> dict[str, np.ndarray]:
        far = np.abs(observation[:, :1]) > 0.3
        return {"q": np.where(far, np.float32(np.inf), balance(observation)["q"])}

    config = asked(tmp_path / "run", method="q-mse", steps=3000, epsilon="1", teacher_temperature=1.0)
    with pytest.raises(TeacherError, match="infinite or not a number"):
        distill(config, console=Silent(), teacher=growing)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"method": "q-kl", "n_step": 3},
            r"--n-step is for rows with a temporal-difference error \(dqn\*\), of no use",
        ),
        ({"method": "q-kl", "targets": "max"}, "--targets is for rows with a temporal-difference error"),
        ({"method": "q-kl", "td_error": "huber"}, "--td-error is for rows with a temporal-difference error"),
        ({"method": "q-mse", "target_update": "soft:0.1"}, "--target-update is for rows with a temporal-difference"),
        ({"epsilon": "0.1"}, r"--epsilon is for rows of action values \(q-\*, dqn\*\), of no use to on-policy-distill"),
        ({"method": "n-distill", "prefill": 5}, "--prefill is for rows of action values"),
        ({"frames": 4}, "--frames is for rows of action values"),
        ({"light_checkpoints": True}, "--light-checkpoints is for rows of action values"),
        ({"method": "q-kl", "gae_lambda": 0.5}, "--gae-lambda is for rows with a reward term"),
        ({"method": "q-kl", "entropy_bonus": "0.1"}, "--entropy-bonus is for rows of Eq. 1"),
        ({"method": "dqn", "estimator": "ppo"}, "--estimator is for rows with a reward term"),
        ({"method": "dqn", "expected_reward": True}, "--expected-reward is for rows of Eq. 1"),
        ({"method": "dqn+q-kl", "divergence": "kl"}, "--divergence is for rows with a cross-entropy"),
        ({"method": "dqn", "remedy": "absorbing"}, "--remedy is for rows whose reward charges a cost"),
        ({"method": "dqn", "loss_weight": "2"}, "dqn has no distillation loss that --loss-weight could change"),
        ({"method": "q-kl", "task_weight": "2"}, "q-kl has no temporal-difference error that --task-weight"),
        ({"method": "q-kl", "epsilon": "1.5"}, r"epsilon must lie in \[0, 1\], got 1.5"),
        ({"method": "q-kl", "epsilon": "nan"}, r"epsilon must lie in \[0, 1\], got nan"),
        ({"method": "dqn", "target_update": "hard:0"}, "target_update is hard:UPDATES"),
        ({"method": "dqn", "target_update": "soft:1.5"}, "target_update is hard:UPDATES"),
        ({"method": "q_kl"}, "unknown method 'q_kl'. Did you mean 'q-kl'?"),
    ],
)
def test_options_of_no_use_and_impossible_ones_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DistillConfig.of({"teacher": "t.zip", **SMALL, **options})


def test_what_each_row_reads_is_taken() -> None:
    every = {"epsilon": "0.1", "prefill": 10, "frames": 1, "light_checkpoints": True, "updates": 3, "store": 9_000}
    towards = {"n_step": 3, "target_update": "soft:0.01", "targets": "max", "td_error": "huber"}
    for name, row in Q_METHODS.items():
        config = DistillConfig.of({"teacher": "t.zip", **SMALL, "method": name, **every, **(towards if row.td else {})})
        assert config.row().control.epsilon == 0.1  # type: ignore[union-attr]


def test_a_store_larger_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "memory_available", lambda: 2_000_000_000)
    text = refused(ConfigurationError, tmp_path, method="q-mse", store=100_000_000)
    assert text.endswith("GB, and 2.0 GB are free; lower --store")


@pytest.mark.parametrize("method", ["q-mse", "dqn"])
def test_the_store_takes_no_more_than_was_said(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(replay, "memory_available", lambda: 10**12)
    check = replay.check_memory

    def noted(needed: int) -> None:
        sizes.append(needed)
        check(needed)

    for module in (replay, q_parts):
        monkeypatch.setattr(module, "check_memory", noted)
    config = asked(tmp_path / "run", method=method, steps=300, store=8000, **few(method))
    distill(config, console=Silent(), teacher=balance)
    said, taken = sizes
    assert 0.7 * said < taken <= said


@pytest.mark.parametrize("frames", [2, 4, 8])
def test_frames_that_observations_do_not_stack_are_refused(frames: int, tmp_path: Path) -> None:
    if frames == 4:
        assert "looked like stacks of 4 frames" in refused(RunError, tmp_path, method="q-kl", frames=4)
    else:
        text = refused(ConfigurationError, tmp_path, method="q-kl", frames=frames)
        assert f"--frames {frames} is for observations that stack so many along their first axis" in text


def test_stacked_frames_are_found_out_and_kept_once(tmp_path: Path) -> None:
    config = asked(tmp_path / "run", **RUNS["pictures"] | {"steps": 400})
    distill(config, console=Silent(), **given(config))
    assert RunFolder.open(tmp_path / "run").provenance["resolved"]["frames"] == 3


# The temperature


def values(*gaps: float) -> torch.Tensor:
    return torch.tensor([[100.0, 100.0 - gap, 100.0 - 2 * gap] for gap in gaps], dtype=torch.float64)


def test_the_temperature_is_r15s_where_that_tells_actions_apart_and_leaves_more_than_labels() -> None:
    assert sharpness(values(0.005, 0.01, 0.03)) == 0.01


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ((1e-5, 2e-5, 3e-5), 7e-6),  # next to uniform at 0.01
        ((3e-9,), 1e-9),
        ((5.0, 20.0, 80.0), 7.0),  # labels and no more
        ((0.7, 7e5, 7e5), 2e5),
        ((0.0, 0.0, 40.0), 0.01),  # two states without a preference: far from labels alone
        ((0.0, 0.0), 0.01),  # nothing to tell apart
    ],
)
def test_elsewhere_it_is_a_third_of_the_usual_gap(gaps: tuple[float, ...], expected: float) -> None:
    assert sharpness(values(*gaps)) == expected


def test_the_temperature_follows_the_scale_of_values() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(200, 4, generator=generator, dtype=torch.float64)
    small, large = sharpness(drawn * 1e-6), sharpness(drawn * 1e4)
    assert large / small == pytest.approx(1e10)
    for size, temperature in ((1e-6, small), (1e4, large)):
        entropy = Categorical(drawn * size / temperature).entropy().mean()
        assert 0.005 * math.log(4) < entropy < 0.9 * math.log(4)


def test_one_action_needs_no_temperature() -> None:
    assert sharpness(torch.tensor([[3.0], [4.0]])) == 0.01


def test_values_of_hundreds_are_softened_in_a_run(tmp_path: Path) -> None:
    config = asked(tmp_path / "run", method="q-kl", steps=300)
    distill(config, console=Silent(), teacher=lambda seen: {"q": 100 * balance(seen)["q"]})
    settled = RunFolder.open(tmp_path / "run").provenance["resolved"]
    assert settled["temperature"] == settled["teacher_temperature"] > 0.1


# Students as files


def test_a_teacher_that_is_a_student_of_values_teaches_values(tmp_path: Path) -> None:
    env = gymnasium.make("CartPole-v1")
    policy = Student(env.observation_space, env.action_space, family_of(env.action_space), "linear", temperature=0.3)
    with torch.no_grad():
        (last,) = policy.network.last_layers
        last.weight.copy_(torch.as_tensor(np.stack([-PUSHES, PUSHES])))
        last.bias.fill_(50.0)
    save_student(policy, tmp_path / "teacher", env="CartPole-v1", wrappers=[], view="", gamma=0.9)
    config = asked(tmp_path / "run", teacher=str(tmp_path / "teacher"), method="q-mse", student="linear", steps=4000)
    distill(config, console=Silent())
    seen = torch.as_tensor(np.random.default_rng(0).normal(0, 0.1, (20, 4)).astype(np.float32))
    np.testing.assert_allclose(load_student(tmp_path / "run").action_values(seen), balance(seen.numpy())["q"], atol=0.5)
