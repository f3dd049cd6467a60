"""Learning action values as data: a distillation loss, the temporal-difference error, and who acts.

What is minimised is ``weight * L(Q_S, Q_T) + td * (r + γ max_a' Q_S(s', a'; θ−) − Q_S(s, a))²``. With ``td`` 0 it is
pure distillation, with ``weight`` 0 plain DQN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

from understudy.errors import ConfigurationError, MethodError, nearest
from understudy.methods.method import Control, Need
from understudy.methods.schedule import Schedule, Weight, at, extremes, scaled

DISTANCES = {
    "mse": "Σ (Q_S − Q_T)²",
    "kl": "KL(softmax(Q_T/τ)‖softmax(Q_S))",
    "ce": "H(softmax(Q_T/τ)‖softmax(Q_S/τ))",
    "nll": "−log softmax(Q_S)[argmax Q_T]",
}
ON_SCALE = ("mse", "ce")
"""Losses that leave the student with the teacher's scale of action values; the others leave it with logits."""


@dataclass(frozen=True)
class Behaviour:
    """Who acts: at each step and in each copy a uniform action with probability ``epsilon``, else the greedy action of
    the teacher with probability ``teacher``, else that of the student."""

    teacher: Weight = 0.0
    epsilon: Weight = 0.05

    def __post_init__(self) -> None:
        for name in ("teacher", "epsilon"):
            ends = extremes(getattr(self, name))
            if not all(0 <= end <= 1 for end in ends):  # so that NaN is refused too
                raise ConfigurationError(f"{name} must lie in [0, 1], got {getattr(self, name)}")

    def at(self, progress: float) -> tuple[float, float, float]:
        """Weights of (teacher, student, uniform) at ``progress`` in [0, 1]."""
        teacher, epsilon = at(self.teacher, progress), at(self.epsilon, progress)
        return teacher * (1 - epsilon), (1 - teacher) * (1 - epsilon), epsilon

    def __str__(self) -> str:
        who = {0: "student", 1: "teacher"}.get(self.teacher, f"mixture({self.teacher})")  # type: ignore[call-overload]
        return f"{who}, ε {self.epsilon if isinstance(self.epsilon, Schedule) else format(self.epsilon, 'g')}"


@dataclass(frozen=True)
class QMethod:
    """One row of Q_METHODS. ``distance``: a key of DISTANCES, or empty."""

    name: str
    distance: str = ""
    weight: Weight = 1.0
    td: Weight = 0.0
    control: Behaviour = Behaviour()
    source: str = ""
    notes: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.distance and self.distance not in DISTANCES:
            raise MethodError(
                f"{self.name}: the distance is one of {', '.join(DISTANCES)}, got {self.distance!r}."
                f"{nearest(self.distance, DISTANCES)}"
            )
        for name in ("weight", "td"):
            ends = extremes(getattr(self, name))
            if not all(math.isfinite(end) and end >= 0 for end in ends):
                raise MethodError(f"{self.name}: {name} must be at least 0, got {getattr(self, name)}")
        if not (self.distils or self.learns_by_td):
            raise MethodError(f"{self.name}: neither a distance nor a temporal-difference error has any weight")

    @property
    def distils(self) -> bool:
        return bool(self.distance) and any(extremes(self.weight))

    @property
    def learns_by_td(self) -> bool:
        return any(extremes(self.td))

    # What rows of Eq. 1 may have, and these have not.
    reward: ClassVar[tuple[()]] = ()
    parts: ClassVar[tuple[()]] = ()
    needs: ClassVar[frozenset[Need]] = frozenset()
    charges: ClassVar[bool] = False
    charges_every_step: ClassVar[bool] = False

    @property
    def reads_teacher(self) -> bool:
        return self.distils or any(extremes(self.control.teacher))

    @property
    def gives_values(self) -> bool:
        """Whether the student's numbers are action values at the end, rather than logits."""
        return self.learns_by_td or self.distance in ON_SCALE

    @property
    def fixes_level(self) -> bool:
        """Whether the values of a state are right or wrong as a whole; softmax leaves a constant free."""
        return self.learns_by_td or self.distance == "mse"

    @property
    def trusts_temperature(self) -> bool:
        """Whether the student's numbers, divided by the temperature, are the policy that was learned."""
        return self.gives_values and (self.distance in ON_SCALE or not self.distils)

    @property
    def text(self) -> str:
        """What is minimised, as a person writes it."""
        distance = [f"{_factor(self.weight)}{DISTANCES[self.distance]}"] if self.distils else []
        error = [f"{_factor(self.td)}(r + γ max Q_S′(θ−) − Q_S)²"] if self.learns_by_td else []
        return " + ".join(error + distance)

    def at(self, progress: float) -> QMethod:
        """The row with the schedules of its weights read at ``progress``; unchecked, for one may end at 0."""
        if not any(isinstance(weight, Schedule) for weight in (self.weight, self.td)):
            return self
        now = object.__new__(QMethod)
        for name, value in {**self.__dict__, "weight": at(self.weight, progress), "td": at(self.td, progress)}.items():
            object.__setattr__(now, name, value)
        return now


def _factor(weight: Weight) -> str:
    if isinstance(weight, Schedule):
        return f"{weight}·"
    return "" if weight == 1 else f"{weight:g}·"


EXPLORING = Schedule("linear", 1.0, 0.05, 0.1)
ASSISTED = Schedule("linear", 0.2, 0.05, 0.1)


def _rows() -> dict[str, QMethod]:
    dqn = QMethod("dqn", td=1.0, control=Behaviour(epsilon=EXPLORING), source="Mnih et al. 2015")
    pure = [
        QMethod("q-mse", "mse", source="R15"),
        QMethod("q-kl", "kl", source="R15"),
        QMethod("q-ce", "ce", source="Hinton et al. 2015"),
        QMethod("q-nll", "nll", source="R15"),
    ]
    joint = [
        replace(
            row, name=f"dqn+{row.name}", td=1.0, control=Behaviour(epsilon=ASSISTED), source="TD + λ · distillation"
        )
        for row in pure
    ]
    return {row.name: row for row in (*pure, dqn, *joint)}


Q_METHODS = _rows()


def with_q_weights(method: QMethod, weight: Weight, td: Weight) -> QMethod:
    """The row with its two weights multiplied, of which one must be a plain number; ones that act on nothing are
    refused."""
    if weight != 1 and not method.distils:
        raise ConfigurationError(f"{method.name} has no distillation loss that --loss-weight could change")
    if td != 1 and not method.learns_by_td:
        raise ConfigurationError(f"{method.name} has no temporal-difference error that --task-weight could change")
    return replace(method, weight=_product(method.weight, weight), td=_product(method.td, td))


def _product(own: Weight, given: Weight) -> Weight:
    if isinstance(given, Schedule):
        if isinstance(own, Schedule):
            raise ConfigurationError(
                f"the row's weight is the schedule {own} already; it cannot be multiplied by {given}"
            )
        return scaled(given, own)
    return scaled(own, given)


def with_behaviour(method: QMethod, control: Control | None, epsilon: Weight | None) -> QMethod:
    """Another policy acts, or explores otherwise; what is None stays as the row has it."""
    changed = method.control
    if control is not None:
        changed = replace(changed, teacher=control.teacher)
        if any(extremes(control.uniform)):
            changed = replace(changed, epsilon=control.uniform)
    if epsilon is not None:
        changed = replace(changed, epsilon=epsilon)
    return replace(method, control=changed)
