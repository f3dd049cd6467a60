"""Several learners that share parameters: each collects for itself, and one optimiser steps for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import torch

from understudy.engines.learner import Learner, Record
from understudy.engines.optimiser import FlatAdam
from understudy.engines.store import Columns
from understudy.errors import ConfigurationError, said_of
from understudy.policies.shared import unique


class JointLearner:
    """Rounds of several tasks' learners, by name, whose students share parameters already.

    An update adds up the losses of one minibatch of each task times the tasks' ``weights``; ``in_turn``, it is one
    task's minibatch alone, the tasks in turn, in proportion to their weights. Rows with a reward term are refused:
    their minibatches are not drawn but belong to one collection.
    """

    def __init__(self, learners: Mapping[str, Learner], weights: Mapping[str, float], *, in_turn: bool = False) -> None:
        self.learners, self.weights = dict(learners), dict(weights)
        first, *others = learners.values()
        if any(learner.rhythm != first.rhythm for learner in others) or not first.rhythm.keep:
            raise ConfigurationError("several tasks need one rhythm, and a store that is kept from round to round")
        self.rhythm = first.rhythm
        self.optimiser = FlatAdam(
            unique(module for learner in learners.values() for module in learner.modules.values()),
            self.rhythm.learning_rate,
            self.rhythm.clip,
            self.rhythm.average,
        )
        for learner in learners.values():
            learner.optimiser = self.optimiser
            learner.restandardises = not self._reads_with_others(learner)
        self.in_turn = in_turn

    def _reads_with_others(self, learner: Learner) -> bool:
        """Whether the layer behind the standardiser serves other tasks too, and cannot follow a change of it."""
        weight = learner.student.network.first_layer[0]
        others = [one.student.network for one in self.learners.values() if one is not learner]
        return any(weight is parameter for network in others for parameter in network.parameters())

    def order(self) -> list[str]:
        """Whose turn it is at each update of the next round: of those with the fewest so far for their weight."""
        had = {name: learner.updates for name, learner in self.learners.items()}
        turns = []
        for _ in range(self.rhythm.updates * len(had)):
            turns.append(min(had, key=lambda name: (had[name] + 0.5) / self.weights[name]))
            had[turns[-1]] += 1
        return turns

    @property
    def env_steps(self) -> int:
        """Of all tasks."""
        return sum(learner.env_steps for learner in self.learners.values())

    @property
    def updates(self) -> int:
        """Minibatches of all tasks."""
        return sum(learner.updates for learner in self.learners.values())

    @property
    def budget(self) -> int:
        return sum(learner.budget for learner in self.learners.values())

    @property
    def progress(self) -> float:
        """The fraction of the budget of all tasks that is spent."""
        return min(1.0, self.env_steps / self.budget)

    def step(self) -> dict[str, Record]:
        """One round of each."""
        rate = self.rhythm.learning_rate_at(self.progress)
        methods = {name: learner.objective.method.at(learner.progress) for name, learner in self.learners.items()}
        gathered = {}
        for name, learner in self.learners.items():
            with said_of(f"task {name}"):
                gathered[name] = learner.gather()
        self.optimiser.learning_rate = rate
        losses = self._update(methods)
        records = {}
        for name, learner in self.learners.items():
            with said_of(f"task {name}"):
                records[name] = learner.settle(losses[name], *gathered[name])
        return records

    def _update(self, methods: Mapping[str, Any]) -> dict[str, list[torch.Tensor]]:
        """The losses of each task's minibatches."""
        found: dict[str, list[torch.Tensor]] = {name: [] for name in self.learners}
        for columns in self._turns() if self.in_turn else self._together():
            losses = {name: self.learners[name].objective.loss(part, methods[name]) for name, part in columns.items()}
            weighed = [loss if self.in_turn else self.weights[name] * loss for name, loss in losses.items()]
            self.optimiser.step(torch.stack(weighed).sum() if len(weighed) > 1 else weighed[0])
            for name, loss in losses.items():
                self.learners[name].objective.updated()
                found[name].append(loss.detach())
        return found

    def _together(self) -> Iterator[dict[str, Columns]]:
        """A minibatch of each task that has any to give."""
        for parts in zip_longest(*(learner.minibatches() for learner in self.learners.values())):
            yield {name: part for name, part in zip(self.learners, parts, strict=True) if part is not None}

    def _turns(self) -> Iterator[dict[str, Columns]]:
        order = self.order()
        draws = {name: self.learners[name].minibatches(order.count(name)) for name in dict.fromkeys(order)}
        for name in order:
            part = next(draws[name], None)
            if part is not None:
                yield {name: part}
