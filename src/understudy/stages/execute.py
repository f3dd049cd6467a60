"""Staged training from its configuration to the result, and one that goes on after it was stopped."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.errors import said_of
from understudy.math.statistics import bootstrap_interval
from understudy.policies.student import Student
from understudy.policies.student_file import load_student
from understudy.policies.whole_files import write_whole
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console, open_console
from understudy.runs.execute import distill
from understudy.runs.execute import resume as resume_distillation
from understudy.runs.faults import told
from understudy.runs.folder import RunFolder
from understudy.runs.judge import final_seeds
from understudy.stages.config import Stage, StagesConfig
from understudy.stages.folder import StageFolder, StagesFolder
from understudy.stages.parts import Benches, Parts, assemble, begins_from
from understudy.stages.peers import PeersRun, peer_config
from understudy.stages.preflight import check_together
from understudy.stages.result import BEFORE, StagesResult
from understudy.stages.run import StageRun

MISSED = (
    "{name} missed its {until:g}: the budget ended before. The stages behind it were not begun (if_missed = 'stop')"
)
WENT_ON = "{name} missed its {until:g}: the budget ended before"


def run_stages(config: StagesConfig, *, console: Console | None = None) -> StagesResult:
    """Train stage after stage; RunError: the folder is not free."""
    console = open_console(config.quiet) if console is None else console
    check_together(config)
    with closing(StagesFolder.create(config)) as folder:
        return _executed(folder, config, console)


def resume_stages(path: str | Path, *, console: Console | None = None) -> StagesResult:
    """Go on where the training in ``path`` was stopped, in the middle of a stage too."""
    folder = StagesFolder.open(path)
    if folder.result_path.is_file():
        (console or open_console(False)).note(f"the training in {path} has finished; this is its result")
        return StagesResult.from_file(folder.result_path)
    config = folder.config
    console = open_console(config.quiet) if console is None else console
    with closing(folder):
        folder.lock()
        return _executed(folder, config, console)


def _executed(folder: StagesFolder, config: StagesConfig, console: Console) -> StagesResult:
    torch.set_num_threads(config.threads)
    with closing(Benches(config)) as benches:
        facts: list[dict[str, Any]] = []
        complete = True
        for number, stage in enumerate(config.stages):
            found = folder.stage(stage.name).result
            facts.append(found or _one(folder, config, number, benches, console))
            if facts[-1]["reached"] is False:
                complete = stage.if_missed != "stop" or number + 1 == len(config.stages)
                text = (WENT_ON if complete else MISSED).format(name=stage.name, until=stage.until)
                console.warning(text)
                facts[-1]["warnings"].append(text)
                if not complete:
                    break
        return _result(folder, config, facts, complete)


def _result(
    folder: StagesFolder, config: StagesConfig, facts: Sequence[dict[str, Any]], complete: bool
) -> StagesResult:
    before = folder.stage(config.stages[0].name).kept_facts("before")
    assert before is not None
    rows = {BEFORE: before["untrained"]} | {one["stage"]: one["returns"] for one in facts}
    result = StagesResult(
        tasks=tuple(stage.name for stage in config.stages),
        rows=rows,
        random={name: one["return"] for name, one in before["random"].items()},
        stages=tuple(facts),
        complete=complete,
        seed=config.seed,
        path=str(folder.path),
    )
    write_whole(folder.result_path, result.to_json())
    return result


def _one(folder: StagesFolder, config: StagesConfig, number: int, benches: Benches, console: Console) -> dict[str, Any]:
    """Train one stage, or go on with it."""
    began = time.perf_counter()
    stage, own = config.stages[number], folder.stage(config.stages[number].name)
    with ExitStack() as stack:
        begun = _begun(folder, config, number, console)
        parts = [
            stack.enter_context(
                closing(assemble(peer_config(config, number, peer), number, folder, copy.deepcopy(begun)))
            )
            for peer in range(config.peers)
        ]
        if own.begun:
            console.note(f"going on with stage {stage.name}")
        run: StageRun | PeersRun
        if config.peers == 1:
            run = StageRun(config, number, parts[0], own, benches, console, began)
        else:
            run = PeersRun(config, number, parts, own, benches, console, began)
        stack.enter_context(closing(run))
        saved = run.open_folder(config.to_toml())
        with console, told(_Told(folder, own), run.learner, "understudy stages"):
            if number == 0 and own.kept_facts("before") is None:
                own.keep_facts("before", _before(config, run.parts, benches))
            return run.go(saved)


def _before(config: StagesConfig, parts: Parts, benches: Benches) -> dict[str, Any]:
    """What the untrained policy and a random one earn on every task."""
    seeds = final_seeds(config.final_episodes)

    def row(play: Any) -> dict[str, Any]:
        generator, found = np.random.default_rng(0), {}
        for stage in config.stages:
            returns = play(stage, parts.student, seeds).returns
            found[stage.name] = {
                "return": float(returns.mean()),
                "interval": list(bootstrap_interval(returns, generator)),
            }
        return found

    return {"untrained": row(benches.play), "random": row(benches.play_random)}


def _begun(folder: StagesFolder, config: StagesConfig, number: int, console: Console) -> Student | None:
    """The policy that a stage goes on from, distilled before where that is asked for."""
    source = begins_from(config, number)
    if source is None:
        return None
    stage, earlier = config.stages[number], next((one for one in config.stages if one.name == source), None)
    if earlier is None:
        return load_student(source)
    path = folder.stage(source).path
    if not stage.distil:
        return load_student(path)
    try:
        return load_student(_distilled(folder.stage(stage.name), stage, earlier, path, config, console))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped in the distillation that stage {stage.name} begins with: go on with "
            f"understudy stages --resume {folder.path}"
        ) from None


def _distilled(
    own: StageFolder, stage: Stage, source: Stage, teacher: Path, config: StagesConfig, console: Console
) -> Path:
    """The run that distils the last stage's policy on its own task; made, gone on with, or found."""
    path = own.path / "distilled"
    if RunFolder(path).result_path.is_file():
        return path
    with said_of(f"stage {stage.name}, distillation"):
        if RunFolder(path).config_path.is_file():
            resume_distillation(path, console=console)
            return path
        run = DistillConfig(
            teacher=str(teacher),
            env=source.env,
            env_args=source.env_args,
            wrap=source.wrap,
            student=stage.distil,
            steps=stage.distil_steps,
            seed=config.seed,
            device=config.device,
            threads=config.threads,
            out=str(path),
            curve_episodes=0,
            report=False,
        )
        result = distill(run, console=console)
    if result.recovered is not None and not result.reached:
        console.warning(f"stage {stage.name} begins with {result.recovered:.0%} of what {source.name} had learned")
    return path


class _Told:
    """Where errors say that the training lies, and how it goes on."""

    def __init__(self, folder: StagesFolder, own: StageFolder) -> None:
        self.path, self.checkpoints = folder.path, own.checkpoints
