"""Figures, drawn from data: the one file that knows Matplotlib. The same data give the same bytes."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from understudy.lab.findings import Flow, Panel, Picture, Series
from understudy.reports import chart_painters
from understudy.reports.charts import Staged
from understudy.reports.layout import Drawn, Key, Sheet, keys
from understudy.reports.style import Style, styles

DPI = 110
SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.edgecolor": "#777777",
    "svg.hashsalt": "understudy",
    "svg.fonttype": "path",
    "path.simplify": True,
}
WIDTH = {
    "curves": (5.0, 3.5, 3.1, 2.6),
    "flow": (4.2, 3.6, 3.1, 2.6),
    "picture": (5.6, 4.8, 3.7, 3.0),
    "bars": (5.2, 4.4, 3.3, 2.6),
    "dots": (7.0, 4.6, 3.4, 2.8),
    "histogram": (6.0, 4.4, 3.3, 2.6),
}
"""Inches a panel, by how many stand side by side."""
SHAPE = {"curves": (0.8, 3.2), "bars": (0.6, 2.8), "dots": (0.7, 4.4), "histogram": (0.7, 2.8)}
"""Height as a share of the width, and the most of it in inches; others are square."""
LEAST_SHARE = 0.2
MOST_LABELS = 20


@dataclass(frozen=True)
class Image:
    """A figure as files: ``png`` for Markdown, ``svg`` for HTML; ``width`` in CSS pixels.

    Of grid worlds there is no SVG (empty): thousands of cells are smaller as pixels.
    """

    png: bytes
    svg: bytes
    width: int


def draw(sheet: Sheet) -> Image:
    """A figure's panels in their rows, one legend below."""
    with matplotlib.rc_context(SETTINGS):
        columns, rows = max(map(len, sheet.rows)), len(sheet.rows)
        kind = sheet.panels[0].kind
        width = WIDTH[kind][min(columns, 4) - 1]
        share, most = SHAPE.get(kind, (1.0, width))
        height = min(share * width, most)
        canvas = Canvas(figsize=(width * columns, (height + 0.25) * rows + 0.5), dpi=DPI, layout="constrained")
        FigureCanvasAgg(canvas)
        axes: Any = canvas.subplots(rows, columns, squeeze=False)
        looks = _looks(sheet)
        for y, x in np.ndindex(rows, columns):
            if x >= len(sheet.rows[y]):
                axes[y, x].set_axis_off()
                continue
            PAINTERS[kind](axes[y, x], sheet.rows[y][x], looks)
            if kind in NUMBERED:
                _ticks(axes[y, x], getattr(sheet.rows[y][x], "x_log", False))
            axes[y, x].set_title(textwrap.fill(sheet.rows[y][x].title, int(11.5 * width)))
        if kind in TOGETHER:
            TOGETHER[kind](sheet, axes)
        _legend(canvas, sheet, looks)
        if kind == "dots":
            _name_dots(canvas, sheet, axes)
        svg = b"" if kind == "picture" else _svg(canvas)
        return Image(_png(canvas, 1.3 if kind == "picture" else 1.0), svg, round(96 * width * columns))


def _name_dots(canvas: Canvas, sheet: Sheet, axes: Any) -> None:
    canvas.draw_without_rendering()  # from here on it is settled where everything stands
    for y, row in enumerate(sheet.rows):
        for x, panel in enumerate(row):
            chart_painters.name_dots(axes[y, x], panel)


def _svg(canvas: Canvas) -> bytes:
    """Without the date and the version, so that unchanged data are unchanged files."""
    file = io.BytesIO()
    canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    return file.getvalue()


def _png(canvas: Canvas, times: float) -> bytes:
    """In 256 colours, which is a third of the size and looks the same."""
    raw, file = io.BytesIO(), io.BytesIO()
    canvas.savefig(raw, format="png", dpi=times * DPI, facecolor="white")
    with PIL.Image.open(raw) as image:
        few = image.convert("RGB").quantize(256, dither=PIL.Image.Dither.NONE)
        few.save(file, format="png", optimize=True)
    return file.getvalue()


def _looks(sheet: Sheet) -> dict[str, Style]:
    named = [key for panel in sheet.panels for key in keys(panel)]
    return styles(list(dict.fromkeys(key.label for key in named)), frozenset(key.label for key in named if key.dashed))


def _curves(axes: Axes, panel: Drawn, looks: dict[str, Style]) -> None:
    assert isinstance(panel, Panel)
    if panel.x_log:
        axes.set_xscale("log")
    if panel.y_log:
        axes.set_yscale("log")
    for one in sorted(panel.series, key=lambda one: not one.dashed):
        _curve(axes, one, looks[one.label], panel.y_log)
    if isinstance(panel, Staged):
        chart_painters.stretches(axes, panel)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)


