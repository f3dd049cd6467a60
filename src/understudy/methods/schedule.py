"""A coefficient that changes along the run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from understudy.errors import ConfigurationError, nearest

SHAPES = ("constant", "linear", "exponential")


@dataclass(frozen=True)
class Schedule:
    """``start`` at progress 0, ``end`` from progress ``until`` on; progress runs from 0 to 1 over the budget."""

    shape: str
    start: float
    end: float
    until: float = 1.0

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ConfigurationError(
                f"a schedule is one of {', '.join(SHAPES)}, got {self.shape!r}.{nearest(self.shape, SHAPES)}"
            )
        if not 0 < self.until <= 1:
            raise ConfigurationError(f"a schedule ends at a fraction of the run in (0, 1], got {self.until}")
        if not math.isfinite(self.start) or not math.isfinite(self.end):
            raise ConfigurationError(f"a schedule's ends must be finite, got {self.start} and {self.end}")
        if self.shape == "exponential" and self.start * self.end <= 0:
            raise ConfigurationError(
                f"an exponential schedule needs ends of one sign, neither 0, got {self.start} and {self.end}"
            )

    def at(self, progress: float) -> float:
        """Its value at ``progress`` in [0, 1]."""
        fraction = min(max(progress / self.until, 0.0), 1.0)
        if self.shape == "linear":
            return self.start + (self.end - self.start) * fraction
        if self.shape == "exponential":
            return float(self.start * (self.end / self.start) ** fraction)
        return self.start

    def __str__(self) -> str:
        return ":".join([self.shape, *(f"{x:g}" for x in (self.start, self.end, self.until))])


Weight = float | Schedule


def at(weight: Weight, progress: float) -> float:
    """A weight's number at ``progress``."""
    return weight.at(progress) if isinstance(weight, Schedule) else weight


def extremes(weight: Weight) -> tuple[float, float]:
    """Where a weight begins and where it ends: every schedule runs steadily from one to the other."""
    return at(weight, 0.0), at(weight, 1.0)


def scaled(weight: Weight, factor: float) -> Weight:
    """``factor * weight``, at every moment."""
    if not isinstance(weight, Schedule):
        return weight * factor
    if factor == 0:
        return 0.0
    return Schedule(weight.shape, weight.start * factor, weight.end * factor, weight.until)


def parse(text: str | float) -> Weight:
    """A number, or ``linear:START:END[:UNTIL]``, ``exponential:START:END[:UNTIL]``."""
    try:
        return float(text)
    except (TypeError, ValueError):
        pass
    shape, *numbers = str(text).split(":")
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = []
    if len(values) not in (2, 3):
        raise ConfigurationError(f"expected a number or SHAPE:START:END[:UNTIL] such as linear:1:0:0.5, got {text!r}")
    return Schedule(shape, *values)
