"""Distilled students played by Stable-Baselines3 alone, in plain Gymnasium loops, against their own episodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import understudy
from understudy import cli
from understudy.export.to_sb3 import convert
from understudy.runs.reopen import Reopened, reopen

sb3 = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is what these files are for")
contrib = pytest.importorskip("sb3_contrib", reason="sb3-contrib holds the recurrent ones")
vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
torch.set_num_threads(1)

OURS = Path(__file__).parents[2] / "teachers"
SHARED = Path(__file__).parents[3] / "shared" / "teachers"
published = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the published agents are not at {SHARED}")
SEEDS = range(5)
Played = tuple[list[float], list[np.ndarray], list[np.ndarray]]
"""Returns, and every step's observation and action."""


def distilled(teacher: Path, env: str, student: str, out: Path, **options: Any) -> Reopened:
    small = {"steps": 2048, "evaluation_episodes": 2, "final_episodes": 2, "quiet": True}
    understudy.distill(teacher, env, student=student, out=str(out), **small | options)
    return reopen(out, with_teacher=False)


def returns(run: Reopened) -> list[float]:
    return run.play("student", run.simulator(), SEEDS).returns.tolist()


def by_sb3(path: Path, algorithm: str, env_id: str) -> Played:
    """Episodes as a user of SB3 would play them."""
    env = gymnasium.make(env_id)
    model = getattr(contrib if algorithm == "RecurrentPPO" else sb3, algorithm).load(path, env=env, device="cpu")
    statistics = path.with_name("vecnormalize.pkl")
    vec = vec_env.VecNormalize.load(str(statistics), vec_env.DummyVecEnv([lambda: gymnasium.make(env_id)]))
    totals, observations, actions = [], [], []
    for seed in SEEDS:
        observation, over, state, total, begins = env.reset(seed=seed)[0], False, None, 0.0, True
        while not over:
            seen = vec.normalize_obs(observation)
            action, state = model.predict(seen, state, np.array([begins]), deterministic=True)
            begins = False
            observations.append(observation)
            actions.append(action)
            observation, reward, terminated, truncated, _ = env.step(action)
            total, over = total + float(reward), terminated or truncated
        totals.append(total)
    return totals, observations, actions


@pytest.mark.parametrize(
    ("env", "student", "steps", "asked", "algorithm"),
    [
        ("CartPole-v1", "mlp:4:silu", 256, "auto", "PPO"),
        ("CartPole-v1", "linear", 256, "dqn", "DQN"),
        ("CartPole-v1", "lstm:8", 2048, "auto", "RecurrentPPO"),
        ("LunarLander-v3", "mlp:16", 2048, "auto", "PPO"),
    ],
)
def test_it_plays_discrete_actions_to_exactly_the_same_returns(
    env: str, student: str, steps: int, asked: str, algorithm: str, tmp_path: Path
) -> None:
    run = distilled(OURS / f"ppo-{env}.zip", env, student, tmp_path / "run", steps=steps)
    path = tmp_path / "agent.zip"
    assert convert(run.student, asked).save(path) == [path, tmp_path / "vecnormalize.pkl"]
    expected = returns(run)
    assert len(set(expected)) > 1  # not all at CartPole's limit
    assert by_sb3(path, algorithm, env)[0] == expected
    if algorithm != "RecurrentPPO":
        assert understudy.evaluate(path, env, episodes=len(SEEDS), seed=SEEDS[0]).returns == tuple(expected)


@published
@pytest.mark.parametrize(
    ("teacher", "env", "algorithm"),
    [
        ("trpo/LunarLanderContinuous-v2", "LunarLanderContinuous-v3", "PPO"),
        ("a2c/BipedalWalker-v3", "BipedalWalker-v3", "PPO"),
        ("sac/Pendulum-v1", "Pendulum-v1", "SAC"),
    ],
)
def test_it_plays_continuous_actions_as_the_student(teacher: str, env: str, algorithm: str, tmp_path: Path) -> None:
    run = distilled(SHARED / teacher / f"{Path(teacher).name}.zip", env, "mlp:16", tmp_path / "run")
    convert(run.student).save(tmp_path / "agent.zip")
    totals, observations, actions = by_sb3(tmp_path / "agent.zip", algorithm, env)
    seen = torch.as_tensor(np.stack(observations))
    raw = run.student(seen)[0].policy.mode().numpy()
    expected = run.actions(run.simulator()).to_env(raw)
    np.testing.assert_allclose(np.stack(actions), expected, rtol=1e-5, atol=1e-5)
    # rounding is carried on from step to step
    np.testing.assert_allclose(totals, returns(run), rtol=1e-3)


