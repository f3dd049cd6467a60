"""Several tasks from their first episodes to the result: rounds of all, evaluations of all, checkpoints of all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from understudy.engines.joint import JointLearner
from understudy.policies.network import count
from understudy.policies.shared import shared_count, unique
from understudy.runs.checkpoints import BEGINNING, Checkpoints, Saved, Tree, of_this_version, size
from understudy.runs.console import Console
from understudy.runs.halt import Halt
from understudy.runs.judge import Verdict
from understudy.runs.run import RARELY, Run, next_due
from understudy.runs.standing import Standing
from understudy.runs.tasks.config import TasksConfig
from understudy.runs.tasks.folder import TasksFolder
from understudy.runs.tasks.result import TasksResult, geometric_mean


class TasksRun:
    """The tasks' runs, of which each plays, judges and tells for itself, and what they do together.

    All are judged at once, when training has cost as much as their evaluations with the next ones. Training stops when
    every judge is content at the same time, or the budget is spent; until then a task that is good enough is trained
    with the others, so that it is not forgotten. Then all have the parameters with which the tasks did best together.
    """

    def __init__(
        self,
        config: TasksConfig,
        runs: Mapping[str, Run],
        learner: JointLearner,
        folder: TasksFolder,
        console: Console,
        began: float,
    ) -> None:
        self.config, self.runs, self.learner, self.folder = config, dict(runs), learner, folder
        self.console, self.began = console, began
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.standing = Standing()

    def go(self, saved: Saved | None = None) -> TasksResult:
        """Train, measure, save and tell; ``saved``: where an earlier process had got to."""
        for name, run in self.runs.items():
            run.set_out(None if saved is None else of_task(saved, name))
        if saved is None:
            self.standing.due = self.cost + RARELY
            self.checkpoints.write(BEGINNING, {name: run.visitations.lasting() for name, run in self.runs.items()})
        else:
            with of_this_version(self.checkpoints.folder):
                self.standing = Standing(**saved.state["standing"])
        first = next(iter(self.runs.values()))
        what = f"{first.parts.title}: {', '.join(self.runs)} -> {first.config.student}"
        self.console.begin(self.learner.budget, what, done=self.learner.env_steps)
        if not self.standing.because:
            self._train()
        return self._finish()

    def _train(self) -> None:
        with Halt(self.console) as halt:
            while not self.standing.because:
                self._go_round()
                if halt.asked and not self.standing.because:
                    raise KeyboardInterrupt(self._leave())

    def _go_round(self) -> None:
        """A round of every task, and what falls due after it."""
        self._round()
        last = self.learner.env_steps >= self.learner.budget
        if last or self.spent >= sum(run.judge.price for run in self.runs.values()):
            self._evaluate(last)
        if self.standing.because or self.cost >= self.standing.due:
            for run in self.runs.values():
                run.settle()
            self._write()

    def _round(self) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        records = self.learner.step()
        seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.standing.training += seconds
        self.standing.cpu += cpu
        for name, run in self.runs.items():
            run.note(records[name], seconds, cpu)
            run.trace()
        self.console.progress(self.learner.env_steps)

    @property
    def spent(self) -> int:
        """What training has cost, in environment steps."""
        return sum(run.spent for run in self.runs.values())

    @property
    def cost(self) -> int:
        """With the evaluations."""
        return sum(run.cost for run in self.runs.values())

    def _evaluate(self, last: bool) -> None:
        """Judge every task with the same parameters."""
        self.learner.optimiser.swap()
        verdicts = {name: run.judged() for name, run in self.runs.items()}
        self._note_best(verdicts)
        enough = all(verdict.enough for verdict in verdicts.values())
        if not enough:
            self.learner.optimiser.swap()
        self.console.note("; ".join(f"{name} {_told(verdict)}" for name, verdict in verdicts.items()))
        if enough:
            self._stop("every task holds its target")
        elif last:
            self._stop("the budget of environment steps is spent")
            for run in self.runs.values():
                run.parts.student.load_state_dict(run.best)

    def _stop(self, because: str) -> None:
        self.standing.because = because
        for run in self.runs.values():
            run.standing.because = because

    def _note_best(self, verdicts: Mapping[str, Verdict]) -> None:
        """Keep the students if they are the best together so far: by the mean of what they recover, up to all of it."""
        points = [min(verdict.recovered.point, 1.0) for verdict in verdicts.values() if verdict.recovered is not None]
        score = float(np.mean(points)) if points else 0.0
        if score > self.standing.score:
            self.standing.score = score
            for run in self.runs.values():
                run.keep()

    def _leave(self) -> str:
        """A checkpoint out of turn, or why there is none."""
        if self.checkpoints.newest == self.learner.env_steps:
            return ""
        why = next(filter(None, (run.environments.out_of_turn(run.standing) for run in self.runs.values())), "")
        if not why:
            self._write()
        return why

    def _write(self) -> None:
        states = {name: run.state() for name, run in self.runs.items()}
        cost = self.cost
        if cost >= self.standing.due:  # one out of turn changes nothing
            self.standing.due = next_due(cost, size(states))
        standing = asdict(replace(self.standing, total=self._total()))
        state: Tree = {"tasks": states, "standing": standing, "env_steps": self.learner.env_steps}
        self.checkpoints.add(self.learner.env_steps, state)

    def _total(self) -> float:
        return self.standing.total + time.perf_counter() - self.began

    def _finish(self) -> TasksResult:
        """Each task's figures, then those of all; nothing of a checkpoint is removed before all is written."""
        began = time.perf_counter()
        results = {name: run.finish() for name, run in self.runs.items()}
        runs, shared = self.runs, self.config.shared
        students = [run.parts.student for run in runs.values()]
        common = shared_count(students)
        result = TasksResult(
            tasks=results,
            weights={task.name: task.weight for task in self.config.tasks},
            heads=self.config.heads,
            geometric_mean=geometric_mean(one.recovered for one in results.values()),
            shared_parameters=common,
            own_parameters={name: run.parts.student.parameter_count - common for name, run in runs.items()},
            student_parameters=count(unique(students)),
            teacher_parameters=sum(run.parts.teacher.parameter_count for run in runs.values()),
            env_steps=self.learner.env_steps,
            updates=self.learner.updates,
            seconds=self.standing.training,
            evaluation_seconds=sum(run.standing.evaluation for run in runs.values()),
            final_seconds=time.perf_counter() - began,
            total_seconds=self._total(),
            cpu_seconds=self.standing.cpu,
            stopped_because=self.standing.because,
            target=shared.target,
            method=next(iter(results.values())).method,
            student=shared.student,
            seed=shared.seed,
            path=str(self.folder.path),
        )
        self.folder.finish(result)
        return result


def of_task(saved: Saved, name: str) -> Saved:
    """One task's part of a checkpoint."""
    return Saved(saved.beginning[name], saved.state["tasks"][name])


def _told(verdict: Any) -> str:
    mean = f"return {verdict.student.returns.mean():.1f}"
    return mean if verdict.recovered is None else f"{mean}, recovered {verdict.recovered.point:.1%}"
