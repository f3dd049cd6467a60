"""What a run that learns action values needs beside the rest: a temperature, a store's shape, a student of values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import Space

from understudy.engines.actor import PolicyActor
from understudy.engines.learner import Learner
from understudy.engines.q_objective import QObjective, Target, as_seen, check_values
from understudy.engines.replay import check_memory, check_stacks, stacked_frames
from understudy.engines.schedule import Rhythm
from understudy.engines.source import FreshRollouts
from understudy.envs.actions import ActionMap
from understudy.envs.rollout import Rollout, Window
from understudy.envs.simulator import Simulator, blank
from understudy.envs.views import ObservationViews
from understudy.errors import ConfigurationError, MethodError
from understudy.math.q_losses import gaps
from understudy.methods import QMethod
from understudy.policies.policy import Policy, score_scale, tensors
from understudy.policies.spec import parse
from understudy.policies.student import Student
from understudy.policies.tempered import Q_TEMPERATURE, Tempered
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console
from understudy.runs.option_texts import parse_target

LOOKED_AT = 256  # steps of the teacher that show the gaps between its values, and how frames are stacked
GAPS = 3.0  # the gap between best and second best, in temperatures, where the default would degenerate
BLUNT, SHARP = 0.9, 0.02  # parts of the largest entropy: above, next to uniform; below, labels and no more
PREFILL = 1000
LARGE = 100 << 20  # bytes of a store that are worth a word


@dataclass(frozen=True)
class Look:
    """What a first look at the teacher's play shows. ``temperature``: T; ``frames`` and ``last_axis``: of a stack."""

    temperature: float
    frames: int
    last_axis: bool


def check_fit(method: QMethod, teacher: Policy, config: DistillConfig) -> None:
    """Refuse what action values cannot be learned for."""
    if teacher.family.kind != "categorical":
        raise MethodError(
            f"{method.name} learns a value for each of a number of actions (a Discrete space); {teacher.description} "
            f"answers a {teacher.family.kind} distribution. Use a row of policies, such as on-policy-distill"
        )
    if parse(config.student).recurrent:
        raise MethodError(
            f"{method.name} draws single states from a store, which a student with a memory ({config.student}) cannot "
            "learn from. Use mlp or cnn, or a row of policies, such as on-policy-distill"
        )
    if method.distils and teacher.memory_size:
        raise MethodError(
            f"{method.name} asks the teacher about single states, which one with a memory ({teacher.description}) "
            "cannot answer. Use a row of policies, such as on-policy-distill"
        )


