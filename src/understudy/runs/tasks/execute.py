"""Several tasks from their configuration to the result, and a run of them that goes on after it was stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import torch

from understudy.engines.joint import JointLearner
from understudy.errors import said_of
from understudy.policies.shared import share
from understudy.runs.assemble import Assembly, assemble
from understudy.runs.checkpoints import Checkpoints, Saved, Tree
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console, open_console
from understudy.runs.execute import check_settled, go_on
from understudy.runs.faults import told
from understudy.runs.folder import RunFolder
from understudy.runs.found_again import found_again
from understudy.runs.q_parts import check_stores
from understudy.runs.resolved import as_looked_at, resolved
from understudy.runs.run import Run
from understudy.runs.tasks.config import TasksConfig
from understudy.runs.tasks.folder import TasksFolder
from understudy.runs.tasks.result import TasksResult
from understudy.runs.tasks.run import TasksRun, of_task
from understudy.runs.tensorboard import events


def distill_tasks(config: TasksConfig, *, console: Console | None = None) -> TasksResult:
    """Distil every task's teacher into one student."""
    began = time.perf_counter()
    console = open_console(config.shared.quiet) if console is None else console
    configs = {task.name: task.config for task in config.tasks}
    with ExitStack() as stack:
        parts = _assembled(stack, configs, config.heads, console)
        folder = stack.enter_context(closing(TasksFolder.create(config)))
        folders = {
            name: stack.enter_context(closing(RunFolder.create(one, resolved=_resolved(one, parts[name], config))))
            for name, one in configs.items()
        }
        folder.begun(config)
        return _executed(stack, config, parts, folder, folders, console, began)


def resume_tasks(path: str | Path, *, console: Console | None = None) -> TasksResult:
    """Go on with the run in ``path`` from its last checkpoint, as if it had never been stopped."""
    folder = TasksFolder.open(path)
    config = folder.config
    began = time.perf_counter()
    console = open_console(config.shared.quiet) if console is None else console
    if folder.result_path.is_file():
        console.note(f"the run in {path} has finished; this is its result")
        return folder.result
    with ExitStack() as stack:
        stack.enter_context(closing(folder))
        folder.lock()
        folders = {task.name: stack.enter_context(closing(folder.task(task.name))) for task in config.tasks}
        for one in folders.values():
            one.lock()
        again = "begin the run anew"
        configs = {
            name: as_looked_at(
                found_again(one, one.config, teacher=None, env=None, other=again), one.provenance.get("resolved") or {}
            )
            for name, one in folders.items()
        }
        saved = Checkpoints(folder.checkpoints).newest_whole(partial(_reached, folders))
        parts = _assembled(stack, configs, config.heads, console)
        for name, one in folders.items():
            check_settled(one, _resolved(one.config, parts[name], config))
            go_on(one, None if saved is None else of_task(saved, name), console)
        return _executed(stack, config, parts, folder, folders, console, began, saved, again=True)


def _reached(folders: Mapping[str, RunFolder], state: Tree) -> bool:
    """Whether a checkpoint is no younger than what each task's metrics.jsonl holds."""
    return all(state["tasks"][name]["metrics"] <= one.metrics_size for name, one in folders.items())


def _assembled(
    stack: ExitStack, configs: Mapping[str, DistillConfig], heads: str, console: Console
) -> dict[str, Assembly]:
    """Each task's parts, with students that share what they can."""
    parts = {}
    for name, config in configs.items():
        torch.set_num_threads(config.threads)
        with said_of(f"task {name}"):
            parts[name] = stack.enter_context(closing(assemble(config, None, None, console)))
    with said_of("all tasks together"):
        check_stores(one.learner for one in parts.values())
    share([one.student for one in parts.values()], heads)
    return parts


def _resolved(config: DistillConfig, parts: Assembly, tasks: TasksConfig) -> dict[str, Any]:
    """What a task settled on, and with whom it was learned."""
    together = {task.name: task.weight for task in tasks.tasks}
    return resolved(config, parts) | {"tasks": together, "heads": tasks.heads, "mix": tasks.mix}


def _executed(
    stack: ExitStack,
    config: TasksConfig,
    parts: Mapping[str, Assembly],
    folder: TasksFolder,
    folders: Mapping[str, RunFolder],
    console: Console,
    began: float,
    saved: Saved | None = None,
    again: bool = False,
) -> TasksResult:
    """``again``: there has been an earlier process."""
    shown = events() if config.shared.tensorboard else None
    weights = {task.name: task.weight for task in config.tasks}
    learner = JointLearner({name: one.learner for name, one in parts.items()}, weights, in_turn=config.mix == "turns")
    runs = {}
    for name, one in folders.items():
        first = None if not again else 0 if saved is None else of_task(saved, name).env_steps + 1
        writer = None if shown is None else shown(one.path, first)
        run = Run(one.config, parts[name], one, console, began, writer)
        runs[name] = stack.enter_context(closing(run))
    with console, told(folder, learner):
        return TasksRun(config, runs, learner, folder, console, began).go(saved)
