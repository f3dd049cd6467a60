"""How far the student is from its teacher where each of the two goes, and where neither does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from understudy.engines.actor import PolicyActor, UniformActor
from understudy.engines.objective import unroll
from understudy.envs.actions import ActionMap
from understudy.envs.rollout import Actor, Rollout
from understudy.envs.simulator import Simulator, take
from understudy.envs.views import ObservationViews, View
from understudy.math.distributions import Distribution
from understudy.math.divergences import kl
from understudy.policies.policy import Observation, Policy, tensors
from understudy.runs.assemble import Assembly
from understudy.runs.extent import Extent, Looked

STEPS = 1024
PART = 1024
"""So many states at most are asked about at once, for what a network computes of pictures is large."""


@dataclass(frozen=True)
class Pair:
    """Teacher and student of a run, with what each sees: all that is needed of an :class:`Assembly` to compare them."""

    teacher: Policy
    student: Policy
    views: ObservationViews
    actions: ActionMap
    device: str = "cpu"


class Seen(NamedTuple):
    """What was seen in a window, ``[L, N, ...]``, and where episodes began and something was played, ``[L, N]``."""

    observation: Observation
    start: np.ndarray
    valid: np.ndarray


class Visitations:
    """Mean KL(teacher‖student) in nats on states that the teacher, the student and the uniform policy visit, in the
    first steps of their episodes: what training can afford. :func:`over_episodes` looks at whole ones.

    The teacher's and the uniform policy's states are collected once; the student's anew for each measurement, and no
    measurement leaves a trace in the training. All three sample their actions. ``played``: steps so far.
    """

    def __init__(
        self,
        parts: Assembly | Pair,
        simulator: Simulator,
        seed: int,
        saved: tuple[dict[str, Any], dict[str, Any]] | None = None,
    ) -> None:
        """``saved``: the :meth:`lasting` and the :meth:`state` of earlier ones, which these go on from."""
        self.parts, self.simulator = parts, simulator
        self.played = 0
        self.generators = [np.random.default_rng([seed, 4, k]) for k in range(3)]
        if saved is not None:
            self._restore(*saved)
            return
        teacher = PolicyActor(parts.teacher, parts.views.teacher, self.generators[0], parts.device)
        self.windows = {
            "teacher": self._collect(teacher),
            "uniform": self._collect(UniformActor(parts.actions, self.generators[1])),
        }

    def lasting(self) -> dict[str, Any]:
        """What no measurement changes."""
        return {name: window._asdict() for name, window in self.windows.items()}

    def state(self) -> dict[str, Any]:
        """What measurements change."""
        generators = {str(k): generator.bit_generator.state for k, generator in enumerate(self.generators)}
        return {"played": self.played, "generators": generators}

    def _restore(self, lasting: dict[str, Any], state: dict[str, Any]) -> None:
        self.windows = {name: Seen(**window) for name, window in lasting.items()}
        self.played = state["played"]
        for k, generator in enumerate(self.generators):
            generator.bit_generator.state = state["generators"][str(k)]

    def _collect(self, actor: Actor) -> Seen:
        """Steps from fresh episodes in every copy; their seeds are of no other use."""
        seed = int(self.generators[2].integers(2**31))
        steps = max(1, STEPS // self.simulator.copies)
        self.played += steps * self.simulator.copies
        window = Rollout(self.simulator, self.parts.actions, seed).collect(actor, steps)
        return Seen(window.observation, window.start, window.valid)

    def measure(self) -> dict[str, float]:
        """``kl_teacher``, ``kl_student`` and ``kl_uniform``, named for whose states they are measured on."""
        parts = self.parts
        student = PolicyActor(parts.student, parts.views.student, self.generators[1], parts.device)
        windows = self.windows | {"student": self._collect(student)}
        return {f"kl_{name}": _divergence(parts, window) for name, window in windows.items()}


def over_episodes(
    parts: Pair, make: Callable[[int], Simulator], extents: Mapping[str, Extent], seed: int
) -> dict[str, tuple[float, Looked]]:
    """Mean KL(teacher‖student) in nats on the states of whole episodes of teacher, student and uniform policy, all
    three sampling their actions; every state counts alike.

    ``make``: a simulator of so many copies; ``extents``: what to play of ``teacher``, ``student`` and ``uniform``.
    """
    found = {}
    for k, (who, extent) in enumerate(extents.items()):
        generator = np.random.default_rng([seed, 4, 3 + k])
        actor: Actor
        if who == "uniform":
            actor = UniformActor(parts.actions, generator)
        else:
            actor = PolicyActor(getattr(parts, who), getattr(parts.views, who), generator, parts.device)
        with closing(make(extent.episodes)) as simulator:
            rollout = Rollout(simulator, parts.actions, int(generator.integers(2**31)))
            window = rollout.episodes(actor, most=extent.steps)
        seen = Seen(window.observation, window.start, window.valid)
        found[who] = _divergence(parts, seen), Looked.at(window, extent)
    return found


def _divergence(parts: Assembly | Pair, window: Seen) -> float:
    teacher, student = answers(parts, window)
    return float(kl(teacher, student)[torch.as_tensor(window.valid, device=parts.device)].mean())


@torch.no_grad()
def answers(parts: Assembly | Pair, window: Seen) -> tuple[Distribution, Distribution]:
    """The distributions ``[L, N]`` of teacher and student on what was seen, both of the student's family."""
    device, family = parts.device, parts.student.family
    rows = max(1, PART // window.start.shape[1])

    def heads(policy: Policy, view: View) -> torch.Tensor:
        flats, memory = [], None
        for begin in range(0, len(window.start), rows):
            part = slice(begin, begin + rows)
            seen = tensors(view(take(window.observation, part)), device)
            found, memories = unroll(policy, seen, memory, torch.as_tensor(window.start[part], device=device))
            flats.append(found.policy.flat)
            memory = None if memories is None else memories[-1]
        return torch.cat(flats)

    return family(heads(parts.teacher, parts.views.teacher)), family(heads(parts.student, parts.views.student))
