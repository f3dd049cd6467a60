"""MinAtar's games from end to end: the teachers of the repository, distilled, stopped, gone on with and exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import understudy
from cutter import Cut, Cutter
from understudy.envs.of_gym import make
from understudy.runs import run as running
from understudy.runs.config import DistillConfig
from understudy.runs.console import Silent
from understudy.runs.execute import distill, resume

pytest.importorskip("minatar", reason="MinAtar is not installed (extra minatar)")

TEACHERS = Path(__file__).resolve().parents[2] / "teachers" / "minatar"
GAMES = {"freeway": "Freeway", "breakout": "Breakout", "space_invaders": "SpaceInvaders"}


def asked(out: Path, **options: Any) -> DistillConfig:
    small = {"evaluation_episodes": 2, "final_episodes": 3, "target": 100.0, "wrap": ("time-limit:40",), "steps": 768}
    names = {"teacher": str(TEACHERS / "breakout"), "env": "MinAtar/Breakout-v1", "student": "cnn:small:x0.14"}
    return DistillConfig.of({**names, "method": "q-kl", **small, "out": str(out), **options})


def weights(folder: Path) -> bytes:
    return (folder / "student" / "model.safetensors").read_bytes()


def test_a_distillation_on_minatar_goes_on_to_the_same_bits_and_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "RARELY", 600)  # checkpoints after every few rounds
    whole, part = tmp_path / "whole", tmp_path / "part"
    distill(asked(whole), console=Silent())
    with pytest.raises(Cut):
        distill(asked(part), console=Cutter(6))
    resume(part, console=Silent())
    again = json.loads((part / "provenance.json").read_text(encoding="utf-8"))["resumed"]
    assert again[0]["env_steps"] > 0
    assert weights(part) == weights(whole)
    assert (part / "metrics.jsonl").read_text().count("\n") == (whole / "metrics.jsonl").read_text().count("\n")
    made = understudy.export_student(whole, steps=60)
    session = onnxruntime.InferenceSession(next(path for path in made.files if str(path).endswith(".onnx")))
    seen = make("MinAtar/Breakout-v1", 3).reset(5)
    (answer,) = session.run(["action"], {session.get_inputs()[0].name: seen.astype(np.int64)})
    values = understudy.load_student(whole).action_values(torch.as_tensor(seen))
    assert np.array_equal(answer, values.argmax(-1).numpy())


@pytest.mark.parametrize("game", GAMES)
def test_a_teacher_of_minatar_earns_what_its_file_says(game: str) -> None:
    facts = json.loads((TEACHERS / game / "config.json").read_text(encoding="utf-8"))["facts"]
    limit = ("time-limit:5000",)
    found = understudy.evaluate(TEACHERS / game, f"MinAtar/{GAMES[game]}-v1", episodes=12, seed=10_000, wrappers=limit)
    spread = facts["standard_error"] * np.sqrt(100 / 12)
    assert abs(found.mean_return - facts["return"]) < 4 * spread
    assert facts["return"] > facts["random_return"] + 10 * facts["standard_error"]
