"""The pages of the lab, from the ``findings.json`` of its experiments and nothing else."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path

from understudy.errors import RunError
from understudy.lab.catalogue import EXPERIMENTS
from understudy.lab.findings import FILE, Claim, Findings, Table, read
from understudy.reports.figures import Image, draw
from understudy.reports.glossary import SYMBOLS, WORDS, rows_of
from understudy.reports.layout import Sheet, sheets
from understudy.reports.page import render

PAPER = (
    "The paper: Czarnecki, Pascanu, Osindero, Jayakumar, Swirszcz, Jaderberg, “Distilling Policy Distillation”, "
    "AISTATS 2019."
)
SUMMARY = (
    "What the paper “Distilling Policy Distillation” claims, tried again on random worlds: each verdict is computed "
    "from the data. A claim that does not hold is reported as such. Claims 1 to 12 are the paper's, as counted here. "
    "What follows the number (6a, 7.1, 7a') tells apart the parts of a claim and the students or settings for which it "
    "was tried; n stands for a small network as the student. Letters alone (A, B, L) are questions that the paper "
    "leaves open, and W checks the worlds themselves."
)
OPTIONS = ("mdps", "iterations", "points", "seed")


@dataclass(frozen=True)
class Shown:
    """A figure with its image, or a table, as a template reads it."""

    number: int
    image: Image | None
    table: Table | None
    caption: str = ""
    alt: str = ""

    @property
    def file(self) -> str:
        return f"figure-{self.number}.png"

    @property
    def data(self) -> str:
        """The image as an address that needs no file."""
        if self.image is None:
            return ""
        kind, content = ("svg+xml", self.image.svg) if self.image.svg else ("png", self.image.png)
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True)
class Line:
    """A claim in the table of all verdicts."""

    claim: Claim
    findings: Findings
    folder: str


def write(folder: Path) -> Path:
    """``page.html`` (one file with everything in it), ``page.md`` and its ``figure-*.png``; answers the HTML's path.

    Raises: RunError where ``folder`` holds no findings.
    """
    findings = read(folder)
    shown = _shown(findings)
    for old in folder.glob("figure-*.png"):
        old.unlink()
    for one in shown:
        if one.image:
            (folder / one.file).write_bytes(one.image.png)
    content = {
        "title": findings.title,
        "findings": findings,
        "sheets": shown,
        "rows": rows_of(findings),
        "symbols": SYMBOLS,
        "glossary": WORDS,
        "command": command(findings),
        "settings": json.dumps(findings.settings, ensure_ascii=False, indent=2),
        "source": PAPER,
    }
    page = folder / "page.html"
    page.write_text(render("page.html", back=True, **content), encoding="utf-8")
    (folder / "page.md").write_text(render("page.md", **content), encoding="utf-8")
    return page


def write_index(out: Path) -> Path:
    """``index.html`` and ``index.md``: all verdicts of the experiments in ``out``; answers the HTML's path.

    Raises: RunError where ``out`` holds no findings.
    """
    pages = _pages(out)
    content = {
        "title": "The lab: the paper's claims as results",
        "summary": SUMMARY,
        "lines": _lines(pages),
        "pages": [(folder, findings) for folder, findings in pages.items()],
        "glossary": {word: WORDS[word] for word in ("[a, b]", "Verdict")},
        "source": PAPER,
    }
    page = out / "index.html"
    page.write_text(render("index.html", **content), encoding="utf-8")
    (out / "index.md").write_text(render("index.md", prefix="", **content), encoding="utf-8")
    return page


def verdict_table(out: Path, prefix: str = "") -> str:
    """The table of all verdicts in Markdown; ``prefix`` leads from the page that shows it to ``out``: ``docs/lab/``."""
    return render("verdicts.md", lines=_lines(_pages(out)), prefix=prefix)


def command(findings: Findings) -> str:
    """What to type to get the same numbers."""
    options = [f"--{name} {findings.settings[name]}" for name in OPTIONS if name in findings.settings]
    return " ".join(["understudy lab", findings.experiment, *options])


def _shown(findings: Findings) -> list[Shown]:
    shown: list[Shown] = []
    for one in sheets(findings.figures):
        number = 1 + sum(before.image is not None for before in shown)
        if isinstance(one, Sheet):
            shown.append(Shown(number, draw(one), None, one.caption, one.alt))
        else:
            shown.append(Shown(0, None, one))
    return shown


def _pages(out: Path) -> dict[str, Findings]:
    """Findings by their folder's name, in the order of the catalogue."""
    order = {name: number for number, name in enumerate(EXPERIMENTS)}
    folders = [path.parent for path in out.glob(f"*/{FILE}")]
    if not folders:
        raise RunError(
            f"no findings: {out} holds no folder with a {FILE}. `understudy lab all --out {out}` writes them."
        )
    folders.sort(key=lambda folder: (order.get(folder.name, len(order)), folder.name))
    return {folder.name: read(folder) for folder in folders}


def _lines(pages: dict[str, Findings]) -> list[Line]:
    lines = [Line(claim, findings, folder) for folder, findings in pages.items() for claim in findings.claims]
    return sorted(lines, key=lambda line: _natural(line.claim.number))


def _natural(number: str) -> tuple[bool, int, str]:
    """5 before 5, networks before 10 before A."""
    digits = re.match(r"\d+", number)
    return digits is None, int(digits[0]) if digits else 0, number
