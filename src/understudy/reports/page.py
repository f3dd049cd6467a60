"""Pages as text: the one file that knows Jinja. HTML holds everything in one file; Markdown stands beside images."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from understudy.reports import words

TEMPLATES = Path(__file__).parent / "templates"
CODE = r"(`[^`\n]+`)"
"""What stands between backticks, with them."""


def render(name: str, **content: Any) -> str:
    """The page ``name`` from the folder of templates; text is escaped as the format asks."""
    text = _environment(name.endswith(".html")).get_template(name).render(**content)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _environment(html: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "interval": words.interval,
        "verdict": words.verdict,
        "summarised": words.summarised,
        "cell": cell,
        "plain": plain,
        "coded": coded,
        "kind": lambda outcome: outcome.replace(" ", "-"),
        "held": lambda holds: words.HELD[holds],
    }
    return environment


def coded(text: object) -> Markup:
    """Text for HTML, escaped, with what stands between backticks as code."""
    return Markup(re.sub(CODE, lambda found: f"<code>{found[0][1:-1]}</code>", str(escape(text))))


def plain(text: object) -> str:
    """Text that Markdown takes as it is: nothing in it becomes a tag, a link, a list or emphasis.

    What stands between backticks stays code.
    """
    return "".join(part if at % 2 else _escaped(part) for at, part in enumerate(re.split(CODE, str(text))))


def _escaped(text: str) -> str:
    escaped = re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", text)
    escaped = re.sub(r"^(\s*)([-+])(\s)", r"\1\\\2\3", escaped)
    return re.sub(r"^(\s*\d+)\.(\s)", r"\1\\.\2", escaped)


def cell(text: object) -> str:
    """The same in one line, for a table."""
    parts = enumerate(re.split(CODE, str(text)))
    escaped = "".join(part.replace("|", r"\|") if at % 2 else _escaped(part) for at, part in parts)
    return re.sub(r"\s*\n\s*", " ", escaped).strip()
