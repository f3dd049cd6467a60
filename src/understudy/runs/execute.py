"""A distillation from its configuration to its result, and one that goes on after it was stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import torch

from understudy.errors import RunError
from understudy.runs.assemble import assemble
from understudy.runs.checkpoints import Checkpoints, Saved
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console, open_console
from understudy.runs.faults import told
from understudy.runs.files import json_text
from understudy.runs.folder import TASKS, RunFolder
from understudy.runs.found_again import found_again
from understudy.runs.offline import OfflineRun, resolved_offline
from understudy.runs.offline_parts import assemble_offline
from understudy.runs.provenance import differences
from understudy.runs.resolved import as_looked_at, resolved
from understudy.runs.result import Result
from understudy.runs.run import Run
from understudy.runs.tensorboard import events


def distill(config: DistillConfig, *, teacher: Any = None, env: Any = None, console: Console | None = None) -> Result:
    """Distil as ``config`` says. ``teacher`` and ``env`` may be objects, which then stand for the names in it."""
    console = open_console(config.quiet) if console is None else console

    way = _way(config)

    def opened(parts: Any) -> RunFolder:
        return RunFolder.create(config, teacher=teacher, env=env, resolved=way.resolved(config, parts))

    return _executed(config, lambda: way.assemble(config, teacher, env, console), opened, console)


def resume(path: str | Path, *, teacher: Any = None, env: Any = None, console: Console | None = None) -> Result:
    """Go on with the run in ``path`` from its last checkpoint, as if it had never been stopped.

    ``teacher`` and ``env`` are given again where the run was begun from Python with objects. A finished run is
    answered as it is; one without a checkpoint begins anew. The configuration is followed in everything, code that it
    names included: the folder must be one's own.

    Raises: RunError where another process is at it, or where the teacher or what else decides the run has changed.
    """
    _refuse_tasks(Path(path))
    folder = RunFolder.open(path)
    config = folder.config
    console = open_console(config.quiet) if console is None else console
    if folder.result_path.is_file():
        console.note(f"the run in {path} has finished; this is its result")
        return folder.result
    with closing(folder):
        folder.lock()
        again = "give another with understudy.resume(..., teacher=...)"
        here = found_again(folder, config, teacher=teacher, env=env, other=again)
        here = as_looked_at(here, folder.provenance.get("resolved") or {})
        saved = Checkpoints(folder.checkpoints).latest(folder.metrics_size)

        way = _way(config)

        def opened(parts: Any) -> RunFolder:
            check_settled(folder, way.resolved(config, parts))
            go_on(folder, saved, console)
            return folder

        return _executed(config, lambda: way.assemble(here, teacher, env, console), opened, console, saved, again=True)


class _Way(NamedTuple):
    """What makes the parts of a run, tells what they settled on, and runs them."""

    assemble: Callable[..., Any]
    resolved: Callable[..., dict[str, Any]]
    run: Callable[..., Any]


def _way(config: DistillConfig) -> _Way:
    return _Way(assemble_offline, resolved_offline, OfflineRun) if config.data else _Way(assemble, resolved, Run)


def _executed(
    config: DistillConfig,
    assembled: Callable[[], Any],
    opened: Callable[[Any], RunFolder],
    console: Console,
    saved: Saved | None = None,
    again: bool = False,
) -> Result:
    """``opened``: the folder of a run with these parts. ``again``: there has been an earlier process."""
    began = time.perf_counter()
    torch.set_num_threads(config.threads)
    shown = events() if config.tensorboard else None
    with ExitStack() as stack:
        parts = stack.enter_context(closing(assembled()))
        folder = stack.enter_context(closing(opened(parts)))
        first = None if not again else 0 if saved is None else saved.env_steps + 1
        writer = None if shown is None else shown(folder.path, first)
        run = stack.enter_context(closing(_way(config).run(config, parts, folder, console, began, writer)))
        with console, told(folder, parts.learner):
            return run.go(saved)


def _refuse_tasks(path: Path) -> None:
    """One of several tasks goes on only with the others."""
    whole = path.resolve().parent.parent
    if (whole / TASKS).is_file() and (whole / "tasks" / path.resolve().name / "config.toml").is_file():
        raise RunError(f"{path} is one of several tasks: go on with all of them, understudy distill --resume {whole}")


def check_settled(folder: RunFolder, now: dict[str, Any]) -> None:
    """Refuse to go on where this version, or what it finds, would settle anything otherwise than the run has."""
    before, now = folder.provenance.get("resolved") or {}, json.loads(json_text(now))
    changes = [f"{key} {one!r}, now {now.get(key)!r}" for key, one in before.items() if one != now.get(key)]
    changes = [change for change in changes if not change.startswith("teacher ")]  # its name may have changed
    if not changes:
        return
    raise RunError(
        f"{folder.path} cannot go on as it began: {'; '.join(changes)}. Use the version of Understudy, the teacher and "
        "the environment that it was begun with, or begin a new run"
    )


def go_on(folder: RunFolder, saved: Saved | None, console: Console) -> None:
    """Bring the folder to where the last checkpoint left it, and say where that is."""
    changes = differences(folder.provenance)
    if changes:
        console.warning(f"{folder.path} was begun with {'; '.join(changes)}: bits may differ")
    if saved is None:
        folder.go_on(0, 0)
        console.note(f"{folder.path} has no checkpoint yet, and begins anew")
    else:
        folder.go_on(saved.state["metrics"], saved.env_steps)
        where = f"update {saved.updates:,}" if folder.config.data else f"environment step {saved.env_steps:,}"
        console.note(f"going on with {folder.path} from {where}")
