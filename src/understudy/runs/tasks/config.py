"""The configuration of several tasks: what they have in common, and a table for each.

Nothing heavy is imported here: the command line reads it.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from understudy.errors import ConfigurationError, UnderstudyError, nearest
from understudy.methods import QMethod
from understudy.policies.spec import parse
from understudy.runs.config import DistillConfig
from understudy.runs.fields import fields_of, option, plain, problems, refuse, toml_text

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
FORM = "--task TEACHER@ENV or --task NAME=TEACHER@ENV"
OWN = (
    "teacher",
    "env",
    "gamma",
    "frames",
    *(
        name
        for name, entry in fields_of(DistillConfig).items()
        if entry.metadata["group"] in ("teacher", "environment", "views")
    ),
)
"""Options that each task may have for itself; all others are the whole run's."""


@dataclass(frozen=True)
class Task:
    """One of several. ``weight``: of its losses, or where they take turns how often it has one."""

    name: str
    config: DistillConfig
    weight: float = 1.0


@dataclass(frozen=True)
class TasksConfig:
    """Everything that decides a distillation of several tasks. ``steps``: environment steps of all together."""

    tasks: tuple[Task, ...]
    heads: Literal["own", "one"] = option("Last layers of the student: one for each task, or one for all.", "own")
    mix: Literal["sum", "turns"] = option(
        "Update by the weighted sum of all tasks' losses, or by one task's minibatch after the other's.", "sum"
    )
    steps: int | None = None
    out: str = ""

    @property
    def shared(self) -> DistillConfig:
        """The first task's, for what all have in common."""
        return self.tasks[0].config

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "") -> TasksConfig:
        """From keys and values, ``tasks`` among them: a table for each task by its name. All problems at once."""
        given = dict(values)
        tables = given.pop("tasks", {})
        found = [*_problems_of(cls, given), *_problems_of_tables(tables)]
        refuse(found, where)
        heads, mix = given.pop("heads", "own"), given.pop("mix", "sum")
        out = str(given.pop("out", None) or _folder(tables, given))
        steps = given.pop("steps", None)
        tasks = [_task(name, table, given, out, steps, len(tables)) for name, table in tables.items()]
        refuse([one for one in tasks if isinstance(one, str)], where)
        made = cls(tuple(one for one in tasks if isinstance(one, Task)), heads, mix, steps, out)
        refuse(_disagreements(made), where)
        return made

    @classmethod
    def from_toml(cls, path: str | Path, **overrides: Any) -> TasksConfig:
        """From a file; ``overrides`` win."""
        return cls.of(read_tables(path) | overrides, str(path))

    def to_toml(self) -> str:
        """What :meth:`from_toml` reads."""
        own = {"heads": self.heads, "mix": self.mix, "steps": self.steps, "out": self.out}
        common = {name: getattr(self.shared, name) for name in fields_of(DistillConfig) if name not in OWN} | own
        lines = [_line(name, value) for name, value in common.items() if value is not None]
        for task in self.tasks:
            table = {"weight": task.weight} | {name: getattr(task.config, name) for name in OWN}
            lines += ["", f"[tasks.{toml_text(task.name)}]"]
            lines += [_line(name, value) for name, value in table.items() if value is not None]
        return "\n".join(lines) + "\n"


def _line(name: str, value: Any) -> str:
    return f"{name} = {toml_text(value)}"


def read_tables(path: str | Path) -> dict[str, Any]:
    """A file's keys and values."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"no such configuration file: {path}") from None
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None


def read_tasks(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A table for each ``TEACHER@ENV`` or ``NAME=TEACHER@ENV``; a task without a name has its environment's."""
    tables: dict[str, dict[str, Any]] = {}
    for text in texts:
        before, at, env = text.rpartition("@")
        name, equals, teacher = before.partition("=")
        if not equals or not NAME.fullmatch(name):
            name, teacher = re.sub(r"[^A-Za-z0-9_.-]+", "-", env).strip("-."), before
        if not (at and teacher and env):
            raise ConfigurationError(f"a task is a teacher and its environment, {FORM}; got {text!r}")
        if name in tables:
            raise ConfigurationError(f"two tasks are called {name!r}; name them, as in --task {name}-2={teacher}@{env}")
        tables[name] = {"teacher": teacher, "env": env}
    return tables