def _ticks(axes: Axes, log: bool) -> None:
    """Few labels along x, so that they stand apart: Matplotlib labels every tick of a short logarithmic axis."""
    least, most = axes.get_xlim()
    if log:
        axes.xaxis.set_minor_formatter(NullFormatter())
    if log and most >= 100 * least:
        return
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if log else MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _curve(axes: Axes, one: Series, look: Style, y_log: bool) -> None:
    x, mean = np.asarray(one.x, float), np.asarray(one.mean, float)
    mean = np.where(mean > 0, mean, np.nan) if y_log else mean
    axes.plot(
        x,
        mean,
        color=look.colour,
        linestyle="--" if one.dashed and look.dashes == "-" else look.dashes,
        linewidth=1.2 if one.dashed else 1.5,
        marker="" if one.dashed else look.marker,
        markersize=4,
        markeredgewidth=0,
        markevery=None if len(x) < 3 else (0.05, 0.22) if np.isfinite(mean).all() else max(1, len(x) // 6),
    )
    if len(one.low) and len(one.high):
        low, high = np.asarray(one.low, float), np.asarray(one.high, float)
        if y_log:  # a band that reaches zero is cut where the axis ends, not drawn down to 1e-300
            least = np.nanmin(mean) / 3 if np.isfinite(mean).any() else 1.0
            low, high = np.maximum(low, least), np.maximum(high, least)
        axes.fill_between(x, low, high, color=look.colour, alpha=0.2, linewidth=0)


def _flow(axes: Axes, panel: Drawn, looks: dict[str, Style]) -> None:
    assert isinstance(panel, Flow)
    u, v = np.asarray(panel.u, float), np.asarray(panel.v, float)
    length = np.maximum(np.hypot(u, v), 1e-300)
    apart = min((float(np.diff(np.unique(at)).min()) for at in (panel.x, panel.y) if len(set(at)) > 1), default=1.0)
    shown: Any = {
        "angles": "xy",
        "scale_units": "xy",
        "scale": 1 / (0.7 * apart),
        "pivot": "mid",
        "width": 0.0045,
        "headwidth": 4.5,
    }
    axes.quiver(panel.x, panel.y, u / length, v / length, color="#8A8A8A", **shown)
    for one in panel.paths:
        look = looks[one.label]
        axes.plot(one.x, one.mean, color=look.colour, linewidth=1.6, linestyle="--" if one.dashed else look.dashes)
        axes.plot(one.x[:1], one.mean[:1], color=look.colour, marker="o", markersize=5, markeredgecolor="white")
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label, aspect="equal")
    axes.grid(False)


def _one_frame(sheet: Sheet, axes: Any) -> None:
    """The same limits for every vector field of a figure."""
    shown = [axes[y, x] for y, row in enumerate(sheet.rows) for x in range(len(row))]
    for one in shown:
        one.autoscale_view()
    xs, ys = (np.array([getattr(one, f"get_{which}lim")() for one in shown]) for which in "xy")
    for one in shown:
        one.set(xlim=(xs.min(), xs.max()), ylim=(ys.min(), ys.max()))


FREE, WALL, START = "#FBFBFB", "#3C3C3C", "#F0E442"
GOOD, BAD = ("#CBE3F3", "#5AA5D6"), ("#FBE3CF", "#E8935A")
MOVES = ((-1, 0), (1, 0), (0, 1), (0, -1))
"""Left, right, up, down, in a picture whose first row is at the top."""


def _picture(axes: Axes, panel: Drawn, _: dict[str, Style]) -> None:
    assert isinstance(panel, Picture)
    height, width = len(panel.cells), max(map(len, panel.cells))
    lines = []
    for y, row in enumerate(panel.cells):
        for x, text in enumerate(row):
            at = (x, height - 1 - y)
            ends = bool(panel.terminal[y][x])
            axes.add_patch(Rectangle(at, 1, 1, facecolor=_shade(text), edgecolor="#D0D0D0", linewidth=0.4, zorder=1))
            if ends:
                axes.add_patch(Rectangle((at[0] + 0.06, at[1] + 0.06), 0.88, 0.88, fill=False, linewidth=1.1, zorder=2))
            if _reward(text) and ends:  # elsewhere arrows stand, and the legend tells the colour
                axes.text(at[0] + 0.5, at[1] + 0.5, text, ha="center", va="center", fontsize=_letters(width), zorder=4)
            if text != "#" and not ends:
                lines += _arrows(at[0] + 0.5, at[1] + 0.5, panel.policy[y][x])
    axes.add_collection(LineCollection(lines, colors="#202020", linewidths=0.9, zorder=3))
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(False)


