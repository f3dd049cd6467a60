"""What an experiment found, as data: claims with verdicts, and figures that a page draws without computing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from understudy.errors import RunError

FILE = "findings.json"

Outcome = Literal["reproduced", "partly", "not reproduced"]


@dataclass(frozen=True)
class Effect:
    """A measured number with its 95 % interval; ``holds``: whether the interval as a whole says what was claimed.

    ``wanted``: the claim in words that the interval was held against, such as ``above 0``. ``span``: what lies between
    ``low`` and ``high``, where it is no interval of 95 %.
    """

    name: str
    value: float
    low: float
    high: float
    wanted: str = ""
    holds: bool | None = None
    unit: str = ""
    span: str = ""


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
    """A grid world from above: ``cells[y][x]`` is "." free, "#" wall, "S" start, or the reward of arriving there as
    text; ``terminal[y][x]``; ``policy[y][x]`` four probabilities of left, right, up, down."""

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
        path = folder / FILE
        path.write_text(self.to_json(), encoding="utf-8")
        return path


def read(folder: Path) -> Findings:
    """The findings that :meth:`Findings.write` left in ``folder``. Raises: RunError where there are none to read."""
    path = folder / FILE
    again = "Run the experiment again: `understudy lab NAME --out ...` writes it."
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"no findings: {path} does not exist. {again}") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as JSON: {error}. {again}") from None
    try:
        return _findings(document)
    except (KeyError, TypeError, AttributeError) as error:
        what = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
        raise RunError(f"{path} is not a file of findings: {what}. {again}") from None


_KINDS: dict[str, type[Panel] | type[Flow] | type[Picture] | type[Table]] = {
    "curves": Panel,
    "flow": Flow,
    "picture": Picture,
    "table": Table,
}


def _findings(document: dict[str, Any]) -> Findings:
    claims = tuple(_claim(entry) for entry in document["claims"])
    figures = tuple(_figure(entry) for entry in document["figures"])
    notes = tuple(document.get("notes", ()))
    return Findings(**document | {"claims": claims, "figures": figures, "notes": notes})


def _claim(entry: dict[str, Any]) -> Claim:
    plain = {key: value for key, value in entry.items() if key != "outcome"}
    return Claim(**plain | {"effects": tuple(Effect(**effect) for effect in entry["effects"])})


def _figure(entry: dict[str, Any]) -> Figure:
    if entry["kind"] not in _KINDS:
        raise TypeError(f"a figure is one of {', '.join(_KINDS)}, got {entry['kind']!r}")
    plain = {key: value for key, value in entry.items() if key != "kind"}
    curves: dict[str, Any] = {
        key: tuple(Series(**one) for one in entry[key]) for key in ("series", "paths") if key in entry
    }
    return _KINDS[entry["kind"]](**plain | curves)
