"""A run on recorded data: take it in, learn until what is held out gets no better, measure where one can play."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from understudy.engines.actor import PolicyActor, random_actor
from understudy.envs.actions import ActionMap
from understudy.envs.play import play
from understudy.envs.rollout import Episodes
from understudy.envs.simulator import Simulator
from understudy.errors import ConfigurationError
from understudy.policies.student_file import save_student
from understudy.runs.checkpoints import BEGINNING, Checkpoints, Saved, Tree, of_this_version, size
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console
from understudy.runs.coverage import coverage
from understudy.runs.data import fingerprint
from understudy.runs.figures import figures, of_one
from understudy.runs.folder import RunFolder
from understudy.runs.halt import Halt
from understudy.runs.held_out import HeldOut, Patience
from understudy.runs.judge import final_seeds
from understudy.runs.offline_parts import OfflineParts
from understudy.runs.resolved import settled
from understudy.runs.result import Result
from understudy.runs.standing import Standing
from understudy.runs.visitation import Pair, Visitations

BENCH = 25
RARELY = 4_000  # updates between two checkpoints at least
BYTES = 10_000  # of a checkpoint that may be written for each update


class OfflineRun:
    """Which student was best on what is held out, and how long each part took."""

    def __init__(
        self,
        config: DistillConfig,
        parts: OfflineParts,
        folder: RunFolder,
        console: Console,
        began: float,
        events: None = None,
    ) -> None:
        self.config, self.parts, self.folder, self.console, self.began = config, parts, folder, console, began
        self.learner = parts.learner
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.standing, self.best = Standing(), dict[str, torch.Tensor]()
        stops = not getattr(parts.method, "learns_by_td", False)
        self.patience = Patience(config.patience if stops else 0)

    def close(self) -> None:
        """Nothing is open."""

    def go(self, saved: Saved | None = None) -> Result:
        """Learn until patience or the budget is spent; then measure, save and tell.

        ``saved``: where an earlier process had got to.
        """
        parts = self.parts
        what = f"{parts.method.name}: {parts.recording.name}, {parts.teacher.description} -> {self.config.student}"
        self.console.begin(parts.budget, what, "updates", 0 if saved is None else saved.updates)
        if saved is None:
            self._take_in(parts.recording.name)
        else:
            with of_this_version(self.checkpoints.folder):
                self._restore(saved.state)
        self.held = HeldOut(self.learner, parts.held, self.learner.rhythm.store)
        self.learner.student.train()
        if not self.standing.because:
            self._train()
        return self._finish()

    def _take_in(self, name: str, again: bool = False) -> None:
        """Store all that is learned from. ``again``: what its first window settles is settled already."""
        learner, source = self.learner, self.parts.source
        learner.env_steps = int(again)
        while source.left:
            learner.gather()
        expected, learner.env_steps = learner.env_steps - int(again), 0  # nobody has taken a step
        if len(learner.store) < expected:
            raise ConfigurationError(
                f"{name}: of {expected:,} steps {len(learner.store):,} fit into the store; use a part of the data"
            )

    def _train(self) -> None:
        """Rounds and looks until one of them says why it is over."""
        with Halt(self.console) as halt:
            while not self.standing.because:
                self._round()
                self._look()
                if self.standing.because or self.learner.updates >= self.standing.due:
                    self._write()
                if halt.asked and not self.standing.because:
                    if self.checkpoints.newest != self.learner.updates:
                        self._write()
                    raise KeyboardInterrupt("")

    def _round(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        record = self.learner.study(min(1.0, self.learner.updates / self.parts.budget))
        self.standing.training += time.perf_counter() - wall
        self.standing.cpu += time.process_time() - cpu
        self.folder.append({"kind": "train", "env_steps": 0, "updates": record.updates, "loss": record.loss})
        self.console.progress(record.updates)

    def _look(self) -> None:
        """What is held out, as the averaged student answers it."""
        began, standing = time.perf_counter(), self.standing
        self.learner.optimiser.swap()
        seen = self.held.look()
        if self.patience.note(seen.loss) or not self.best or not self._chooses:
            self.best = {name: value.detach().clone() for name, value in self.parts.student.state_dict().items()}
        self.learner.optimiser.swap()
        standing.evaluation += time.perf_counter() - began
        point = {"env_steps": 0, "updates": self.learner.updates, "seconds": standing.training}
        self.folder.append({"kind": "held-out", **point, **asdict(seen)})
        if self.patience.over:
            standing.because = f"{self.patience.waited} looks at what is held out brought nothing better"
        elif self.learner.updates >= self.parts.budget:
            standing.because = "the budget of updates is spent"

    @property
    def _chooses(self) -> bool:
        """Whether the best look counts, or the last one does: a small temporal-difference error is no good policy."""
        return not getattr(self.parts.method, "learns_by_td", False)

    def _write(self) -> None:
        """Write down everything that a process needs to go on from here."""
        state: Tree = {"learner": self.learner.state(), "best": self.best, "patience": asdict(self.patience)}
        self.standing.due = self.learner.updates + max(RARELY, size(state) // BYTES)
        standing = replace(self.standing, total=self._total())
        state |= {"standing": asdict(standing), "metrics": self.folder.metrics_size}
        if self.checkpoints.newest is None:
            self.checkpoints.write(BEGINNING, {})
        self.checkpoints.add(self.learner.updates, state)

    def _restore(self, state: Tree) -> None:
        self.standing, self.best = Standing(**state["standing"]), state["best"]
        self.patience = Patience(**state["patience"])
        self.standing.resumed = True
        self.learner.restore(state["learner"])
        if not len(self.learner.store):  # a light checkpoint: the data are here
            self.parts.source.restore({"given": 0})
            self._take_in(self.parts.recording.name, again=True)

    def _total(self) -> float:
        return self.standing.total + time.perf_counter() - self.began

    def _finish(self) -> Result:
        parts = self.parts
        parts.student.load_state_dict(self.best)
        parts.student.eval()
        began = time.perf_counter()
        extra: dict[str, Any] = {"data": self._data(), "held_out": {"rows": parts.rows(1), **asdict(self.held.look())}}
        measured, played = self._measured(extra)
        result = self._result(measured, time.perf_counter() - began, extra)
        self._save()
        if played:
            self.folder.keep_episodes(final_seeds(self.config.final_episodes), **played)
        self.folder.finish(result)
        return result

    def _data(self) -> dict[str, Any]:
        recording, own = self.parts.recording, self.parts.recording.played
        return {
            "name": recording.name,
            "rows": len(recording),
            "episodes": len(recording.episodes),
            "mean_return": None if own is None else float(own.returns.mean()),
        }

    def _measured(self, extra: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Episodes]]:
        """The figures of episodes, and these; none without an environment. What else it shows goes to ``extra``."""
        parts = self.parts
        if parts.origin is None:
            return {}, {}
        with closing(parts.origin.make(min(BENCH, max(2, self.config.final_episodes)))) as bench:
            actions = ActionMap(parts.student.family, bench.action_space)
            seeds = final_seeds(self.config.final_episodes)
            actors = {"student": PolicyActor(parts.student, parts.views.student, None, parts.device)}
            if not parts.cloning:
                actors["teacher"] = PolicyActor(parts.teacher, parts.views.teacher, None, parts.device)
                pair = Pair(parts.teacher, parts.student, parts.views, actions, parts.device)
                extra |= Visitations(pair, bench, self.config.seed).measure()
            played = {who: play(bench, actions, actor, seeds) for who, actor in actors.items()}
            played["random"] = play(bench, actions, random_actor(actions), seeds)
        extra["coverage"] = self._coverage(played["student"], seeds, actions)
        if parts.cloning:
            return of_one("student", played["student"]) | of_one("random", played["random"]), played
        return figures(played["teacher"], played["student"], played["random"]), played

    def _coverage(self, played: Episodes, seeds: Sequence[int], actions: ActionMap) -> dict[str, Any]:
        parts, origin = self.parts, self.parts.origin
        assert origin is not None

        def made(copies: int) -> Simulator:
            return origin.make(copies)

        actor = PolicyActor(parts.student, parts.views.student, None, parts.device)
        found = coverage(parts.recording, parts.pieces, made, actions, actor, seeds, played.lengths, self.config.seed)
        return found if isinstance(found, dict) else asdict(found)

    def _save(self) -> None:
        parts = self.parts
        save_student(
            parts.student,
            self.folder.student,
            env=self.config.env,
            wrappers=list(self.config.wrap) if parts.origin is None else list(parts.origin.wrappers),
            view=self.config.student_view,
            gamma=parts.gamma,
            teacher=parts.teacher.description,
            method=parts.method.name,
        )

    def _result(self, measured: dict[str, Any], final_seconds: float, extra: dict[str, Any]) -> Result:
        config, parts, standing = self.config, self.parts, self.standing
        unknown = dict.fromkeys(("teacher_return", "student_return", "random_return"), np.nan) | {"recovered": None}
        return Result(
            **({**unknown, "recovered_interval": None} | measured),
            env_steps=0,
            updates=self.learner.updates,
            seconds=standing.training,
            teacher_parameters=parts.teacher.parameter_count,
            student_parameters=parts.student.parameter_count,
            stopped_because=standing.because,
            evaluation_seconds=standing.evaluation,
            final_seconds=final_seconds,
            extra=extra,
            total_seconds=self._total(),
            cpu_seconds=standing.cpu,
            target=config.target,
            method=parts.title,
            teacher=config.teacher,
            student=config.student,
            env=config.env,
            seed=config.seed,
            path=str(self.folder.path),
            warnings=tuple(parts.warnings),
        )


def resolved_offline(config: DistillConfig, parts: OfflineParts) -> dict[str, Any]:
    """What the run settled on, as plain data."""
    method = parts.method
    return {
        "method": method.name,
        "title": parts.title,
        "data": {"rows": [parts.rows(0), parts.rows(1)], "sha256": fingerprint(parts.recording)},
        **settled(parts.learner.objective, False),
        "gamma": parts.gamma,
        "budget_updates": parts.budget,
        "rhythm": asdict(parts.learner.rhythm),
        "student": str(parts.student.spec),
        "teacher": parts.teacher.description,
        "wrappers": [] if parts.origin is None else list(parts.origin.wrappers),
        "views": {"student": config.student_view, "teacher": config.teacher_view or parts.views.teacher.text},
        "device": parts.device,
    }
