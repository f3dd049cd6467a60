"""A gate that is fitted after a stage, and plays its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from gymnasium import spaces

from cutter import Cutter
from staged import LONG, SHORT, same, stages, weights
from understudy.cli import main
from understudy.engines.actor import PolicyActor
from understudy.engines.reservoir import Reservoir
from understudy.envs.actions import ActionMap
from understudy.envs.of_gym import make
from understudy.envs.play import play
from understudy.errors import ConfigurationError
from understudy.export.command import export
from understudy.export.config import ExportConfig
from understudy.policies.gated import load_gated
from understudy.policies.student_file import load_student
from understudy.runs.console import Silent
from understudy.runs.judge import final_seeds
from understudy.stages.execute import resume_stages, run_stages
from understudy.stages.folder import StagesFolder
from understudy.stages.gate import fit_gate

FLAT = spaces.Box(-9, 9, (3,), np.float32)
GATED = SHORT | {"heads": "own", "gate": True}


def states(offset: float, count: int, seed: int, size: int = 3) -> Reservoir:
    found = Reservoir(count, np.random.default_rng(0))
    generator = torch.Generator().manual_seed(seed)
    found.offer({"observation": torch.randn(count, size, generator=generator) + offset})
    return found


def test_states_that_lie_apart_are_told_apart_whatever_their_numbers() -> None:
    stored = {"a": states(-6, 900, 0), "b": states(0, 100, 1), "c": states(6, 300, 2)}
    gate, facts = fit_gate(stored, FLAT, seed=0)
    assert facts["accuracy"] >= 0.98
    assert set(facts["by_stage"]) == {"a", "b", "c"}
    assert facts["held_out"] == 60
    fresh = torch.randn(50, 3, generator=torch.Generator().manual_seed(9))
    for number, offset in enumerate((-6, 0, 6)):
        assert (gate(fresh + offset)[0].argmax(-1) == number).float().mean() >= 0.95


def test_states_that_are_alike_cannot_be_told_and_accuracy_says_so() -> None:
    """So many numbers of so few states can be learned by heart, which says nothing of those that are held out."""
    many = spaces.Box(-9, 9, (40,), np.float32)
    _, facts = fit_gate({"a": states(0, 500, 0, 40), "b": states(0, 500, 1, 40)}, many, seed=0)
    assert abs(facts["accuracy"] - 0.5) < 0.15


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two stages with heads and a gate; what the second sees lies elsewhere, so that it can be told."""
    return run_stages(stages(tmp_path_factory.mktemp("two") / "run", {}, GATED), console=Silent())


def test_the_table_is_played_by_the_gated_policy_that_is_saved(two: Any) -> None:
    path = Path(two.path)
    policy = load_gated(path / "s1" / "gated")
    assert policy.names == ("s0", "s1")
    simulator = make(LONG, 2)
    played = play(
        simulator,
        ActionMap(policy.family, simulator.action_space),
        PolicyActor(policy, lambda x: x, None),
        final_seeds(4),
    )
    assert played.returns.mean() == two.rows["s1"]["s0"]["return"]
    for number, part in enumerate(("s1/heads/s0", "s1")):
        assert same(policy.heads[number].state_dict(), weights(path / part))


def test_the_result_tells_how_often_it_is_right(two: Any) -> None:
    facts = two.stages[1]["gate"]
    assert facts["held_out"] == 80
    assert facts["accuracy"] == pytest.approx(np.mean(list(facts["by_stage"].values())))
    policy = load_gated(Path(two.path) / "s1" / "gated")
    stored = [StagesFolder(two.path).stage(name).stored().seen() for name in ("s0", "s1")]
    right = np.mean([float((policy.chosen(seen) == k).float().mean()) for k, seen in enumerate(stored)])
    assert right == pytest.approx(facts["accuracy"], abs=0.25)
    assert right > 0.5
    assert "gate" not in two.stages[0]


def test_it_goes_on_to_the_same_bits_after_a_stop_and_over_columns(tmp_path: Path) -> None:
    table = SHORT | {"adapters": True, "gate": True}
    whole = run_stages(stages(tmp_path / "a", {}, table), console=Silent())
    with pytest.raises(KeyboardInterrupt):
        run_stages(stages(tmp_path / "b", {}, table), console=Cutter(8, politely=True))
    assert resume_stages(tmp_path / "b", console=Silent()).rows == whole.rows
    one, other = (load_gated(tmp_path / run / "s1" / "gated").state_dict() for run in "ab")
    assert same(one, other)
    assert load_student(tmp_path / "a" / "s1" / "gated" / "heads" / "s1").description.startswith("progressive")


def test_it_is_evaluated_as_any_teacher_is(two: Any, capsys: Any) -> None:
    assert main(["evaluate", f"{two.path}/s1/gated", "--env", LONG, "--episodes", "3"]) == 0
    assert "a gate among s0, s1" in capsys.readouterr().out


def test_its_exports_pick_and_act_as_it_does(two: Any, tmp_path: Path) -> None:
    folder = Path(two.path) / "s1" / "gated"
    policy = load_gated(folder)
    stored = [StagesFolder(two.path).stage(name).stored().seen() for name in ("s0", "s1")]
    seen = torch.cat([part for part in stored if isinstance(part, torch.Tensor)])
    assert set(policy.chosen(seen).tolist()) == {0, 1}
    own = [head(seen)[0].policy.flat for head in policy.heads]
    expected = torch.where(policy.chosen(seen)[:, None] == 0, *own)  # told apart by hand
    for form, suffix in (("onnx", "onnx"), ("torch", "pt2")):
        export(ExportConfig(run=str(folder), format=form, out=str(tmp_path / f"gated.{suffix}")))
    session = onnxruntime.InferenceSession(tmp_path / "gated.onnx")
    action, logits = session.run(None, {"obs": seen.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), expected, atol=1e-5, rtol=1e-5)
    assert action.tolist() == expected.argmax(-1).tolist()
    traced = torch.export.load(tmp_path / "gated.pt2").module()
    torch.testing.assert_close(traced(seen)[1], expected, atol=1e-5, rtol=1e-5)


def test_stable_baselines_has_no_gate(two: Any, capsys: Any) -> None:
    assert main(["export", f"{two.path}/s1/gated", "--format", "sb3"]) != 0
    assert "it has one network, and this student picks among several" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "tables", "told"),
    [
        ({}, ({}, {"gate": True}), "say heads = 'own' or adapters"),
        ({}, ({"store": 0}, GATED), "s0 has store = 0"),
        ({"student": "gru:8"}, ({}, GATED), "without memory, and these are gru:8"),
    ],
)
def test_a_gate_that_cannot_be_is_refused_before_any_stage(
    tmp_path: Path, more: dict[str, Any], tables: tuple[dict[str, Any], ...], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        run_stages(stages(tmp_path / "run", *tables, **more), console=Silent())
    assert not (tmp_path / "run" / "s0").exists()
