"""Anchors at work: an objective with ``weight * KL`` to frozen policies, on visited and on stored states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from understudy.engines.objective import Objective, shown, unroll
from understudy.engines.optimiser import FlatAdam
from understudy.engines.reservoir import ANSWER, Reservoir, at
from understudy.engines.schedule import Rhythm
from understudy.engines.store import Columns, Store
from understudy.envs.rollout import Window
from understudy.envs.simulator import blank
from understudy.envs.views import EVERYTHING, View
from understudy.envs.wrappers import check_spaces, same_bounds
from understudy.errors import ConfigurationError, MethodError, SpaceError, said_of
from understudy.math.distributions import Distribution, Family
from understudy.methods.anchor import Anchor, following
from understudy.methods.anchor_loss import divergence
from understudy.policies.policy import Policy, TensorObservation, tensors, without_value
from understudy.policies.student import Student

MEASURED = 1024  # stored states on which a round's KL is measured, at most


class ActiveAnchor:
    """A row at work: the frozen policy, which sees its own view and keeps its own normaliser; the weight now.

    ``stored``: states of earlier stages; unless they carry a policy's answers this one is asked for them, once.
    ``holds``: a policy without memory on the student's body that is held in its place, such as an earlier task's head.
    ``weight`` is None until a first KL was measured.
    """

    def __init__(
        self,
        row: Anchor,
        policy: Policy,
        *,
        view: View = EVERYTHING,
        stored: Reservoir | None = None,
        holds: Student | None = None,
    ) -> None:
        self.row, self.policy, self.view, self.stored = row, without_value(policy), view, stored
        self.holds = holds
        self.family = policy.family
        self.weight: float | None = None
        self.memory: Tensor | None = None
        self.visits, self.recalls = row.states != "stored", row.states != "visited"
        with said_of(f"anchor {row.label}"):
            self._check()

    def _check(self) -> None:
        if self.recalls and (self.stored is None or not len(self.stored)):
            raise ConfigurationError(f"states is {self.row.states!r} but there are no stored states; give some")
        if self.row.direction == "reverse" and not self.policy.full_support:
            raise MethodError(
                f"KL(student‖anchor) needs an anchor that gives every action some probability; "
                f"{self.policy.description} answers actions alone. Use direction 'forward'"
            )
        self.answers = self._recalled() if self.recalls else None

    def _recalled(self) -> Tensor:
        assert self.stored is not None
        answers = self.stored.columns.get(ANSWER)
        answers = self.stored.answers(self.policy, self.view) if answers is None else answers[: len(self.stored)]
        if answers.shape[-1] != self.family.parameters:
            raise SpaceError(
                f"the stored answers have {answers.shape[-1]} parameters, {self.family} has {self.family.parameters}: "
                "they are another policy's. Label the states anew"
            )
        if self.row.direction == "reverse" and not bool(answers.isfinite().all()):
            raise MethodError("KL(student‖anchor) is infinite where stored answers rule an action out; use 'forward'")
        return answers

    def check_spaces(
        self, seen: gymnasium.Space[Any] | None, action_space: gymnasium.Space[Any], family: Family
    ) -> None:
        """Refuse what this anchor cannot hold: a student over other actions, in an environment that shows other things.

        ``seen``: the environment's observation space, where it is known.
        """
        label, policy = f"anchor {self.row.label}", self.policy
        observed = policy.observation_space if seen is None else self.view.space(seen)
        mend = "Anchor to a policy of this environment's spaces."
        check_spaces(
            policy.observation_space, policy.action_space, observed, action_space, False, label, mend, "student"
        )
        if self.family != family:
            raise SpaceError(
                f"{label} answers {self.family}, the student {family}: there is no KL between the two. Make the "
                "student of the anchor's family, or distil the anchor into a student of this one first"
            )
        if family.kind == "squashed-gaussian" and not same_bounds(policy.action_space, action_space):
            raise SpaceError(
                f"{label} squashes its actions into {policy.action_space}, the student into {action_space}"
            )

    def follow(self, kl: float, progress: float) -> None:
        """Set the weight for a round that begins with this KL."""
        self.weight = following(self.row.rule, self.weight, kl, progress)

    def distance(self, flat: Tensor, student: Distribution) -> Tensor:
        """The KL at each state, from the anchor's parameters ``[..., P]`` there."""
        return divergence(self.row.direction, self.family(flat), student)

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight, "memory": self.memory}

    def restore(self, state: dict[str, Any], device: torch.device | str) -> None:
        self.weight = state["weight"]
        self.memory = None if state["memory"] is None else state["memory"].to(device)


