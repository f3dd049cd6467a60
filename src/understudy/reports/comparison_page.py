"""The page of a comparison, from its ``comparison.json`` and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.comparison.summary import Comparison, Improvement, Runs, read
from understudy.comparison.verdict import share
from understudy.math.aggregates import Estimate
from understudy.policies.whole_files import write_whole
from understudy.reports.comparison_figures import curves, fronts, sturdy
from understudy.reports.comparison_table import rows, with_interval
from understudy.reports.glossary import COMPARISON
from understudy.reports.method_rows import SYMBOLS, rows_in
from understudy.reports.page import render
from understudy.reports.shown import Shown, shown
from understudy.reports.sturdiness_panels import table
from understudy.runs.sturdiness import Sturdiness

PAGE = "index.html"


@dataclass(frozen=True)
class Run:
    """A run's folder as the page links it, and what to type to see a page of its own."""

    name: str
    link: str
    report: str


def write(folder: Path) -> Path:
    """``index.html``, one file with everything in it. Raises: RunError where ``folder`` holds no comparison."""
    found = read(folder)
    measured = Sturdiness.from_dict(found.sturdiness) if "trials" in found.sturdiness else None
    size_and_time, learning, disturbed = _numbered(
        fronts(found), curves(found), () if measured is None else sturdy(found, measured)
    )
    content = {
        "title": title(found),
        "site": "Understudy",
        "found": found,
        "facts": facts(found),
        "columns": columns(found),
        "lines": rows(found),
        "chosen": found.verdict.chosen,
        "fronts": size_and_time,
        "curves": learning,
        "problem": found.sturdiness.get("problem", ""),
        "sturdiness": measured,
        "sturdy": disturbed,
        "sturdy_table": None if measured is None else table(measured),
        "overall": [(one, share(one.recovered)) for one in found.overall],
        "improvements": [sentence(one) for one in found.improvements],
        "warnings": [(one.name, text) for one in found.runs for text in one.warnings],
        "failures": [(one.name, failure) for one in found.runs for failure in one.failures],
        "folders": [each for one in found.runs for each in _runs(one)],
        "rows": rows_in(found.methods),
        "symbols": SYMBOLS,
        "glossary": COMPARISON,
    }
    page = folder / PAGE
    write_whole(page, render("comparison.html", **content))
    return page


def title(found: Comparison) -> str:
    """The page's."""
    name = Path(found.teacher.name).stem or found.teacher.name
    kinds = {"compress": f"How small a student can stand in for {name}?", "compare": f"Students of {name}, compared"}
    return f"{kinds[found.kind]} ({found.env})"


def facts(found: Comparison) -> str:
    """What was run, in a sentence."""
    seeds = max((len(one.seeds) + len(one.failures) for one in found.runs), default=0)
    methods, students = len(found.methods), len(found.students)
    what = f"{_count(students, 'student')} by {_count(methods, 'method')}, each on {_count(seeds, 'seed')}"
    return (
        f"Teacher: {found.teacher.name}, return {with_interval(found.teacher.returns)}; a random policy earns "
        f"{with_interval(found.random.returns)}. {what[:1].upper()}{what[1:]}; every return is over {found.episodes} "
        f"episodes, the same for all."
    )


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


def columns(found: Comparison) -> list[tuple[str, str]]:
    """Keys and titles of the table's columns."""
    several = len(found.methods) > 1
    named = {
        "student": "Student",
        "method": "Method",
        "return": "Return (IQM)",
        "recovered": "Recovered (IQM)",
        "keeps": f"Keeps {found.keep:.0%}",
        "parameters": "Parameters",
        "bytes": "Bytes",
        "µs": "µs",
        "steps": f"Steps to {found.target:.0%}",
        "seconds": f"Seconds to {found.target:.0%}",
    }
    return [(key, text) for key, text in named.items() if several or key != "method"]


def sentence(one: Improvement) -> str:
    """Which method is likelier to do better, with the figure turned so that it says so."""
    p, better, worse = one.probability, one.method, one.other
    if p.point < 0.5:
        p, better, worse = Estimate(1 - p.point, 1 - p.high, 1 - p.low), one.other, one.method
    sure = "" if p.low > 0.5 else " The interval holds one half: these runs do not tell them apart."
    return f"`{better}` beats `{worse}` with a probability of {p.point:.2f} [{p.low:.2f}, {p.high:.2f}].{sure}"


def _runs(one: Runs) -> list[Run]:
    return [
        Run(Path(path).name, f"runs/{Path(path).name}/result.json", shlex.join(["understudy", "report", path]))
        for path in one.paths
    ]


def _numbered(*groups: Sequence[Any]) -> list[list[Shown]]:
    """Panels as figures, group by group, numbered through all of them."""
    found: list[list[Shown]] = []
    for panels in groups:
        found.append(shown(panels, 1 + sum(map(len, found))))
    return found
