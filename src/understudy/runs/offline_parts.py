"""From a configuration with recorded data to the parts of its run; everything is checked here, before any learning."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium import Space

from understudy.engines.defaults import Kind, rhythm_for
from understudy.engines.estimator import Estimator
from understudy.engines.learner import Learner
from understudy.engines.objective import Objective, Remedy
from understudy.engines.q_objective import values_of
from understudy.engines.recorded import Recorded, looking_back
from understudy.engines.replay import check_memory
from understudy.engines.schedule import Rhythm
from understudy.envs.recording import Recording
from understudy.envs.views import ObservationViews, View, parse_view
from understudy.envs.wrappers import check_spaces
from understudy.errors import ConfigurationError, MethodError
from understudy.methods import QMethod, Row
from understudy.policies.policy import Policy
from understudy.policies.recorded import recorded_actions
from understudy.policies.student import Student
from understudy.policies.teachers import open_teacher
from understudy.runs.assemble import Origin, check_needs, gamma_for, opened_teacher
from understudy.runs.brought import brought
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console
from understudy.runs.data import fitted, open_data
from understudy.runs.device import available
from understudy.runs.option_texts import parse_data, parse_env_args
from understudy.runs.q_parts import at_temperature, check_fit, look_at, q_objective

BUDGET = 20_000
"""Updates."""
GUESSES = (
    "{name} on recorded steps values actions that nobody took there by guesses, which tend to be too high, and nothing "
    "corrects them; its student may do worse than what was recorded"
)
ROUND = (25, 250)
"""Updates between two looks at what is held out: a pass over the data, within these bounds."""

Spaces = tuple[Space[Any], Space[Any]]


@dataclass
class OfflineParts:
    """The parts of a run on recorded data, ready to go.

    ``cloning``: there is no teacher but the recorded actions. ``origin``: of the environment to measure in, if any.
    ``pieces``: of the recording, to learn from and to look at. ``views``: of an environment's observations.
    """

    recording: Recording
    pieces: tuple[np.ndarray, np.ndarray]
    teacher: Policy
    cloning: bool
    student: Student
    views: ObservationViews
    method: Row
    title: str
    learner: Learner
    source: Recorded
    held: Recorded
    origin: Origin | None
    gamma: float
    budget: int
    device: str
    warnings: list[str] = field(default_factory=list)

    def rows(self, which: int) -> int:
        """Of the pieces to learn from (0) or to look at (1)."""
        return int((self.pieces[which][:, 1] - self.pieces[which][:, 0]).sum())

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class _Scene:
    """Who is there besides the data: a teacher or none, what it sees, and an environment or none."""

    teacher: Policy | None
    view: View
    origin: Origin | None


def assemble_offline(config: DistillConfig, teacher: Any, env: Any, console: Console) -> OfflineParts:
    """Open, check and join everything that ``config`` names."""
    given_teacher = (config.teacher or None) if teacher is None else teacher
    given_env = (config.env or None) if env is None else env
    assert config.data is not None
    if given_env is not None:
        scene, recording = _with_env(config, given_teacher, given_env, console)
    else:
        scene, recording = _without_env(config, given_teacher)
    if scene.teacher is not None:
        own = scene.view.space(recording.observation_space), recording.action_space
        squashed = scene.teacher.family.kind == "squashed-gaussian"
        mend = "Name the data of the environment that the teacher was trained in."
        check_spaces(
            scene.teacher.observation_space, scene.teacher.action_space, *own, squashed, mend=mend, other="data"
        )
    elif not recording.declared and given_env is None:
        console.note(
            f"{recording.name} says nothing of its spaces: observations are taken to be {recording.observation_space}, "
            f"actions {recording.action_space}. --env or a teacher would say"
        )
    return _joined(config, recording, scene, available(config.device), console)


def _with_env(config: DistillConfig, teacher: Any, env: Any, console: Console) -> tuple[_Scene, Recording]:
    assert config.data is not None
    kwargs = parse_env_args(config.env_args)
    policy, wrappers, view = None, config.wrap, parse_view(config.teacher_view)
    if teacher is not None:
        policy, wrappers, view = opened_teacher(config, teacher, env, kwargs, console)
    origin = Origin(env, kwargs, wrappers)
    with closing(origin.make(1)) as simulator:
        given = simulator.observation_space, simulator.action_space
    return _Scene(policy, view, origin), open_data(config.data, given, "environment", teacher is None)


def _without_env(config: DistillConfig, teacher: Any) -> tuple[_Scene, Recording]:
    assert config.data is not None
    view = parse_view(config.teacher_view)
    if teacher is None:
        return _Scene(None, view, None), open_data(config.data, None, "", True)
    stored = parse_data(config.data)[0] == "store"
    found = None if stored else open_data(config.data, None, "", False)
    spaces = (None, None) if found is None else (view.space(found.observation_space), found.action_space)
    policy = open_teacher(
        teacher,
        observation_space=spaces[0],
        action_space=spaces[1],
        vecnormalize=config.vecnormalize,
        trust=config.trust,
        temperature=config.teacher_temperature,
        std=config.teacher_std,
    )
    own = brought(policy, (), config.teacher_view, "--teacher-view", config.trust)
    view = view if own is None else own[1]
    if view.text and found is None:
        raise ConfigurationError(
            f"the teacher sees {view} of what {config.data} holds, which does not say how that is made up; name --env"
        )
    if found is None or not view.text:
        given = policy.observation_space, policy.action_space
        found = open_data(config.data, given, "teacher", False) if found is None else fitted(found, *given, "teacher")
    return _Scene(policy, view, None), found


def _joined(config: DistillConfig, recording: Recording, scene: _Scene, device: str, console: Console) -> OfflineParts:
    """Check that the parts fit, and build what learns from them."""
    cloning = scene.teacher is None
    teacher: Policy = (scene.teacher or recorded_actions(recording.action_space, config.teacher_std)).to(device)
    method = config.row()
    _check_row(method, teacher, recording, cloning)
    views = ObservationViews(parse_view(config.student_view), scene.view)
    pieces = recording.split(config.held_out, config.seed)
    with_next = isinstance(method, QMethod) and method.learns_by_td
    source, held = (Recorded(recording, part, with_next) for part in pieces)
    if not source.left:
        raise ConfigurationError(
            f"{recording.name} has no step of which the next one is known; say what came after ('next_observations')"
        )
    space = views.student.space(recording.observation_space)
    gamma = gamma_for(config, teacher, console)
    back = looking_back(views, cloning)
    build: Callable[..., tuple[Learner, int]] = _q_learner if isinstance(method, QMethod) else _learner
    learner, budget = build(config, method, teacher, space, recording, back, source, gamma, device)
    title = f"{method.name} on recorded steps" + (", copying what was done" if cloning and method.reads_teacher else "")
    return OfflineParts(
        recording, pieces, learner.objective.teacher if with_next else teacher, cloning, learner.student, views, method,
        title, learner, source, held, scene.origin, gamma, budget, device, _warnings(method),
    )  # fmt: skip


def _check_row(method: Row, teacher: Policy, recording: Recording, cloning: bool) -> None:
    """Refuse a row for which something is missing."""
    if not isinstance(method, QMethod):
        check_needs(method, teacher)
        return
    if method.learns_by_td and recording.reward is None:
        raise MethodError(
            f"{method.name} learns from rewards, and {recording.name} has none (an array 'rewards'). Use q-kl or q-nll"
        )
    if cloning and method.distils and method.distance != "nll":
        instead = "dqn+q-nll" if method.learns_by_td else "q-nll"
        raise MethodError(
            f"{method.name} needs numbers for all actions, and recorded actions are labels alone. Name a teacher, or "
            f"use {instead}"
        )


def _warnings(method: Row) -> list[str]:
    if isinstance(method, QMethod) and method.learns_by_td:
        return [GUESSES.format(name=method.name)]
    return []


def _rhythm(config: DistillConfig, kind: Kind, rows: int, room: int) -> tuple[Rhythm, int]:
    """A round is about a pass over the ``rows``; ``room``: of the store."""
    rhythm, _ = rhythm_for(kind, learning_rate=config.learning_rate, batch=config.batch_size, store=room)
    low, high = ROUND
    updates = config.updates or min(max(-(-rows // rhythm.batch), low), high)
    rhythm, _ = rhythm_for(
        kind, learning_rate=config.learning_rate, batch=config.batch_size, updates=updates, store=room
    )
    return rhythm, config.steps or BUDGET


def _learner(
    config: DistillConfig, method: Any, teacher: Policy, space: Space[Any], recording: Recording,
    views: ObservationViews, source: Recorded, gamma: float, device: str,
) -> tuple[Learner, int]:  # fmt: skip
    """For a row of policies."""
    student = Student(space, recording.action_space, teacher.family, config.student, seed=config.seed).to(device)
    rows = len(recording)
    rhythm, budget = _rhythm(config, Kind(False, False), rows, rows)
    estimator = Estimator("returns", config.gae_lambda, config.clip, config.epochs)
    objective = Objective(method, teacher, student, views, estimator, gamma, Remedy(), None, device, rhythm.length)
    objective.configure(precision=config.precision, compiled=config.compile)
    return Learner(source, objective, rhythm, budget=budget, seed=_draws(config)), budget


def _q_learner(
    config: DistillConfig, method: QMethod, teacher: Policy, space: Space[Any], recording: Recording,
    views: ObservationViews, source: Recorded, gamma: float, device: str,
) -> tuple[Learner, int]:  # fmt: skip
    """For a row of action values."""
    check_fit(method, teacher, config)
    values_of(teacher, method)
    seen = look_at(config, teacher, views, source.first())
    teacher = at_temperature(teacher, seen.temperature)
    objective = q_objective(config, method, teacher, space, recording.action_space, views, seen, gamma, device)
    spec = objective.student.spec
    kind = Kind(False, False, method.learns_by_td, spec.image if spec.body == "cnn" else "")
    room = len(recording) + len(source.pieces) * max(1, seen.frames)
    check_memory(room * sum(part.nbytes for part in recording.one()) // seen.frames)
    rhythm, budget = _rhythm(config, kind, len(recording), room)
    objective.configure(precision=config.precision, compiled=config.compile)
    return Learner(source, objective, rhythm, budget=budget, seed=_draws(config)), budget


def _draws(config: DistillConfig) -> int:
    """The seed of what is drawn from the store."""
    return int(np.random.SeedSequence([config.seed, 3]).generate_state(1)[0])
