"""Many finite MDPs as one, so that one exact update moves a student in each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from understudy.engines import exact
from understudy.mdp.model import MDP, Successors
from understudy.mdp.teachers import Teacher
from understudy.methods.method import Method


@dataclass(frozen=True, eq=False)
class SideBySide:
    """MDPs of one shape, drawn with equal chance at the start of an episode; no state of one leads to another."""

    mdps: tuple[MDP, ...]

    @cached_property
    def whole(self) -> MDP:
        each = self.mdps[0].states
        following = np.concatenate([mdp.successors.next + k * each for k, mdp in enumerate(self.mdps)])
        return MDP(
            Successors(following, np.concatenate([mdp.successors.probability for mdp in self.mdps])),
            np.concatenate([mdp.rewards for mdp in self.mdps]),
            np.concatenate([mdp.start for mdp in self.mdps]) / len(self.mdps),
            np.concatenate([mdp.terminal for mdp in self.mdps]),
            self.mdps[0].action_map,
        )

    def apart(self, table: np.ndarray) -> np.ndarray:
        """``[N * S, ...]`` as ``[N, S, ...]``."""
        return table.reshape(len(self.mdps), -1, *table.shape[1:])

    def visits(self, policy: np.ndarray) -> np.ndarray:
        """``[N, S]``: expected visits in an episode of each MDP."""
        return len(self.mdps) * self.apart(exact.visits(self.whole, policy).numpy())

    def values(self, policy: np.ndarray) -> np.ndarray:
        """``[N, S]``: the expected return from each state."""
        return self.apart(exact.values(self.whole, policy).numpy())

    def returns(self, policy: np.ndarray) -> np.ndarray:
        """``[N]``."""
        starts = np.array([mdp.start for mdp in self.mdps])
        return (starts * self.values(policy)).sum(-1)

    def descend(
        self,
        method: Method,
        teacher: np.ndarray,
        logits: np.ndarray,
        rate: float,
        iterations: int,
        measure: Callable[[np.ndarray], np.ndarray],
        points: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Exact updates, at a rate that falls linearly to a tenth; what ``measure(policy)`` told ``[points, ...]``.

        ``teacher``, ``logits``: ``[N * S, A]``.
        """
        at = np.unique(np.geomspace(1, iterations + 1, points).round().astype(int)) - 1
        told, theta = [], logits.copy()
        values = exact.values(self.whole, teacher)
        for iteration in range(iterations + 1):
            if iteration in at:
                told.append(measure(softmax(theta)))
            step = rate * (1 - 0.9 * iteration / iterations) * len(self.mdps)
            theta -= step * exact.update(method, self.whole, teacher, theta, teacher_values=values).numpy()
        return at, np.array(told)


def softmax(logits: np.ndarray) -> np.ndarray:
    weight = np.exp(logits - logits.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def joined(mdps: Sequence[MDP], teacher: Callable[[MDP], Teacher]) -> np.ndarray:
    """Each MDP's teacher, ``[N * S, A]``."""
    return np.concatenate([teacher(mdp).policy for mdp in mdps])
