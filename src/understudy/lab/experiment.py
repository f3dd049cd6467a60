"""An experiment: curves to train, or exact mathematics, and the claims that they decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np

from understudy.lab.catalogue import EXPERIMENTS
from understudy.lab.curve import Curve
from understudy.lab.findings import Findings

__all__ = ["EXPERIMENTS", "Bench", "Experiment", "Measured", "Scale", "load"]


@dataclass(frozen=True)
class Scale:
    """How much to run: the paper's size by default."""

    mdps: int = 1000
    iterations: int = 30_000
    seed: int = 0
    points: int = 60


@dataclass(frozen=True)
class Measured:
    """What one curve's training gave.

    ``iterations [P]``. ``metrics``: name to ``[MDPs, P]`` in float32: ``return`` (undiscounted, exact), ``kl-student``,
    ``kl-teacher``, ``kl-uniform`` (KL(teacher‖student) per visited step under the visitation of each). ``facts``: name
    to ``[MDPs]``: ``teacher-return``, ``uniform-return``, ``optimal-return``; of the training, ``steps`` taken and
    episodes ``cut`` at ``max_steps``.
    """

    iterations: np.ndarray
    metrics: dict[str, np.ndarray]
    facts: dict[str, np.ndarray]


class Bench(Protocol):
    """What an experiment works with."""

    @property
    def scale(self) -> Scale: ...
    @property
    def folder(self) -> Path:
        """Where this experiment may keep what it has computed, so that a stopped run goes on from there."""
        ...

    def train(self, curves: Sequence[Curve]) -> dict[str, Measured]:
        """Every curve by its name, on all MDPs of the scale; what a stopped run has finished is not run again."""
        ...

    def track(self, items: Sequence[object], label: str) -> Iterator[object]:
        """The items, with a progress bar."""
        ...


@dataclass(frozen=True)
class Experiment:
    """``figure``: where the paper has it, such as ``Fig. 3``; ``run`` does everything."""

    name: str
    figure: str
    summary: str
    run: Callable[[Bench], Findings]


def load(name: str) -> Experiment:
    """The experiment of this name."""
    module, _, attribute = EXPERIMENTS[name].partition(":")
    found: Experiment = getattr(import_module(module), attribute)
    return found
