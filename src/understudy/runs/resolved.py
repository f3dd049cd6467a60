"""What a run settled on where its options left something open."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from understudy.engines.q_objective import QObjective
from understudy.methods import QMethod, term_text
from understudy.policies.tempered import Tempered
from understudy.runs.assemble import Assembly
from understudy.runs.config import DistillConfig


def wrappers(config: DistillConfig, parts: Assembly) -> list[str]:
    """By the names that ``config`` gives them, wherever their files were found."""
    return [*config.wrap, *parts.origin.wrappers[len(config.wrap) :]]


def resolved(config: DistillConfig, parts: Assembly) -> dict[str, Any]:
    """Plain data: what was chosen by default, inferred, taken from the teacher or given."""
    learner, method = parts.learner, parts.method
    rhythm = asdict(learner.rhythm)
    if not rhythm["keep"]:
        del rhythm["updates"], rhythm["store"]  # the estimator decides, and the store holds one collection
    return {
        "method": method.name,
        "title": parts.title,
        "control": str(method.control),
        "loss": method.text if isinstance(method, QMethod) else term_text(method.loss),
        "reward": term_text(method.reward),
        **settled(learner.objective, bool(method.reward)),
        "gamma": parts.gamma,
        "budget_env_steps": parts.budget,
        "rhythm": rhythm,
        "student": str(parts.student.spec),
        "teacher": parts.teacher.description,
        "teacher_temperature": parts.teacher.temperature if isinstance(parts.teacher, Tempered) else 1.0,
        "wrappers": wrappers(config, parts),
        "views": {
            "student": config.student_view,
            "teacher": config.teacher_view or parts.views.teacher.text,
            "critic": config.critic_view,
        },
        "device": parts.device,
    }


def as_looked_at(config: DistillConfig, before: dict[str, Any]) -> DistillConfig:
    """With what a run that goes on had found in its teacher's play: an environment may not show the same play again.

    ``before``: what it had settled on.
    """
    if config.data:
        return config  # which show the same
    found = {"frames": before["frames"]} if before.get("frames") else {}
    own = before.get("temperature") == before.get("teacher_temperature")  # else the teacher brought one of its own
    if own and config.teacher_temperature is None and before.get("temperature"):
        found["teacher_temperature"] = before["temperature"]
    return replace(config, **found)


def settled(objective: Any, reward: bool) -> dict[str, Any]:
    """What the objective has settled: the estimator of Eq. 1, or how action values are learned."""
    if not isinstance(objective, QObjective):
        return {"estimator": asdict(objective.estimator) if reward else None}
    target = asdict(objective.target) | {"n_step": objective.n_step} if objective.method.learns_by_td else None
    return {"temperature": objective.temperature, "frames": objective.frames, "target": target}
