"""Where steps come from: fresh rollouts under the control policy."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch

from understudy.engines.actor import MixedActor, PolicyActor, UniformActor
from understudy.envs.actions import ActionMap
from understudy.envs.rollout import Rollout, Window
from understudy.envs.simulator import Simulator
from understudy.envs.views import ObservationViews
from understudy.methods.method import Control
from understudy.methods.q_method import Behaviour
from understudy.policies.policy import Policy
from understudy.policies.student import Student


class Source(Protocol):
    """Windows of steps that ``copies`` of an environment took side by side: under a control policy, or once upon a time
    (:class:`understudy.engines.recorded.Recorded`)."""

    copies: int
    whole_episodes: bool

    def collect(self, progress: float) -> Window: ...

    def state(self) -> dict[str, Any]:
        """Everything that collecting changes."""
        ...

    def restore(self, state: dict[str, Any]) -> bool:
        """Go on from there. False where the environments show something else than then, and new episodes follow."""
        ...


class FreshRollouts:
    """The control policy acts in the environments, window after window.

    With ``whole_episodes`` a window is one episode of every copy, from its reset to its end.
    """

    def __init__(
        self,
        simulator: Simulator,
        control: Control | Behaviour,
        teacher: Policy,
        student: Student,
        views: ObservationViews,
        *,
        collect: int,
        seed: int,
        whole_episodes: bool = False,
        greedy: bool = False,
        first: int = 0,
        first_teacher: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> None:
        """``greedy``: teacher and student take their best action. ``first``: environment steps of the first window, in
        which what the control leaves to the two is the teacher's by ``first_teacher``; 0: a window like the others."""
        actions = ActionMap(student.family, simulator.action_space)
        streams = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, 1]).spawn(4)]
        self.control, self.student, self.teacher = control, student, teacher
        self.student_actor = PolicyActor(student, views.student, None if greedy else streams[0], device)
        self.teacher_actor = PolicyActor(teacher, views.teacher, None if greedy else streams[1], device)
        self.uniform = UniformActor(actions, streams[2])
        self.mixed = MixedActor((self.teacher_actor, self.student_actor, self.uniform), streams[3])
        self.steps, self.first = (max(1, count // simulator.copies) for count in (collect, first or collect))
        self.first_teacher = first_teacher if first else None
        self.whole_episodes, self.copies = whole_episodes, simulator.copies
        self.rollout = Rollout(simulator, actions, seed)

    def collect(self, progress: float) -> Window:
        self.mixed.weights = self.control.at(progress)
        self.student_actor.refresh()
        if progress == 0 and self.first_teacher is not None:
            teacher, student, uniform = self.mixed.weights
            both, share = teacher + student, self.first_teacher
            self.mixed.weights = both * share, both * (1 - share), uniform
            return self.rollout.collect(self.mixed, self.first)
        if self.whole_episodes:
            return self.rollout.episodes(self.mixed)
        return self.rollout.collect(self.mixed, self.steps)

    def state(self) -> dict[str, Any]:
        return {
            "student": self.student_actor.state(),
            "teacher": self.teacher_actor.state(),
            "uniform": self.uniform.generator.bit_generator.state,
            "mixed": self.mixed.generator.bit_generator.state,
            "rollout": self.rollout.state(),
        }

    def restore(self, state: dict[str, Any]) -> bool:
        self.student_actor.restore(state["student"])
        self.teacher_actor.restore(state["teacher"])
        self.uniform.generator.bit_generator.state = state["uniform"]
        self.mixed.generator.bit_generator.state = state["mixed"]
        return self.rollout.restore(state["rollout"])
