"""A distillation method as data: who acts, a loss term, a reward term. Eq. 1 of C19 does the rest."""

from __future__ import annotations

import math
from collections import defaultdict
from copy import copy
from dataclasses import dataclass, field, replace
from enum import Enum

from understudy.errors import ConfigurationError, MethodError, nearest
from understudy.methods.schedule import Schedule, Weight, at, extremes, scaled


class Need(Enum):
    """Something a row cannot be computed without."""

    TEACHER_VALUE = "the teacher's value function"
    STUDENT_VALUE = "a value head on the student"
    TASK_REWARD = "the environment's reward"
    FULL_SUPPORT = "a teacher that gives every action some probability"
    STUDENT_CONTROL = "the student to act"


@dataclass(frozen=True)
class Atom:
    """One quantity per step; ``understudy.methods.atoms`` holds its text for PyTorch under the same name.

    ``expected``: the same in expectation over the student's action, as weighted atoms of the state alone; used for
    a_{n+1} beyond a time limit, and by :func:`with_expected_reward`. Empty: the atom is of the state already.
    """

    name: str
    symbol: str
    needs: frozenset[Need] = frozenset()
    expected: tuple[tuple[float, str], ...] = ()


def _atom(name: str, symbol: str, *needs: Need, expected: tuple[tuple[float, str], ...] = ()) -> Atom:
    return Atom(name, symbol, frozenset(needs), expected)


ATOMS: dict[str, Atom] = {
    atom.name: atom
    for atom in (
        _atom("forward-cross-entropy", "H(π‖πθ)"),
        _atom("reverse-cross-entropy", "H(πθ‖π)", Need.FULL_SUPPORT),
        _atom("forward-kl", "KL(π‖πθ)"),
        _atom("reverse-kl", "KL(πθ‖π)", Need.FULL_SUPPORT),
        _atom("teacher-log-prob", "log π(a)", Need.FULL_SUPPORT, expected=((-1.0, "reverse-cross-entropy"),)),
        _atom("student-log-prob", "log πθ(a)", expected=((-1.0, "student-entropy"),)),
        _atom("student-entropy", "H(πθ)"),
        _atom("task-reward", "r", Need.TASK_REWARD),
        _atom("teacher-value", "V_T", Need.TEACHER_VALUE),
        _atom("student-value", "V_S", Need.STUDENT_VALUE),
        _atom("gated-cross-entropy", "H(π‖πθ)·1[V_T > V_S]", Need.TEACHER_VALUE, Need.STUDENT_VALUE),
    )
}
VALUES = ("teacher-value", "student-value")
COSTS = ("forward-cross-entropy", "reverse-cross-entropy", "forward-kl", "reverse-kl", "gated-cross-entropy")


@dataclass(frozen=True)
class Part:
    """``weight`` times an atom, at s_t or (``later``) at s_{t+1}; in a reward, with its own credit.

    ``credit`` 1: the part counts in full towards every earlier action (return-to-go); 0: for its own step only.
    """

    weight: Weight
    atom: str
    later: bool = False
    credit: float = 1.0

    def __post_init__(self) -> None:
        if self.atom not in ATOMS:
            raise MethodError(f"unknown atom {self.atom!r}.{nearest(self.atom, ATOMS)} There are {', '.join(ATOMS)}")
        if not all(math.isfinite(end) for end in extremes(self.weight)):
            raise MethodError(f"the weight of {self.atom} must be finite, got {self.weight}")
        if not 0 <= self.credit <= 1:
            raise MethodError(f"credit must lie in [0, 1], got {self.credit}")
        if self.later and self.atom == "task-reward":
            raise MethodError("the task reward one step later is not known when a window ends; use credit instead")

    def __str__(self) -> str:
        symbol = ATOMS[self.atom].symbol
        later = "′" if self.later else ""
        number = self.weight if isinstance(self.weight, Schedule) else f"{abs(self.weight):g}"
        factor = "" if number == "1" else f"{number}·"
        credit = "" if self.credit == 1 else f" [credit {self.credit:g}]"
        return f"{factor}{symbol}{later}{credit}"


Term = tuple[Part, ...]


def term_text(term: Term) -> str:
    """A term as a person writes it; ′ marks quantities of s_{t+1}."""
    if not term:
        return "0"
    signs = [isinstance(p.weight, Schedule) or p.weight >= 0 for p in term]
    text = "".join(f" {'+' if plus else '−'} {part}" for plus, part in zip(signs, term, strict=True))
    return text[3:] if signs[0] else "−" + text[3:]


