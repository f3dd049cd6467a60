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
    "compare": "understudy.api",
    "compress": "understudy.api",
    "distill": "understudy.api",
    "distill_tasks": "understudy.api",
    "evaluate": "understudy.api",
    "export_student": "understudy.api",
    "doctor": "understudy.api",
    "push": "understudy.api",
    "resume": "understudy.api",
    "open_teacher": "understudy.policies.teachers",
    "load_student": "understudy.policies.student_file",
    "Result": "understudy.runs.result",
}

__all__ = [
    "Result",
    "compare",
    "compress",
    "distill",
    "distill_tasks",
    "doctor",
    "evaluate",
    "export_student",
    "load_student",
    "open_teacher",
    "push",
    "resume",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'understudy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
