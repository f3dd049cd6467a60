"""Which panels stand together in one figure, with its caption and its description for those who cannot see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from understudy.lab.findings import Figure, Flow, Panel, Picture, Series, Table
from understudy.reports.style import row_of
from understudy.reports.words import number

Drawn = Panel | Flow | Picture

HOW_TO_READ = {
    "curves": "Shaded bands are 95 % intervals, where nothing else is said.",
    "flow": "Arrows are the expected update's direction; lines are paths that follow it, from the dot on.",
    "picture": "Arrows are as long as the teacher's probability of that move. Framed cells end the episode.",
}
REFERENCES = "Dashed black lines are for comparison."


@dataclass(frozen=True)
class Sheet:
    """One figure: rows of panels, all of one kind."""

    rows: tuple[tuple[Drawn, ...], ...]

    @property
    def panels(self) -> tuple[Drawn, ...]:
        return tuple(panel for row in self.rows for panel in row)

    @property
    def caption(self) -> str:
        first = self.panels[0]
        said = first.figure.strip() or "; ".join(dict.fromkeys(panel.title for panel in self.panels if panel.title))
        said = said if said[-1:] in (".", "!", "?", "") else said + "."
        lines = [one for panel in self.panels for one in curves(panel)]
        read = HOW_TO_READ[first.kind] if first.kind != "curves" or any(len(one.low) for one in lines) else ""
        return " ".join(filter(None, (said, read, REFERENCES if any(map(_compared, lines)) else "")))

    @property
    def alt(self) -> str:
        """What the figure shows, in words: axes, and where each curve ends."""
        return " ".join(_described(panel) for panel in self.panels)


def _compared(one: Series) -> bool:
    """Whether it is drawn in black: a dashed line that names a row keeps the row's colour."""
    return one.dashed and not row_of(one.label, aliases=False)


def curves(panel: Drawn) -> tuple[Series, ...]:
    """The lines of a panel."""
    return panel.series if isinstance(panel, Panel) else panel.paths if isinstance(panel, Flow) else ()


def sheets(figures: Sequence[Figure]) -> list[Sheet | Table]:
    """Figures and tables in their order.

    A figure's panels carry the same caption; without captions, rows of one kind with the same curves stand together.
    """
    found: list[Sheet | Table] = []
    for one in _rows(figures):
        last = found[-1] if found else None
        if isinstance(one, Sheet) and isinstance(last, Sheet) and _belong(last, one):
            found[-1] = Sheet((*last.rows, *one.rows))
        else:
            found.append(one)
    return found


def _rows(figures: Iterable[Figure]) -> list[Sheet | Table]:
    found: list[Sheet | Table] = []
    for figure in figures:
        last = found[-1] if found else None
        if isinstance(figure, Table):
            found.append(figure)
        elif isinstance(last, Sheet) and _key(last.panels[0]) == _key(figure):
            found[-1] = Sheet(((*last.panels, figure),))
        else:
            found.append(Sheet(((figure,),)))
    return found


def _key(panel: Drawn) -> tuple[str, str, int]:
    return panel.kind, panel.figure, panel.row


def _belong(above: Sheet, below: Sheet) -> bool:
    a, b = above.panels[0], below.panels[0]
    if a.kind != b.kind or a.figure != b.figure:
        return False
    return bool(a.figure) or a.kind != "curves" or _labels(above) == _labels(below)


def _labels(sheet: Sheet) -> set[str]:
    return {one.label for panel in sheet.panels for one in curves(panel)}


def _described(panel: Drawn) -> str:
    if isinstance(panel, Picture):
        return f"{panel.title}: a grid world of {len(panel.cells)} rows with the teacher's moves as arrows."
    axes = f"{panel.title}: {panel.y_label} against {panel.x_label}"
    if isinstance(panel, Flow):
        return f"{axes}, a vector field with {len(panel.paths)} paths."
    ends = [f"{one.label} {number(one.mean[-1])}" for one in panel.series if len(one.mean)]
    return f"{axes}; at the right end: {', '.join(ends)}."