@dataclass(frozen=True)
class Control:
    """Who acts: at each step the teacher, the student or the uniform policy, drawn with these weights.

    The student's weight is what the others leave; ``teacher`` may be a schedule (DAgger's beta).
    """

    teacher: Weight = 0.0
    student: float | None = None
    uniform: Weight = 0.0

    def __post_init__(self) -> None:
        for progress in (0.0, 0.5, 1.0):
            others = at(self.teacher, progress), at(self.uniform, progress)
            student = 1 - sum(others) if self.student is None else self.student
            weights = (*others, student)
            if not (min(weights) >= -1e-9 and abs(sum(weights) - 1) <= 1e-9):  # so that NaN is refused too
                if self.student is not None and abs(sum(weights) - 1) > 1e-9:
                    raise ConfigurationError(f"control weights must sum to 1, got {sum(weights):g}")
                raise ConfigurationError(f"control weights must lie in [0, 1], got {min(weights):g}")

    def at(self, progress: float) -> tuple[float, float, float]:
        """Weights of (teacher, student, uniform) at ``progress`` in [0, 1]."""
        teacher, uniform = at(self.teacher, progress), at(self.uniform, progress)
        return teacher, max(0.0, 1 - teacher - uniform), uniform

    @property
    def is_student(self) -> bool:
        return self.teacher == 0 and self.uniform == 0

    def __str__(self) -> str:
        if self.is_student:
            return "student"
        if self.teacher == 1:
            return "teacher"
        if self.uniform == 1:
            return "uniform"
        text = f"mixture({self.teacher}"
        return f"{text}, uniform {self.uniform})" if self.uniform else f"{text})"


def mixture(beta: Weight) -> Control:
    """Per step, with probability ``beta`` the teacher acts, else the student (DAgger)."""
    return Control(teacher=beta)


CONTROLS = {"teacher": Control(teacher=1.0), "student": Control(student=1.0), "uniform": Control(uniform=1.0)}


@dataclass(frozen=True)
class Method:
    """One row of METHODS: Eq. 1 with its three blanks filled in.

    ``gradient``: whether the expected update is a gradient field; None where it depends.
    ``objective``: what is minimised, where something is.
    """

    name: str
    control: Control
    loss: Term = ()
    reward: Term = ()
    gradient: bool | None = None
    objective: str = "none exists"
    source: str = ""
    notes: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.loss and not self.reward:
            raise MethodError(f"{self.name}: a method needs a loss or a reward term")
        if not any(any(extremes(part.weight)) for part in self.parts):
            raise MethodError(f"{self.name}: every part has weight 0 throughout: nothing would be learned")
        if any(part.later for part in self.loss):
            raise MethodError(f"{self.name}: a loss term speaks of s_t; only reward parts may be taken one step later")
        if self.reward and not self.control.is_student:
            raise ConfigurationError(
                f"{self.name} has a reward term, which needs the student to act, but control is {self.control}. "
                "Use --control student, or a row without a reward term."
            )
        self._check_bootstraps()

    def _check_bootstraps(self) -> None:
        balance: dict[tuple[float, float], float] = defaultdict(float)
        later: set[float] = set()
        for part in self.reward:
            if part.atom in VALUES:
                for progress in (0.0, 0.5, 1.0):
                    balance[part.credit, progress] += at(part.weight, progress)
                if part.later:
                    later.add(part.credit)
        for credit in later - {0.0}:
            if any(abs(excess) > 1e-9 for (its, _), excess in balance.items() if its == credit):
                raise MethodError(
                    f"{self.name}: a reward with a value of s_(t+1) that does not subtract the value of s_t counts "
                    f"the same return again at every step; it accepts credit 0 only, got credit {credit:g}"
                )

    @property
    def parts(self) -> Term:
        return self.loss + self.reward

    @property
    def needs(self) -> frozenset[Need]:
        """Derived from the parts, never stored."""
        needs = frozenset[Need]().union(*(ATOMS[part.atom].needs for part in self.parts))
        return needs | {Need.STUDENT_CONTROL} if self.reward else needs

    @property
    def credits(self) -> list[float]:
        """The distinct credits of the reward's parts, ascending; each has its own return-to-go."""
        return sorted({part.credit for part in self.reward})

    @property
    def reads_teacher(self) -> bool:
        """False only for rows that never look at the teacher, such as the baseline."""
        own = ("task-reward", "student-log-prob", "student-entropy", "student-value")
        return not self.control.is_student or any(part.atom not in own for part in self.parts)

    @property
    def charges(self) -> bool:
        """Whether a part of the reward costs at every step and counts towards earlier actions."""
        lasting = [part for part in self.reward if part.credit > 0]
        negative = any(p.atom in COSTS and min(extremes(p.weight)) < 0 for p in lasting)
        return negative or any(p.atom == "teacher-log-prob" and max(extremes(p.weight)) > 0 for p in lasting)

    @property
    def charges_every_step(self) -> bool:
        """The termination trap: a reward that can only cost, at every step, pays for ending the episode early."""
        return self.charges and not any(p.atom == "task-reward" and any(extremes(p.weight)) for p in self.reward)

    def divergence_only(self) -> Method:
        """The row with its reward's divergences and log-probabilities alone, without task reward and values."""
        return self._with_terms(self.loss, tuple(p for p in self.reward if p.atom not in ("task-reward", *VALUES)))

    def at(self, progress: float) -> Method:
        """The row with every schedule read at ``progress`` in [0, 1]."""
        if not any(isinstance(part.weight, Schedule) for part in self.parts):
            return self
        loss, reward = (
            tuple(replace(part, weight=at(part.weight, progress)) for part in term) for term in (self.loss, self.reward)
        )
        return self._with_terms(loss, reward)

    def _with_terms(self, loss: Term, reward: Term) -> Method:
        """A piece or a moment of the row, unchecked: a schedule may end at 0, which a whole row may not be."""
        changed = copy(self)
        object.__setattr__(changed, "loss", loss)
        object.__setattr__(changed, "reward", reward)
        return changed


