"""Figures and tables as a template reads them, figures with their images."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from understudy.lab.findings import Table
from understudy.reports.figures import Image, draw
from understudy.reports.layout import Sheet, sheets


@dataclass(frozen=True)
class Shown:
    """A figure with its image and its number on the page, or a table, whose number is 0."""

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


def shown(panels: Sequence[Any], first: int = 1) -> list[Shown]:
    """Panels and tables in their order; the figures that they make are numbered from ``first``."""
    found: list[Shown] = []
    for one in sheets(panels):
        if isinstance(one, Sheet):
            found.append(Shown(first, draw(one), None, one.caption, one.alt))
            first += 1
        else:
            found.append(Shown(0, None, one))
    return found
