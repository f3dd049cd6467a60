"""Anchors where each task has a head of its own on one body, and anchors that are no earlier stage."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
import torch

from staged import SHORT, stages
from understudy.engines.reservoir import ANSWER
from understudy.errors import ConfigurationError
from understudy.math.divergences import kl
from understudy.policies.student_file import load_student
from understudy.policies.teachers import open_teacher
from understudy.runs.console import Silent
from understudy.stages.execute import run_stages
from understudy.stages.folder import StagesFolder
from understudy.stages.parts import assemble

EXPERT = str(Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip")
HEADS = SHORT | {"heads": "own"}
QUICK = {"n_steps": 32, "n_epochs": 4, "learning_rate": 1e-2}


@pytest.mark.parametrize("states", ["visited", "stored", "both"])
def test_anchors_hold_the_heads_of_earlier_tasks_on_the_body_that_they_share(tmp_path: Path, states: str) -> None:
    tables = {}
    for name, anchors in (("free", []), ("held", [{"policy": "s1", "weight": 3.0, "states": states}])):
        last = HEADS | {"anchors": anchors, "steps": 1500, "guard": False}
        run_stages(stages(tmp_path / name, {}, HEADS, last, ppo=QUICK), console=Silent())
        tables[name] = tmp_path / name / "s2"
    logged = [json.loads(line) for line in (tables["held"] / "metrics.jsonl").read_text().splitlines()]
    told = {key for line in logged for key in line if key.startswith("anchor/")}
    own = {"visited": ["kl"], "stored": ["stored_kl"], "both": ["kl", "stored_kl"]}[states]
    wanted = {f"anchor/s1/{key}" for key in (*own, "weight")}
    if states != "visited":
        wanted |= {"anchor/s1 (s0)/stored_kl", "anchor/s1 (s0)/weight"}
    assert told == wanted
    drifts = {}
    for name, path in tables.items():
        for head in ("s0", "s1"):
            before = load_student(path.parent / head)  # as it was when its stage was over
            kept = StagesFolder(path.parent).stage(head).stored().seen()
            drifts[name, head] = float(
                kl(before(kept)[0].policy, load_student(path / "heads" / head)(kept)[0].policy).mean()
            )
    assert drifts["held", "s1"] < 0.2 * drifts["free", "s1"]
    assert states == "visited" or drifts["held", "s0"] < 0.2 * drifts["free", "s0"]


def test_each_anchor_holds_the_head_of_its_own_task_and_asks_the_policy_of_its_own_stage(tmp_path: Path) -> None:
    anchors = [
        {"policy": "s1", "states": "both"},
        {"policy": EXPERT, "states": "both", "name": "expert"},
    ]
    config = stages(tmp_path / "run", {}, HEADS, HEADS | {"anchors": anchors})
    run_stages(config, console=Silent())
    folder = StagesFolder(tmp_path / "run")
    with closing(assemble(config, 2, folder, load_student(tmp_path / "run" / "s1"))) as parts:
        found = {one.row.label: one for one in parts.learner.objective.anchors}  # type: ignore[attr-defined]
        players = parts.players
        assert players["s0"] is not players["s1"]
        assert {label: one.holds for label, one in found.items()} == {
            "s1": players["s1"], "s1 (s0)": players["s0"],
            "expert": None, "expert (s0)": players["s0"], "expert (s1)": players["s1"],
        }  # fmt: skip
        for label, name in (("s1", "s1"), ("s1 (s0)", "s0")):
            held, own = found[label].answers, folder.stage(name).stored().columns[ANSWER]
            assert held is not None
            assert torch.equal(held, own)


def test_a_policy_with_a_memory_has_no_heads_that_could_be_held(tmp_path: Path) -> None:
    last = HEADS | {"anchors": [{"policy": "s0"}]}
    with pytest.raises(ConfigurationError, match=r"memory of their own\. Leave heads or anchors out"):
        run_stages(stages(tmp_path / "run", {}, last, student="gru:8"), console=Silent())


@pytest.mark.parametrize("heads", ["one", "own"])
def test_a_policy_from_outside_is_asked_in_the_states_that_were_stored(tmp_path: Path, heads: str) -> None:
    anchor = {"policy": EXPERT, "weight": 1.0, "states": "stored", "name": "expert"}
    last = HEADS | {"heads": heads, "anchors": [anchor]}
    run_stages(stages(tmp_path / "run", {}, last), console=Silent())
    logged = [json.loads(line) for line in (tmp_path / "run" / "s1" / "metrics.jsonl").read_text().splitlines()]
    label = "expert" if heads == "one" else "expert (s0)"
    told = next(line[f"anchor/{label}/stored_kl"] for line in logged if line["kind"] == "train")
    seen = StagesFolder(tmp_path / "run").stage("s0").stored().seen()
    expert, student = open_teacher(EXPERT), load_student(tmp_path / "run" / "s0")
    by_hand = float(kl(expert(seen)[0].policy, student(seen)[0].policy).mean())
    assert by_hand > 0.01
    assert told == pytest.approx(by_hand, rel=1e-4)
