"""A run of the grid with its people on stage again, and how fast they act."""

from __future__ import annotations

from collections.abc import Sequence

from understudy.comparison.gather import Finished
from understudy.comparison.grid import Cell
from understudy.runs.evidence import latency
from understudy.runs.latency import Latency
from understudy.runs.reopen import Reopened, reopen

TEACHER = ""


def reopened(cell: Cell, with_teacher: bool) -> Reopened:
    """The run's folder is the command's own: what it names in code was named on the command line."""
    trust, other = cell.config.trust, "begin a new comparison with another --out"
    return reopen(cell.path, env=cell.config.env, trust=trust, with_teacher=with_teacher, own=True, other=other)


def latencies(finished: Sequence[Finished]) -> dict[str, Latency]:
    """Of each kind of student, and of the teacher under an empty name: one after the other, in this process."""
    found: dict[str, Latency] = {}
    for one in finished:
        if one.cell.student not in found:
            run = reopened(one.cell, with_teacher=TEACHER not in found)
            for name, who in ((TEACHER, "teacher"), (one.cell.student, "student")):
                if name not in found:
                    found[name] = latency(run, who)
    return found
