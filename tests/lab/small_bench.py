"""A bench without a sweep, for experiments that are exact mathematics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from understudy.lab.experiment import Scale


@dataclass(frozen=True)
class SmallBench:
    scale: Scale
    folder: Path = Path()

    def train(self, curves):
        raise AssertionError("this experiment trains no curves")

    def track(self, items, label):
        return iter(items)


def bench(mdps: int, iterations: int) -> SmallBench:
    return SmallBench(Scale(mdps, iterations))


def effect(findings, number: str, name: str):
    """The one effect of claim ``number`` whose name begins with ``name``."""
    (claim,) = [claim for claim in findings.claims if claim.number == number]
    (found,) = [effect for effect in claim.effects if effect.name.startswith(name)]
    return found
