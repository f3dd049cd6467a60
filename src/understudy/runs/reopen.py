"""A finished run with its people on stage again: teacher, student and environment, as they were in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from understudy.engines.actor import PolicyActor, random_actor
from understudy.envs.actions import ActionMap
from understudy.envs.perturbed import Layer
from understudy.envs.play import play
from understudy.envs.rollout import Actor, Episodes
from understudy.envs.simulator import Simulator
from understudy.envs.views import ObservationViews, parse_view
from understudy.errors import RunError
from understudy.policies.policy import Policy
from understudy.policies.student import Student
from understudy.policies.student_file import load_student
from understudy.runs.assemble import Origin, opened_teacher
from understudy.runs.code_named import in_env, in_teacher, in_views, in_wrappers
from understudy.runs.config import DistillConfig
from understudy.runs.console import Silent
from understudy.runs.folder import RunFolder
from understudy.runs.found_again import changed_code, code_found_again, teacher_found_again
from understudy.runs.option_texts import parse_env_args
from understudy.runs.sources import was_object


@dataclass(frozen=True)
class Reopened:
    """The parts of a run. ``teacher`` is None where it was not asked for."""

    folder: RunFolder
    config: DistillConfig
    teacher: Policy | None
    student: Student
    views: ObservationViews
    origin: Origin

    def simulator(self, copies: int = 1, layers: Sequence[Layer] = (), **env_kwargs: Any) -> Simulator:
        """A new simulator of the run's environment in its wrappers; ``layers`` perturb it; ``env_kwargs``: more, such
        as ``render_mode``."""
        origin = replace(self.origin, env_kwargs={**self.origin.env_kwargs, **env_kwargs})
        return origin.make(copies, layers=layers)

    def actions(self, simulator: Simulator) -> ActionMap:
        """From raw actions to the environment's."""
        return ActionMap(self.student.family, simulator.action_space)

    def actor(self, who: str, simulator: Simulator) -> Actor:
        """``teacher`` or ``student`` with its deterministic actions, or ``random``: uniform over the action space."""
        if who == "random":
            return random_actor(self.actions(simulator))
        if who == "teacher":
            if self.teacher is None:
                raise RunError(f"{self.folder.path} was opened without its teacher")
            return PolicyActor(self.teacher, self.views.teacher, None)
        return PolicyActor(self.student, self.views.student, None)

    def play(self, who: str, simulator: Simulator, seeds: Sequence[int]) -> Episodes:
        """Whole episodes of one of the three, one a seed."""
        return play(simulator, self.actions(simulator), self.actor(who, simulator), seeds)


def reopen(
    path: str | Path,
    *,
    teacher: Any = None,
    env: Any = None,
    trust: bool = False,
    with_teacher: bool = True,
    own: bool = False,
    other: str = "say where it is with teacher=",
    note: Callable[[str], None] = lambda text: None,
) -> Reopened:
    """The parts of the finished run in ``path``.

    ``teacher`` and ``env`` (names or objects) stand for those of the configuration, which is needed where the run was
    begun from Python with objects. A run folder may come from anywhere: what its configuration names in code
    (``module:function``) runs only with ``trust``, where the caller names it, or where the folder is its ``own``.
    ``other``: how to name another teacher. ``note`` hears of code that has changed since.

    Raises: RunError where the run is unfinished or its teacher is gone or has changed; what opening the parts raises.
    """
    folder = RunFolder.open(path)
    student, config = load_student(folder.path), replace(folder.config, trust=trust)
    _refuse_absent(folder, config, teacher, env, with_teacher)
    kwargs, wrappers = parse_env_args(config.env_args), tuple(student.facts.get("wrappers", ()))
    if trust or own:  # else nothing of its own is code
        env = None if env == config.env else env
        config = code_found_again(folder, config, env=env, same=False)
        wrappers = (*config.wrap, *wrappers[len(config.wrap) :])
    else:
        _refuse_code(config, teacher, env, wrappers)
    env = config.env if env is None else env
    _tell_changes(folder, config, env, note)
    policy, view = None, parse_view(config.teacher_view)
    if with_teacher and teacher is None:
        config = teacher_found_again(folder, config, other)
        teacher = config.teacher
    if with_teacher:
        policy, wrappers, view = opened_teacher(config, teacher, env, kwargs, _Notes(note))
    views = ObservationViews(parse_view(config.student_view), view, parse_view(config.critic_view))
    return Reopened(folder, config, policy, student, views, Origin(env, kwargs, wrappers))


class _Notes(Silent):
    """A console of which only the notes are heard."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self.hear = hear

    def note(self, text: str) -> None:
        self.hear(text)


def _refuse_absent(folder: RunFolder, config: DistillConfig, teacher: Any, env: Any, with_teacher: bool) -> None:
    """What was made in Python is given again; a run on recorded data may have had nobody else."""
    if env is None and was_object(folder.provenance.get("env")):
        raise RunError(f"{folder.path} was begun with an environment made in Python; give it again with env=...")
    if env is None and not config.env:
        raise RunError(f"the run learned from {config.data} and knows of no environment; name one with --env")
    if with_teacher and teacher is None and not config.teacher:
        raise RunError(
            f"the run learned from the actions in {config.data}, so that there is no teacher to ask, to film or to "
            "compare with; name one with --teacher"
        )


def _tell_changes(folder: RunFolder, config: DistillConfig, env: Any, note: Callable[[str], None]) -> None:
    changed = changed_code(folder, replace(config, env=env) if isinstance(env, str) else config)
    if changed:
        note(changed)


def _refuse_code(config: DistillConfig, teacher: Any, env: Any, wrappers: Sequence[str]) -> None:
    """What the folder itself names and opening it would run; what the caller named may run."""
    named = in_views((config.student_view, config.teacher_view, config.critic_view))
    named += in_wrappers((*wrappers, *config.wrap))
    named += in_env(config.env) if env is None else []
    named += in_teacher(config.teacher) if teacher is None else []
    if named:
        said = ", ".join(map(repr, dict.fromkeys(named)))
        raise RunError(
            f"the run's configuration names {said}, and opening it would run that code. If the run is yours, pass "
            "--trust (trust=True)"
        )
