"""An anchor as data: ``weight * KL`` that holds a learning policy near a frozen one.

Only distributions of actions are anchored, never values. In files and on the command line a weight is one of

=============================== =======================================================================================
text                            the weight
=============================== =======================================================================================
``0.5``, ``constant:0.5``       constant
``linear:START:END[:UNTIL]``    from START to END over the budget, or over the share UNTIL of it
``exponential:START:END[...]``  the same by equal factors; neither end is 0
``adaptive:START:TARGET``       doubled after a round that ends with a KL above 1.5 TARGET, halved below TARGET / 1.5,
                                and kept between START / 1024 and 1024 START, or the bounds of ``...:LOW:HIGH``: as in
                                the KL-penalised form of PPO (Schulman et al. 2017, section 4)
``off-below:WEIGHT:KL``         WEIGHT (a number), but nothing as long as the KL is below KL
=============================== =======================================================================================

A KL is in nats, the mean over states; where an anchor holds on visited and on stored states it is the sum of both
means, which is what the weight multiplies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

from understudy.errors import ConfigurationError, nearest, said_of
from understudy.methods import schedule
from understudy.methods.schedule import Schedule, extremes

DIRECTIONS = ("forward", "reverse")
STATES = ("visited", "stored", "both")
SLACK, STEP = 1.5, 2.0  # Schulman et al. 2017, section 4
RANGE = 1024.0  # how far an adaptive weight may go from its start, where nothing else is said


@dataclass(frozen=True)
class Adaptive:
    """A weight that is doubled and halved so that the KL comes near ``target``."""

    start: float
    target: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not (self.start > 0 and math.isfinite(self.start)):
            raise ConfigurationError(f"an adaptive weight starts above 0, as it is only multiplied, got {self.start:g}")
        if not (self.target > 0 and math.isfinite(self.target)):
            raise ConfigurationError(f"the KL that an adaptive weight aims at must be above 0, got {self.target:g}")
        low, high = self.bounds
        if not 0 < low <= self.start <= high < math.inf:
            raise ConfigurationError(
                f"an adaptive weight needs bounds 0 < LOW <= START <= HIGH, got {low:g}, {self.start:g} and {high:g}"
            )

    @property
    def bounds(self) -> tuple[float, float]:
        low, high = self.start / RANGE, self.start * RANGE
        return low if self.low is None else self.low, high if self.high is None else self.high

    def after(self, weight: float, kl: float) -> float:
        """The weight that follows ``weight`` where a round ended with this KL."""
        low, high = self.bounds
        if kl > SLACK * self.target:
            return min(high, weight * STEP)
        return max(low, weight / STEP) if kl < self.target / SLACK else weight

    def __str__(self) -> str:
        bounds = () if self.low is None and self.high is None else self.bounds
        return ":".join(["adaptive", *(f"{x:g}" for x in (self.start, self.target, *bounds))])


@dataclass(frozen=True)
class OffBelow:
    """``weight``, and nothing while the KL is below ``threshold``."""

    weight: float
    threshold: float

    def __post_init__(self) -> None:
        if not (self.threshold > 0 and math.isfinite(self.threshold)):
            raise ConfigurationError(
                f"off-below needs a KL above 0 to be off below, got {self.threshold:g}; for a weight that is always on "
                "write the number alone"
            )

    def __str__(self) -> str:
        return f"off-below:{self.weight:g}:{self.threshold:g}"


AnchorWeight = float | Schedule | Adaptive | OffBelow
FORMS: dict[str, tuple[Callable[..., AnchorWeight], tuple[int, ...], str]] = {
    "constant": (float, (1,), "constant:WEIGHT such as constant:0.5"),
    "adaptive": (Adaptive, (2, 4), "adaptive:START:TARGET[:LOW:HIGH] such as adaptive:0.1:0.02"),
    "off-below": (OffBelow, (2,), "off-below:WEIGHT:KL such as off-below:1:0.05"),
    "linear": (lambda *n: Schedule("linear", *n), (2, 3), "linear:START:END[:UNTIL] such as linear:1:0:0.5"),
    "exponential": (
        lambda *n: Schedule("exponential", *n),
        (2, 3),
        "exponential:START:END[:UNTIL] such as exponential:1:0.01",
    ),
}


def parse(text: AnchorWeight | str) -> AnchorWeight:
    """The weight that a text means, or that already is one; ConfigurationError for one that never acts."""
    weight = _read(text) if isinstance(text, str) else text
    if not isinstance(weight, Real | Schedule | Adaptive | OffBelow):
        raise ConfigurationError(f"the weight of an anchor is a number or a text such as 'linear:1:0', got {weight!r}")
    ends = (weight.start, weight.start) if isinstance(weight, Adaptive) else _ends(weight)
    if not all(math.isfinite(end) for end in ends):
        raise ConfigurationError(f"the weight of an anchor must be finite, got {weight}")
    if min(ends) < 0:
        raise ConfigurationError(
            f"the weight of an anchor must not be negative, which would drive away from it: {weight}"
        )
    if not any(ends):
        raise ConfigurationError(f"the weight {text} is 0 throughout: it never acts. Raise it, or leave the anchor out")
    return weight


def _ends(weight: float | Schedule | OffBelow) -> tuple[float, float]:
    return (weight.weight, weight.weight) if isinstance(weight, OffBelow) else extremes(weight)


def _read(text: str) -> AnchorWeight:
    try:
        return float(text)
    except ValueError:
        pass
    kind, *words = text.strip().split(":")
    if kind not in FORMS:
        known = ", ".join(FORMS)
        raise ConfigurationError(
            f"the weight of an anchor is a number or one of {known}, each with its numbers, got {text!r}."
            f"{nearest(kind, FORMS)}"
        )
    build, counts, form = FORMS[kind]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) not in counts:
        raise ConfigurationError(f"expected {form}, got {text!r}")
    with said_of(text):
        return build(*numbers)


def following(weight: AnchorWeight, number: float | None, kl: float, progress: float) -> float:
    """A round's number: ``number`` was the last round's, None before the first, and ``kl`` is where that left off."""
    if isinstance(weight, Adaptive):
        return weight.start if number is None else weight.after(number, kl)
    if isinstance(weight, OffBelow):
        return 0.0 if kl < weight.threshold else weight.weight
    return schedule.at(weight, progress)


@dataclass(frozen=True)
class Anchor:
    """A row: which policy holds the student, how strongly, in which direction and where.

    policy: what names a teacher (a path, ``scheme:path``), or in Python one in memory. weight: as above.
    direction: ``forward``, KL(anchor‖student), which has the student do all that the anchor does; or ``reverse``,
    KL(student‖anchor), which has it do nothing that the anchor does not.
    states: ``visited`` by the student now, ``stored`` from earlier stages, or ``both``, added up.
    stored: the file of stored states, or in Python those themselves. name: in figures; by default the policy's.
    """

    policy: Any
    weight: AnchorWeight | str = 1.0
    direction: str = "forward"
    states: str = "visited"
    stored: Any = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.policy is None or self.policy == "":
            raise ConfigurationError(
                "an anchor names no policy; give the path of one, such as a run folder or an SB3 zip"
            )
        with said_of(f"anchor {self.label}"):
            for what, known in (("direction", DIRECTIONS), ("states", STATES)):
                word = getattr(self, what)
                if word not in known:
                    raise ConfigurationError(
                        f"{what} is one of {', '.join(known)}, got {word!r}.{nearest(str(word), known)}"
                    )
            if self.stored is not None and self.states == "visited":
                raise ConfigurationError("stored states are given but states is 'visited'; say states = 'both'")
            parse(self.weight)

    @cached_property
    def rule(self) -> AnchorWeight:
        """The weight, read."""
        return parse(self.weight)

    @property
    def label(self) -> str:
        """The name in figures and messages."""
        if self.name:
            return self.name
        path = str(self.policy).rstrip("/") if isinstance(self.policy, str | Path) else ""
        return Path(path).stem or type(self.policy).__name__
