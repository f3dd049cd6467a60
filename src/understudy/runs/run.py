"""One run, from the first episodes to the result: train, evaluate, keep what is needed to go on after a stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

import torch

from understudy.engines.actor import PolicyActor, random_actor
from understudy.engines.learner import Record
from understudy.envs.play import play
from understudy.envs.rollout import Episodes
from understudy.policies.student_file import save_student
from understudy.runs.assemble import Assembly
from understudy.runs.checkpoints import BEGINNING, Checkpoints, Saved, Tree, of_this_version, size
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console
from understudy.runs.environments import Environments
from understudy.runs.figures import figures, metrics
from understudy.runs.folder import RunFolder
from understudy.runs.halt import Halt
from understudy.runs.judge import Judge, Play, Verdict, curve_seeds, final_seeds
from understudy.runs.resolved import wrappers
from understudy.runs.result import Result
from understudy.runs.standing import Standing
from understudy.runs.tensorboard import Events
from understudy.runs.visitation import Visitations

UPDATE_COST = 8  # environment steps that one update costs; measured between 5 (MuJoCo) and 30 (CartPole)
RARELY = 30_000  # cost, in environment steps, between two checkpoints at least
BYTES = 1_000  # of a checkpoint that may be written for each step of cost


def next_due(cost: int, size: int) -> float:
    """The cost at which the checkpoint after one of ``size`` bytes is due."""
    return cost + max(RARELY, min(size // BYTES, cost // 2))


class Run:
    """Who plays, what was best, and how long each part took."""

    def __init__(
        self,
        config: DistillConfig,
        parts: Assembly,
        folder: RunFolder,
        console: Console,
        began: float,
        events: Events | None,
    ) -> None:
        self.config, self.parts, self.folder, self.console, self.began = config, parts, folder, console, began
        self.learner, self.events = parts.learner, events
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.environments = Environments(config, parts, console)
        self.random = random_actor(parts.actions)
        self.standing, self.best = Standing(), dict[str, torch.Tensor]()

    def close(self) -> None:
        self.environments.close()
        if self.events is not None:
            self.events.close()

    def go(self, saved: Saved | None = None) -> Result:
        """Train until the judge is content or the budget is spent; then measure, save and tell.

        ``saved``: where an earlier process had got to.
        """
        self.set_out(saved)
        if saved is None:
            self.checkpoints.write(BEGINNING, self.visitations.lasting())
        what = f"{self.parts.method.name}: {self.parts.teacher.description} -> {self.config.student}"
        self.console.begin(self.parts.budget, what, done=self.learner.env_steps)
        if not self.standing.because:
            self._train()
        return self.finish()

    def set_out(self, saved: Saved | None) -> None:
        """Make the judge and what else evaluates: anew, or as saved with all the rest."""
        with nullcontext() if saved is None else of_this_version(self.checkpoints.folder):
            self._set_out(saved)

    def _set_out(self, saved: Saved | None) -> None:
        began, state = time.perf_counter(), None if saved is None else saved.state
        self.learner.student.train()
        self.judge = Judge(
            self._player(self.parts.teacher_actor()),
            self._player(self.random),
            episodes=self.config.evaluation_episodes,
            target=self.config.target,
            seed=self.config.seed,
            saved=None if state is None else state["judge"],
        )
        self.visitations = Visitations(
            self.parts,
            self.environments.bench,
            self.config.seed,
            None if saved is None else (saved.beginning, saved.state["visitations"]),
        )
        if state is not None:
            self._restore(state)
            return
        self.judge.charge(self.visitations.played)
        self.standing.due = self.cost + RARELY
        self.standing.evaluation += time.perf_counter() - began

    def _player(self, actor: Any) -> Play:
        def played(seeds: Sequence[int]) -> Episodes:
            return play(self.environments.bench, self.parts.actions, actor, seeds)

        return played

    def _train(self) -> None:
        """Rounds and evaluations until one of them says why it is over."""
        with Halt(self.console) as halt:
            while not self.standing.because:
                self._go_round()
                if halt.asked and not self.standing.because:
                    raise KeyboardInterrupt(self._leave())

    def _go_round(self) -> None:
        """A round, and what falls due after it."""
        wall, cpu = time.perf_counter(), time.process_time()
        record = self.learner.step()
        self.note(record, time.perf_counter() - wall, time.process_time() - cpu)
        self.console.progress(record.env_steps)
        self.trace()
        last = self.learner.env_steps >= self.parts.budget  # or the last steps' student would never be judged
        if last or self.judge.due(self.spent):
            self._evaluate(last)
        if self.standing.because or self.cost >= self.standing.due:
            self.checkpoint()

    def _leave(self) -> str:
        """A checkpoint out of turn, or why there is none: a run that is never stopped must be none the worse."""
        if self.checkpoints.newest == self.learner.env_steps:
            return ""
        why = self.environments.out_of_turn(self.standing)
        if not why:
            self._write()
        return why

    def note(self, record: Record, seconds: float, cpu: float) -> None:
        """Enter a round of training, and what it took."""
        self.standing.training += seconds
        self.standing.cpu += cpu
        self.standing.dropped_tails += int(record.facts.get("dropped_tails", 0))
        self._append({"kind": "train", **metrics(record)})

    def trace(self) -> None:
        """A point of the learning curve, which decides nothing, whenever the environment steps have doubled."""
        steps = self.learner.env_steps
        if not self.config.curve_episodes or steps.bit_length() == self.standing.traced:
            return
        self.standing.traced = steps.bit_length()
        began = time.perf_counter()
        self.learner.optimiser.swap()
        returns = self._student_play()(curve_seeds(self.config.curve_episodes)).returns
        self.learner.optimiser.swap()
        self.standing.evaluation += time.perf_counter() - began
        point = {"env_steps": steps, "seconds": self.standing.training}
        self._append({"kind": "curve", **point, "student_return": float(returns.mean())})

    def _append(self, record: dict[str, Any]) -> None:
        self.folder.append(record)
        if self.events is not None:
            self.events.append(record)

    @property
    def spent(self) -> int:
        """What training has cost, in environment steps: an update counts as several."""
        return self.learner.env_steps + UPDATE_COST * self.learner.updates

    @property
    def cost(self) -> int:
        """What would be lost without any checkpoint: training and evaluations, in environment steps."""
        return self.spent + self.judge.played

    def _student_play(self) -> Play:
        return self._player(PolicyActor(self.parts.student, self.parts.views.student, None, self.config.device))

    def _evaluate(self, last: bool) -> None:
        """Judge the student; training is over if that is enough, or with the ``last`` round."""
        self.learner.optimiser.swap()
        verdict = self.judged()
        self._note_best(verdict)
        if not verdict.enough:
            self.learner.optimiser.swap()
        point = None if verdict.recovered is None else verdict.recovered.point
        self.console.evaluated(self.learner.env_steps, float(verdict.student.returns.mean()), point)
        if verdict.enough:
            self.standing.because = verdict.because
        elif last:
            self.standing.because = "the budget of environment steps is spent"
            self.parts.student.load_state_dict(self.best)

    def judged(self) -> Verdict:
        """The student as it is now, on the next set of seeds; with all that is measured beside."""
        began = time.perf_counter()
        verdict = self.judge.judge(self._student_play())
        self.standing.last_length = float(verdict.student.lengths.mean())
        before = self.visitations.played
        divergences = self.visitations.measure()
        self.judge.charge(self.visitations.played - before)
        self.standing.evaluation += time.perf_counter() - began
        self._tell(verdict, divergences)
        return verdict

    def _note_best(self, verdict: Verdict) -> None:
        """Keep the student if it is the best so far: by the recovered fraction, for the two sets of seeds are not
        equally hard."""
        score = verdict.student.returns.mean() if verdict.recovered is None else verdict.recovered.point
        if not self.best or score > self.standing.score:
            self.standing.score = float(score)
            self.keep()

    def keep(self) -> None:
        """Remember the student as it is now."""
        self.best = {name: value.detach().clone() for name, value in self.parts.student.state_dict().items()}

    def _tell(self, verdict: Verdict, divergences: dict[str, float]) -> None:
        self._append(
            {
                "kind": "evaluation",
                "env_steps": self.learner.env_steps,
                "updates": self.learner.updates,
                "student_return": float(verdict.student.returns.mean()),
                "student_length": self.standing.last_length,
                "teacher_return": float(verdict.teacher.returns.mean()),
                "recovered": None if verdict.recovered is None else verdict.recovered.point,
                "recovered_interval": None if verdict.recovered is None else verdict.recovered.interval,
                "seconds": self.standing.training,
                **divergences,
            }
        )

    def checkpoint(self) -> None:
        """Write down everything that a process needs to go on from here, between two rounds."""
        self.settle()
        self._write()

    def settle(self) -> None:
        """Have environments that another process finds as they are in this one."""
        self.environments.settle(self.standing)
        self.visitations.simulator = self.environments.bench

    def _write(self) -> None:
        cost, state = self.cost, self.state()
        if cost >= self.standing.due:  # one out of turn changes nothing
            self.standing.due = state["standing"]["due"] = next_due(cost, size(state))
        self.checkpoints.add(self.learner.env_steps, state)

    def state(self) -> Tree:
        """Everything that training changes."""
        state: Tree = {"learner": self.learner.state(whole=not self.standing.because), "judge": self.judge.state()}
        state |= {"visitations": self.visitations.state(), "random": self.random.generator.bit_generator.state}
        standing = replace(self.standing, total=self._total())
        return state | {"best": self.best, "standing": asdict(standing), "metrics": self.folder.metrics_size}

    def _restore(self, state: Tree) -> None:
        self.standing = Standing(**state["standing"])
        self.best = state["best"]
        self.random.generator.bit_generator.state = state["random"]
        self.standing.resumed = True
        if not self.learner.restore(state["learner"]):
            self.environments.stray(self.standing)

    def _total(self) -> float:
        return self.standing.total + time.perf_counter() - self.began

    def finish(self) -> Result:
        """Play the final episodes, save the student, and tell."""
        began = time.perf_counter()
        self.parts.student.eval()
        seeds = final_seeds(self.config.final_episodes)
        teacher = self._player(self.parts.teacher_actor())(seeds)
        student = self._student_play()(seeds)
        random = self.judge.play_random(seeds)
        final_seconds = time.perf_counter() - began
        result = self._result(teacher, student, random, final_seconds)
        self._save()
        self.folder.keep_episodes(seeds, teacher=teacher, student=student, random=random)
        self.folder.finish(result)
        return result

    def _save(self) -> None:
        parts = self.parts
        if parts.critic_value is not None:
            parts.student.value_network = parts.critic_value()
        save_student(
            parts.student,
            self.folder.student,
            env=self.config.env,
            wrappers=wrappers(self.config, parts),
            view=self.config.student_view,
            gamma=parts.gamma,
            teacher=parts.teacher.description,
            method=parts.method.name,
        )

    def _result(self, teacher: Episodes, student: Episodes, random: Episodes, final_seconds: float) -> Result:
        config, parts, standing = self.config, self.parts, self.standing
        return Result(
            **figures(teacher, student, random),
            env_steps=self.learner.env_steps,
            updates=self.learner.updates,
            seconds=standing.training,
            teacher_parameters=parts.teacher.parameter_count,
            student_parameters=parts.student.parameter_count,
            stopped_because=standing.because,
            evaluation_seconds=standing.evaluation,
            final_seconds=final_seconds,
            extra=self.visitations.measure(),
            total_seconds=self._total(),
            cpu_seconds=standing.cpu,
            target=config.target,
            method=parts.title,
            teacher=config.teacher,
            student=config.student,
            env=config.env,
            seed=config.seed,
            dropped_tails=standing.dropped_tails,
            path=str(self.folder.path),
            termination_trap=parts.trap_sprung(
                min(standing.last_length, float(student.lengths.mean())), float(teacher.lengths.mean())
            ),
            warnings=(*parts.warnings, *standing.warnings(self.environments.name)),
        )
