"""An ONNX file with weights of 8 bits: how often it acts as the student does, how fast, and what it earns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.engines.actor import PolicyActor
from understudy.envs.actions import ActionMap
from understudy.envs.play import play
from understudy.envs.rollout import Actor
from understudy.envs.simulator import Simulator, take
from understudy.envs.views import View
from understudy.errors import ExportError
from understudy.export import as_onnx
from understudy.export.as_torch import quiet
from understudy.export.formats import Opened
from understudy.export.parity import Seen
from understudy.math.statistics import bootstrap_interval
from understudy.policies.onnx_session import quantise
from understudy.policies.policy import Observation
from understudy.policies.student import Student
from understudy.runs.latency import Latency, measure

SUFFIX = ".int8.onnx"


@dataclass(frozen=True)
class Earned:
    """The mean return of some episodes and its 95 % interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, returns: np.ndarray) -> Earned:
        return cls(float(returns.mean()), *bootstrap_interval(returns, np.random.default_rng(0)))

    def __str__(self) -> str:
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"


@dataclass(frozen=True)
class Quantised:
    """``same``: the share of ``decisions`` on which it acts as the student does (amounts: within 1 % of their range).

    ``earned`` and ``students``: by the file and by the student, on the same ``episodes``.
    """

    file: Path
    bytes: int
    decisions: int
    same: float
    latency: Latency
    earned: Earned
    students: Earned
    episodes: int

    @property
    def line(self) -> str:
        return (
            f"{self.file}: {self.bytes:,} bytes, {self.latency.median:.1f} µs a decision; the student's action in "
            f"{self.same:.1%} of {self.decisions:,} decisions; return {self.earned} over {self.episodes} episodes, the "
            f"student's {self.students}"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"file": str(self.file)}


def quantised(
    student: Student, file: Path, simulator: Simulator, view: View, seen: Seen, seeds: Sequence[int], purpose: str
) -> Quantised:
    """Write ``NAME.int8.onnx`` beside ``file``, which is found right already, and see what it does."""
    out = file.with_name(file.name.removesuffix(".onnx") + SUFFIX)
    try:
        with quiet():
            quantise(file, out, purpose)
        opened = as_onnx.open_file(out, student)
    except ExportError:
        raise
    except Exception as error:  # onnxruntime.quantization has no common error
        raise ExportError(f"ONNX Runtime cannot bring {file.name} to 8 bits ({error}). Leave --int8 out") from error
    actions = ActionMap(student.family, simulator.action_space)
    theirs = play(simulator, actions, PolicyActor(student, view, None), seeds).returns
    ours = play(simulator, actions, _actor(opened, student, view), seeds).returns
    once = take(seen.observation, (0, slice(1)))
    opened.begin()
    return Quantised(
        out, out.stat().st_size, seen.start.size, _alike(student, opened, seen), measure(lambda: opened.act(once)),
        Earned.of(ours), Earned.of(theirs), len(seeds),
    )  # fmt: skip


def _actor(opened: Opened, student: Student, view: View) -> Actor:
    """The file in the place of a policy, with its deterministic actions."""

    def act(observation: Observation, start: np.ndarray) -> np.ndarray:
        return student.family.mode(opened(view(observation), start)[1].numpy())

    opened.begin()
    return act


def _alike(student: Student, opened: Opened, seen: Seen) -> float:
    """The share of decisions with the same action."""
    actor, same = PolicyActor(student, lambda observation: observation, None), []
    to_env = ActionMap(student.family, student.action_space).to_env
    opened.begin()
    for t, start in enumerate(seen.start):
        observation = take(seen.observation, t)
        wanted, (found, _) = to_env(actor(observation, start)), opened(observation, start)
        same.append(_close(np.asarray(found), np.asarray(wanted), student))
    return float(np.mean(same))


def _close(found: np.ndarray, wanted: np.ndarray, student: Student) -> np.ndarray:
    rows = (found.reshape(len(found), -1), wanted.reshape(len(wanted), -1))
    if not student.family.continuous:
        return (rows[0] == rows[1]).all(-1)
    space: Any = student.action_space
    reach = np.where(np.isfinite(space.high - space.low), space.high - space.low, 1).ravel()
    return (np.abs(rows[0] - rows[1]) <= 0.01 * reach).all(-1)
