"""What an experiment found, as data: claims with verdicts, and figures that a page draws without computing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["reproduced", "partly", "not reproduced"]


@dataclass(frozen=True)
class Effect:
    """A measured number with its 95 % interval; ``holds``: whether the interval as a whole says what was claimed.

    ``wanted``: the claim in words that the interval was held against, such as ``above 0``.
    """

    name: str
    value: float
    low: float
    high: float
    wanted: str = ""
    holds: bool | None = None
    unit: str = ""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, or a question that it leaves open, and what was found."""

    number: str
    title: str
    paper: str
    found: str
    effects: tuple[Effect, ...]
    tried: str = ""

    @property
    def outcome(self) -> Outcome:
        """Computed from the effects that were held against something: all, some or none of them hold."""
        held = [effect.holds for effect in self.effects if effect.holds is not None]
        if held and all(held):
            return "reproduced"
        return "partly" if any(held) else "not reproduced"


@dataclass(frozen=True)
class Series:
    """A curve with its 95 % interval; ``dashed`` for references such as the teacher's return."""

    label: str
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """One set of axes; a figure is a grid of them, in the paper's order. ``row``: panels of one row stand together.

    ``figure``: the caption. Panels that say the same are one figure; where none is said, rows with the same curves are.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    row: int = 0
    x_log: bool = False
    y_log: bool = False
    kind: str = field(default="curves", init=False)
    figure: str = ""


@dataclass(frozen=True)
class Flow:
    """A vector field in the plane and paths through it: arrows ``(x, y, u, v)``, all of one length."""

    title: str
    x_label: str
    y_label: str
    x: Sequence[float]
    y: Sequence[float]
    u: Sequence[float]
    v: Sequence[float]
    paths: tuple[Series, ...] = ()
    row: int = 0
    kind: str = field(default="flow", init=False)
    figure: str = ""


@dataclass(frozen=True)
class Picture:
    """A grid world from above: ``cells[y][x]`` is "." free, "#" wall, "S" start, or the reward of arriving there as text;
    ``terminal[y][x]``; ``policy[y][x]`` four probabilities of left, right, up, down."""

    title: str
    cells: Sequence[Sequence[str]]
    terminal: Sequence[Sequence[bool]]
    policy: Sequence[Sequence[Sequence[float]]]
    row: int = 0
    kind: str = field(default="picture", init=False)
    figure: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text or numbers under titles."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float]]
    kind: str = field(default="table", init=False)


Figure = Panel | Flow | Picture | Table


@dataclass(frozen=True)
class Findings:
    """Everything a page shows. ``settings``: what was run, printed in full; ``notes``: paragraphs of plain text."""

    experiment: str
    title: str
    summary: str
    claims: tuple[Claim, ...]
    figures: tuple[Figure, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        document = asdict(self)
        for entry, claim in zip(document["claims"], self.claims, strict=True):
            entry["outcome"] = claim.outcome
        return json.dumps(document, ensure_ascii=False, indent=1) + "\n"

    def write(self, folder: Path) -> Path:
        """``findings.json`` in ``folder``; the page is drawn from it alone."""
        path = folder / "findings.json"
        path.write_text(self.to_json(), encoding="utf-8")
        return path
