"""Staged training from its configuration to the table, stopped and gone on with, in each of its forms."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cutter import Cut, Cutter
from staged import LONG, SHORT, same, stages, weights
from understudy.engines.reservoir import ANSWER
from understudy.envs.of_gym import make
from understudy.errors import ConfigurationError, RunError, SpaceError, TeacherError
from understudy.export.command import export
from understudy.export.config import ExportConfig
from understudy.policies.policy import tensors
from understudy.policies.student_file import load_student
from understudy.policies.teachers import open_teacher
from understudy.runs import run as running
from understudy.runs.console import Silent
from understudy.runs.folder import RunFolder
from understudy.stages import run as stage_run
from understudy.stages.execute import resume_stages, run_stages
from understudy.stages.folder import StagesFolder
from understudy.stages.parts import assemble

ANCHORED = {"anchors": [{"policy": "s0", "weight": "adaptive:0.1:0.02", "states": "both"}]}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two stages, the second anchored to the first."""
    return run_stages(stages(tmp_path_factory.mktemp("two") / "run", {}, SHORT | ANCHORED), console=Silent())


def test_the_table_has_a_row_for_each_stage_and_one_from_before(two: Any) -> None:
    assert list(two.rows) == ["(before)", "s0", "s1"]
    assert two.matrix.returns.shape == (3, 2)
    assert (two.matrix.returns[:, 1] <= 50).all()
    text = two.summary()
    assert "random policy" in text
    assert "Forgotten" in text


def test_a_stage_leaves_a_student_that_opens_like_any_and_earned_its_row(two: Any) -> None:
    from understudy.engines.actor import PolicyActor
    from understudy.envs.actions import ActionMap
    from understudy.envs.play import play
    from understudy.runs.judge import final_seeds

    student = load_student(Path(two.path) / "s1")
    simulator = make(LONG, 2)
    actions = ActionMap(student.family, simulator.action_space)
    played = play(simulator, actions, PolicyActor(student, lambda seen: seen, None), final_seeds(4))
    assert played.returns.mean() == two.rows["s1"]["s0"]["return"]


def test_metrics_tell_of_each_anchor_and_of_every_task(two: Any) -> None:
    lines = [json.loads(line) for line in (Path(two.path) / "s1" / "metrics.jsonl").read_text().splitlines()]
    rounds = [one for one in lines if one["kind"] == "train"]
    assert all({"anchor/s0/kl", "anchor/s0/stored_kl", "anchor/s0/weight"} <= one.keys() for one in rounds)
    looks = [one for one in lines if one["kind"] == "evaluation"]
    assert all(set(one["returns"]) == {"s0", "s1"} for one in looks)
    assert len(looks) >= 3


def test_stored_states_carry_the_answers_of_the_stages_own_policy(two: Any) -> None:
    stored = StagesFolder(two.path).stage("s0").stored()
    assert len(stored) == 200
    student = load_student(Path(two.path) / "s0")
    seen = stored.rows()["observation"]
    assert torch.allclose(stored.rows()[ANSWER], student(tensors(seen.numpy()))[0].policy.flat, atol=1e-6)


@pytest.mark.parametrize("rounds", [1, 4, 8])
def test_training_that_is_stopped_in_a_stage_goes_on_to_the_same_bits(two: Any, tmp_path: Path, rounds: int) -> None:
    config = stages(tmp_path / "run", {}, SHORT | ANCHORED)
    with pytest.raises(KeyboardInterrupt, match=r"understudy stages --resume"):
        run_stages(config, console=Cutter(rounds, politely=True))
    again = resume_stages(tmp_path / "run", console=Silent())
    for name in ("s0", "s1"):
        assert same(weights(Path(two.path) / name), weights(tmp_path / "run" / name))
    assert again.rows == two.rows


