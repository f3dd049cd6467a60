"""One default configuration for each kind of work; no flags per task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from understudy.engines.schedule import Rhythm


@dataclass(frozen=True)
class Kind:
    """What the defaults depend on: whether the row has a reward term, and whether the student has a memory; of rows of
    action values, whether they learn by temporal differences, and by which convolutions the student sees pictures."""

    reward: bool
    recurrent: bool
    differences: bool = False
    pictures: str = ""


BUDGET = 500_000
CLONING = Rhythm(
    collect=128, updates=16, batch=256, learning_rate=1e-2, final_learning_rate=3e-4, average=0.95, clip=0.0
)
# Steps as large as a feed-forward student's lose a memory that must tell speeds from positions (LunarLander), and
# fresher memories from a smaller store gained nothing.
RECURRENT_CLONING = replace(
    CLONING, learning_rate=1.5e-3, final_learning_rate=3e-4, collect=256, updates=32, batch=1024, length=32, clip=1.0
)
REINFORCING = Rhythm(
    collect=2048, batch=256, learning_rate=1e-3, final_learning_rate=1e-4, keep=False, clip=0.5, average=0.0
)
RECURRENT_REINFORCING = replace(REINFORCING, length=32, batch=512)
DIFFERENCES = Rhythm(
    collect=64,
    updates=32,
    batch=128,
    store=100_000,
    learning_rate=1e-3,
    final_learning_rate=3e-4,
    average=0.95,
    clip=10.0,
)
PICTURES: dict[str, dict[str, Any]] = {
    "nature": {"learning_rate": 5e-4, "final_learning_rate": 5e-5, "batch": 64, "store": 100_000},
    "small": {"learning_rate": 4e-3, "final_learning_rate": 4e-4, "batch": 64, "store": 100_000},
}


def rhythm_for(
    kind: Kind,
    *,
    learning_rate: float | None = None,
    batch: int | None = None,
    collect: int | None = None,
    updates: int | None = None,
    store: int | None = None,
) -> tuple[Rhythm, int]:
    """The rhythm for a kind of work with what the user chose put in, and the budget of environment steps."""
    rhythm = REINFORCING if kind.reward else CLONING
    if kind.recurrent:
        rhythm = RECURRENT_REINFORCING if kind.reward else RECURRENT_CLONING
    if kind.differences:
        rhythm = DIFFERENCES
    if kind.pictures:
        rhythm = replace(rhythm, **PICTURES[kind.pictures])
    chosen: dict[str, Any] = {
        "learning_rate": learning_rate,
        "batch": batch,
        "collect": collect,
        "updates": updates,
        "store": store,
    }
    rhythm = replace(rhythm, **{name: value for name, value in chosen.items() if value is not None})
    if learning_rate is not None:
        rhythm = replace(rhythm, final_learning_rate=learning_rate / 10)
    return rhythm, BUDGET
