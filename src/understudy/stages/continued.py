"""A distilled student goes on by the task's reward: one stage, whose hand-over is guarded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from understudy.errors import ConfigurationError
from understudy.policies.student_file import load_student
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console
from understudy.runs.folder import RunFolder
from understudy.stages.config import FILE, Stage, StagesConfig
from understudy.stages.execute import resume_stages, run_stages
from understudy.stages.result import StagesResult

ROOM = 0.1
"""Of a uniform policy's entropy: what a student over discrete actions explores with again, at least."""
CAREFUL = {"target_kl": 0.02}
"""Of PPO, for a policy that has something to lose."""


def check_continues(config: DistillConfig, env: Any = None) -> None:
    """ConfigurationError where a student could not go on, before it is distilled."""
    if config.continue_with == "none":
        return
    why = ""
    if env is not None or not config.env:
        why = "the environment must be named: a Gymnasium id or module:function"
    elif config.student_view or config.critic_view:
        why = "reinforcement learning goes on with all that the environment shows; leave the views out"
    if why:
        raise ConfigurationError(f"--continue-with {config.continue_with}: {why}")


def continue_with_rl(run: str | Path, console: Console) -> StagesResult:
    """Go on with a finished run's student in its folder's ``rl``; or go on with that where it was stopped."""
    config, place = RunFolder.open(run).config, Path(run) / "rl"
    if (place / FILE).is_file():
        return resume_stages(place, console=console)
    student = load_student(run)
    sizes = student.family.sizes
    values = {
        "name": "rl",
        "env": config.env,
        "env_args": config.env_args,
        "wrap": tuple(student.facts.get("wrappers", config.wrap)),
        "steps": config.continue_steps,
        "begin": str(run),
        "entropy": ROOM * math.log(sizes[0]) if student.family.kind == "categorical" else None,
    }
    gamma = student.facts.get("gamma")
    return run_stages(
        StagesConfig.of(
            {
                "stages": [Stage.of(values)],
                "student": config.student,
                "seed": config.seed,
                "copies": config.copies,
                "device": config.device,
                "threads": config.threads,
                "evaluation_episodes": config.evaluation_episodes,
                "final_episodes": config.final_episodes,
                "out": str(place),
                "report": config.report,
                "ppo": CAREFUL | ({} if gamma is None else {"gamma": gamma}),
            }
        ),
        console=console,
    )
