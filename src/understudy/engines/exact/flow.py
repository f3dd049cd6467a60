"""Where endless small updates lead: d theta / dt = -g(theta)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from understudy.engines.exact.field import descent
from understudy.engines.exact.problem import Options, Teacher, problem
from understudy.engines.exact.students import Numbers
from understudy.errors import ConfigurationError
from understudy.mdp.model import MDP
from understudy.methods.method import Method

# Dormand and Prince 1980: each stage's weights, then the fifth order's minus the fourth's.
STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
LEAST_STEP = 1e-7  # where a gate opens or shuts the field jumps, and no step is accurate: cross it


@dataclass(frozen=True)
class Flow:
    """``times [T]``, and the parameters at each of them ``[T, *P]``."""

    times: Tensor
    parameters: Tensor


def flow(
    method: Method,
    mdp: MDP,
    teacher: Teacher,
    logits: Numbers,
    times: Sequence[float] | Numbers,
    *,
    tolerance: float = 1e-8,
    **options: Unpack[Options],
) -> Flow:
    """Follow the update from ``logits`` at ``times[0]`` on; ``tolerance``: of each step, in every parameter.

    Time is learning rate times iterations. Schedules are read at ``progress`` throughout.
    """
    moments = np.asarray(times, dtype=np.float64)
    if moments.ndim != 1 or len(moments) < 2 or (np.diff(moments) <= 0).any():
        raise ConfigurationError(f"times must be two or more, ascending, got {moments.tolist()[:8]}")
    found = problem(method, mdp, teacher, **options)
    theta = found.parameters(logits)

    def field(parameters: Tensor) -> Tensor:
        return -descent(found, parameters)

    path, step = [theta], float(moments[1] - moments[0])
    for begin, end in pairwise(moments):
        theta, step = _integrate(field, theta, float(end - begin), step, tolerance)
        path.append(theta)
    return Flow(torch.tensor(moments), torch.stack(path))


def _integrate(
    field: Callable[[Tensor], Tensor], theta: Tensor, span: float, step: float, tolerance: float
) -> tuple[Tensor, float]:
    """The parameters ``span`` later, and the step that would be tried next."""
    gone, slope = 0.0, field(theta)
    while span - gone > 1e-12 * span:
        trial = min(step, span - gone)
        slopes = [slope]
        for weights in STAGES[1:]:
            ahead = theta + trial * _combined(weights, slopes)
            slopes.append(field(ahead))
        error = trial * float(_combined(ERROR, slopes).abs().max()) / tolerance
        if error <= 1 or trial <= LEAST_STEP:
            gone, theta, slope = gone + trial, ahead, slopes[-1]  # the last stage is the step itself
        factor = min(5.0, max(0.2, 0.9 * max(error, 1e-10) ** -0.2))
        step = max(trial * factor, LEAST_STEP) if trial == step or factor < 1 else step
    return theta, step


def _combined(weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    return sum((w * k for w, k in zip(weights[1:], slopes[1:], strict=True)), weights[0] * slopes[0])
