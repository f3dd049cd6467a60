"""What rounds and final episodes say, as plain figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from understudy.engines.learner import Record
from understudy.envs.rollout import Episodes
from understudy.math.statistics import bootstrap_interval, recovered, worst_mean


def figures(teacher: Episodes, student: Episodes, random: Episodes) -> dict[str, Any]:
    """What the final episodes say, by the names of :class:`Result`."""
    generator = np.random.default_rng(0)
    gain = recovered(student.returns, teacher.returns, random.returns, generator)
    figures: dict[str, Any] = {
        "episodes": len(teacher.returns),
        "recovered": None if gain is None else gain.point,
        "recovered_interval": None if gain is None else gain.interval,
        "teacher_worst_5_percent": worst_mean(teacher.returns),
        "student_worst_5_percent": worst_mean(student.returns),
    }
    for name, episodes in (("teacher", teacher), ("student", student), ("random", random)):
        figures |= of_one(name, episodes, generator)
    return figures


def of_one(name: str, episodes: Episodes, generator: np.random.Generator | None = None) -> dict[str, Any]:
    """What the final episodes of one player say."""
    return {
        "episodes": len(episodes.returns),
        f"{name}_return": float(episodes.returns.mean()),
        f"{name}_interval": bootstrap_interval(episodes.returns, generator or np.random.default_rng(0)),
        f"{name}_length": float(episodes.lengths.mean()),
    }


def metrics(record: Record) -> dict[str, Any]:
    """What a round's line of metrics.jsonl says."""
    finished = record.finished
    facts = {"env_steps": record.env_steps, "updates": record.updates, "loss": record.loss, **record.facts}
    if len(finished.returns):
        facts |= {
            "episode_return": float(finished.returns.mean()),
            "episode_length": float(finished.lengths.mean()),
        }
    return facts
