"""How a curve looks: one colour and marker a method on all pages, told apart without colour too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

Dashes = str | tuple[int, tuple[float, ...]]


@dataclass(frozen=True)
class Style:
    """``dashes``: a Matplotlib line style."""

    colour: str
    marker: str
    dashes: Dashes = "-"


METHOD_STYLES = {
    "teacher-distill": Style("#D55E00", "s"),
    "on-policy-distill": Style("#0072B2", "o"),
    "entropy-regularised": Style("#E69F00", "^"),
    "kl-regularised": Style("#882255", "v"),
    "n-distill": Style("#56B4E9", "D"),
    "exp-entropy-regularised": Style("#CC79A7", "P"),
    "teacher-v-reward": Style("#009E73", "*"),
    "teacher-v-reward-printed": Style("#999933", "X"),
    "v-gated": Style("#332288", "h"),
    "teacher-critic": Style("#8C510A", "<"),
    "student-critic": Style("#B8A000", ">"),
    "task-reward": Style("#666666", "d"),
}
"""Colours of Okabe and Ito and of Paul Tol, which colour-blind readers tell apart; markers for print in black."""

ALIASES = {
    "baseline": "task-reward",
    "student": "on-policy-distill",
    "student-driven": "on-policy-distill",
    "policy": "on-policy-distill",
    "teacher": "teacher-distill",
    "teacher-driven": "teacher-distill",
    "uniform": "teacher-v-reward",
    "uniform-driven": "teacher-v-reward",
    "mixture": "exp-entropy-regularised",
    "random": "task-reward",
}
"""Control policies and other names of a row; a control shares no figure with the row whose colour it has."""

REFERENCE = Style("#222222", "")
REFERENCE_DASHES: tuple[Dashes, ...] = ((0, (6, 3)), (0, (1.5, 2)), (0, (6, 2, 1.5, 2)), (0, (12, 3)))
VARIANT_DASHES: tuple[Dashes, ...] = ("-", (0, (5, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)), (0, (8, 1)))
_NAMES = sorted(METHOD_STYLES | ALIASES, key=len, reverse=True)


def styles(labels: Sequence[str], dashed: frozenset[str] = frozenset()) -> dict[str, Style]:
    """A style a label: references in black, rows in their colour (variants by their dashes), others in what is left.

    The same labels have the same styles; a row's colour depends on its name alone.
    """
    found: dict[str, Style] = {}
    variants: dict[str, int] = {}
    rows = {label: row_of(label, label not in dashed) for label in labels}
    plain = [label for label in labels if rows[label] or label not in dashed]
    for label in sorted(plain, key=lambda one: (len(one), labels.index(one))):
        if row := rows[label]:
            shown = METHOD_STYLES[row]
            number = variants[row] = variants.get(row, -1) + 1
            found[label] = replace(shown, dashes=VARIANT_DASHES[number % len(VARIANT_DASHES)])
    free = [style for name, style in METHOD_STYLES.items() if name not in rows.values()]
    free = free or list(METHOD_STYLES.values())
    for number, label in enumerate(label for label in plain if label not in found):
        found[label] = replace(free[number % len(free)], dashes=VARIANT_DASHES[number // len(free) % 5])
    for number, label in enumerate(label for label in labels if label not in found):
        found[label] = replace(REFERENCE, dashes=REFERENCE_DASHES[number % len(REFERENCE_DASHES)])
    return {label: found[label] for label in labels}


def row_of(label: str, aliases: bool = True) -> str:
    """The row that a label begins with, ``+r`` left out; empty where it names none. A reference goes by no alias."""
    text = label.strip().lower()
    name = next((name for name in _NAMES if re.match(rf"{re.escape(name)}(?![\w-])", text)), "")
    if name in ALIASES and not re.fullmatch(r"(\+r)?([:,( ]? ?[\d(].*|[:,].*)?", text.removeprefix(name)):
        return ""  # such as "teacher's return"
    return name if name in METHOD_STYLES else ALIASES.get(name, "") if aliases else ""