def negated(term: Term, **changes: object) -> Term:
    """The term with every weight's sign turned, and ``changes`` made to every part."""
    return tuple(replace(part, weight=scaled(part.weight, -1), **changes) for part in term)  # type: ignore[arg-type]


def corrected(method: Method, name: str = "") -> Method:
    """Theorem 2 of C19: the reward -l(s_{i+1}) makes any one-step loss the gradient of E_πθ sum l_t."""
    if not method.control.is_student:
        raise MethodError(f"{method.name}: the correction needs the student to act, not {method.control}")
    if not method.loss:
        raise MethodError(f"{method.name} has no loss term to correct")
    if any(part.atom != "task-reward" or part.credit != 1 for part in method.reward):
        raise MethodError(
            f"{method.name} has the reward {term_text(method.reward)} already; Theorem 2 corrects a loss term, "
            "alone or beside the task reward"
        )
    return replace(
        method,
        name=name or f"{method.name}-corrected",
        reward=method.reward + negated(method.loss, later=True),
        gradient=True,
        objective=f"E_πθ Σ {term_text(method.loss)}" + (" − Σ r" if method.reward else ""),
        source="C19 Theorem 2",
    )


def plus_task_reward(method: Method, weight: Weight = 1.0) -> Method:
    """C19's "+R": the task reward is added with ``weight`` and credit 1."""
    if not method.control.is_student:
        raise ConfigurationError(f"{method.name}+r needs the student to act, but control is {method.control}")
    if any(part.atom == "task-reward" for part in method.reward):
        raise MethodError(f"{method.name} has the task reward already")
    objective = f"{method.objective} − Σ r" if method.gradient else "none exists"
    return replace(
        method,
        name=f"{method.name}+r",
        reward=(*method.reward, Part(weight, "task-reward")),
        objective=objective,
    )


DIVERGENCES = ("cross-entropy", "kl")


