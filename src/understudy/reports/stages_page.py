"""The page of staged training, from its folder and nothing else: one file with everything in it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from understudy.errors import RunError
from understudy.policies.whole_files import write_whole
from understudy.reports import stages_figures
from understudy.reports.glossary import STAGED
from understudy.reports.page import render
from understudy.reports.shown import shown
from understudy.reports.stage_cards import cards
from understudy.reports.staged_training import Training, read
from understudy.reports.stages_table import fates, returns
from understudy.reports.stages_words import caution, headline, subject, tiles, verdict, warnings
from understudy.reports.words import flat
from understudy.runs.folder import STAGES, RunFolder

PAGE = "report.html"
MOST = 4
"""Tasks that a title names one by one."""


def write(folder: str | Path, out: str | Path | None = None) -> Path:
    """The page, in ``out`` or as the folder's ``report.html``. RunError: the training has not finished."""
    training = read(folder)
    content = {
        "title": title(training),
        "site": "Understudy",
        "headline": headline(training),
        "verdict": verdict(training),
        "subject": subject(training),
        "tiles": tiles(training),
        "warnings": warnings(training),
        "caution": caution(training),
        "tasks": training.result.tasks,
        "rows": returns(training),
        "fates": fates(training),
        "curves": shown(stages_figures.tasks(training)),
        "anchors": shown(stages_figures.anchors(training)),
        "peers": shown(stages_figures.peers(training)),
        "cards": cards(training),
        "path": shlex.quote(str(training.path)),
        "glossary": STAGED,
        **made(training),
    }
    page = training.path / PAGE if out is None else Path(out)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_whole(page, render("stages.html", **content))
    except OSError as error:
        raise RunError(f"cannot write {page}: {error.strerror}. Choose another file with --out") from None
    return page


def title(training: Training) -> str:
    """Which tasks were learned, in which order."""
    names = training.names
    if len(names) > MOST:
        return f"Learned in {len(names)} stages, from {names[0]} to {names[-1]}"
    if len(names) > 1:
        return f"Learned in stages: {', then '.join(names)}"
    return f"Learned: {names[0]} ({training.stages[0].table.get('env', '')})"


def made(training: Training) -> dict[str, Any]:
    """How it was made: command, configuration, versions and seeds."""
    facts = RunFolder(training.path).provenance
    again = [training.path / STAGES, "--out", f"{training.path}-again"]
    resumed = {stage.name: len(RunFolder(stage.path).provenance.get("resumed", ())) for stage in training.stages}
    facts["resumed"] = {name: times for name, times in resumed.items() if times}
    return {
        "command": str(facts.get("command") or ""),
        "again": shlex.join(["understudy", "stages", *map(str, again)]),
        "config": (training.path / STAGES).read_text(encoding="utf-8").strip(),
        "facts": list(flat("", {key: one for key, one in facts.items() if key != "command"})),
    }
