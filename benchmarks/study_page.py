"""Findings of a study as a page of the lab's kind: page.md, its figures and findings.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from understudy.lab.findings import Findings
from understudy.reports.page import render
from understudy.reports.shown import shown


def write_page(found: Findings, page: Path, *, glossary: Mapping[str, str], command: str, source: str) -> None:
    """Write all of it into the folder ``page``, in place of what was there."""
    page.mkdir(parents=True, exist_ok=True)
    found.write(page)
    sheets = shown(found.figures)
    for old in page.glob("figure-*.png"):
        old.unlink()
    for one in sheets:
        if one.image:
            (page / one.file).write_bytes(one.image.png)
    content = {
        "title": found.title,
        "findings": found,
        "sheets": sheets,
        "rows": (),
        "symbols": "",
        "glossary": glossary,
        "command": command,
        "settings": json.dumps(found.settings, ensure_ascii=False, indent=2),
        "source": source,
    }
    (page / "page.md").write_text(render("page.md", **content), encoding="utf-8")
