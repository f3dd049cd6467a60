"""A comparison from its configuration to what it found; what is finished is kept, and never run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from understudy.comparison import gather
from understudy.comparison.config import CompareConfig
from understudy.comparison.exposures import sturdiness
from understudy.comparison.grid import Cell, summarised
from understudy.comparison.ladder import ladder
from understudy.comparison.reopened import TEACHER, latencies
from understudy.comparison.summary import Comparison
from understudy.comparison.verdict import Wish, decide
from understudy.comparison.workers import each
from understudy.envs.of_gym import make
from understudy.envs.views import parse_view
from understudy.errors import ConfigurationError, RunError, UnderstudyError
from understudy.runs.assemble import assemble, opened_teacher
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console, Silent
from understudy.runs.execute import distill, resume
from understudy.runs.exposure import Plan
from understudy.runs.fields import fields_of
from understudy.runs.folder import RunFolder
from understudy.runs.option_texts import parse_env_args
from understudy.runs.sources import changes, code, sources

HARMLESS = ("out", "quiet", "threads", "trust", "tensorboard", "report", "curve_episodes")
"""Settings in which a run of before may differ from the one that is wanted."""


def compare(config: CompareConfig, command: str, console: Console) -> Comparison:
    """Run what is missing, and answer what all runs come to; ``comparison.json`` holds it too.

    Raises: ConfigurationError with all problems of all runs, before any of them begins; RunError where none finished.
    """
    torch.set_num_threads(1)
    cells = planned(config)
    missing = [cell for cell in cells if not _finished(cell)]
    check(cells, missing)
    config.folder.mkdir(parents=True, exist_ok=True)
    failures = _run(missing, len(cells), config.workers, console)
    finished = [gather.opened(cell) for cell in cells if cell.path not in failures]
    if not finished:
        raise RunError("\n".join(["no run has finished:", *failed(cells, failures)]))
    sturdy = _sturdiness(config, finished, console)
    console.note("measuring how long each student needs to act, one after the other")
    found = replace(summary(config, command, cells, finished, failures), sturdiness=sturdy)
    found.write(config.folder)
    return found


def _sturdiness(config: CompareConfig, finished: Sequence[gather.Finished], console: Console) -> dict[str, Any]:
    """What the runs do under perturbations, as plain data, or why it is not known: that spoils no comparison."""
    if not config.sturdiness:
        return {}
    try:
        return sturdiness(finished, Plan(episodes=config.sturdiness), config.workers, console).to_dict()
    except UnderstudyError as error:
        console.warning(f"sturdiness could not be measured: {error}")
        return {"problem": str(error)}


def planned(config: CompareConfig) -> list[Cell]:
    """The runs; where the configuration names no students, those that the teacher's size asks for."""
    if config.students is not None:
        return config.cells()
    probe = config.cells("linear")[0].config
    kwargs = parse_env_args(probe.env_args)
    policy, wrappers, _ = opened_teacher(probe, probe.teacher, probe.env, kwargs, Silent())
    with closing(make(probe.env, 1, wrappers=wrappers, env_kwargs=kwargs)) as simulator:
        space = parse_view(probe.student_view).space(simulator.observation_space)
    return config.cells(";".join(ladder(policy, space)))


def _begun(cell: Cell) -> bool:
    return RunFolder(cell.path).config_path.is_file()


def _finished(cell: Cell) -> bool:
    return RunFolder(cell.path).result_path.is_file()


def check(cells: Sequence[Cell], missing: Sequence[Cell]) -> None:
    """Refuse runs that cannot begin, and those that were begun with other settings; all at once."""
    changed: dict[str, list[str]] = {}
    now = {cell.method: sources(cell.config, cell.config.teacher) | {"code": code(cell.config)} for cell in cells}
    for cell in filter(_begun, cells):
        problem = _changed(cell, now[cell.method])
        if problem:
            changed.setdefault(problem, []).append(str(cell.path))
    wrong: dict[str, list[str]] = {}
    kinds = {(cell.method, cell.student): cell for cell in reversed(missing)}
    for (method, student), cell in reversed(kinds.items()):
        try:
            assemble(cell.config, None, None, _Unheard()).close()
        except UnderstudyError as error:
            wrong.setdefault(str(error), []).append(f"{method} with {student}")
    everywhere = [problem for problem, places in wrong.items() if len(places) == len(kinds)]
    partly = {problem: places for problem, places in wrong.items() if problem not in everywhere}
    found = [*summarised(changed), *everywhere, *summarised(partly)]
    if found:
        raise ConfigurationError("\n".join(found))


