"""The methods that a page names, in symbols."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from understudy.lab.findings import Findings
from understudy.methods import METHODS, term_text

SYMBOLS = (
    "r is the task's reward, V_T and V_S the values that teacher and student expect, ′ a quantity of the next state, "
    "1[·] is 1 where the condition holds and 0 elsewhere. An update lowers the loss and makes actions likelier that "
    "are followed by a high reward term. [credit 0]: only the step's own reward counts, not those that follow."
)


@dataclass(frozen=True)
class Row:
    """A method in symbols."""

    name: str
    acts: str
    loss: str
    reward: str
    gradient: str


def rows_in(texts: Iterable[str]) -> list[Row]:
    """The methods that are named in ``texts``, in the catalogue's order."""
    text = "\n".join(texts)
    return [_row(name) for name in METHODS if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w+-])", text)]


def rows_of(findings: Findings) -> list[Row]:
    """The methods that a page names anywhere."""
    return rows_in([findings.to_json()])


def _row(name: str) -> Row:
    method = METHODS[name]
    gradient = {True: "yes", False: "no", None: "in general no"}[method.gradient]
    return Row(name, str(method.control), term_text(method.loss), term_text(method.reward), gradient)
