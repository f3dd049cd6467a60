"""What a distillation came to: the figures of result.json, and five lines for people."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from understudy.errors import RunError
from understudy.runs.files import json_text

Interval = tuple[float, float]
RETURNS = ("teacher_return", "random_return", "student_return")


@dataclass(frozen=True)
class Result:
    """The figures of a run. Returns are means over the final episodes; intervals hold 95 % by the bootstrap.

    A return is not a number (null in the file) where nobody played, as on recorded data without an environment.
    ``recovered``: (student - random) / (teacher - random); None where the teacher does not beat random.
    ``seconds``: wall time of training alone; evaluations during it are in ``evaluation_seconds``, the final figures'
    episodes in ``final_seconds``.
    ``updates``: optimiser steps. ``dropped_tails``: ends at time limits whose remaining return no critic supplied.
    ``extra``: figures that only some runs have.
    """

    teacher_return: float
    random_return: float
    student_return: float
    recovered: float | None
    recovered_interval: Interval | None
    env_steps: int
    updates: int
    seconds: float
    teacher_parameters: int
    student_parameters: int
    stopped_because: str
    teacher_interval: Interval | None = None
    student_interval: Interval | None = None
    random_interval: Interval | None = None
    teacher_worst_5_percent: float | None = None
    student_worst_5_percent: float | None = None
    teacher_length: float | None = None
    student_length: float | None = None
    random_length: float | None = None
    episodes: int = 0
    evaluation_seconds: float = 0.0
    final_seconds: float = 0.0
    total_seconds: float = 0.0
    cpu_seconds: float | None = None
    target: float = 0.95
    method: str = ""
    teacher: str = ""
    student: str = ""
    env: str = ""
    seed: int = 0
    path: str = ""
    termination_trap: str | None = None
    dropped_tails: int = 0
    warnings: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
            if value is None and name in RETURNS:
                object.__setattr__(self, name, math.nan)

    @property
    def data(self) -> dict[str, Any] | None:
        """Of the recorded data that it was learned from, if it was."""
        return self.extra.get("data")

    @property
    def reached(self) -> bool:
        """Whether the final figures hold the target, as a point estimate."""
        return self.recovered is not None and self.recovered >= self.target

    def to_json(self) -> str:
        return json_text(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read what ``to_json`` wrote; keys of a later version are kept in ``extra``."""
        try:
            data = json.loads(text)
            known = {entry.name for entry in fields(cls)}
            own = {key: value for key, value in data.items() if key in known}
            other = {key: value for key, value in data.items() if key not in known}
            return cls(**own | {"extra": own.get("extra", {}) | other})
        except (json.JSONDecodeError, TypeError, AttributeError) as error:
            raise RunError(f"not a result of an Understudy run: {error}") from None

    def summary(self) -> str:
        """Five lines: what, returns, recovered, cost, where; of a student of recorded data what it learned from too."""
        lines = [self._what(), self._returns(), self._recovered(), self._cost(), self._where()]
        return "\n".join([*lines[:1], *data_lines(self.extra), *lines[1:]])

    def _what(self) -> str:
        if self.data is not None:
            where = f"{self.data['name']}, to act in {self.env}," if self.env else self.data["name"]
            who = self.teacher or "what was done"
            return f"Distilled    {who} into {self.student} on {where} with {self.method}, seed {self.seed}"
        return f"Distilled    {self.teacher} into {self.student} on {self.env} with {self.method}, seed {self.seed}"

    def _returns(self) -> str:
        figures = (
            ("teacher", self.teacher_return, self.teacher_interval),
            ("student", self.student_return, self.student_interval),
            ("random", self.random_return, self.random_interval),
        )
        texts = [f"{name} {_figure(mean, interval)}" for name, mean, interval in figures if math.isfinite(mean)]
        if not texts:
            return "Return       not measured, for there is no environment: understudy evaluate RUN --env ENV does it"
        return f"Return       {', '.join(texts)}" + (f" over {self.episodes} episodes" if self.episodes else "")

    def _recovered(self) -> str:
        stopped = f"stopped: {self.stopped_because}"
        if not math.isfinite(self.teacher_return):
            return f"Recovered    not defined without a teacher that plays; {stopped}"
        if self.recovered is None:
            return f"Recovered    not defined, for the teacher does not beat a random policy; {stopped}"
        interval = ""
        if self.recovered_interval is not None:
            interval = " [{:.1%}, {:.1%}]".format(*self.recovered_interval)
        return f"Recovered    {self.recovered:.1%}{interval}; target {self.target:.0%} {self._verdict()}; {stopped}"

    def _verdict(self) -> str:
        if not self.reached:
            return "missed"
        if self.recovered_interval is None or self.recovered_interval[0] >= self.target:
            return "held"
        return "held by the point estimate, the interval reaches below"

    def _cost(self) -> str:
        parameters = f"{self.teacher_parameters:,} to {self.student_parameters:,} parameters"
        if self.teacher_parameters:  # a function has none
            parameters += f" ({_ratio(self.teacher_parameters, max(1, self.student_parameters))})"
        steps = "" if self.data is not None else f"{self.env_steps:,} environment steps, "
        return (
            f"Cost         {steps}{self.updates:,} updates; "
            f"{self.seconds:.1f} s of training, {self.evaluation_seconds:.1f} s of evaluation, "
            f"{self.final_seconds:.1f} s for these figures; {parameters}"
        )

    def _where(self) -> str:
        warning = f"; warning: {self.termination_trap}" if self.termination_trap else ""
        return f"Saved        {self.path or 'nowhere'}{warning}"


def data_lines(extra: dict[str, Any]) -> list[str]:
    """What a student of recorded data learned from, how close it is where it was not taught, and what they cover."""
    data, held, cover = (extra.get(name) for name in ("data", "held_out", "coverage"))
    if data is None or held is None:
        return []
    own = "" if data["mean_return"] is None else f", with a mean return of {_figure(data['mean_return'], None)}"
    lines = [f"Data         {data['rows']:,} steps of {data['episodes']:,} episodes{own}"]
    agreement = "" if held["agreement"] is None else f", agreement {held['agreement']:.1%}"
    loss = "not a number" if held["loss"] is None else f"{held['loss']:.4g}"
    lines.append(f"Held out     {held['rows']:,} steps: loss {loss}{agreement}")
    if cover is not None:
        lines.append(f"Covered      {covered_text(cover)}")
    return lines


def covered_text(cover: dict[str, Any]) -> str:
    """How much of the student's own visitation its data have."""
    if "missing" in cover:
        return f"not measured: {cover['missing']}"
    return (
        f"{cover['share']:.1%} of the {cover['states']:,} states that the student comes through itself; of the data's "
        "own, held out, it would be 95%"
    )


def _ratio(before: int, after: int) -> str:
    if before == after:
        return "the same size"
    times = f"{max(before, after) / min(before, after):.1f}"
    return "about the same size" if times == "1.0" else f"{times} x {'smaller' if before > after else 'larger'}"


def _figure(mean: float, interval: Interval | None) -> str:
    """A mean and its interval to the same decimals: three digits of the largest, and one decimal at least."""
    numbers = (mean, *(interval or ()))
    size = max((abs(number) for number in numbers if math.isfinite(number)), default=0.0)
    decimals = min(6, max(1, 2 - math.floor(math.log10(size)))) if size else 1
    texts = [f"{number:.{decimals}f}" for number in numbers]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]" if interval else texts[0]
