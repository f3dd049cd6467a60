"""A method and its setting as small arrays: what the compiled kernels read in place of code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from understudy.engines.tabular import texts
from understudy.engines.tabular.draws import UNIT
from understudy.engines.tabular.pack import Packed
from understudy.engines.tabular.setting import Setting
from understudy.errors import MethodError
from understudy.methods.method import ATOMS, Control, Need, Term
from understudy.methods.schedule import Schedule, Weight, at

_LOG_STUDENT = {"forward-cross-entropy", "forward-kl", "reverse-kl", "student-log-prob", "student-entropy",
                "gated-cross-entropy"}  # fmt: skip
_ROW_ATOMS = {"reverse-cross-entropy", *_LOG_STUDENT} - {"student-log-prob"}


class Row(NamedTuple):
    """Numbers that change along the run have a column for each iteration, or a single one.

    ``tracked``: atoms of the state in the reward that change with the student's row; their values are kept up to date.
    ``control [I, 2]``: thresholds of a draw below which the teacher acts, and below which the teacher or chance does.
    """

    loss: np.ndarray
    loss_weight: np.ndarray
    reward: np.ndarray
    later: np.ndarray
    credit_of: np.ndarray
    reward_weight: np.ndarray
    credits: np.ndarray
    tracked: np.ndarray
    needs_logs: bool
    learns_value: bool
    learning_rate: np.ndarray
    control: np.ndarray
    gamma: float
    baseline: bool
    lam: float
    value_rate: float
    discounted_visits: bool
    max_steps: int


def row_of(setting: Setting, iterations: int) -> Row:
    """The setting's method; schedules are read at iteration / iterations."""
    method = setting.method
    inner = {part.atom for part in method.loss} & {"reverse-kl", "student-entropy"}
    tracked = sorted({part.atom for part in method.reward} & _ROW_ATOMS, key=list(ATOMS).index)
    logs = inner | ({part.atom for part in method.reward} & _LOG_STUDENT)
    return Row(
        loss=_numbers(method.loss),
        loss_weight=_weights(method.loss, iterations),
        reward=_numbers(method.reward),
        later=np.array([part.later for part in method.reward], dtype=np.bool_),
        credit_of=np.array([method.credits.index(part.credit) for part in method.reward], dtype=np.int64),
        reward_weight=_weights(method.reward, iterations),
        credits=np.array(method.credits, dtype=np.float64),
        tracked=np.array([texts.NUMBER[name] for name in tracked], dtype=np.int64),
        needs_logs=bool(logs),
        learns_value=Need.STUDENT_VALUE in method.needs and setting.value_rate > 0,
        learning_rate=_over_time([setting.learning_rate], iterations)[0],
        control=_control(method.control, iterations),
        gamma=float(setting.gamma),
        baseline=bool(setting.baseline),
        lam=float(setting.lam),
        value_rate=float(setting.value_rate),
        discounted_visits=bool(setting.discounted_visits and setting.gamma < 1),
        max_steps=int(setting.max_steps),
    )


def check(setting: Setting, packed: Packed) -> None:
    """Refuse a teacher that excludes actions where the row asks for the logarithm of every probability."""
    method = setting.method
    if Need.FULL_SUPPORT not in method.needs:
        return
    for world in packed.worlds:
        excluded = (world.teacher == 0) & world.acting[:, None]
        if excluded.any():
            s, a = np.argwhere(excluded)[0]
            atoms = [p.atom for p in method.parts if Need.FULL_SUPPORT in ATOMS[p.atom].needs]
            raise MethodError(
                f"{method.name} reads {atoms[0]}, which needs a teacher that gives every action some probability, but "
                f"in state {s} action {a} has none. Use a temperature above 0, some noise, or a floor"
            )


def _numbers(term: Term) -> np.ndarray:
    return np.array([texts.NUMBER[part.atom] for part in term], dtype=np.int64)


def _weights(term: Term, iterations: int) -> np.ndarray:
    return _over_time([part.weight for part in term], iterations)


def _over_time(weights: list[Weight], iterations: int) -> np.ndarray:
    """``[len(weights), iterations]``, or one column where none of them changes."""
    length = max(1, iterations)
    moments = length if any(isinstance(weight, Schedule) for weight in weights) else 1
    values = [[at(weight, i / length) for i in range(moments)] for weight in weights]
    return np.array(values, dtype=np.float64).reshape(len(weights), moments)


def _control(control: Control, iterations: int) -> np.ndarray:
    teacher, uniform = (_over_time([weight], iterations)[0] for weight in (control.teacher, control.uniform))
    bounds = np.stack(np.broadcast_arrays(teacher, teacher + uniform), axis=-1)
    return np.rint(np.clip(bounds, 0.0, 1.0) * UNIT).astype(np.uint32)
