"""Which algorithm of SB3 holds a student, and why others cannot; what SB3 would do otherwise is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from torch import nn

from understudy.errors import ExportError
from understudy.math.distributions import LOG_STD_MAX
from understudy.policies.gated import Gated
from understudy.policies.network import ImageInput
from understudy.policies.progressive import ProgressiveStudent
from understudy.policies.sb3_heads import SAC_LOG_STD
from understudy.policies.sb3_observation import is_byte_image
from understudy.policies.student import Student

NAMES = {"ppo": "PPO", "recurrent-ppo": "RecurrentPPO", "dqn": "DQN", "sac": "SAC"}
STOCHASTIC = ("categorical", "multi-categorical", "bernoulli", "gaussian")
FAMILIES = {"ppo": STOCHASTIC, "recurrent-ppo": STOCHASTIC, "dqn": ("categorical",), "sac": ("squashed-gaussian",)}
ALTERNATIVE = "Use --format onnx or --format torch, which hold every student"


def algorithm_for(student: Student, asked: str = "auto") -> str:
    """The algorithm whose agents are this student's kind, or ``asked``; an ExportError where it does not fit."""
    squashed = student.family.kind == "squashed-gaussian"
    natural = "recurrent-ppo" if student.spec.recurrent else "sac" if squashed else "ppo"
    natural = natural if student.temperature is None else "dqn"
    chosen = natural if asked == "auto" else asked
    why = misfit(student, chosen)
    if not why:
        return chosen
    mend = ALTERNATIVE
    if chosen != natural and not misfit(student, natural):
        mend = f"Use --algorithm {natural}, or --format onnx or --format torch"
    raise ExportError(
        f"the student {student.description}, {student.family}, does not fit {NAMES[chosen]} of SB3: {why}. {mend}."
    )


def misfit(student: Student, algorithm: str) -> str:
    """Why SB3's agents of this algorithm cannot act as the student does; empty if they can."""
    return next((why for find in CHECKS if (why := find(student, algorithm))), "")


def _wrong_body(student: Student, algorithm: str) -> str:
    spec = student.spec
    if isinstance(student, ProgressiveStudent):
        return "its networks have one column, and this student has several"
    if isinstance(student, Gated):
        return "it has one network, and this student picks among several"
    if spec.body == "gru":
        return "sb3-contrib's memories are LSTMs, and this is a GRU"
    if spec.recurrent and algorithm != "recurrent-ppo":
        return "it has no memory, and this student has an LSTM"
    if not spec.recurrent and algorithm == "recurrent-ppo":
        return "it needs an LSTM, and this student has no memory"
    if any(isinstance(module, nn.LayerNorm) for module in student.network.modules()):
        return "SB3's networks have no LayerNorm"
    return ""


def _wrong_head(student: Student, algorithm: str) -> str:
    if student.family.kind not in FAMILIES[algorithm]:
        return f"it holds {', '.join(FAMILIES[algorithm])} policies only"
    if algorithm != "sac" and student.state_dependent_std:
        return "its Gaussians have one vector of deviations, and this student's depend on the state"
    if algorithm == "sac" and student.log_std is not None and bool((student.log_std > SAC_LOG_STD[1]).any()):
        return (
            f"it clips log-deviations at {SAC_LOG_STD[1]:g} (here they go up to {LOG_STD_MAX:g}), and this student's "
            f"reach {float(student.log_std.max()):.3g}"
        )
    return ""


def _wrong_observation(student: Student, algorithm: str) -> str:
    network = student.network
    nature = student.spec.body == "cnn" and student.spec.image == "nature"
    seen = network.space
    parts = list(seen.values()) if isinstance(seen, spaces.Dict) else [seen]
    for space, part in zip(parts, network.inputs, strict=True):
        why = _wrong_picture(space, part, nature) if isinstance(part, ImageInput) else _wrong_vector(space)
        if why:
            return why
        if isinstance(space, spaces.MultiDiscrete) and algorithm == "recurrent-ppo":
            return f"sb3-contrib cannot make an LSTM for observations {space}"
    return ""


def _wrong_picture(space: gymnasium.Space[Any], part: ImageInput, nature: bool) -> str:
    assert isinstance(space, spaces.Box)
    if not nature:
        return "it sees pictures through NatureCNN, as the student cnn:nature does, and this one's layers are others"
    if not is_byte_image(space):
        return f"it takes pictures of bytes from 0 to 255 only, and this student sees {space}"
    if part.channels_last == (int(np.argmin(space.shape)) == 0):
        return f"it would read the channels of pictures {space.shape} along another axis"
    return ""


def _wrong_vector(space: gymnasium.Space[Any]) -> str:
    if is_byte_image(space):
        return f"it takes observations {space} for pictures, and this student takes them as numbers"
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) and np.any(np.asarray(space.start) != 0):
        return f"it counts classes from 0, and observations are {space}"
    if isinstance(space, spaces.MultiDiscrete) and len(space.shape) != 1:
        return f"it takes MultiDiscrete observations of one dimension only, not {space}"
    return ""


def _wrong_action(student: Student, algorithm: str) -> str:
    space = student.action_space
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete) and np.any(np.asarray(space.start) != 0):
        return f"it counts actions from 0, and the environment takes {space}"
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary) and len(space.shape) != 1:
        return f"it takes actions of one dimension only, not {space}"
    if isinstance(space, spaces.Box):
        if not np.issubdtype(space.dtype, np.floating):
            return f"it does not round actions, and the environment takes {space}"
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            return f"it needs finite bounds of actions, and the environment takes {space}"
    return ""


CHECKS: tuple[Callable[[Student, str], str], ...] = (_wrong_body, _wrong_head, _wrong_observation, _wrong_action)
