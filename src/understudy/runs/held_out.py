"""The part of a data set that is only looked at: how far the student is from its labels there, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from understudy.engines.learner import Learner
from understudy.engines.objective import observation_of
from understudy.engines.recorded import Recorded
from understudy.envs.actions import ActionMap
from understudy.policies.network import Encoded

BATCH = 1024
BETTER = 1e-3
"""Part of a loss by which a later look must be below it to count as an improvement."""


@dataclass(frozen=True)
class Look:
    """``loss``: what is minimised, on the rows held out. ``agreement``: of choices the share of rows with the label's,
    of amounts the part of their variance that the student's explain; None where the row reads no label."""

    loss: float
    agreement: float | None


class HeldOut:
    """The rows held out, as the learner's objective keeps them; :meth:`look` changes nothing."""

    def __init__(self, learner: Learner, source: Recorded, rows: int) -> None:
        """After the learner has taken in all that it learns from: it is then that its standardiser is settled."""
        objective = learner.objective
        self.learner, self.rows = learner, rows
        self.method = objective.method.at(0.5)  # one for all looks, or they could not be compared
        self.actions = ActionMap(objective.student.family, objective.student.action_space)
        self.store = objective.new_store(replace(learner.rhythm, store=rows), source.copies)
        while source.left:
            self.store.add(objective.prepare(source.collect(0.0))[0])

    @torch.no_grad()
    def look(self) -> Look:
        """The student as it stands."""
        losses, sizes, labels, answers = [], [], [], []
        objective, family = self.learner.objective, self.learner.student.family
        for columns in self.store.everything(BATCH):
            losses.append(float(objective.loss(columns, self.method)))
            sizes.append(len(next(iter(columns.values()))))
            if "teacher" in columns:
                labels.append(family.mode(columns["teacher"].cpu().numpy()))
                answers.append(family.mode(self._flat(columns)))
        loss = float(np.average(losses, weights=sizes)) if sizes else float("nan")
        if not labels:
            return Look(loss, None)
        return Look(loss, self._agreement(np.concatenate(labels), np.concatenate(answers)))

    def _flat(self, columns: dict[str, torch.Tensor]) -> np.ndarray:
        features = columns.get("features")
        seen: Any = observation_of("observation", columns) if features is None else Encoded(features)
        return self.learner.student.distribution(seen)[0].flat.cpu().numpy()

    def _agreement(self, labels: np.ndarray, answers: np.ndarray) -> float:
        if not self.actions.family.continuous:
            return float((labels == answers).reshape(len(labels), -1).all(-1).mean())
        x, y = (self.actions.to_env(raw).reshape(len(raw), -1).astype(np.float64) for raw in (labels, answers))
        spread = ((x - x.mean(0)) ** 2).sum()
        return float(1 - ((x - y) ** 2).sum() / spread) if spread > 0 else float((x == y).all())


@dataclass
class Patience:
    """When looks stop getting better. ``limit`` 0: never. ``mark``: the last loss that was clearly better than the mark
    before it, ``waited`` looks ago; many small steps come to a clear one together."""

    limit: int
    best: float = float("inf")
    waited: int = 0
    mark: float = float("inf")

    def note(self, loss: float) -> bool:
        """Whether this look is the best so far."""
        clearly = not np.isfinite(self.mark) or loss < self.mark - BETTER * abs(self.mark)
        self.waited, self.mark = (0, loss) if clearly else (self.waited + 1, self.mark)
        better = loss < self.best
        self.best = min(self.best, loss)
        return better

    @property
    def over(self) -> bool:
        return 0 < self.limit <= self.waited