def look(config: DistillConfig, teacher: Policy, views: ObservationViews, simulator: Simulator) -> Look:
    """Let the teacher play a little."""
    actions = ActionMap(teacher.family, simulator.action_space)
    actor = PolicyActor(teacher, views.teacher, None, config.device)
    window = Rollout(simulator, actions, config.seed).collect(actor, max(2, LOOKED_AT // simulator.copies))
    return look_at(config, teacher, views, window)


def look_at(config: DistillConfig, teacher: Policy, views: ObservationViews, window: Window) -> Look:
    """What a window of such play shows."""
    own = as_seen(window, views.student)
    last_axis = _channels_last(own)
    if (config.frames or 1) > 1:
        _check_frames(own, config.frames or 1, last_axis)
    frames = config.frames or stacked_frames(own, last_axis)
    return Look(_temperature(config, teacher, views, window), frames, last_axis)


def _check_frames(window: Window, frames: int, last_axis: bool) -> None:
    """Refuse a number of frames that observations do not stack."""
    shape = window.observation.shape[2:] if isinstance(window.observation, np.ndarray) else ()
    axis, word = (-1, "last") if last_axis else (0, "first")
    if not shape or shape[axis] != frames:
        raise ConfigurationError(
            f"--frames {frames} is for observations that stack so many along their {word} axis, not for those of shape "
            f"{list(shape)}. Leave it out, or write --frames 1"
        )
    check_stacks(window, frames, last_axis)


def _channels_last(window: Window) -> bool:
    shape = window.observation.shape[2:] if isinstance(window.observation, np.ndarray) else ()
    return len(shape) == 3 and shape[-1] < shape[0]


def _temperature(config: DistillConfig, teacher: Policy, views: ObservationViews, window: Window) -> float:
    """R15's 0.01, or where that made all targets labels, or all of them uniform, a part of the usual gap."""
    scale = score_scale(teacher)
    if scale is None:
        return 1.0
    seen = tensors(views.teacher(window.observation), config.device)
    seen = {k: v.flatten(0, 1) for k, v in seen.items()} if isinstance(seen, dict) else seen.flatten(0, 1)
    values = teacher(seen)[0].policy.flat * scale
    check_values(teacher, values)
    return sharpness(values) if config.teacher_temperature is None else config.teacher_temperature


def sharpness(values: torch.Tensor) -> float:
    """The temperature for action values ``[N, A]``: 0.01 unless it degenerates on them."""
    log_probs = torch.log_softmax(values.double() / Q_TEMPERATURE, -1)
    largest = float(np.log(max(values.shape[-1], 2)))
    entropy = float(-(log_probs.exp() * log_probs).sum(-1).mean()) / largest
    gap = gaps(values.double())
    gap = gap[gap > 0]
    if SHARP < entropy < BLUNT or not len(gap):
        return Q_TEMPERATURE
    return float(f"{float(gap.median()) / GAPS:.1g}") or Q_TEMPERATURE


def at_temperature(teacher: Policy, temperature: float) -> Policy:
    """A teacher of action values as the policy that it is at this temperature; any other as it is."""
    if not isinstance(teacher, Tempered) or score_scale(teacher) is None:
        return teacher
    return teacher if teacher.temperature == temperature else Tempered(teacher.policy, temperature)


def q_objective(
    config: DistillConfig,
    method: QMethod,
    teacher: Policy,
    student_space: Space[Any],
    action_space: Space[Any],
    views: ObservationViews,
    seen: Look,
    gamma: float,
    device: str,
) -> QObjective:
    """The student and what it learns by."""
    own = (seen.temperature if method.trusts_temperature else 1.0) if method.gives_values else None
    student = Student(
        student_space, action_space, teacher.family, config.student, temperature=own, seed=config.seed
    ).to(device)
    kind, number = parse_target(config.target_update)
    target = Target(
        every=int(number) if kind == "hard" else 0,
        share=number,
        double=config.targets == "double",
        huber=config.td_error == "huber",
    )
    return QObjective(
        method,
        teacher,
        student,
        views,
        temperature=seen.temperature,
        gamma=gamma,
        n_step=config.n_step,
        target=target,
        frames=seen.frames,
        last_axis=seen.last_axis,
        keep_store=not config.light_checkpoints,
        device=device,
    )


def q_source(
    config: DistillConfig, objective: QObjective, simulator: Simulator, rhythm: Rhythm, device: str
) -> FreshRollouts:
    """Greedy play, with uniform actions in between; the first window is longer, and the teacher's where it is read."""
    method = objective.method
    prefill = config.prefill if config.prefill is not None else PREFILL * method.learns_by_td
    return FreshRollouts(
        simulator,
        method.control,
        objective.teacher,
        objective.student,
        objective.views,
        collect=rhythm.collect,
        seed=config.seed,
        greedy=True,
        first=max(prefill, rhythm.collect) if prefill else 0,
        first_teacher=float(method.reads_teacher),
        device=device,
    )


def weigh_store(
    objective: QObjective, student_space: Space[Any], simulator: Simulator, rows: int, console: Console
) -> None:
    """Say what the replay store will take at most, before it is taken; ConfigurationError where there is less."""
    size = row_bytes(objective, student_space)
    needed = rows * size
    check_memory(needed)
    if needed >= LARGE:
        console.note(f"the replay store takes up to {needed / 1e9:.1f} GB: {rows:,} steps of {size:,} bytes (--store)")


def check_stores(learners: Iterable[Learner]) -> None:
    """The replay stores of all together; each fits alone."""
    check_memory(
        sum(
            learner.rhythm.store * row_bytes(learner.objective, learner.student.observation_space)
            for learner in learners
            if isinstance(learner.objective, QObjective)
        )
    )


def row_bytes(objective: QObjective, student_space: Space[Any]) -> int:
    """What a step takes in the replay store."""
    one = blank(student_space, 1)
    parts = one.values() if isinstance(one, dict) else [one]
    size = sum(_stored(part) for part in parts) // objective.frames
    size += 10 + objective.student.family.action_dtype.itemsize
    return size + 4 * objective.student.family.parameters * objective.method.distils


def _stored(part: np.ndarray) -> int:
    return part.size * (4 if part.dtype == np.float64 else part.itemsize)