def _problems_of(cls: type[TasksConfig], given: Mapping[str, Any]) -> list[str]:
    """Of the options that all tasks have in common."""
    own = {name: given[name] for name in ("heads", "mix") if name in given}
    found = problems(cls, own)
    rest = {name: plain(DistillConfig, name, value) for name, value in given.items() if name not in own}
    misplaced = [name for name in ("teacher", "env") if name in rest]
    found += [f"{name} is each task's own: write it in its table, or {FORM}" for name in misplaced]
    return found + problems(DistillConfig, {name: value for name, value in rest.items() if name not in misplaced})


def _problems_of_tables(tables: Any) -> list[str]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        return ["tasks must be tables, one for each task: [tasks.NAME] with teacher and env"]
    found = [] if len(tables) > 1 else [f"several tasks are two or more, got {len(tables)}; for one, leave tasks out"]
    for name, table in tables.items():
        if not NAME.fullmatch(name):
            found.append(f"a task's name is letters, digits, '_', '-' and '.', for it names a folder; got {name!r}")
        found += [f"task {name}: {text}" for text in _problems_of_table(table)]
    return found


def _problems_of_table(table: Mapping[str, Any]) -> list[str]:
    weight = table.get("weight", 1.0)
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    found = [] if number and 0 < weight < math.inf else [f"weight must be a number above 0, got {weight!r}"]
    found += [f"{name} is missing" for name in ("teacher", "env") if name not in table]
    for name, value in table.items():
        if name == "weight":
            continue
        if name in OWN:
            found += problems(DistillConfig, {name: plain(DistillConfig, name, value)})
        elif name in fields_of(DistillConfig):
            found.append(f"{name} is the whole run's; write it above the tables")
        else:
            found.append(f"unknown key {name!r}.{nearest(name, (*OWN, 'weight'))}")
    return found


def _folder(tables: Mapping[str, Any], given: Mapping[str, Any]) -> Path:
    """The first free one of ``runs/NAMES-STUDENT-sSEED``, ``...-2``, ..."""
    student, seed = given.get("student") or fields_of(DistillConfig)["student"].default, given.get("seed", 0)
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", f"{'+'.join(tables)}-{student}-s{seed}").strip("-.")
    path, number = Path("runs") / name, 2
    while path.exists():
        path, number = path.with_name(f"{name}-{number}"), number + 1
    return path


def _task(
    name: str, table: Mapping[str, Any], given: Mapping[str, Any], out: str, steps: int | None, count: int
) -> Task | str:
    """The task, or what is wrong with its options together."""
    own = {key: value for key, value in table.items() if key != "weight"}
    part = {"out": str(Path(out) / "tasks" / name)} | ({} if steps is None else {"steps": max(1, steps // count)})
    try:
        config = DistillConfig.of({**given, **own, **part})
    except ConfigurationError as error:
        return f"task {name}: {error}"
    return Task(name, config, float(table.get("weight", 1.0)))


def _disagreements(tasks: TasksConfig) -> list[str]:
    """What several tasks cannot do."""
    config = tasks.shared
    try:
        row = config.row()
    except UnderstudyError:
        return []  # has been said
    found = []
    if getattr(config, "data", None):
        found.append("several tasks are not distilled from recorded data; give each its environment instead of --data")
    if row.reward:
        found.append(
            f"several tasks are not distilled by rows with a reward term, such as {row.name}: each update would need "
            "one collection of every task. Use a row without one, such as on-policy-distill or q-kl"
        )
    if isinstance(row, QMethod) and row.gives_values and tasks.heads == "one":
        found.append(
            f"{row.name} learns action values, whose scale is each task's own: one head cannot have several. Leave "
            "--heads one out, or use q-kl or q-nll"
        )
    if isinstance(row, QMethod) and parse(config.student).recurrent:
        found.append(
            f"{row.name} draws single states from a store, which a student with a memory ({config.student}) cannot "
            "learn from. Use mlp or cnn, or a row of policies, such as on-policy-distill"
        )
    return found
