"""Understudy distils trained reinforcement-learning policies.

    >>> import understudy
    >>> result = understudy.distill("ppo-LunarLander-v3.zip", "LunarLander-v3", student="mlp:16,16")
    >>> result.recovered

Names are imported when first used, so that ``import understudy`` and the command line's help stay fast.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Anchor": "understudy.methods.anchor",
    "AnchoredPPO": "understudy.stages.anchored_ppo",
    "anchor_loss": "understudy.methods.anchor_loss",
    "load_store": "understudy.stages.stored",
    "save_store": "understudy.stages.stored",
    "stored_states": "understudy.stages.stored",
    "compare": "understudy.api",
    "compress": "understudy.api",
    "distill": "understudy.api",
    "distill_tasks": "understudy.api",
    "evaluate": "understudy.api",
    "export_student": "understudy.api",
    "doctor": "understudy.api",
    "push": "understudy.api",
    "resume": "understudy.api",
    "train_stages": "understudy.api",
    "open_teacher": "understudy.policies.teachers",
    "load_student": "understudy.policies.student_file",
    "Result": "understudy.runs.result",
}

__all__ = [  # without AnchoredPPO, which needs an optional package: import * must not
    "Anchor",
    "Result",
    "anchor_loss",
    "compare",
    "compress",
    "distill",
    "distill_tasks",
    "doctor",
    "evaluate",
    "export_student",
    "load_store",
    "load_student",
    "open_teacher",
    "push",
    "resume",
    "save_store",
    "stored_states",
    "train_stages",
]

# for gymnasium.make("understudy/Pursuit-v0"), without importing Gymnasium
importlib.import_module("understudy.envs.flight.registration").register_soon()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'understudy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
