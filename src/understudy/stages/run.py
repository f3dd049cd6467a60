"""One stage from its first round to its row of the table; it goes on to the same bits after a stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from understudy.engines.hand_over import begin_anew, fit_critic
from understudy.engines.learner import Record
from understudy.envs.rollout import Episodes
from understudy.math.statistics import bootstrap_interval
from understudy.policies.gated import Gated, save_gated
from understudy.policies.student_file import save_student
from understudy.runs.checkpoints import Checkpoints, Saved, Tree, of_this_version, size
from understudy.runs.console import Console
from understudy.runs.environments import Environments
from understudy.runs.figures import metrics
from understudy.runs.halt import Halt
from understudy.runs.judge import curve_seeds, final_seeds, stopping_seeds
from understudy.runs.run import RARELY, next_due
from understudy.runs.standing import Standing
from understudy.stages.config import Stage, StagesConfig
from understudy.stages.folder import StageFolder
from understudy.stages.gate import fit_gate
from understudy.stages.guard import Guard
from understudy.stages.parts import Benches, Parts, collect_states

GUARD_SEED = 6_000_000


@dataclass
class Progress:
    """What a stage has come to beside its :class:`Standing`. ``good``: whether the last evaluation was a success.

    ``own``: what it earned on the stage's own task.
    """

    looked: int = 0
    own: float = 0.0
    good: bool = False
    handed_over: bool = False
    played: int = 0


class StageRun:
    """Rounds of the learner, evaluations on every task so far, the guard of the hand-over, checkpoints."""

    def __init__(
        self,
        config: StagesConfig,
        number: int,
        parts: Parts,
        folder: StageFolder,
        benches: Benches,
        console: Console,
        began: float,
        label: str = "",
    ) -> None:
        """``label``: what its lines begin with."""
        self.config, self.number, self.parts, self.folder = config, number, parts, folder
        self.benches, self.console, self.began, self.label = benches, console, began, label
        self.stage, self.learner = parts.stage, parts.learner
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.environments = Environments(_Seen(config, self.stage), parts, console)  # type: ignore[arg-type]
        self.standing, self.progress = Standing(), Progress()
        self.guard: Guard | None = None
        self.warnings: list[str] = []

    @property
    def tasks(self) -> tuple[Stage, ...]:
        """Those so far."""
        return self.config.stages[: self.number + 1]

    def close(self) -> None:
        self.environments.close()

    def open_folder(self, text: str) -> Saved | None:
        """Begin the stage's folder, or go on with what was logged before its last checkpoint, which is answered."""
        folder = self.folder
        if not folder.begun:
            folder.begin(text)
            return None
        saved = self.checkpoints.latest(folder.run.metrics_size)
        folder.run.go_on(0 if saved is None else saved.state["metrics"], 0 if saved is None else saved.env_steps)
        return saved

    def go(self, saved: Saved | None = None) -> dict[str, Any]:
        """Train, save, play every task; what came of it."""
        if saved is None:
            self.checkpoints.write("beginning", {"stage": self.stage.name})
        self.begin(None if saved is None else saved.state)
        with Halt(self.console) as halt:
            while not self.standing.because:
                self.go_round()
                if self.due:
                    self.settle()
                    self._write()
                if halt.asked and not self.standing.because:
                    raise KeyboardInterrupt(self._leave())
        facts = self.outcome()
        self.folder.finish(facts)
        return facts

    def begin(self, state: Tree | None) -> None:
        """Hand over and look for the first time, or go on from a state."""
        what = f"{self.label}stage {self.number + 1} of {len(self.config.stages)}, {self.stage.name}: {self.stage.env}"
        done = 0 if state is None else int(state["learner"]["env_steps"])
        self.console.begin(self.stage.steps, what, done=done)
        began = time.perf_counter()
        if state is None:
            self._hand_over()
            self._look()
            self.standing.due = self.spent + RARELY
        else:
            with of_this_version(self.checkpoints.folder):
                self._restore(state)
        self.standing.evaluation += time.perf_counter() - began

    def _hand_over(self) -> None:
        """A policy that was learned elsewhere goes on: critic first, with no past of the optimiser's, under guard."""
        if not self.parts.goes_on:
            return
        if self.stage.critic == "fit" and self.stage.fit_rounds:
            fit_critic(self.learner, self.stage.fit_rounds, teacher=self.parts.teacher)
            self._tell_of_budget()
        begin_anew(self.learner, self.stage.std, self.stage.entropy)
        if self.stage.guard:
            self.guard = self._new_guard()
            self.guard.begin()

    def _tell_of_budget(self) -> None:
        """Warn where there is nothing left to learn with."""
        fitted, budget = self.learner.env_steps, self.stage.steps
        if fitted >= budget:
            text = (
                f"fitting the critic took {fitted:,} steps of the budget of {budget:,}: the policy learns for one "
                "round only. Raise steps, or lower fit_rounds or ppo's n_steps"
            )
            self.console.warning(text)
            self.warnings.append(text)

    def _new_guard(self) -> Guard:
        seeds = range(GUARD_SEED, GUARD_SEED + self.config.evaluation_episodes)
        return Guard(self.learner, lambda chosen: self._play(self.stage, chosen), seeds)

    def _play(self, stage: Stage, seeds: Sequence[int]) -> Episodes:
        played = self.benches.play(stage, self.parts.player(stage.name), seeds)
        self.progress.played += int(played.lengths.sum())
        return played

    def go_round(self) -> None:
        """Learn and look; says itself when the stage is over."""
        wall, cpu = time.perf_counter(), time.process_time()
        record = self.learner.step()
        self._note(record, time.perf_counter() - wall, time.process_time() - cpu)
        self._watch()
        last = self.learner.env_steps >= self.stage.steps
        if last or self.learner.env_steps * self.config.evaluations >= self.stage.steps * (self.progress.looked):
            self._look()
        if last and not self.standing.because:
            self.standing.because = "the budget of environment steps is spent"

    @property
    def due(self) -> bool:
        """Whether a checkpoint is to be written."""
        return bool(self.standing.because) or self.spent >= self.standing.due

    def settle(self) -> None:
        """Have environments that another process finds as they are in this one."""
        self.environments.settle(self.standing)
        if self.standing.replays is False:
            self.benches.close()

    def _note(self, record: Record, seconds: float, cpu: float) -> None:
        self.standing.training += seconds
        self.standing.cpu += cpu
        self.folder.run.append({"kind": "train", **metrics(record)})
        self.console.progress(record.env_steps)

    def _watch(self) -> None:
        """The guard's look at the first rounds."""
        if self.guard is None or not self.guard.watching:
            return
        began = time.perf_counter()
        text = self.guard.look()
        self.standing.evaluation += time.perf_counter() - began
        if text:
            self.console.warning(text)
            self.warnings.append(text)
            self.folder.run.append({"kind": "guard", "env_steps": self.learner.env_steps, "text": text})

    def _look(self) -> None:
        """Every task so far, on few episodes: a point of the curves, and whether the stage has its success."""
        began = time.perf_counter()
        returns = {one.name: float(self._play(one, self._seeds).returns.mean()) for one in self.tasks}
        self.progress.looked += 1
        self.progress.own = returns[self.stage.name]
        self.standing.evaluation += time.perf_counter() - began
        steps, own = self.learner.env_steps, returns[self.stage.name]
        self.folder.run.append({"kind": "evaluation", "env_steps": steps, "returns": returns})
        self.console.note(
            f"{self.label}{steps:,} steps: " + ", ".join(f"{name} {value:.1f}" for name, value in returns.items())
        )
        good = self.stage.until is not None and own >= self.stage.until
        if good and self.progress.good and steps:
            self.standing.because = self._success
        self.progress.good = good

    @property
    def _seeds(self) -> range:
        """Of the next look's episodes: all the same, but two sets in turn where two successes running end the stage."""
        episodes = self.config.evaluation_episodes
        if self.stage.until is None:
            return curve_seeds(episodes)
        return stopping_seeds(0, episodes)[self.progress.looked % 2]

    @property
    def _success(self) -> str:
        """Why a stage with a criterion ends before its budget does."""
        return f"{self.stage.name} holds {self.stage.until:g}"

    @property
    def spent(self) -> int:
        """What would be lost without any checkpoint, in environment steps."""
        return self.learner.env_steps + self.learner.updates + self.progress.played

    def _leave(self) -> str:
        """A checkpoint out of turn, or why there is none."""
        if self.checkpoints.newest == self.learner.env_steps:
            return ""
        why = self.out_of_turn
        if not why:
            self._write()
        return why

    @property
    def out_of_turn(self) -> str:
        """Why a checkpoint now would leave a trace; empty where not."""
        return self.environments.out_of_turn(self.standing)

    def _write(self) -> None:
        self.checkpoints.add(self.learner.env_steps, self.checkpoint())

    def checkpoint(self) -> Tree:
        """The state to go on from; says when the next is due."""
        state = self._state()
        if self.spent >= self.standing.due:
            self.standing.due = state["standing"]["due"] = next_due(self.spent, size(state))
        return state

    def _state(self) -> Tree:
        standing = replace(self.standing, total=self._total())
        state: Tree = {"learner": self.learner.state(whole=not self.standing.because), "standing": asdict(standing)}
        state |= {"progress": asdict(self.progress), "warnings": list(self.warnings)}
        state |= {"players": {name: one.state_dict() for name, one in self.parts.players.items()}}
        state["guard"] = None if self.guard is None else self.guard.state()
        return state | {"metrics": self.folder.run.metrics_size}

    def _restore(self, state: Tree) -> None:
        self.standing, self.progress = Standing(**state["standing"]), Progress(**state["progress"])
        self.warnings = list(state["warnings"])
        for name, one in self.parts.players.items():
            one.load_state_dict(state["players"][name])
        if state["guard"] is not None:
            self.guard = self._new_guard()
            self.guard.restore(state["guard"])
        self.standing.resumed = True
        if not self.learner.restore(state["learner"]):
            self.environments.stray(self.standing)

    def _total(self) -> float:
        return self.standing.total + time.perf_counter() - self.began

    @property
    def cost(self) -> dict[str, Any]:
        """What the training took."""
        return {
            "env_steps": self.learner.env_steps,
            "updates": self.learner.updates,
            "seconds": self.standing.training,
            "cpu_seconds": self.standing.cpu,
            "evaluation_seconds": self.standing.evaluation,
        }

    @property
    def told(self) -> list[str]:
        """All that was warned of."""
        return [*self.warnings, *self.standing.warnings(self.stage.env)]

    def outcome(self) -> dict[str, Any]:
        """Save all that later stages need, and play every task of the file."""
        began = time.perf_counter()
        config = self.config
        self.save_policies()
        self._save_memories()
        gate = self._open_gate() if self.stage.gate else {}
        seeds, generator = final_seeds(config.final_episodes), np.random.default_rng(0)
        row: dict[str, Any] = {}
        for stage in config.stages:
            returns = self._play(stage, seeds).returns
            row[stage.name] = {
                "return": float(returns.mean()),
                "interval": list(bootstrap_interval(returns, generator)),
            }
        return {
            "stage": self.stage.name,
            **self.cost,
            "final_seconds": time.perf_counter() - began,
            "total_seconds": self._total(),
            "stopped_because": self.standing.because,
            "reached": None if self.stage.until is None else self.standing.because == self._success,
            "returned": 0 if self.guard is None else self.guard.returns_to,
            "warnings": self.told,
            "returns": row,
        } | gate

    def save_policies(self) -> None:
        """Who plays this task, and who plays the earlier ones."""
        parts, folder = self.parts, self.folder
        parts.student.eval()
        save_student(parts.student, folder.student, **self._facts, teacher=f"stage {self.stage.name}")
        for name, one in parts.players.items():
            save_student(one, folder.heads / name, **self._facts, teacher=f"stage {name}")

    @property
    def _facts(self) -> dict[str, Any]:
        """What a student's file tells of where it learned."""
        stage, gamma = self.stage, self.parts.gamma
        where = {"env": stage.env, "env_args": stage.env_args, "wrappers": list(stage.wrap), "view": ""}
        return where | {"method": "task-reward", "gamma": gamma}

    def _save_memories(self) -> None:
        """The critic, and states with what the policy does there."""
        parts, folder = self.parts, self.folder
        critic = self.learner.objective.critic
        if critic is not None:
            folder.keep("critic", critic.state_dict())
        stored = collect_states(parts, self.config, self.config.seed + 1000 * self.number + 500)
        if stored is not None:
            folder.keep("stored", stored.state())

    def _open_gate(self) -> dict[str, Any]:
        """Fit and save it, and have it play from now on; how often it is right."""
        parts, folder = self.parts, self.folder
        states = {one.name: StageFolder(folder.path.parent / one.name).stored() for one in self.tasks}
        gate, facts = fit_gate(
            states, parts.student.observation_space, seed=self.config.seed, device=self.config.device
        )
        parts.gated = Gated(gate, {name: parts.players.get(name, parts.student) for name in states}).eval()
        save_gated(parts.gated, folder.path / "gated", **self._facts)
        self.console.note(f"the gate is right in {facts['accuracy']:.1%} of states that it was not fitted to")
        return {"gate": facts}


@dataclass(frozen=True)
class _Seen:
    """What :class:`Environments` reads of a configuration."""

    config: StagesConfig
    stage: Stage
    vector: str = "sync"

    @property
    def env(self) -> str:
        return self.stage.env

    @property
    def evaluation_episodes(self) -> int:
        return self.config.evaluation_episodes