class AnchoredObjective:
    """An objective with anchors: meets what :class:`understudy.engines.learner.Learner` asks of one.

    The critic and the values of teacher and student are the inner objective's alone. In a round each anchor's KL is
    measured first, on the states just collected and on stored ones, before anything is learned from them; its weight
    follows; and every minibatch adds weight times the mean KL on its own states, and on as many stored ones drawn at
    random. ``gathering``: a reservoir that is offered all states that are collected.

    Stored states are shown to the student through its present standardiser. They don't change, so they are no part of
    the state: whoever resumes gives the same ones again.
    """

    def __init__(
        self,
        objective: Objective,
        anchors: Sequence[ActiveAnchor],
        *,
        seed: int,
        gathering: Reservoir | None = None,
        observation_space: gymnasium.Space[Any] | None = None,
    ) -> None:
        """``observation_space``: the environment's; may be left out where the student sees all of it."""
        self.objective, self.anchors, self.gathering = objective, list(anchors), gathering
        self.method, self.student, self.teacher = objective.method, objective.student, objective.teacher
        self.views, self.critic, self.device = objective.views, objective.critic, objective.device
        self.generator = np.random.default_rng([seed, 6])
        if observation_space is None and not self.views.student.text:
            observation_space = self.student.observation_space
        self._check(observation_space)
        self.stored = [self._stored(anchor) for anchor in self.anchors]

    def _check(self, observation_space: gymnasium.Space[Any] | None) -> None:
        labels = [anchor.row.label for anchor in self.anchors]
        for label in labels:
            if labels.count(label) > 1:
                raise ConfigurationError(f"two anchors are called {label}; give each a name of its own")
        for anchor in self.anchors:
            if anchor.policy is self.student:
                raise ConfigurationError(f"anchor {anchor.row.label} is the student itself; freeze a copy of it")
            if anchor.recalls and self.student.memory_size:
                raise ConfigurationError(
                    f"anchor {anchor.row.label}: the student has a memory, and what it answers to a stored state "
                    "depends on what it saw before it, which is not stored. Use states = 'visited'"
                )
            anchor.check_spaces(observation_space, self.student.action_space, self.student.family)
            anchor.policy = anchor.policy.to(self.device)

    def _stored(self, anchor: ActiveAnchor) -> TensorObservation | None:
        """What the student sees at an anchor's stored states ``[M, ...]``."""
        if not anchor.recalls:
            return None
        assert anchor.stored is not None
        seen = anchor.stored.seen(self.views.student)
        wanted = tensors(blank(self.student.observation_space, 1))
        if _shapes(seen) != _shapes(wanted):
            raise SpaceError(
                f"anchor {anchor.row.label}: its stored states show {_shapes(seen)}, the student sees {_shapes(wanted)}"
            )
        return seen

    @property
    def passes(self) -> int:
        return self.objective.passes

    @property
    def at_once(self) -> bool:
        return self.objective.at_once

    @property
    def strayed(self) -> bool:
        return self.objective.strayed

    def new_store(self, rhythm: Rhythm, copies: int) -> Store:
        return self.objective.new_store(rhythm, copies)

    def begin(self, columns: Columns, optimiser: FlatAdam) -> None:
        self.objective.begin(columns, optimiser)

    def updated(self) -> None:
        self.objective.updated()

    def restandardised(self, mean: Tensor, scale: Tensor) -> None:
        self.objective.restandardised(mean, scale)

    @torch.no_grad()
    def prepare(self, window: Window, progress: float = 0.0) -> tuple[Columns, dict[str, float]]:
        """The inner objective's columns and the anchors' answers; with ``anchor/NAME/...`` in the facts."""
        start = torch.as_tensor(window.start, device=self.device)
        answers: Columns = {}
        for number, anchor in enumerate(self.anchors):
            if anchor.visits:
                seen = tensors(anchor.view(window.observation), self.device)
                heads, memories = unroll(anchor.policy, seen, anchor.memory, start)
                anchor.memory = None if memories is None else memories[-1]
                answers[_column(number)] = heads.policy.flat
        columns, facts = self.objective.prepare(window, progress, answers)
        if self.gathering is not None:
            self.gathering.watch(window)
        return columns, facts | self._measure(columns, progress)

    def _measure(self, columns: Columns, progress: float) -> dict[str, float]:
        """Each anchor's KL now, and the weight that follows from it."""
        facts: dict[str, float] = {}
        timed = {name: rows if name == "memory" else rows.transpose(0, 1) for name, rows in columns.items()}
        student = self.objective.answered(timed) if any(anchor.visits for anchor in self.anchors) else None
        for number, anchor in enumerate(self.anchors):
            label, total = f"anchor/{anchor.row.label}", 0.0
            if student is not None and anchor.visits:
                total += _noted(facts, f"{label}/kl", self._visited(number, student, timed))
            if anchor.recalls:
                total += _noted(facts, f"{label}/stored_kl", self._recalled(number, MEASURED))
            anchor.follow(total, progress)
            facts[f"{label}/weight"] = anchor.weight or 0.0
        return facts

    def weigh_anew(self) -> None:
        """Weights that follow the KL start again, for rounds in which the student did not learn say nothing of them."""
        for anchor in self.anchors:
            anchor.weight = None

    def _visited(self, number: int, student: Distribution, columns: Columns) -> Tensor:
        """The mean KL on a minibatch's own states."""
        holds = self.anchors[number].holds  # on one body, and with one standardiser: features are the same
        student = student if holds is None else holds.distribution(shown(columns))[0]
        distance = self.anchors[number].distance(columns[_column(number)], student)
        valid = columns.get("valid")
        return distance.mean() if valid is None else (distance * valid).sum() / valid.sum().clamp(min=1)

    def _recalled(self, number: int, count: int) -> Tensor:
        """The mean KL on so many stored states, drawn at random; on all if there are no more."""
        anchor, seen = self.anchors[number], self.stored[number]
        assert seen is not None
        assert anchor.answers is not None
        whole = len(anchor.answers) <= count
        rows: Any = slice(None) if whole else torch.from_numpy(self.generator.integers(len(anchor.answers), size=count))
        seen = at(seen, rows, self.device)
        student = self.objective.run(seen, None)[0] if anchor.holds is None else anchor.holds.distribution(seen)[0]
        return anchor.distance(anchor.answers[rows].to(self.device), student).mean()

    def loss(self, columns: Columns, method: Any) -> Tensor:
        """The inner objective's loss of a minibatch, and each anchor's weight times its KL."""
        student = self.objective.answered(columns)
        total = self.objective.loss_of(student, columns, method)
        for number, anchor in enumerate(self.anchors):
            if not anchor.weight:
                continue
            if anchor.visits:
                total = total + anchor.weight * self._visited(number, student, columns)
            if anchor.recalls:  # without memory, so that columns are [B, ...]
                total = total + anchor.weight * self._recalled(number, len(next(iter(columns.values()))))
        return total

    def state(self) -> dict[str, Any]:
        gathered = None if self.gathering is None else self.gathering.state()
        return {
            "objective": self.objective.state(),
            "anchors": {anchor.row.label: anchor.state() for anchor in self.anchors},
            "generator": self.generator.bit_generator.state,
            "gathering": gathered,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.objective.restore(state["objective"])
        for anchor in self.anchors:
            anchor.restore(state["anchors"][anchor.row.label], self.device)
        self.generator.bit_generator.state = state["generator"]
        if self.gathering is not None and state["gathering"] is not None:
            self.gathering.restore(state["gathering"])


def _column(number: int) -> str:
    return f"anchor/{number}"


def _noted(facts: dict[str, float], name: str, kl: Tensor) -> float:
    facts[name] = float(kl)
    return facts[name]


def _shapes(seen: TensorObservation) -> dict[str, tuple[int, ...]]:
    parts = seen if isinstance(seen, dict) else {"observations": seen}
    return {name: tuple(part.shape[1:]) for name, part in parts.items()}
