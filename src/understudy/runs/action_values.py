"""How close a student's greedy play comes to its teacher's, as the teacher's own action values see it."""

from __future__ import annotations

from typing import Any

import numpy as np

from understudy.runs.agreement import Asked


def action_values(
    asked: Asked, teacher_scale: float | None, student_scale: float | None, levelled: bool = True
) -> dict[str, Any] | None:
    """Plain data; None where the teacher has no action values.

    The scales make action values of flat parameters (:func:`understudy.policies.policy.score_scale`). ``weighted``: the
    share of equal greedy actions, each decision weighted by the gap between the teacher's best and second best value.
    ``lost``: by how much the student's action is worth less to the teacher than its own, on average; ``gap``: the
    average gap. ``error``: by how much the student's differences between actions are off, the mean of |A_S - A_T| with
    A = Q - mean_a Q; ``level``: the same of mean_a Q, and ``spread`` its deviation. None where it has no values, or,
    not ``levelled``, no level of its own.
    """
    if teacher_scale is None or asked.family.kind != "categorical":
        return None
    values = asked.teacher.astype(np.float64) * teacher_scale
    mine = asked.student.argmax(-1)
    best, rows = values.argmax(-1), np.arange(len(values))
    ordered = np.sort(values, -1)
    gap = ordered[:, -1] - ordered[:, -2] if values.shape[1] > 1 else np.zeros(len(values))
    whole = gap.sum()
    found = {
        "weighted": float(gap[best == mine].sum() / whole) if whole > 0 else None,
        "lost": float((values[rows, best] - values[rows, mine]).mean()),
        "gap": float(gap.mean()),
        "spread": float(values.mean(-1).std()),
        "error": None,
        "level": None,
    }
    if student_scale is not None:
        off = asked.student.astype(np.float64) * student_scale - values
        level = off.mean(-1, keepdims=True)
        found["error"] = float(np.abs(off - level).mean())
        found["level"] = float(np.abs(level).mean()) if levelled else None
    return found