def _arrows(x: float, y: float, policy: Sequence[float]) -> list[list[tuple[float, float]]]:
    """Lines from the centre, as long as the probability, with a head where that is long enough to carry one."""
    lines = []
    for (dx, dy), share in zip(MOVES, policy, strict=False):
        long = 0.46 * float(share)
        if long < 0.03:
            continue
        end, head = (x + dx * long, y + dy * long), min(0.12, 0.4 * long)
        lines.append([(x, y), end])
        back = (end[0] - dx * head, end[1] - dy * head)
        lines.append([(back[0] + dy * head, back[1] + dx * head), end, (back[0] - dy * head, back[1] - dx * head)])
    return lines


def _reward(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _shade(text: str) -> str:
    if text in ("#", "S"):
        return {"#": WALL, "S": START}[text]
    reward = _reward(text)
    pair = GOOD if reward > 0 else BAD
    return pair[abs(reward) >= 7.5] if reward else FREE


def _letters(cells: int) -> float:
    return float(np.clip(120 / cells, 4.5, 11))


PAINTERS: dict[str, Any] = {
    "curves": _curves,
    "flow": _flow,
    "picture": _picture,
    "bars": chart_painters.bars,
    "dots": chart_painters.dots,
    "histogram": chart_painters.histogram,
}
NUMBERED = {"curves", "dots"}
"""Kinds with numbers along x, whose labels might crowd."""


def _share(sheet: Sheet, axes: Any) -> None:
    """The same range for panels of a row that show the same quantity, unless one would be squeezed to a line."""
    for y, row in enumerate(sheet.rows):
        for quantity in dict.fromkeys((panel.y_label, panel.y_log) for panel in row if isinstance(panel, Panel)):
            mine = [x for x, p in enumerate(row) if isinstance(p, Panel) and (p.y_label, p.y_log) == quantity]
            spans = np.array([axes[y, x].get_ylim() for x in mine])
            spans = np.log10(np.maximum(spans, 1e-300)) if quantity[1] else spans
            union = spans[:, 1].max() - spans[:, 0].min()
            if len(mine) > 1 and (np.diff(spans)[:, 0] >= LEAST_SHARE * union).all():
                low, high = (
                    (10.0 ** spans[:, 0].min(), 10.0 ** spans[:, 1].max())
                    if quantity[1]
                    else (spans.min(), spans.max())
                )
                for x in mine:
                    axes[y, x].set_ylim(low, high)
                for before, x in pairwise(mine):
                    if before + 1 == x:
                        axes[y, x].set_ylabel("")
                        axes[y, x].tick_params(labelleft=False)
    for x in range(axes.shape[1]):
        for y, row in enumerate(sheet.rows[:-1]):
            below = sheet.rows[y + 1]
            if x < min(len(row), len(below)) and getattr(row[x], "x_label", 0) == getattr(below[x], "x_label", 1):
                axes[y, x].set_xlabel("")


TOGETHER = {"curves": _share, "flow": _one_frame}


def _legend(canvas: Canvas, sheet: Sheet, looks: dict[str, Style]) -> None:
    kind = sheet.panels[0].kind
    handles: list[Any] = _picture_keys(sheet) if kind == "picture" else []
    named = {key.label: key for panel in sheet.panels for key in keys(panel) if key.shown}
    handles += [_handle(key, looks[label], kind) for label, key in named.items()]
    if 0 < len(handles) <= MOST_LABELS:
        letters = max(len(str(handle.get_label())) for handle in handles)
        room = canvas.get_figwidth() / (0.62 + 0.083 * letters)
        lines = math.ceil(len(handles) / max(1, min(len(handles), math.floor(room))))
        columns = math.ceil(len(handles) / lines)
        canvas.legend(
            handles=handles,
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            handlelength=2.6,
            columnspacing=1.4,
        )


def _handle(key: Key, look: Style, kind: str) -> Any:
    if key.mark == "patch":
        return Patch(facecolor=look.colour, label=key.label)
    line: Any = "" if key.mark == "point" else "--" if key.dashed and look.dashes == "-" else look.dashes
    marker = "" if key.dashed or kind == "flow" else look.marker
    shown: Any = {"color": look.colour, "linestyle": line, "marker": marker, "markersize": 4.5, "markeredgewidth": 0}
    return Line2D([], [], label=key.label, **shown)


def _picture_keys(sheet: Sheet) -> list[Patch]:
    texts = {text for panel in sheet.panels if isinstance(panel, Picture) for row in panel.cells for text in row}
    names = {".": "free", "#": "wall", "S": "start"}
    shown = [key for key in names if key in texts] + sorted(filter(_reward, texts), key=_reward)
    ends = {
        text
        for panel in sheet.panels
        if isinstance(panel, Picture)
        for row, flags in zip(panel.cells, panel.terminal, strict=True)
        for text, flag in zip(row, flags, strict=True)
        if flag
    }
    return [
        Patch(
            facecolor=_shade(text),
            edgecolor="#000000" if text in ends else "#B0B0B0",
            label=names.get(text, f"reward {text}") + (", ends" if text in ends else ""),
        )
        for text in shown
    ]


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
