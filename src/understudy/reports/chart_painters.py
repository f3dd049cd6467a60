"""How bars, dots, histograms and stretches are drawn; curves, vector fields and grid worlds are in ``figures``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from understudy.reports.charts import Bars, Dots, Histogram, Staged
from understudy.reports.style import Style
from understudy.reports.words import number

LETTERS_PER_INCH = 14
MOST_NUMBERS = 24
MOST_NAMES = 40
BINS, LEAST_BINS = 18, 7
MARGIN = 0.015
STRETCHED, LONGEST = 2.3, 16
"""Inches of a panel's x axis, and letters of the name of a stretch above it."""
SMALL, TINY = 7.5, 6.5
"""Points."""


def stretches(axes: Any, panel: Staged) -> None:
    """All of them along x, lines where they meet, and their names above: upright where one would not fit."""
    if len(panel.stretches) < 2:
        return
    begin, finish = panel.stretches[0][1], panel.stretches[-1][2]
    axes.set_xlim(begin - MARGIN * (finish - begin), finish + MARGIN * (finish - begin))
    for place, (name, start, end) in enumerate(panel.stretches):
        if name == panel.own:
            axes.axvspan(start, end, color="#EAF1F6", linewidth=0, zorder=0)
        if place:
            axes.axvline(start, color="#777777", linewidth=0.9, zorder=1.5)
    room = [
        LETTERS_PER_INCH * STRETCHED * (end - start) / max(1.0, finish - begin) for _, start, end in panel.stretches
    ]
    names = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name, _, _ in panel.stretches]
    upright = any(len(name) > letters for name, letters in zip(names, room, strict=True))
    above = axes.secondary_xaxis("top")
    above.set_xticks([(start + end) / 2 for _, start, end in panel.stretches], names)
    above.tick_params(length=0, labelsize=SMALL, labelrotation=90 if upright else 0, pad=1, colors="#444444")
    above.spines["top"].set_visible(False)


def bars(axes: Any, panel: Bars, looks: dict[str, Style]) -> None:
    """Groups side by side, whiskers for intervals, and the numbers above where there is room."""
    heights = np.asarray(panel.heights, float)
    low, high = (np.asarray(side if len(side) else panel.heights, float) for side in (panel.low, panel.high))
    low, high = np.where(np.isfinite(low), low, heights), np.where(np.isfinite(high), high, heights)
    series, groups = heights.shape
    wide = 0.8 / series
    for i, label in enumerate(panel.labels):
        at = np.arange(groups) + (i - (series - 1) / 2) * wide
        colours = [looks[name].colour for name in (panel.groups if label == "" else [label] * groups)]
        axes.bar(at, heights[i], 0.92 * wide, color=colours, edgecolor="white", linewidth=0.5, zorder=2)
        if len(panel.low):
            reach = np.maximum([heights[i] - low[i], high[i] - heights[i]], 0)
            axes.errorbar(at, heights[i], reach, fmt="none", ecolor="#222222", elinewidth=1, capsize=2.5, zorder=3)
        if heights.size <= MOST_NUMBERS:
            _numbers(axes, at, heights[i], low[i], high[i], SMALL if heights.size <= 12 else TINY)
    axes.axhline(0, color="#777777", linewidth=0.8, zorder=2)
    axes.margins(y=0.12)
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
    axes.grid(axis="x", visible=False)
    _names(axes, panel.groups)


def _numbers(axes: Any, at: Any, heights: Any, low: Any, high: Any, size: float) -> None:
    """Each height as a number, beyond the whisker's end."""
    for x, height, below, above in zip(at, heights, low, high, strict=True):
        if np.isfinite(height):
            up = height >= 0
            axes.annotate(
                number(float(height)),
                (x, above if up else below),
                xytext=(0, 2.5 if up else -2.5),
                textcoords="offset points",
                ha="center",
                va="bottom" if up else "top",
                fontsize=size,
            )


