"""The environments of a run, and whether those of another process are the same.

Their inner state cannot be saved: see docs/design/0016-checkpoints.md.
"""

from __future__ import annotations

from dataclasses import replace

from understudy.engines.source import FreshRollouts
from understudy.envs.rollout import Rollout
from understudy.envs.simulator import Simulator
from understudy.runs.assemble import Assembly
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console
from understudy.runs.standing import NOT_BACK, NOT_REPLAYED, Standing

TOO_EARLY = (
    "It was too early for a checkpoint: {env} does not come back when it is played again, and none was due yet. "
)
IN_TURN = (
    "No checkpoint was written now: {env} does not come back when it is played again, so that they are written only "
    "when due. "
)
TOO_LONG = "No checkpoint was written now: {env} has been played for too long since its reset to be played again. "


class Environments:
    """Those that are trained in, and the ``bench`` for all other play."""

    def __init__(self, config: DistillConfig, parts: Assembly, console: Console) -> None:
        self.config, self.parts, self.console = config, parts, console
        self.bench = self._new_bench()

    @property
    def rollout(self) -> Rollout:
        source = self.parts.learner.source
        assert isinstance(source, FreshRollouts)
        return source.rollout

    @property
    def name(self) -> str:
        """As the run's configuration has it, wherever its file was found."""
        return self.config.env if isinstance(self.parts.origin.env, str) else self.parts.simulator.spec_id

    def _new_bench(self) -> Simulator:
        return self.parts.origin.make(min(max(self.config.evaluation_episodes, 20), 25))

    def close(self) -> None:
        self.bench.close()

    def settle(self, standing: Standing) -> None:
        """See to it that a process that goes on from here finds the environments as they are in this one.

        Where they do not come back, all are made anew here, in a run that is never stopped too.
        """
        if not self._replays(standing):
            self._renew()
        self.rollout.settle()

    def out_of_turn(self, standing: Standing) -> str:
        """Why a checkpoint that is not due would leave a trace in the run; empty where it would not.

        What is found out here is not noted down: a run that is never stopped does not know it at this place.
        """
        if not self._replays(replace(standing)):
            return (TOO_EARLY if standing.replays is None else IN_TURN).format(env=self.name)
        return "" if self.rollout.settled else TOO_LONG.format(env=self.name)

    def stray(self, standing: Standing) -> None:
        """The run goes on, and its environments are not those that it was stopped with."""
        standing.strayed, standing.replays = True, False
        self.console.warning(NOT_BACK.format(env=self.name))

    def _replays(self, standing: Standing) -> bool:
        """Whether what was played comes back when it is played again; found out by doing it with a part, each time."""
        rollout, known = self.rollout, standing.replays
        again = known and rollout.simulator.restartable and not standing.because
        if rollout.on_tape and (known is None or again):
            standing.replays = rollout.replays(self.parts.origin.make, 2 if known is None else 1)
            if not standing.replays:
                standing.strayed = standing.resumed  # found out too late
                self.console.warning(NOT_REPLAYED.format(env=self.name))
        return standing.replays is not False

    def _renew(self) -> None:
        rollout, origin = self.rollout, self.parts.origin
        self.parts.simulator.close()
        self.parts.simulator = origin.make(rollout.simulator.copies, asynchronous=self.config.vector == "async")
        rollout.move(self.parts.simulator)
        self.bench.close()
        self.bench = self._new_bench()
