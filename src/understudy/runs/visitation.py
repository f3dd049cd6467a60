"""How far the student is from its teacher where each of the two goes, and where neither does."""

from __future__ import annotations

import numpy as np
import torch

from understudy.engines.actor import PolicyActor, UniformActor
from understudy.engines.objective import unroll
from understudy.envs.rollout import Actor, Rollout, Window
from understudy.envs.simulator import Simulator
from understudy.math.divergences import kl
from understudy.policies.policy import Policy, tensors
from understudy.runs.assemble import Assembly

STEPS = 1024


class Visitations:
    """Mean KL(teacher‖student) in nats on states that the teacher, the student and the uniform policy visit.

    The teacher's and the uniform policy's states are collected once; the student's anew for each measurement, and no
    measurement leaves a trace in the training. All three sample their actions. ``played``: steps so far.
    """

    def __init__(self, parts: Assembly, simulator: Simulator, seed: int) -> None:
        self.parts, self.simulator = parts, simulator
        self.played = 0
        self.generators = [np.random.default_rng([seed, 4, k]) for k in range(3)]
        teacher = PolicyActor(parts.teacher, parts.views.teacher, self.generators[0], parts.device)
        self.windows = {
            "teacher": self._collect(teacher),
            "uniform": self._collect(UniformActor(parts.actions, self.generators[1])),
        }

    def _collect(self, actor: Actor) -> Window:
        """Steps from fresh episodes in every copy; their seeds are of no other use."""
        seed = int(self.generators[2].integers(2**31))
        steps = max(1, STEPS // self.simulator.copies)
        self.played += steps * self.simulator.copies
        return Rollout(self.simulator, self.parts.actions, seed).collect(actor, steps)

    def measure(self) -> dict[str, float]:
        """``kl_teacher``, ``kl_student`` and ``kl_uniform``, named for whose states they are measured on."""
        parts = self.parts
        student = PolicyActor(parts.student, parts.views.student, self.generators[1], parts.device)
        windows = self.windows | {"student": self._collect(student)}
        return {f"kl_{name}": self._divergence(window) for name, window in windows.items()}

    @torch.no_grad()
    def _divergence(self, window: Window) -> float:
        device, views = self.parts.device, self.parts.views
        start = torch.as_tensor(window.start, device=device)

        def heads(policy: Policy, seen: object) -> torch.Tensor:
            return unroll(policy, seen, None, start)[0].policy.flat  # type: ignore[arg-type]

        teacher = heads(self.parts.teacher, tensors(views.teacher(window.observation), device))
        student = heads(self.parts.student, tensors(views.student(window.observation), device))
        family = self.parts.student.family
        return float(kl(family(teacher), family(student))[torch.as_tensor(window.valid, device=device)].mean())
