"""Learning action values: a row of Q_METHODS, what is kept of a window, and the loss of a minibatch of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from understudy.engines.critic import Critic
from understudy.engines.objective import observation_of
from understudy.engines.optimiser import FlatAdam
from understudy.engines.replay import Replay, rows_of
from understudy.engines.schedule import Rhythm
from understudy.engines.store import Columns
from understudy.envs.rollout import Window
from understudy.envs.views import ObservationViews
from understudy.errors import MethodError, TeacherError
from understudy.math.q_losses import Q_LOSSES
from understudy.methods.q_method import QMethod
from understudy.methods.schedule import at
from understudy.policies.policy import Policy, TensorObservation, score_scale, tensors, without_value
from understudy.policies.student import Student

ASKED = 1024  # observations in one question to the teacher


@dataclass(frozen=True)
class Target:
    """Where temporal-difference targets come from: a copy of the student, renewed whole every ``every`` updates, or,
    with ``every`` 0, moved by ``share`` of the way at each.

    ``double``: the student chooses the action that the copy values (van Hasselt et al. 2016). ``huber``: errors beyond
    1 count in proportion to their size (Mnih et al. 2015), rather than to its square.
    """

    every: int = 250
    share: float = 0.005
    double: bool = True
    huber: bool = False


class QObjective:
    """Meets what :class:`understudy.engines.learner.Learner` asks of an objective."""

    critic: Critic | None = None
    passes = 1
    at_once = False  # neither is read: minibatches are drawn from all that is stored
    strayed = False

    def __init__(
        self,
        method: QMethod,
        teacher: Policy,
        student: Student,
        views: ObservationViews,
        *,
        temperature: float,
        gamma: float = 0.99,
        n_step: int = 1,
        target: Target | None = None,
        frames: int = 1,
        last_axis: bool = False,
        keep_store: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        """``temperature``: τ of the losses. ``frames``, ``last_axis``: as in the replay store."""
        self.method, self.student, self.views, self.device = method, student, views, device
        self.teacher = without_value(teacher)
        self.scale = values_of(teacher, method)
        self.temperature, self.gamma, self.n_step = temperature, gamma, n_step
        self.frames, self.last_axis, self.keep_store = frames, last_axis, keep_store
        self.target = target or Target()
        self.held = copy.deepcopy(student.network).requires_grad_(False) if method.learns_by_td else None
        self.updates = 0
        self.ask: Callable[[Any], Tensor] = student.action_values

    def configure(self, *, precision: str = "float32", compiled: bool = False) -> None:
        """Run the student's network in bfloat16, or compiled."""
        if compiled:
            self.student.network.compile()
        if precision == "bfloat16":
            kind, ask = torch.device(self.device).type, self.student.action_values

            def mixed(seen: Any) -> Tensor:
                with torch.autocast(kind, torch.bfloat16):
                    return ask(seen)

            self.ask = mixed

    def new_store(self, rhythm: Rhythm, copies: int) -> Replay:
        store = Replay(
            rhythm.store,
            copies,
            n_step=self.n_step if self.method.learns_by_td else 0,
            gamma=self.gamma,
            frames=self.frames,
            last_axis=self.last_axis,
            device=self.device,
        )
        store.kept = self.keep_store
        return store

    def state(self) -> dict[str, Any]:
        held = {} if self.held is None else dict(self.held.state_dict())
        return {"target": held, "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        self.updates = state["updates"]
        if self.held is not None:
            self.held.load_state_dict(state["target"])

    @torch.no_grad()
    def prepare(self, window: Window, progress: float = 0.0) -> tuple[Columns, dict[str, float]]:
        """The rows of a window that follows the last one, with the teacher's action values (or logits)."""
        columns: Columns = {}
        if self.method.distils:
            columns["teacher"] = self._asked(window)
        student_window = as_seen(window, self.views.student)
        return rows_of(student_window, columns, self.frames, self.last_axis), {}

    @torch.no_grad()
    def begin(self, columns: Columns, optimiser: FlatAdam) -> None:
        """Start at the teacher's mean action values, with steps of their size: what is left are the differences."""
        if self.method.gives_values and "teacher" in columns and self.scale is not None:
            values = columns["teacher"][columns["playable"]].to(self.device)
            mean, size = values.mean(0), max(float(values.std(0, correction=0).mean()), 1e-3)
            last = self.student.network.last_layers
            centres = (mean,) if len(last) == 1 else (mean.mean()[None], mean - mean.mean())
            for layer, centre in zip(last, centres, strict=True):
                layer.bias.copy_(centre)
                layer.weight.mul_(size)
                optimiser.stretch(layer.weight, size)
                optimiser.stretch(layer.bias, size)
            optimiser.moved()
        if self.held is not None:
            self.held.load_state_dict(self.student.network.state_dict())

    def _asked(self, window: Window) -> Tensor:
        seen = tensors(self.views.teacher(window.observation), "cpu")
        lead = window.valid.shape
        flat = {k: v.flatten(0, 1) for k, v in seen.items()} if isinstance(seen, dict) else seen.flatten(0, 1)
        answers = []
        for begin in range(0, lead[0] * lead[1], ASKED):
            part = slice(begin, begin + ASKED)
            some: TensorObservation = (
                {k: v[part].to(self.device) for k, v in flat.items()}
                if isinstance(flat, dict)
                else flat[part].to(self.device)
            )
            answers.append(self.teacher(some)[0].policy.flat.cpu())
        found = torch.cat(answers).reshape(*lead, -1)
        found = found if self.scale is None else found * self.scale
        played = found[torch.as_tensor(window.valid)]
        check_values(self.teacher, played, logits=self.scale is None)
        return found

    def loss(self, columns: Columns, method: QMethod) -> Tensor:
        """What is minimised on a minibatch ``[B, ...]``; ``method`` has numbers for weights."""
        seen = observation_of("observation", columns)
        q = self.ask(seen)
        total = 0.0 * q.sum()  # all there is to minimise where both weights have run out
        if method.distance and method.weight:
            distance = Q_LOSSES[method.distance](q, columns["teacher"], self.temperature).mean()
            total = total + at(method.weight, 0.0) * distance
        if method.td:
            chosen = q.gather(-1, columns["action"][:, None].long())[:, 0]
            targets = self.targets(columns)
            # PyTorch's Huber loss is half a square; small errors are to weigh the same either way
            error = 2 * F.huber_loss(chosen, targets) if self.target.huber else F.mse_loss(chosen, targets)
            total = total + at(method.td, 0.0) * error
        return total

    @torch.no_grad()
    def targets(self, columns: Columns) -> Tensor:
        """r + γ max_a' Q(s', a'; θ−), or with the student's choice of a'; ``[B]``."""
        assert self.held is not None
        after = observation_of("next", columns)
        values = self.held(after)[0].float()
        if self.target.double:
            best = values.gather(-1, self.ask(after).argmax(-1, keepdim=True))[:, 0]
        else:
            best = values.amax(-1)
        return columns["reward"] + columns["discount"] * best

    def restandardised(self, mean: Tensor, scale: Tensor) -> None:
        """The target's copy follows the student's standardiser, and answers as before."""
        if self.held is not None:
            self.held.restandardise(mean, scale)
            self.held.absorb(mean, scale)

    @torch.no_grad()
    def updated(self) -> None:
        """After each step of the optimiser: bring the target's copy nearer to the student."""
        self.updates += 1
        if self.held is None or (self.target.every and self.updates % self.target.every):
            return
        for old, new in zip(self.held.parameters(), self.student.network.parameters(), strict=True):
            old.lerp_(new, 1.0 if self.target.every else self.target.share)


def values_of(teacher: Policy, method: QMethod) -> float | None:
    """What the teacher's flat parameters are to be multiplied by to be action values; None for logits.

    MethodError where the row needs what the teacher has not.
    """
    scale = score_scale(teacher)
    if method.distils and method.distance == "mse" and scale is None:
        raise MethodError(
            f"{method.name} needs a teacher that answers action values; {teacher.description} answers a policy. Use "
            "q-kl or q-nll, which need its preferences only, or a row of policies such as on-policy-distill"
        )
    if method.distils and method.distance != "nll" and scale is None and not teacher.full_support:
        raise MethodError(
            f"{method.name} needs a number for each action; {teacher.description} answers actions alone, or rules some "
            "out. Use q-nll"
        )
    return scale


def check_values(teacher: Policy, values: Tensor, logits: bool = False) -> None:
    """TeacherError for numbers that are none; of ``logits`` minus infinity is one: an action that is never taken."""
    if not bool((values < torch.inf).all() if logits else values.isfinite().all()):
        raise TeacherError(
            f"{teacher.description} answers action values that are infinite or not a number; look at its weights and "
            "at what it is shown"
        )


def as_seen(window: Window, view: Callable[[Any], Any]) -> Window:
    """The window as a view shows it."""
    return replace(window, observation=view(window.observation), beyond_observation=view(window.beyond_observation))
