"""How good the student is now, and whether that is enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from understudy.envs.rollout import Episodes
from understudy.math.statistics import Recovered, recovered
from understudy.runs.config import FINAL_SEED

STOPPING_SEED = 10_000_000
CURVE_SEED = 5_000_000
PLAIN = ("turn", "passed", "played", "next_cost")  # numbers of a judge's state
Play = Callable[[Sequence[int]], Episodes]


@dataclass(frozen=True)
class Verdict:
    """One evaluation. ``enough``: whether training may stop, and ``because`` of what."""

    student: Episodes
    teacher: Episodes
    recovered: Recovered | None
    enough: bool = False
    because: str = ""


class Judge:
    """Compares student and teacher on the same seeds, by METHODS' rule.

    Training stops when the 95 % interval of the recovered fraction lies above the target, or when its point estimate
    does in two evaluations running. Two sets of seeds take turns, so that the second confirms the first; the teacher
    plays each set once. An evaluation waits until training has cost as much as all evaluations with it, the teacher's
    and the random policy's episodes included; cost is counted in environment steps, never by the clock.
    """

    def __init__(
        self,
        teacher: Play,
        random: Play,
        *,
        episodes: int,
        target: float,
        seed: int,
        saved: dict[str, Any] | None = None,
    ) -> None:
        """``saved``: the :meth:`state` of an earlier one, which this one goes on from."""
        self.target, self.generator = target, np.random.default_rng([seed, 2])
        self.sets = stopping_seeds(seed, episodes)
        self.play_teacher, self.play_random = teacher, random
        self.teachers: dict[int, Episodes] = {}
        self.turn, self.passed = 0, False
        if saved is None:
            self.random = random(self.sets[0][: max(2, episodes // 2)])
            self.played = _steps(self.random)
            self.next_cost = _steps(self.teacher_episodes(0))
        else:
            self._restore(saved)

    def state(self) -> dict[str, Any]:
        """Everything that evaluations change."""
        return {
            "generator": self.generator.bit_generator.state,
            "random": self.random._asdict(),
            "teachers": {str(turn): episodes._asdict() for turn, episodes in self.teachers.items()},
            **{name: getattr(self, name) for name in PLAIN},
        }

    def _restore(self, saved: dict[str, Any]) -> None:
        self.generator.bit_generator.state = saved["generator"]
        self.random = Episodes(**saved["random"])
        self.teachers = {int(turn): Episodes(**episodes) for turn, episodes in saved["teachers"].items()}
        for name in PLAIN:
            setattr(self, name, saved[name])

    def teacher_episodes(self, turn: int) -> Episodes:
        """The teacher on one of the two sets, played when first asked for."""
        if turn not in self.teachers:
            self.teachers[turn] = self.play_teacher(self.sets[turn])
            self.played += _steps(self.teachers[turn])
        return self.teachers[turn]

    def charge(self, steps: int) -> None:
        """Count other play that belongs to evaluation."""
        self.played += steps

    def due(self, spent: float) -> bool:
        """Whether training has cost as much as every evaluation so far and the next one; all in environment steps."""
        return spent >= self.price

    @property
    def price(self) -> int:
        """What every evaluation so far and the next one cost."""
        unseen = 0 if self.turn in self.teachers else self.next_cost
        return self.played + self.next_cost + unseen

    def judge(self, student: Play) -> Verdict:
        """Play the student on the next set of seeds."""
        teacher = self.teacher_episodes(self.turn)
        episodes = student(self.sets[self.turn])
        gain = recovered(episodes.returns, teacher.returns, self.random.returns, self.generator, resamples=2_000)
        enough, because = self._enough(gain)
        self.turn = 1 - self.turn
        self.next_cost = _steps(episodes)
        self.played += self.next_cost
        return Verdict(episodes, teacher, gain, enough, because)

    def _enough(self, gain: Recovered | None) -> tuple[bool, str]:
        if gain is None:
            return False, ""
        if gain.interval[0] >= self.target:
            return True, f"the interval of the recovered fraction lies above {self.target:.0%}"
        again = self.passed and gain.point >= self.target
        self.passed = gain.point >= self.target
        return again, f"the recovered fraction was {self.target:.0%} or more twice running" if again else ""


def _steps(episodes: Episodes) -> int:
    return int(episodes.lengths.sum())


def stopping_seeds(seed: int, episodes: int) -> list[range]:
    """The two sets that take turns in the evaluations of a run."""
    first = STOPPING_SEED + 1_000 * seed
    return [range(first + k * episodes, first + (k + 1) * episodes) for k in range(2)]


def curve_seeds(episodes: int) -> range:
    """Seeds of the points of a learning curve, the same for every run; never used for stopping."""
    return range(CURVE_SEED, CURVE_SEED + episodes)


def final_seeds(episodes: int) -> range:
    """Seeds of the final figures, the same for every run; never used for stopping."""
    return range(FINAL_SEED, FINAL_SEED + episodes)