def _names(axes: Any, groups: Sequence[str]) -> None:
    """Names below the groups: in lines where they fit, else at a slant, else every few only."""
    every = max(1, -(-len(groups) // MOST_NAMES))
    shown = list(range(0, len(groups), every))
    room = int(LETTERS_PER_INCH * _inches(axes)[0] / max(1, len(shown)))
    lines = [textwrap.wrap(str(groups[i]), max(room, 1), break_long_words=False) or [""] for i in shown]
    if all(len(one) <= 3 and max(map(len, one)) <= room for one in lines):
        axes.set_xticks(shown, ["\n".join(one) for one in lines])
        return
    texts = [textwrap.fill(str(groups[i]), 26) for i in shown]
    axes.set_xticks(shown, texts, rotation=40, ha="right", rotation_mode="anchor", fontsize=SMALL)


def _inches(axes: Any) -> tuple[float, float]:
    box, dpi = axes.get_window_extent(), axes.figure.dpi
    return box.width / dpi, box.height / dpi


def dots(axes: Any, panel: Dots, looks: dict[str, Style]) -> None:
    """Points with whiskers and names; those on the front are full and joined, references are dashed lines."""
    if panel.x_log:
        axes.set_xscale("log")
    for name, height in panel.lines:
        look = looks[name]
        axes.axhline(height, color=look.colour, linestyle="--" if look.dashes == "-" else look.dashes, linewidth=1.2)
    best = sorted((dot for dot in panel.dots if dot.front), key=lambda dot: (dot.x, dot.y))
    axes.plot([dot.x for dot in best], [dot.y for dot in best], color="#9A9A9A", linewidth=1.2, zorder=2)
    marked = any(dot.front for dot in panel.dots)
    for dot in panel.dots:
        if dot.low is not None and dot.high is not None:
            reach = [[max(dot.y - dot.low, 0)], [max(dot.high - dot.y, 0)]]
            colour = looks[dot.series].colour
            axes.errorbar(dot.x, dot.y, reach, fmt="none", ecolor=colour, elinewidth=1, capsize=2, zorder=3)
    for series, front in dict.fromkeys((dot.series, dot.front) for dot in panel.dots):
        look = looks[series]
        alike = [dot for dot in panel.dots if (dot.series, dot.front) == (series, front)]
        shown: Any = {"markersize": 6 if len(alike) <= MOST_NAMES else 3, "mew": 1.2 if len(alike) <= MOST_NAMES else 0}
        face = look.colour if front or not marked else "white"
        x, y = [dot.x for dot in alike], [dot.y for dot in alike]
        axes.plot(x, y, marker=look.marker or "o", color=look.colour, mfc=face, linestyle="", zorder=4, **shown)
    axes.margins(x=0.12, y=0.14)
    if panel.diagonal:
        axes.axline((0, 0), slope=1, color="#777777", linewidth=0.9, linestyle="--", zorder=2)
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)


PLACES = (*product((0, -1, 1), (1, -1)), (1, 0), (-1, 0))
"""Where a name may stand: above, below, in the corners and beside."""
NEAR, FAR = 6.0, 15.0
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Place:
    """``right`` and ``up``: -1, 0 or 1; ``apart``: points from the dot; ``box``: what a name would fill, in points."""

    right: int
    up: int
    apart: float
    box: Box


def name_dots(axes: Any, panel: Any) -> None:
    """Names near their dots, where they cover as little as can be. To be called when the layout is settled."""
    points = [dot for dot in panel.dots if dot.label]
    if not points or len(points) > MOST_NAMES:
        return
    scale = axes.figure.dpi / 72
    at = axes.transData.transform([(dot.x, dot.y) for dot in points]) / scale
    frame = [side / scale for side in axes.get_window_extent().extents]
    taken = [box for line in axes.lines for box in _covered(line, line.get_path(), scale)]
    taken += [box for bar in axes.collections for path in bar.get_paths() for box in _covered(bar, path, scale)]
    for dot, (x, y) in zip(points, at, strict=True):
        places = list(_places(x, y, 0.56 * SMALL * len(dot.label), 1.3 * SMALL))
        costs = [sum(_overlap(one.box, box) for box in taken) + _outside(one.box, frame) + one.apart for one in places]
        best = places[int(np.argmin(costs))]
        taken += [best.box] * 3
        axes.annotate(
            dot.label,
            (dot.x, dot.y),
            xytext=(best.apart * best.right, (best.apart + (best.right == 0)) * best.up),
            textcoords="offset points",
            ha=("center", "left", "right")[best.right],
            va=("center", "bottom", "top")[best.up],
            fontsize=SMALL,
            zorder=5,
        ).set_in_layout(False)


def _covered(artist: Any, path: Any, scale: float) -> list[Box]:
    """Little squares along a line, or the square of a single point."""
    corners = artist.get_transform().transform(path.vertices) / scale
    if len(corners) == 1:
        x, y = corners[0]
        return [(x - 5, y - 5, x + 5, y + 5)] * 3
    found = []
    for a, b in pairwise(corners):
        for share in np.linspace(0, 1, int(np.clip(np.hypot(*(b - a)) / 3, 2, 200))):
            x, y = a + share * (b - a)
            found.append((x - 1.5, y - 1.5, x + 1.5, y + 1.5))
    return found


def _places(x: float, y: float, wide: float, high: float) -> Iterator[Place]:
    for apart, (right, up) in product((NEAR, FAR), PLACES):
        left = x - wide / 2 if right == 0 else x + apart if right > 0 else x - apart - wide
        foot = y - high / 2 if up == 0 else y + apart if up > 0 else y - apart - high
        yield Place(right, up, apart, (left, foot, left + wide, foot + high))


def _overlap(a: Box, b: Box) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(wide, 0.0) * max(high, 0.0)


def _outside(box: Box, frame: Sequence[float]) -> float:
    """How far a name would stand out of the axes; more than any overlap."""
    beyond = (frame[0] - box[0], frame[1] - box[1], box[2] - frame[2], box[3] - frame[3])
    return 100 * sum(max(one, 0.0) for one in beyond)


def histogram(axes: Any, panel: Histogram, looks: dict[str, Style]) -> None:
    """Shares of each policy's samples in common bins, its bars beside the others'."""
    samples = [np.asarray(one, float) for one in panel.samples]
    samples = [one[np.isfinite(one)] for one in samples]
    edges = bins(np.concatenate([*samples, np.zeros(0)]))
    wide = np.diff(edges) * 0.9 / max(1, len(samples))
    for i, (label, one) in enumerate(zip(panel.labels, samples, strict=True)):
        shares = np.histogram(one, edges)[0] / max(1, len(one))
        left = edges[:-1] + 0.05 * np.diff(edges) + i * wide
        axes.bar(left, 100 * shares, wide, align="edge", color=looks[label].colour, linewidth=0, zorder=2)
    axes.set(xlabel=panel.x_label, ylabel="share of episodes, %", xlim=(edges[0], edges[-1]))
    axes.locator_params(axis="x", nbins=5, integer=bool((edges[1:] - edges[:-1] == 1).all()))
    axes.grid(axis="x", visible=False)


def bins(values: np.ndarray) -> np.ndarray:
    """Edges of common bins: one for each whole number where there are few, else eighteen of equal width."""
    if not len(values):
        return np.linspace(0.0, 1.0, 3)
    low, high = float(values.min()), float(values.max())
    if (values == np.round(values)).all() and high - low < BINS:
        aside = max(0.0, (LEAST_BINS - 1 - (high - low)) // 2)
        return np.arange(low - aside - 0.5, high + aside + 1)
    if high == low:
        return low + max(abs(low), 1.0) * np.linspace(-0.01, 0.01, LEAST_BINS + 1)
    return np.linspace(low, high, BINS + 1)
