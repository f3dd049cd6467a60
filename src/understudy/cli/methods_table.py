"""The catalogue of methods as a table, as entries on a narrow screen, or as JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from io import StringIO
from typing import Any

from understudy.methods import METHODS, Q_METHODS, term_text


def as_json() -> str:
    """A list of rows, those of action values last."""
    rows = [*map(_row, METHODS.values()), *map(_q_row, Q_METHODS.values())]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def as_table() -> str:
    """Columns where they fit; else three lines a row, which survive 80 columns."""
    width = shutil.get_terminal_size((_WIDE, 24)).columns
    cells = [_cells(_row(method)) for method in METHODS.values()]
    eq_1 = _columns(cells) if width >= _WIDE else _entries(cells, width)
    return f"{eq_1}\n\n{_action_values(min(width, _WIDE))}"


def _action_values(width: int) -> str:
    """The rows of Q-networks, which have nothing but a name, a behaviour and what they minimise."""
    from textwrap import fill

    lines = ["Rows of action values (Q-networks)", ""]
    for row in Q_METHODS.values():
        lines += [row.name, f"    behaviour {row.control}; source: {row.source}", f"    minimises {row.text}"]
    folded = (fill(line, max(width, 30), subsequent_indent="      ", break_long_words=False) for line in lines)
    return "\n".join((*folded, "", fill(_Q_LEGEND, max(width, 30))))


def _q_row(method: Any) -> dict[str, Any]:
    return {
        "name": method.name,
        "control": str(method.control),
        "loss": method.text,
        "reward": "0",
        "gradient": None,
        "charges_every_step": False,
        "needs": ["action-values"] if method.distance == "mse" else [],
        "objective": "none exists",
        "source": method.source,
    }


def _row(method: Any) -> dict[str, Any]:
    return {
        "name": method.name,
        "control": str(method.control),
        "loss": term_text(method.loss),
        "reward": term_text(method.reward),
        "gradient": method.gradient,
        "charges_every_step": method.charges_every_step,
        "needs": sorted(need.name.lower().replace("_", "-") for need in method.needs),
        "objective": method.objective,
        "source": method.source,
    }


_GRADIENT = {True: "yes", False: "no", None: "depends"}
_NEEDS = {"teacher-value": "V_T", "student-value": "V_S", "task-reward": "r", "full-support": "π > 0"}
_LEGEND = (
    "π: teacher, πθ: student, ′: one step later, H(p‖q) = −E_p log q. "
    "Needs: V_T and V_S the values of teacher and student, r the task reward, π > 0 a teacher that gives every "
    "action some probability; every row with a reward needs the student to act. Trap: the reward can only cost, at "
    "every step, so that ending episodes early pays (see --remedy)."
)
_Q_LEGEND = (
    "Q_T and Q_S: action values of teacher and student; τ: --teacher-temperature; θ−: the target network; ε: the share "
    "of uniform actions, --epsilon; the weights are --loss-weight and --task-weight."
)
_TITLES = ("name", "control", "loss", "reward", "gradient field?", "trap", "needs", "source")
_FOLDED = {"loss": 13, "reward": None, "gradient field?": 8, "source": None}
_WIDE = 118


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """As ``_TITLES`` has them."""
    needs = ", ".join(filter(None, (_NEEDS.get(need) for need in row["needs"])))
    texts = (row["name"], row["control"], row["loss"], row["reward"])
    return *texts, _GRADIENT[row["gradient"]], "trap" if row["charges_every_step"] else "", needs, row["source"]


def _columns(cells: Iterable[tuple[str, ...]]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), caption=_LEGEND, caption_justify="left")
    for title in _TITLES:
        table.add_column(title, no_wrap=title not in _FOLDED, width=_FOLDED.get(title))
    for row in cells:
        table.add_row(*row)
    console = Console(file=StringIO(), width=_WIDE, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(filter(None, (line.rstrip() for line in captured.get().splitlines())))


def _entries(cells: Iterable[tuple[str, ...]], width: int) -> str:
    from textwrap import fill

    lines = []
    for name, control, loss, reward, gradient, trap, needs, source in cells:
        lines.append(name + (" (trap)" if trap else ""))
        lines.append(f"    control {control}; gradient field: {gradient}; needs: {needs or 'nothing'}")
        lines.append(f"    loss {loss}; reward {reward}; source: {source}")
    folded = (fill(line, max(width, 30), subsequent_indent="      ", break_long_words=False) for line in lines)
    return "\n".join((*folded, "", fill(_LEGEND, max(width, 30))))
