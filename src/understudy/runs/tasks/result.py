"""What several tasks came to: each task's figures, their geometric mean, and what was shared."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

from understudy.errors import RunError
from understudy.runs.files import json_text
from understudy.runs.result import Result

COLUMNS = ("task", "teacher", "student", "random", "recovered", "steps")


def geometric_mean(recovered: Iterable[float | None]) -> float | None:
    """Of normalised returns, (student - random) / (teacher - random).

    0 where one is 0 or below, for a student that has not learned one task has not learned them all; None where one is
    not defined, because its teacher does not beat a random policy.
    """
    found = list(recovered)
    if not found or any(one is None for one in found):
        return None
    if min(one for one in found if one is not None) <= 0:
        return 0.0
    return math.exp(sum(math.log(one) for one in found if one) / len(found))


@dataclass(frozen=True)
class TasksResult:
    """The figures of a student of several tasks.

    ``tasks``: each task's own, by name; ``weights`` likewise. ``shared_parameters``: those that every task has;
    ``own_parameters``: the others, by task. ``student_parameters`` and ``teacher_parameters``: of all tasks together.
    """

    tasks: dict[str, Result]
    weights: dict[str, float]
    heads: str
    geometric_mean: float | None
    shared_parameters: int
    own_parameters: dict[str, int]
    student_parameters: int
    teacher_parameters: int
    env_steps: int
    updates: int
    seconds: float
    evaluation_seconds: float
    final_seconds: float
    total_seconds: float
    cpu_seconds: float
    stopped_because: str
    target: float
    method: str
    student: str
    seed: int
    path: str

    def to_json(self) -> str:
        return json_text(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TasksResult:
        """Read what ``to_json`` wrote."""
        try:
            data = json.loads(text)
            tasks = {name: Result.from_json(json.dumps(one)) for name, one in data["tasks"].items()}
            known = {entry.name: data[entry.name] for entry in fields(cls)}
            return cls(**known | {"tasks": tasks})
        except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
            raise RunError(f"not a result of several tasks: {error}") from None

    @property
    def reached(self) -> bool:
        """Whether the final figures of every task hold the target, as point estimates."""
        return all(one.reached for one in self.tasks.values())

    def summary(self) -> str:
        """Five lines, of which the second is a table of the tasks: what, returns, recovered, cost, where."""
        return "\n".join((self._what(), self._table(), self._recovered(), self._cost(), f"Saved        {self.path}"))

    def _what(self) -> str:
        heads = "a head for each" if self.heads == "own" else "one head for all"
        title = f"{len(self.tasks)} tasks into one {self.student} with {self.method}"
        return f"Distilled    {title}, {heads}, seed {self.seed}"

    def _table(self) -> str:
        rows = [COLUMNS, *(_row(name, one) for name, one in self.tasks.items())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        texts = [
            "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        ]
        indent = "\n" + 13 * " "
        return f"Return       {indent.join(texts)}"

    def _recovered(self) -> str:
        stopped = f"stopped: {self.stopped_because}"
        if self.geometric_mean is None:
            return f"Recovered    no geometric mean, for a teacher does not beat a random policy; {stopped}"
        missed = [name for name, one in self.tasks.items() if not one.reached]
        held = f"missed by {', '.join(missed)}" if missed else "held by every task"
        return f"Recovered    {self.geometric_mean:.1%}, the geometric mean; target {self.target:.0%} {held}; {stopped}"

    def _cost(self) -> str:
        own = ", ".join(f"{count:,} of {name} alone" for name, count in self.own_parameters.items())
        teachers = f"{self.teacher_parameters:,} parameters of teachers" if self.teacher_parameters else "teachers"
        return (
            f"Cost         {self.env_steps:,} environment steps, {self.updates:,} minibatches; {self.seconds:.1f} s of "
            f"training, {self.evaluation_seconds:.1f} s of evaluation, {self.final_seconds:.1f} s for these figures; "
            f"{teachers} to {self.student_parameters:,}: {self.shared_parameters:,} shared, {own}"
        )


def _row(name: str, one: Result) -> tuple[str, ...]:
    returns: list[Any] = [one.teacher_return, one.student_return, one.random_return]
    texts = [f"{value:.{1 if max(map(abs, returns)) >= 10 else 2}f}" for value in returns]
    recovered = "not defined" if one.recovered is None else f"{one.recovered:.1%}"
    if one.recovered is not None and one.recovered_interval is not None:
        recovered += " [{:.1%}, {:.1%}]".format(*one.recovered_interval)
    return name, *texts, recovered, f"{one.env_steps:,}"
