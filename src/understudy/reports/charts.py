"""What a page can show, as data: bars, dots, histograms, and curves over stages; others are ``lab.findings.Panel``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from understudy.lab.findings import Panel


@dataclass(frozen=True)
class Staged(Panel):
    """Curves over stretches of x, ``(name, start, end)``, whose names stand above; the one called ``own`` is shaded."""

    stretches: Sequence[tuple[str, float, float]] = ()
    own: str = ""


@dataclass(frozen=True)
class Bars:
    """Groups of bars with 95 % intervals: ``heights[series][group]``; ``low`` and ``high`` likewise, or empty.

    Series have colours of their own; where the only one has no name (``labels=("",)``), each group has.
    """

    title: str
    x_label: str
    y_label: str
    groups: Sequence[str]
    labels: Sequence[str]
    heights: Sequence[Sequence[float]]
    low: Sequence[Sequence[float]] = ()
    high: Sequence[Sequence[float]] = ()
    row: int = 0
    kind: str = field(default="bars", init=False)
    figure: str = ""


@dataclass(frozen=True)
class Dot:
    """A point with a name; ``front``: on the Pareto front; ``low`` and ``high``: the interval of y, or None."""

    label: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    front: bool = False
    series: str = ""


@dataclass(frozen=True)
class Dots:
    """A scatter of named points; those on the front are joined. ``lines``: horizontal references by name.

    ``diagonal``: both axes are alike, and a line tells where x and y are the same.
    """

    title: str
    x_label: str
    y_label: str
    dots: tuple[Dot, ...]
    lines: tuple[tuple[str, float], ...] = ()
    x_log: bool = False
    diagonal: bool = False
    row: int = 0
    kind: str = field(default="dots", init=False)
    figure: str = ""


@dataclass(frozen=True)
class Histogram:
    """Samples of several policies on common bins."""

    title: str
    x_label: str
    labels: Sequence[str]
    samples: Sequence[Sequence[float]]
    row: int = 0
    kind: str = field(default="histogram", init=False)
    figure: str = ""
