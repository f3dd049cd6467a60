"""Several students that learn one stage side by side, each anchored to the others as they are now.

As in Lin, Wang & Zhou 2017, with the KL between distributions as the advice. Nothing is frozen: before a peer learns
from what it collected, the others are asked what they would do there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from shutil import copyfile
from typing import Any

from understudy.engines.anchored import ActiveAnchor, AnchoredObjective
from understudy.engines.learner import Learner
from understudy.methods.anchor import Anchor
from understudy.runs.checkpoints import Checkpoints, Saved
from understudy.runs.console import Console
from understudy.runs.halt import Halt
from understudy.stages.config import StagesConfig
from understudy.stages.folder import StageFolder
from understudy.stages.parts import Benches, Parts
from understudy.stages.run import StageRun

SEEDS = 1_000_000  # from one peer's to the next one's
SUMS = ("env_steps", "updates", "seconds", "cpu_seconds", "evaluation_seconds")
ANOTHER = "another peer was done"


def peer_config(config: StagesConfig, number: int, peer: int) -> StagesConfig:
    """The first peer's is that of a student that learns alone; others have seeds, and perhaps a task, of their own."""
    stages, stage = list(config.stages), config.stages[number]
    if 1 <= peer <= len(stage.peers_on):
        other = next(one for one in stages if one.name == stage.peers_on[peer - 1])
        task = {name: getattr(other, name) for name in ("name", "env", "env_args", "wrap")}
        stages[number] = replace(stage, **task, until=None)
    return replace(config, stages=tuple(stages), seed=config.seed + SEEDS * peer)


def peer_folder(folder: StageFolder, peer: int) -> StageFolder:
    """``STAGE/peers/1`` and so on."""
    return StageFolder(folder.path / "peers" / str(peer + 1))


def join(parts: Sequence[Parts], weight: str, seed: int) -> None:
    """Anchor each student to the others, whose policies move as they learn; beside the stage's own anchors."""
    for number, one in enumerate(parts):
        anchors = [
            ActiveAnchor(Anchor(other.student, weight, name=f"peer-{k + 1}"), other.student)
            for k, other in enumerate(parts)
            if k != number
        ]
        objective: Any = one.learner.objective
        if isinstance(objective, AnchoredObjective):
            objective, anchors = objective.objective, [*objective.anchors, *anchors]
        one.learner.objective = AnchoredObjective(
            objective,
            anchors,
            seed=seed + SEEDS * number,
            observation_space=one.simulator.observation_space,
        )


class PeersRun:
    """A :class:`StageRun` for each peer, round by round in turn, with one checkpoint for all.

    The stage is over when one of them is done. The best on the stage's own task, at its last evaluation, stands for the
    stage.
    """

    def __init__(
        self,
        config: StagesConfig,
        number: int,
        parts: Sequence[Parts],
        folder: StageFolder,
        benches: Benches,
        console: Console,
        began: float,
    ) -> None:
        join(parts, config.peer_weight, config.seed)
        self.folder, self.console, self.name = folder, console, config.stages[number].name
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.runs = [
            StageRun(
                peer_config(config, number, peer), number, one, peer_folder(folder, peer), benches, console, began,
                f"peer {peer + 1}, ",
            )
            for peer, one in enumerate(parts)
        ]  # fmt: skip

    @property
    def parts(self) -> Parts:
        """The first peer's."""
        return self.runs[0].parts

    @property
    def learner(self) -> Learner:
        return self.runs[0].learner

    def close(self) -> None:
        for run in self.runs:
            run.close()

    def open_folder(self, text: str) -> Saved | None:
        """Begin the stage's folder and its peers', or go on with them; the state to go on from."""
        if not self.folder.begun:
            for run in self.runs:
                run.folder.begin(text)
            self.folder.begin(text)
            return None
        sizes = [run.folder.run.metrics_size for run in self.runs]
        saved = self.checkpoints.newest_whole(
            lambda state: all(one["metrics"] <= size for one, size in zip(_each(state), sizes, strict=True))
        )
        states = [None] * len(self.runs) if saved is None else _each(saved.state)
        for run, state in zip(self.runs, states, strict=True):
            run.folder.run.go_on(*((0, 0) if state is None else (state["metrics"], state["learner"]["env_steps"])))
        self.folder.run.go_on(0, 0 if saved is None else _each(saved.state)[0]["learner"]["env_steps"])
        return saved

    def go(self, saved: Saved | None = None) -> dict[str, Any]:
        """Train all, save all, and play every task with the best; what came of it."""
        states = [None] * len(self.runs) if saved is None else _each(saved.state)
        if saved is None:
            self.checkpoints.write("beginning", {"peers": len(self.runs)})
        for run, state in zip(self.runs, states, strict=True):
            run.begin(state)
        with Halt(self.console) as halt:
            while not all(run.standing.because for run in self.runs):
                self._go_round()
                if halt.asked and not self.runs[0].standing.because:
                    raise KeyboardInterrupt(self._leave())
        return self._finish()

    def _go_round(self) -> None:
        for run in self.runs:
            run.go_round()
        if any(run.standing.because for run in self.runs):
            for run in self.runs:
                run.standing.because = run.standing.because or ANOTHER
        if any(run.due for run in self.runs):
            for run in self.runs:
                run.settle()
            self._write()

    def _write(self) -> None:
        states = {str(number): run.checkpoint() for number, run in enumerate(self.runs)}
        self.checkpoints.add(self.learner.env_steps, {"peers": states})

    def _leave(self) -> str:
        """A checkpoint out of turn, or why there is none."""
        if self.checkpoints.newest == self.learner.env_steps:
            return ""
        why = next(filter(None, (run.out_of_turn for run in self.runs)), "")
        if not why:
            self._write()
        return why

    def _finish(self) -> dict[str, Any]:
        """Every peer's student is kept; the best one's is the stage's."""
        done = [run for run in self.runs if run.standing.because != ANOTHER and run.stage.name == self.name]
        best = max(done, key=lambda run: run.progress.own)
        for run in self.runs:
            run.save_policies()
            run.folder.run.close()
        copyfile(best.folder.run.metrics_path, self.folder.run.metrics_path)
        best.folder = self.folder
        facts = best.outcome()
        each = [{"task": run.stage.name, "return": run.progress.own, **run.cost} for run in self.runs]
        facts |= {name: sum(one[name] for one in each) for name in SUMS}
        facts |= {"peers": each, "best_peer": self.runs.index(best) + 1}
        facts["warnings"] = [text for run in self.runs for text in run.told]
        self.folder.finish(facts)
        return facts


def _each(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The states of all peers, in their order."""
    return [state["peers"][str(number)] for number in range(len(state["peers"]))]
