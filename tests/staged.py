"""Small staged trainings on CartPole, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from understudy.policies.student_file import load_student
from understudy.stages.config import StagesConfig

SMALL: dict[str, Any] = {
    "student": "mlp:8,8:tanh",
    "copies": 4,
    "evaluations": 2,
    "evaluation_episodes": 3,
    "final_episodes": 4,
    "quiet": True,
    "ppo": {"n_steps": 32, "n_epochs": 2},
}
LONG, SHORT = "CartPole-v1", {"wrap": ["time-limit:50"]}


def stages(out: Path, *tables: dict[str, Any], **more: Any) -> StagesConfig:
    """A configuration with a stage s0, s1, ... for each table."""
    whole = [{"name": f"s{k}", "env": LONG, "steps": 768, "store": 200, **table} for k, table in enumerate(tables)]
    return StagesConfig.of({**SMALL, "stages": whole, "out": str(out), **more})


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_student(path).state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """To the bit, and by name."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
