"""The check of a hand-over: whether the first updates lost what the policy could do, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from understudy.engines.hand_over import begin_anew
from understudy.engines.learner import Learner
from understudy.envs.rollout import Episodes
from understudy.math.statistics import bootstrap_interval

Play = Callable[[Sequence[int]], Episodes]
ROUNDS = (1, 2, 4, 8)
"""Rounds after which the return is looked at."""
SLOWER, TIMES = 0.25, 3


class Guard:
    """Compares the policy with the one it began as, on the same seeds, after the first rounds.

    The return was lost where its mean lies below the 95 % interval of the return before, and the interval of the
    difference, episode by episode, below 0. Then the last good policy and its critic are brought back, the optimiser
    begins anew and its steps are a quarter as long, three times at most.
    """

    def __init__(self, learner: Learner, play: Play, seeds: Sequence[int]) -> None:
        self.learner, self.play, self.seeds = learner, play, list(seeds)
        self.round, self.returns_to = 0, 0
        self.before, self.good = np.zeros(0), dict[str, Any]()

    def begin(self) -> None:
        """See what the policy can do now."""
        self.before, self.good = self.play(self.seeds).returns, self._snapshot()

    def _snapshot(self) -> dict[str, Any]:
        return {
            name: {
                key: value.clone() if hasattr(value, "clone") else value for key, value in module.state_dict().items()
            }
            for name, module in self.learner.modules.items()
        }

    @property
    def watching(self) -> bool:
        return self.round < ROUNDS[-1]

    def look(self) -> str:
        """After a round: what happened, in a sentence, where the return was lost; empty where not."""
        self.round += 1
        if self.round not in ROUNDS:
            return ""
        now = self.play(self.seeds).returns
        low, high = bootstrap_interval(now - self.before, np.random.default_rng(0))
        floor, _ = bootstrap_interval(self.before, np.random.default_rng(0))
        if high >= 0 or now.mean() >= floor:
            if now.mean() >= self.before.mean():
                self.good, self.before = self._snapshot(), now
            return ""
        lost = f"the return fell from {self.before.mean():.1f} to {now.mean():.1f} (change {low:.1f} to {high:.1f})"
        if self.returns_to >= TIMES:
            self.round = ROUNDS[-1]
            return f"{lost} once more; the policy goes on from there, with steps as short as they are"
        self._go_back()
        return f"{lost} within the first updates: the last good policy is back, and steps are a quarter as long"

    def _go_back(self) -> None:
        learner = self.learner
        for name, module in learner.modules.items():
            module.load_state_dict(self.good[name])
        begin_anew(learner)
        self.returns_to, self.round = self.returns_to + 1, 0
        self.slow()

    def slow(self) -> None:
        """Steps of the rhythm, a quarter as long."""
        rhythm = self.learner.rhythm
        self.learner.rhythm = replace(
            rhythm,
            learning_rate=rhythm.learning_rate * SLOWER,
            final_learning_rate=rhythm.final_learning_rate * SLOWER,
        )

    def state(self) -> dict[str, Any]:
        return {"round": self.round, "returns_to": self.returns_to, "before": self.before, "good": self.good}

    def restore(self, state: dict[str, Any]) -> None:
        """As it was; the rhythm is slowed as often as it was then."""
        self.round, self.before, self.good = state["round"], state["before"], state["good"]
        for _ in range(state["returns_to"] - self.returns_to):
            self.slow()
        self.returns_to = state["returns_to"]