def test_training_that_is_killed_before_any_checkpoint_begins_its_stage_anew(two: Any, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        run_stages(stages(tmp_path / "run", {}, SHORT | ANCHORED), console=Cutter(1))
    resume_stages(tmp_path / "run", console=Silent())
    assert same(weights(Path(two.path) / "s1"), weights(tmp_path / "run" / "s1"))


def test_training_that_has_finished_is_answered_as_it_is(two: Any) -> None:
    assert resume_stages(two.path, console=Silent()).rows == two.rows
    with pytest.raises(RunError, match="exists and is not empty"):
        run_stages(stages(Path(two.path), {}, SHORT), console=Silent())


def test_a_fresh_stage_owes_nothing_to_the_one_before(tmp_path: Path) -> None:
    run_stages(stages(tmp_path / "a", {}, SHORT | {"begin": "fresh"}), console=Silent())
    run_stages(stages(tmp_path / "b", {"steps": 300}, SHORT | {"begin": "fresh"}), console=Silent())
    assert not same(weights(tmp_path / "a" / "s0"), weights(tmp_path / "b" / "s0"))
    assert same(weights(tmp_path / "a" / "s1"), weights(tmp_path / "b" / "s1"))


def test_the_normaliser_is_carried_from_stage_to_stage(two: Any) -> None:
    first, second = (weights(Path(two.path) / name) for name in ("s0", "s1"))
    names = [name for name in first if "standardise" in name]
    assert names
    assert all(torch.equal(first[name], second[name]) for name in names)
    assert any(first[name].any() for name in names)


def test_a_head_a_stage_shares_the_body_and_leaves_the_old_head_as_it_was(tmp_path: Path) -> None:
    result = run_stages(stages(tmp_path / "run", {}, SHORT | {"heads": "own"}), console=Silent())
    first = weights(tmp_path / "run" / "s0")
    new, old = weights(tmp_path / "run" / "s1"), weights(tmp_path / "run" / "s1" / "heads" / "s0")
    head = max(name for name in new if name.startswith("network.layers") and name.endswith("weight"))
    body = [name for name in new if name.endswith("weight") and name != head]
    assert torch.equal(old[head], first[head])
    assert not torch.equal(new[head], old[head])
    assert body
    assert all(torch.equal(new[name], old[name]) and not torch.equal(new[name], first[name]) for name in body)
    assert set(result.rows["s1"]) == {"s0", "s1"}


def test_heads_go_on_to_the_same_bits_after_a_stop(tmp_path: Path) -> None:
    table = SHORT | {"heads": "own"}
    run_stages(stages(tmp_path / "a", {}, table), console=Silent())
    with pytest.raises(KeyboardInterrupt):
        run_stages(stages(tmp_path / "b", {}, table), console=Cutter(8, politely=True))
    resume_stages(tmp_path / "b", console=Silent())
    for part in ("s1", "s1/heads/s0"):
        assert same(weights(tmp_path / "a" / part), weights(tmp_path / "b" / part))


@pytest.mark.parametrize("until", [None, 501.0])
def test_two_successes_are_of_different_episodes(tmp_path: Path, until: float | None) -> None:
    """A policy that doesn't change, so that its returns tell which episodes were played."""
    still = {"until": until, "ppo": {"learning_rate": 1e-30}}
    run_stages(stages(tmp_path / "run", still, evaluations=4), console=Silent())
    lines = [json.loads(line) for line in (tmp_path / "run" / "s0" / "metrics.jsonl").read_text().splitlines()]
    looks = [line["returns"]["s0"] for line in lines if line["kind"] == "evaluation"]
    assert len(looks) > 3
    assert looks[0] == looks[2]
    assert (looks[0] == looks[1]) == (until is None)


def test_joint_training_plays_both_tasks(tmp_path: Path) -> None:
    result = run_stages(stages(tmp_path / "run", {}, SHORT | {"joint": ["s0"], "share": 0.25}), console=Silent())
    assert result.stages[1]["stopped_because"] == "the budget of environment steps is spent"
    with pytest.raises(ConfigurationError, match="raise copies"):
        run_stages(stages(tmp_path / "x", {}, SHORT | {"joint": ["s0"]}, copies=1), console=Silent())


def test_a_stage_may_begin_with_its_policy_distilled_into_another_network(tmp_path: Path) -> None:
    table = SHORT | {"distil": "mlp:5:tanh", "distil_steps": 300}
    run_stages(stages(tmp_path / "run", {}, table), console=Silent())
    assert str(load_student(tmp_path / "run" / "s1").spec).startswith("mlp:5")
    assert (tmp_path / "run" / "s1" / "distilled" / "result.json").is_file()


def test_a_criterion_of_zero_is_one(tmp_path: Path) -> None:
    (one,) = run_stages(stages(tmp_path / "run", {"until": 0.0, "steps": 5000}), console=Silent()).stages
    assert one["reached"] is True
    assert one["stopped_because"] == "s0 holds 0"


def test_a_budget_that_the_critic_eats_up_is_told(tmp_path: Path) -> None:
    console = Cutter()
    result = run_stages(stages(tmp_path / "run", {}, SHORT | {"steps": 200}), console=console)
    assert any("fitting the critic took 256 steps of the budget of 200" in text for text in console.warnings)
    assert any("fitting the critic" in text for text in result.stages[1]["warnings"])


def test_a_kept_critic_is_that_of_the_policy_that_goes_on(tmp_path: Path) -> None:
    tables = {}, SHORT, SHORT | {"begin": "s0", "critic": "keep"}
    config = stages(tmp_path / "run", *tables)
    run_stages(config, console=Silent())
    folder = StagesFolder(tmp_path / "run")
    with closing(assemble(config, 2, folder, load_student(folder.stage("s0").path))) as parts:
        critic = parts.learner.objective.critic
        assert critic is not None
        kept = {name: folder.stage(name).kept("critic") for name in ("s0", "s1")}
        key = next(name for name in critic.state_dict() if name.endswith("weight"))
        assert torch.equal(critic.state_dict()[key], kept["s0"][key])
        assert not torch.equal(critic.state_dict()[key], kept["s1"][key])


def test_training_begun_with_a_path_goes_on_from_any_folder(two: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(Path(two.path).parent)
    table = {"begin": "run/s0", "anchors": [{"policy": "run/s1"}]}
    with pytest.raises(KeyboardInterrupt):
        run_stages(stages(tmp_path / "run", table), console=Cutter(1, politely=True))
    monkeypatch.chdir(tmp_path)
    assert resume_stages("run", console=Silent()).complete


def test_a_stop_in_the_distillation_says_how_the_stages_go_on(tmp_path: Path) -> None:
    config = stages(tmp_path / "run", {"steps": 128}, SHORT | {"distil": "mlp:5", "distil_steps": 20_000})
    with pytest.raises(KeyboardInterrupt, match=r"distillation that stage s1 begins with.* stages --resume .*run$"):
        run_stages(config, console=Cutter(3, politely=True))
    assert resume_stages(tmp_path / "run", console=Silent()).complete


def test_a_stages_student_is_exported_on_its_own_environment_with_its_arguments(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    rewarded = {"env_args": '{"sutton_barto_reward": true}'}
    run_stages(stages(tmp_path / "run", {"steps": 128}, rewarded | {"steps": 128}), console=Silent())
    found = export(ExportConfig(str(tmp_path / "run" / "s1"), "onnx", steps=100))
    assert found.env == LONG
    told = {one.key: one.value for one in onnx.load(str(found.files[0])).metadata_props}
    assert json.loads(told["env_args"]) == {"sutton_barto_reward": True}


def test_folders_of_stages_say_what_they_are_where_a_run_is_asked_for(two: Any) -> None:
    with pytest.raises(RunError, match=r"a folder for each stage \(s0, s1\).*stages --resume"):
        RunFolder.open(two.path)
    with pytest.raises(RunError, match="is a stage of staged training and was not distilled"):
        RunFolder.open(Path(two.path) / "s0")
    with pytest.raises(RunError, match=r"name one of the runs in it, such as .*s0"):
        load_student(two.path)
    with pytest.raises(TeacherError, match=r"name one of them, such as .*s0"):
        open_teacher(two.path)


def test_a_stage_ends_when_two_evaluations_running_are_a_success(tmp_path: Path) -> None:
    result = run_stages(stages(tmp_path / "run", {"until": 1.0, "steps": 5000}), console=Silent())
    (one,) = result.stages
    assert one["reached"] is True
    assert one["env_steps"] < 5000
    assert one["stopped_because"] == "s0 holds 1"


@pytest.mark.parametrize(("choice", "rows"), [("go-on", 3), ("stop", 2)])
def test_a_criterion_that_is_missed_is_said_and_followed_by_what_was_chosen(
    tmp_path: Path, choice: str, rows: int
) -> None:
    console = Cutter()
    config = stages(tmp_path / "run", {"until": 501.0, "if_missed": choice}, SHORT)
    result = run_stages(config, console=console)
    assert len(result.rows) == rows
    assert result.stages[0]["reached"] is False
    assert any("missed its 501" in text for text in console.notes + console.warnings)


@pytest.mark.parametrize(
    ("table", "error", "told"),
    [
        ({"env": "Acrobot-v1"}, SpaceError, "stages share their observations"),
        ({"anchors": [{"policy": "s0", "states": "stored", "stored": "s7"}]}, ConfigurationError, "no earlier stage"),
    ],
)
def test_what_does_not_fit_is_told_with_its_stage(
    tmp_path: Path, table: dict[str, Any], error: type[Exception], told: str
) -> None:
    config = stages(tmp_path / "run", {}, table)
    with pytest.raises(error, match="stage s1") as found:
        run_stages(config, console=Silent())
    assert told in str(found.value)
    assert not (tmp_path / "run" / "s0").exists()


def test_a_stage_may_go_on_with_the_critic_too(two: Any, tmp_path: Path) -> None:
    run_stages(stages(tmp_path / "run", {}, SHORT | ANCHORED | {"critic": "keep"}), console=Silent())
    assert not same(weights(Path(two.path) / "s1"), weights(tmp_path / "run" / "s1"))


def test_a_policy_that_the_first_updates_ruin_is_brought_back(tmp_path: Path, monkeypatch: Any) -> None:
    """The steps are a thousand times too long, so that the first round loses all that was learned."""
    console = Cutter()
    good = {"steps": 12_000, "ppo": {"learning_rate": 5e-3, "n_steps": 64, "n_epochs": 8, "gamma": 0.98}}
    ruin = {"steps": 1_500, "ppo": {"learning_rate": 3.0, "max_grad_norm": 0.0, "clip_range": 100.0}}
    config = stages(tmp_path / "run", good, ruin, evaluation_episodes=8)
    result = run_stages(config, console=console)
    assert result.stages[1]["returned"] >= 1
    assert any("the last good policy is back" in text for text in console.warnings)
    assert any("the last good policy is back" in text for text in result.stages[1]["warnings"])


def test_without_the_guard_nothing_is_brought_back(tmp_path: Path) -> None:
    config = stages(tmp_path / "run", {}, {"guard": False, "ppo": {"learning_rate": 3.0}})
    assert run_stages(config, console=Silent()).stages[1]["returned"] == 0


def test_stages_are_reproducible_and_seeds_differ(two: Any, tmp_path: Path) -> None:
    config = stages(tmp_path / "other", {}, SHORT | ANCHORED)
    run_stages(replace(config, seed=1), console=Silent())
    assert not same(weights(Path(two.path) / "s1"), weights(tmp_path / "other" / "s1"))
    assert np.isfinite([row["return"] for row in two.rows["s1"].values()]).all()


@pytest.mark.parametrize("env", ["CartPole-v1", "understudy/Pursuit-v0"])
def test_joint_training_goes_on_to_the_same_bits_after_a_stop(
    tmp_path: Path, env: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (running, stage_run):
        monkeypatch.setattr(module, "RARELY", 600)  # a checkpoint now and then, before which it is seen what comes back
    other = SHORT if env == LONG else {"env": "understudy/Evasion-v0"}
    tables = {"env": env}, {"env": env} | other | {"joint": ["s0"], "share": 0.25, "steps": 1536}
    console = Cutter()
    run_stages(stages(tmp_path / "a", *tables), console=console)
    with pytest.raises(KeyboardInterrupt):
        run_stages(stages(tmp_path / "b", *tables), console=Cutter(14, politely=True))
    resume_stages(tmp_path / "b", console=console)
    assert same(weights(tmp_path / "a" / "s1"), weights(tmp_path / "b" / "s1"))
    assert not any("come back" in text for text in console.warnings)
