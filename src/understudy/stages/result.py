"""What staged training came to: the table of returns, forgetting and transfer, and what it cost."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.errors import RunError
from understudy.runs.files import json_text
from understudy.stages.matrix import Matrix

BEFORE = "(before)"
SURE = 2.0
"""How many times beyond its interval's reach a task's gain lies before anything is told as a share of it."""


@dataclass(frozen=True)
class StagesResult:
    """``rows``: for each stage, and for the policy before all training, what it earned on every task.

    ``random``: a random policy's returns. ``stages``: each stage's own facts.
    """

    tasks: tuple[str, ...]
    rows: dict[str, dict[str, dict[str, Any]]]
    random: dict[str, float]
    stages: tuple[dict[str, Any], ...]
    complete: bool
    seed: int
    path: str

    @property
    def matrix(self) -> Matrix:
        """Rows in the order of stages; row 0 is before all training."""
        returns = [[row[task]["return"] for task in self.tasks] for row in self.rows.values()]
        return Matrix(self.tasks, np.array(returns, float), np.array([self.random[task] for task in self.tasks], float))

    @property
    def learned(self) -> dict[str, bool]:
        """Of each task whose stage is over: whether enough was gained that a share of it says something.

        A share divides by the gain, the return after the task's own stage less a random policy's. Where that is twice
        what the return's 95 % interval reaches down, or more, the share is within a factor of two; near 0 it is noise.
        """
        return {task: self._gained(task) for task in self.tasks if task in self.rows}

    def _gained(self, task: str) -> bool:
        cell = self.rows[task][task]
        low, _ = cell.get("interval") or (None, None)
        if low is None or cell["return"] is None or self.random[task] is None:
            return False
        gain = cell["return"] - self.random[task]
        return bool(gain > 0 and gain >= SURE * (cell["return"] - low))

    def to_json(self) -> str:
        return json_text(asdict(self) | self.matrix.facts())

    @classmethod
    def from_file(cls, path: Path) -> StagesResult:
        """Read what ``to_json`` wrote."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            known = {name: data[name] for name in cls.__dataclass_fields__}
            return cls(**known | {"tasks": tuple(data["tasks"]), "stages": tuple(data["stages"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunError(f"{path} is no result of staged training: {error}") from None

    def summary(self) -> str:
        """A table of returns, stage by task, and what it says."""
        head = f"Stages       {len(self.stages)} of {len(self.tasks)}, seed {self.seed}"
        lines = [head, *self._table(), *self._facts()]
        lines += [f"Warning      {one['stage']}: {text}" for one in self.stages for text in one["warnings"]]
        return "\n".join([*lines, f"Saved        {self.path}"])

    def _table(self) -> list[str]:
        head = ["after", *self.tasks, "steps", "seconds"]
        rows = [head, ["random policy", *(f"{self.random[task]:.1f}" for task in self.tasks), "", ""]]
        costs = {one["stage"]: (f"{one['env_steps']:,}", f"{one['seconds']:.0f}") for one in self.stages}
        for name, row in self.rows.items():
            rows.append([name, *(f"{row[task]['return']:.1f}" for task in self.tasks), *costs.get(name, ("", ""))])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        texts = [
            "  ".join(
                [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
            ).rstrip()
            for row in rows
        ]
        return [f"Return       {texts[0]}", *(13 * " " + text for text in texts[1:])]

    def _facts(self) -> list[str]:
        facts = self.matrix.facts()
        if not facts:
            return []
        share = facts["average_forgetting_normalised"]
        words = f"{facts['average_forgetting']:.1f} on average"
        unlearned = [task for task in self.tasks[: len(self.stages) - 1] if not self.learned.get(task)]
        if unlearned:
            words += f" (no share of what was learned: {', '.join(unlearned)} gained too little over a random policy)"
        elif share is not None:
            words += f", {round(share, 2) + 0:.0%} of what was learned"
        ends = "; ".join(f"{one['stage']}: {one['stopped_because']}" for one in self.stages)
        return [
            f"Forgotten    {words}; forward transfer {facts['average_forward_transfer']:.1f}",
            f"Stopped      {ends}",
        ]