def with_divergence(method: Method, divergence: str) -> Method:
    """The row with every cross-entropy replaced by the KL divergence of the same direction, or the row itself.

    The loss term's gradient in the forward direction (teacher‖student) is the same for both. As a *reward* they
    differ: cross-entropy charges at least H(π) > 0 for every step, so a student is paid for ending the episode
    early; with ``"kl"`` a perfect copy pays nothing. In the reverse direction (student‖teacher) cross-entropy asks
    for the teacher's best action only, KL for a copy.
    """
    if divergence not in DIVERGENCES:
        raise ConfigurationError(f"divergence must be one of {', '.join(DIVERGENCES)}, got {divergence!r}")
    if divergence == "cross-entropy":
        return method
    swap = {"forward-cross-entropy": "forward-kl", "reverse-cross-entropy": "reverse-kl"}
    loss = tuple(replace(part, atom=swap.get(part.atom, part.atom)) for part in method.loss)
    reward = [replace(part, atom=swap.get(part.atom, part.atom)) for part in method.reward]
    if not any(part.atom == "student-log-prob" for part in reward):
        reward += [
            replace(part, atom="student-log-prob", weight=scaled(part.weight, -1))
            for part in method.reward
            if part.atom == "teacher-log-prob"
        ]
    objective = method.objective.replace("H(", "KL(").replace("−log π(a)", "KL(πθ‖π)")
    return replace(method, loss=loss, reward=tuple(reward), objective=objective)


def with_expected_reward(method: Method) -> Method:
    """The lower-variance form: every later reward part becomes its expectation over the student's next action."""
    reward: list[Part] = []
    for part in method.reward:
        expected = ATOMS[part.atom].expected if part.later else ()
        reward += [replace(part, atom=a, weight=scaled(part.weight, w)) for w, a in expected] or [part]
    if tuple(reward) == method.reward:
        raise ConfigurationError(
            f"{method.name} has no reward part that is sampled at the next action, so it has no expected form"
        )
    return replace(method, reward=tuple(reward))


def with_control(method: Method, control: Control) -> Method:
    """The row with another policy acting. A loss is a gradient field exactly if the student's weights play no part."""
    own = method.control
    if (control.teacher, control.uniform) == (own.teacher, own.uniform):  # the student's weight is what these leave
        return method
    fixed = all(control.at(progress / 16)[1] < 1e-9 for progress in range(17))
    objective = f"E_q Σ {term_text(method.loss)}" if fixed else "none exists"
    return replace(method, control=control, gradient=fixed, objective=objective)


def with_credit(method: Method, credit: float) -> Method:
    """The row with the credit of every reward part but the task reward times ``credit``.

    A small one defuses the termination trap, but what is charged no longer counts in full towards what led there.
    """
    reward = tuple(p if p.atom == "task-reward" else replace(p, credit=credit * p.credit) for p in method.reward)
    if reward == method.reward:
        return method
    return replace(method, reward=reward, gradient=None, objective="none exists")


def with_weights(method: Method, loss: Weight = 1.0, task: Weight = 1.0) -> Method:
    """Scale what distils (kickstarting's coefficient) and the task reward.

    What distils is the loss term and the reward parts that go with it: a correction (Theorem 2) with another weight
    than its loss would correct nothing.
    """

    def times(part: Part, weight: Weight) -> Part:
        if isinstance(weight, Schedule):
            if isinstance(part.weight, Schedule):
                raise ConfigurationError(
                    f"two schedules for one weight: {part.atom} of {method.name} has {part.weight} already, and "
                    f"{weight} is given. Give a number, or change the row."
                )
            return replace(part, weight=scaled(weight, at(part.weight, 0)))
        return replace(part, weight=scaled(part.weight, weight))

    def distils(part: Part) -> bool:
        return part.atom != "task-reward" and part.atom not in VALUES

    if loss != 1.0 and not any(distils(part) for part in method.parts):
        raise ConfigurationError(f"{method.name} has no divergence to weigh; --loss-weight is for rows that distil one")
    if task != 1.0 and not any(part.atom == "task-reward" for part in method.reward):
        raise ConfigurationError(f"{method.name} has no task reward to weigh. Use {method.name}+r")
    weighed = replace(
        method,
        loss=tuple(times(part, loss) for part in method.loss),
        reward=tuple(
            times(p, task) if p.atom == "task-reward" else times(p, loss) if distils(p) else p for p in method.reward
        ),
    )
    if task != 1.0 and any(part.atom in VALUES and part.credit == 0 for part in method.reward):
        # r + V_S(s') with another weight on r is no action value any more
        return replace(weighed, gradient=None if method.gradient is None else False, objective="none exists")
    return weighed


def with_entropy_bonus(method: Method, weight: Weight) -> Method:
    """The row that is also paid ``weight`` for each nat of the student's entropy where it goes; for exploration."""
    loss = (*method.loss, Part(scaled(weight, -1), "student-entropy"))
    return replace(method, loss=loss, gradient=False, objective="none exists")