def _changed(cell: Cell, now: Mapping[str, Any]) -> str:
    """In what a run differs from the one that is wanted and its files, ``now``; empty where in nothing that matters."""
    folder = RunFolder.open(cell.path)
    old = folder.config
    names = [one for one in fields_of(DistillConfig) if one not in HARMLESS]
    others = [
        f"{one} {getattr(old, one)!r}, now {getattr(cell.config, one)!r}"
        for one in names
        if not _alike(one, getattr(old, one), getattr(cell.config, one))
    ]
    if others:
        return f"begun with other settings ({'; '.join(others)}). Choose another --out, or remove what is there"
    files = changes(folder.provenance, now)
    if files:
        return f"begun with other files ({'; '.join(files)}). Put the old ones back, or choose another --out"
    return ""


def _alike(option: str, old: Any, new: Any) -> bool:
    """Whether an option says the same; of a method's file not the place counts but the contents, compared apart."""
    if option == "method" and ".toml" in f"{old}" and ".toml" in f"{new}":
        return Path(old).name == Path(new).name
    return bool(old == new)


class _Unheard(Silent):
    """A console that keeps warnings to itself: each run's own result has them."""

    def warning(self, text: str) -> None:
        pass


def _run(missing: Sequence[Cell], total: int, processes: int, console: Console) -> dict[Path, str]:
    """Why runs failed, by their place; every other one is finished."""
    failures: dict[Path, str] = {}
    if not missing:
        return failures
    kept = f", {total - len(missing)} kept from before" if total > len(missing) else ""
    console.begin(len(missing), f"{len(missing)} runs, {min(processes, len(missing))} side by side{kept}", "runs")
    for count, done in enumerate(each(_distil, missing, processes), 1):
        if done.failure:
            failures[done.item.path] = done.failure
            console.warning(f"{done.item} failed: {done.failure.splitlines()[0]}")
        else:
            console.note(f"{done.item}: {_outcome(RunFolder(done.item.path))}")
        console.progress(count)
    return failures


def _outcome(folder: RunFolder) -> str:
    result = folder.result
    kept = "" if result.recovered is None else f"recovered {result.recovered:.1%}, "
    return f"{kept}return {result.student_return:.1f}, {result.env_steps:,} steps, {result.seconds:.1f} s of training"


def _distil(cell: Cell) -> None:
    """One run, in a process of its own, from where an earlier one was stopped."""
    if _begun(cell):
        resume(cell.path, console=_Unheard())
    else:
        distill(cell.config, console=_Unheard())


def failed(cells: Sequence[Cell], failures: Mapping[Path, str]) -> list[str]:
    """A line a failure."""
    return [f"  {cell}: {failures[cell.path].splitlines()[0]}" for cell in cells if cell.path in failures]


def summary(
    config: CompareConfig,
    command: str,
    cells: Sequence[Cell],
    finished: Sequence[gather.Finished],
    failures: Mapping[Path, str],
) -> Comparison:
    """The figures of the finished runs; latencies are measured here, when nothing else runs."""
    stage = gather.Stage.of(finished, config.keep, config.target)
    rows = gather.runs_of(cells, finished, failures, stage)
    measured = latencies(finished)
    rows = gather.with_fronts(gather.with_latencies(rows, measured))
    teacher, random = gather.sides(finished, stage, measured[TEACHER])
    several = len({row.method for row in rows}) > 1
    return Comparison(
        command=command,
        kind=config.name,
        env=config.env,
        keep=config.keep,
        target=config.target,
        episodes=finished[0].result.episodes,
        processes=config.workers,
        teacher=teacher,
        random=random,
        runs=tuple(rows),
        verdict=decide(rows, Wish(config.keep, config.bytes, config.microseconds, teacher.parameters)),
        overall=tuple(gather.overall(rows, finished, stage)) if several and stage.above_random else (),
        improvements=tuple(gather.improvements(rows, finished, stage)) if several else (),
        machine=gather.machine(),
        curve_episodes=config.curve_episodes,
    )
