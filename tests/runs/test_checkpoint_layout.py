"""The number of the checkpoints' format stands for what is in them: neither changes without the other."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from cutter import Cut, Cutter
from understudy.runs import offline
from understudy.runs import run as running
from understudy.runs.checkpoints import FORMAT, load
from understudy.runs.config import DistillConfig
from understudy.runs.execute import distill
from understudy.runs.tasks import run as tasks_running
from understudy.runs.tasks.config import TasksConfig
from understudy.runs.tasks.execute import distill_tasks

TEACHER = str(Path(__file__).resolve().parents[2] / "teachers" / "ppo-CartPole-v1.zip")
SMALL: dict[str, Any] = {"student": "mlp:8,8", "evaluation_episodes": 2, "target": 3.0}
ALONE: dict[str, Any] = {**SMALL, "teacher": TEACHER, "env": "CartPole-v1"}
LAYOUTS = {"3": "a49b28e8a9750238"}
"""The digest of the names in a checkpoint, by the format's number."""


def names(state: Any, at: str = "") -> list[str]:
    """Of every leaf of a tree, with the kind of number that an array holds."""
    if isinstance(state, dict):
        return [name for key, part in state.items() for name in names(part, f"{at}/{key}")]
    return [f"{at} {state.dtype}" if isinstance(state, np.ndarray | Tensor) else at]


def cut(config: DistillConfig | TasksConfig) -> list[str]:
    """Those in the checkpoints of a run that is stopped after a few rounds."""
    run: Any = distill_tasks if isinstance(config, TasksConfig) else distill
    with pytest.raises(Cut):
        run(config, console=Cutter(2))
    found = sorted(Path(config.out, "checkpoints").iterdir())
    assert len(found) >= 2
    return [f"{path.stem if path.stem == 'beginning' else ''}{name}" for path in found for name in names(load(path))]


def test_what_is_in_a_checkpoint_changes_with_the_number_of_its_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (running, offline, tasks_running):
        monkeypatch.setattr(module, "RARELY", 1)
    data = tmp_path / "steps.npz"
    np.savez(data, observations=np.random.default_rng(0).normal(size=(300, 4)), actions=np.arange(300) % 2)
    alone = ({"method": "on-policy-distill"}, {"method": "n-distill+r"}, {"method": "dqn+q-kl", "prefill": 300})
    configs: list[Any] = [DistillConfig.of({**ALONE, **one, "out": str(tmp_path / one["method"])}) for one in alone]  # type: ignore[dict-item]
    configs.append(DistillConfig.of({"data": str(data), "student": "mlp:8", "out": str(tmp_path / "data")}))
    tables = {name: {"teacher": TEACHER, "env": "CartPole-v1"} for name in "ab"}
    configs.append(TasksConfig.of({**SMALL, "tasks": tables, "out": str(tmp_path / "tasks")}))
    found = [f"{k} {name}" for k, config in enumerate(configs) for name in sorted(set(cut(config)))]
    digest = hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]
    assert LAYOUTS.get(FORMAT) == digest, "raise FORMAT in checkpoints.py, and write its digest down here"
