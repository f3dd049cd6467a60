"""The pages of the lab, from the ``findings.json`` of its experiments and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.errors import RunError
from understudy.lab.catalogue import EXPERIMENTS
from understudy.lab.findings import FILE, Claim, Findings, read
from understudy.reports.glossary import LAB
from understudy.reports.method_rows import SYMBOLS, rows_of
from understudy.reports.page import render
from understudy.reports.shown import shown

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
    words = {"rows": rows_of(findings), "symbols": SYMBOLS, "command": command(findings), "teller": "the paper"}
    content = contents(findings, folder, glossary=LAB, source=PAPER, **words)
    page = folder / "page.html"
    page.write_text(render("page.html", back=True, **content), encoding="utf-8")
    (folder / "page.md").write_text(render("page.md", **content), encoding="utf-8")
    return page


def write_study(
    findings: Findings,
    folder: Path,
    *,
    glossary: Mapping[str, str],
    command: str,
    source: str,
    teller: str = "the paper",
) -> None:
    """``page.md``, its figures and ``findings.json`` of a study beside the lab, in place of what was there.

    ``teller``: who makes the claims.
    """
    folder.mkdir(parents=True, exist_ok=True)
    findings.write(folder)
    words = {"rows": (), "symbols": "", "command": command, "teller": teller}
    content = contents(findings, folder, glossary=glossary, source=source, **words)
    (folder / "page.md").write_text(render("page.md", **content), encoding="utf-8")


def contents(findings: Findings, folder: Path, **words: Any) -> dict[str, Any]:
    """What a template reads, with ``words`` added; the figures are drawn into ``folder``."""
    found = shown(findings.figures)
    for old in folder.glob("figure-*.png"):
        old.unlink()
    for one in found:
        if one.image:
            (folder / one.file).write_bytes(one.image.png)
    settings = json.dumps(findings.settings, ensure_ascii=False, indent=2)
    return {"title": findings.title, "findings": findings, "sheets": found, "settings": settings, **words}


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
        "glossary": {word: LAB[word] for word in ("[a, b]", "Verdict")},
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