def test_the_command_evaluate_plays_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = distilled(OURS / "ppo-CartPole-v1.zip", "CartPole-v1", "mlp:3", tmp_path / "run", steps=64)
    convert(run.student).save(tmp_path / "agent.zip")
    words = [
        "evaluate",
        str(tmp_path / "agent.zip"),
        "--env",
        "CartPole-v1",
        "--episodes",
        "5",
        "--seed",
        "0",
        "--json",
    ]
    assert cli.main(words) == 0
    assert json.loads(capsys.readouterr().out)["mean_return"] == np.mean(returns(run))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on CartPole."""
    path = tmp_path_factory.mktemp("runs") / "small"
    distilled(OURS / "ppo-CartPole-v1.zip", "CartPole-v1", "mlp:4", path, steps=64)
    return path


@pytest.mark.parametrize(("asked", "algorithm"), [("auto", "PPO"), ("dqn", "DQN")])
def test_the_command_export_writes_both_files_and_compares_them_with_the_student(
    asked: str, algorithm: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deploy" / "agent.zip"
    words = ["export", str(small), "--format", "sb3", "--out", str(out), "--algorithm", asked, "--steps", "200"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert f"{out}, {out.with_name('vecnormalize.pkl')}" in said
    assert "actions within 0, parameters within" in said
    assert f"Note         it loads with {algorithm}.load, behind VecNormalize.load of vecnormalize.pkl" in said
    assert by_sb3(out, algorithm, "CartPole-v1")[0] == returns(reopen(small, with_teacher=False))
    assert cli.main(words) == 2
    assert "--force" in capsys.readouterr().err
    assert cli.main([*words, "--force"]) == 0


def test_nothing_is_overwritten_unasked_and_foreign_statistics_are_not_taken_over(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*more: str) -> str:
        words = ["export", str(small), "--format", "sb3", "--steps", "8", "--out", *more]
        return capsys.readouterr().err if cli.main(words) else ""

    path, statistics = tmp_path / "agent.zip", tmp_path / "vecnormalize.pkl"
    assert said(str(path)) == ""
    before = {one: one.read_bytes() for one in tmp_path.iterdir()}
    assert set(before) == {path, statistics}
    assert f"{path} is there already" in said(str(path))
    assert f"{statistics} is there already" in said(str(tmp_path / "other.zip"))
    for more in ((), ("--force",)):  # the folded agent would be played behind the statistics of the other
        folded = said(str(tmp_path / "other.zip"), "--fold-normaliser", *more)
        assert f"{statistics} would be taken for a part of the new file" in folded
        assert f"--out {tmp_path / 'other' / 'other.zip'}" in folded
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == before
    assert said(str(path), "--force", "--algorithm", "dqn") == ""
    assert path.read_bytes() != before[path]
    statistics.rename(tmp_path / "other_vecnormalize.pkl")
    assert "other_vecnormalize.pkl would be taken" in said(str(tmp_path / "other.zip"))


@pytest.mark.parametrize("fault", ["action_net.bias", "statistics"])
def test_a_file_that_acts_otherwise_is_refused_loudly_and_set_aside(
    fault: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*arguments: Any) -> Any:
        agent = convert(*arguments)
        if fault == "statistics":
            agent.normaliser.obs_rms.mean[2] += 1e-3
        else:
            agent.model.policy.get_parameter(fault).data[0] += 1e-3
        return agent

    monkeypatch.setattr("understudy.export.as_sb3.convert", faulty)
    assert cli.main(["export", str(small), "--format", "sb3", "--out", str(tmp_path / "agent.zip")]) == 2
    said = capsys.readouterr().err
    assert "does not act as its student" in said
    assert "do not deploy it" in said
    assert {one.name for one in tmp_path.iterdir()} == {"agent.zip.rejected", "vecnormalize.pkl.rejected"}


def test_what_sb3_cannot_hold_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    distilled(OURS / "ppo-CartPole-v1.zip", "CartPole-v1", "gru:4", tmp_path / "run", steps=64)
    out = tmp_path / "agent.zip"
    assert cli.main(["export", str(tmp_path / "run"), "--format", "sb3", "--out", str(out)]) == 2
    assert "this is a GRU. Use --format onnx or --format torch" in capsys.readouterr().err
    assert [one.name for one in tmp_path.iterdir()] == ["run"]
