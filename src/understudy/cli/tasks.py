"""``understudy distill`` with several tasks: --task again and again, or a file with a table for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from understudy.cli.options import checked, parse, taken
from understudy.errors import ConfigurationError
from understudy.runs.config import GROUPS, DistillConfig
from understudy.runs.fields import plain
from understudy.runs.tasks.config import FORM, TasksConfig, read_tables, read_tasks

OPTIONS = ("--task", "--heads", "--mix")


def several(file: str | None, words: Sequence[str]) -> bool:
    """Whether the words, or the file of --config, speak of several tasks."""
    return any(word.partition("=")[0] in OPTIONS for word in words) or (
        bool(file) and "tasks" in read_tables(str(file))
    )


def distill(file: str | None, words: Sequence[str], summary: str) -> int:
    """Parse over the file's values, train, print what came of it."""
    config = read(file, words, summary)
    from understudy.runs.console import open_console
    from understudy.runs.tasks.execute import distill_tasks

    quiet = config.shared.quiet
    print(distill_tasks(config, console=open_console(quiet)).summary())
    pages(config, quiet)
    return 0


def resume(folder: str, quiet: bool) -> int:
    """Go on with a run of several tasks."""
    from understudy.runs.console import open_console
    from understudy.runs.tasks.execute import resume_tasks
    from understudy.runs.tasks.folder import TasksFolder

    print(resume_tasks(folder, console=open_console(True) if quiet else None).summary())
    pages(TasksFolder.open(folder).config, quiet)
    return 0


def pages(config: TasksConfig, quiet: bool) -> None:
    """Each task's page, where they were asked for."""
    if config.shared.report:
        from understudy.reports.command import finish

        for task in config.tasks:
            print(f"Page         {finish(str(task.config.out), quiet=quiet)}")


def read(file: str | None, words: Sequence[str], summary: str) -> TasksConfig:
    """The words over the file's values."""
    values: dict[str, Any] = read_tables(file) if file else {}
    texts, rest = _all_taken("--task", words)
    if texts:
        values["tasks"] = read_tasks(texts)
    if "tasks" not in values:
        raise ConfigurationError(f"--heads and --mix are for several tasks, and none was named; write {FORM}")
    for name in ("heads", "mix"):
        found, rest = taken(f"--{name}", rest)
        values |= {} if found is None else {name: found}
    own: dict[str, Any] = {name: values.pop(name) for name in ("tasks", "heads", "mix") if name in values}
    if any(word.startswith("--wrap") for word in rest):
        values.pop("wrap", None)
    defaults = {name: plain(DistillConfig, name, value) for name, value in values.items()}
    given = parse(DistillConfig, GROUPS, rest, "distill", summary, defaults)
    misplaced = next((name for name in ("teacher", "env") if given.get(name)), None)
    if misplaced:
        raise ConfigurationError(f"{misplaced} {given[misplaced]!r} is of no task; with several write {FORM} for each")
    common = {name: value for name, value in given.items() if name not in ("teacher", "env")}
    common |= {name: value for name, value in values.items() if name not in given}  # unknown, and refused by that name
    tables = own["tasks"]
    first = next(iter(tables.values())) if tables and isinstance(tables, dict) else {}
    if isinstance(first, dict) and {"teacher", "env"} <= first.keys():
        checked(DistillConfig, {**common, "teacher": first["teacher"], "env": first["env"]})
    return TasksConfig.of({**common, **own}, file or "")


def _all_taken(option: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Every ``option VALUE`` out of the words."""
    found: list[str] = []
    rest = list(words)
    while any(word.partition("=")[0] == option for word in rest):
        at = next(k for k, word in enumerate(rest) if word.partition("=")[0] == option)
        end = at + (1 if "=" in rest[at] else 2)
        value, _ = taken(option, rest[at:end])
        found.append(str(value))
        rest = rest[:at] + rest[end:]
    return found, rest
