"""What the page of staged training is made of, read from its folder: plain data, and no environment is needed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from understudy.errors import RunError
from understudy.runs.folder import STAGE, STAGES, RunFolder
from understudy.stages.matrix import Matrix
from understudy.stages.result import BEFORE, StagesResult

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """A stage that is over. ``table``: its own in stages.toml; ``facts``: its result; ``first``: steps before it."""

    name: str
    path: Path
    table: Mapping[str, Any]
    facts: Mapping[str, Any]
    records: Sequence[Record]
    first: float

    @property
    def last(self) -> float:
        """Steps up to its end, of the policy that stands for it: peers' steps are not added up."""
        steps = (one["env_steps"] for one in self.records if isinstance(one.get("env_steps"), int | float))
        return self.first + max(steps, default=self.facts["env_steps"])

    def of_kind(self, kind: str) -> Sequence[Record]:
        return [one for one in self.records if one.get("kind") == kind]

    @property
    def peers(self) -> int:
        return len(self.facts.get("peers") or ())

    def peer(self, number: int) -> Sequence[Record]:
        """A peer's metrics."""
        return RunFolder(self.path / "peers" / str(number)).records()

    @property
    def distilled(self) -> Mapping[str, Any]:
        """The result of the distillation that it began with; empty where there was none."""
        return _json(self.path / "distilled" / "result.json")


@dataclass(frozen=True)
class Training:
    """All of it. ``tables``: stages.toml as plain data; ``before``: what random and untrained policies earned."""

    path: Path
    result: StagesResult
    tables: Mapping[str, Any]
    stages: tuple[Stage, ...]
    before: Mapping[str, Any]

    @cached_property
    def matrix(self) -> Matrix:
        return self.result.matrix

    @property
    def names(self) -> tuple[str, ...]:
        """Of the stages that are over."""
        return tuple(one.name for one in self.stages)

    def source(self, place: int) -> str:
        """The stage or folder whose policy a stage went on from; empty where it began anew."""
        begin = self.stages[place].table.get("begin", "last")
        if begin == "last":
            return self.names[place - 1] if place else ""
        return "" if begin == "fresh" else str(begin)

    @property
    def strangers(self) -> tuple[str, ...]:
        """Earlier stages of which nothing went into the last policy: it began anew, or went on from others."""
        place = len(self.stages) - 1
        left = list(self.names[:-1])
        if self.stages[place].table.get("adapters"):
            return ()  # the columns of all of them are in it
        while (source := self.source(place)) in left:
            left.remove(source)
            place = self.names.index(source)
        return tuple(left)

    @property
    def unbegun(self) -> tuple[str, ...]:
        return self.result.tasks[len(self.stages) :]

    @cached_property
    def normalised(self) -> np.ndarray:
        """The matrix's own, with NaN for every task on which too little was learned for a share of it."""
        learned = np.array([self.result.learned[name] for name in self.names])
        return np.where(learned, self.matrix.normalised, np.nan)

    @cached_property
    def unlearned(self) -> tuple[str, ...]:
        """Tasks whose own stage gained too little for a share of it to say anything."""
        return tuple(name for name in self.names if not self.result.learned[name])


def read(path: str | Path) -> Training:
    """Of a folder whose training has ended. RunError: it goes on, or its files are damaged."""
    folder = Path(path)
    if not (folder / "result.json").is_file():
        raise RunError(_unfinished(folder))
    tables = configuration(folder)
    try:
        result = StagesResult.from_file(folder / "result.json")
        _check(result)
        own = {table["name"]: table for table in tables["stage"]}
        stages: list[Stage] = []
        for facts in result.stages:
            name, first = facts["stage"], stages[-1].last if stages else 0.0
            place = folder / name
            stages.append(Stage(name, place, own[name], facts, RunFolder(place).records(), first))
        before = _json(stages[0].path / "before.json")
        return Training(folder, result, tables, tuple(stages), before)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise RunError(f"{folder} holds staged training that cannot be read: {what}") from None


def configuration(folder: Path) -> dict[str, Any]:
    """stages.toml as plain data, which need not be one that could be trained by now. RunError: it cannot be read."""
    try:
        return tomllib.loads((folder / STAGES).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / STAGES} cannot be read: {error}") from None


def _check(result: StagesResult) -> None:
    """KeyError or ValueError where rows, tasks and stages are not of one training."""
    names = [facts["stage"] for facts in result.stages]
    result.matrix  # noqa: B018  KeyError: a cell is missing
    if not names or names != list(result.tasks[: len(names)]) or [BEFORE, *names] != list(result.rows):
        raise ValueError(f"its rows {[*result.rows]} are not those of its stages {names}")
    strange = next((name for name in names if Path(name).name != name), None)
    if strange is not None:
        raise ValueError(f"no stage is called {strange!r}")


def _unfinished(folder: Path) -> str:
    done = sorted(one.parent.name for one in folder.glob(f"*/{STAGE}") if (one.parent / "result.json").is_file())
    what = f"only {', '.join(done)} {'is' if len(done) == 1 else 'are'} over" if done else "no stage is over"
    return (
        f"{folder} has no result.json: the training has not finished, {what}. Go on with it: understudy stages "
        f"--resume {folder}"
    )


def _json(path: Path) -> dict[str, Any]:
    """Facts; empty where the file is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
