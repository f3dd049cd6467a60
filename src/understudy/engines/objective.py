"""A row with its estimator: what is kept of a window, and the loss of a minibatch of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.engines.critic import Critic
from understudy.engines.estimator import Estimator
from understudy.engines.optimiser import FlatAdam
from understudy.engines.schedule import Rhythm
from understudy.engines.steps import Answers, StoredSteps, WindowSteps, window_steps
from understudy.engines.store import Columns, Store
from understudy.envs.rollout import Window
from understudy.envs.views import ObservationViews
from understudy.errors import ConfigurationError
from understudy.math.distributions import Distribution
from understudy.math.heads import Heads
from understudy.math.sums import discounted_sums, gae
from understudy.methods.method import Method, Need
from understudy.methods.surrogate import pseudo_reward, surrogate
from understudy.policies.network import Encoded
from understudy.policies.policy import Observation, Policy, TensorObservation, tensors, without_value
from understudy.policies.student import Student

REMEDIES = ("none", "absorbing")
ABSORBING_MARGIN = 0.05
NOTHING = torch.zeros(0)  # for what a row without a reward term never reads


@dataclass(frozen=True)
class Remedy:
    """What avoids the termination trap.

    ``absorbing``: a terminated episode goes on paying the batch's mean divergence (and a margin) at every step for
    ever, discounted, so that ending early earns nothing. Measured in nats per step; the task reward has no part in it.
    """

    kind: str = "none"

    def __post_init__(self) -> None:
        if self.kind not in REMEDIES:
            raise ConfigurationError(f"remedy is one of {', '.join(REMEDIES)} or credit:NUMBER, got {self.kind!r}")

    def check(self, method: Method, gamma: float) -> None:
        """Refuse an endless sum, and rows that charge nothing."""
        if self.kind == "absorbing" and not method.charges:
            raise ConfigurationError(f"{method.name} charges nothing at each step, so --remedy absorbing does nothing")
        if self.kind == "absorbing" and any(gamma * credit >= 1 for credit in method.credits):
            raise ConfigurationError("the absorbing remedy charges for ever, which needs --gamma below 1")

    def apply(
        self, rewards: np.ndarray, costs: np.ndarray, terminated: np.ndarray, valid: np.ndarray, discount: float
    ) -> np.ndarray:
        """The rewards ``[L, N]`` with each termination charged; ``costs [L, N]`` are their divergences alone."""
        if self.kind == "none" or not discount or not terminated.any():
            return rewards
        cost = -float(costs[valid].mean()) + ABSORBING_MARGIN
        return np.where(terminated, rewards - max(cost, 0.0) / (1 - discount), rewards)


class Objective:
    """Turns windows into columns of a store, and columns into the scalar that is minimised."""

    def __init__(
        self,
        method: Method,
        teacher: Policy,
        student: Student,
        views: ObservationViews,
        estimator: Estimator,
        gamma: float,
        remedy: Remedy,
        critic: Critic | None,
        device: torch.device | str = "cpu",
        length: int = 32,
    ) -> None:
        """``length``: steps of the sequences that a recurrent student is trained on."""
        estimator.check(method)
        remedy.check(method, gamma)
        self.method, self.student, self.views = method, student, views
        self.teacher = teacher if Need.TEACHER_VALUE in method.needs else without_value(teacher)
        self.estimator, self.gamma, self.remedy, self.critic, self.device = estimator, gamma, remedy, critic, device
        self._now, self._estimate = method, estimator.at(0.0)
        self.strayed = False
        self.values_task = Need.STUDENT_VALUE in method.needs
        self.length = length
        self.memory: Tensor | None = None  # the student's [N, M] before the next window, and the teacher's
        self.teacher_memory: Tensor | None = None
        self.run: Callable[..., tuple[Distribution, Tensor | None]] = student.distribution

    def configure(self, *, precision: str = "float32", compiled: bool = False) -> None:
        """Run the student's network in bfloat16 where that is safe, or compiled."""
        student = self.student
        if compiled:
            student.network.compile()
        run = student.distribution
        if precision == "bfloat16":
            kind = torch.device(self.device).type

            def mixed(*inputs: Any) -> tuple[Distribution, Tensor | None]:
                with torch.autocast(kind, torch.bfloat16):
                    return run(*inputs)

            self.run = mixed
        else:
            self.run = run

    @property
    def passes(self) -> int:
        return self.estimator.passes

    @property
    def at_once(self) -> bool:
        return not self.estimator.has_critic

    def new_store(self, rhythm: Rhythm, copies: int) -> Store:
        return Store(rhythm.store, rhythm.length, self.device)

    def begin(self, columns: Columns, optimiser: FlatAdam) -> None:
        """Nothing that the first window's columns decide."""

    def updated(self) -> None:
        """Nothing follows a step of the optimiser."""

    def restandardised(self, mean: Tensor, scale: Tensor) -> None:
        """No other network sees what the student sees."""

    def state(self) -> dict[str, Any]:
        """What windows change besides the critic."""
        return {"memory": self.memory, "teacher_memory": self.teacher_memory}

    def restore(self, state: dict[str, Any]) -> None:
        self.memory, self.teacher_memory = (
            None if state[name] is None else state[name].to(self.device) for name in ("memory", "teacher_memory")
        )

    @torch.no_grad()
    def prepare(
        self, window: Window, progress: float = 0.0, beside: Columns | None = None
    ) -> tuple[Columns, dict[str, float]]:
        """Columns ``[K, L, ...]`` of a window that follows the last one, and what was noticed in it.

        ``beside``: further columns ``[L, N, ...]`` that go along.

        The schedules of the reward and of the estimator are read at ``progress``.
        """
        self._now, self._estimate = self.method.at(progress), self.estimator.at(progress)
        seen = self._seen(self.views.student(window.observation))
        encoded = self.student.network.encoded(seen)
        columns = observation_columns("observation", seen) if encoded is None else {"features": encoded.features}
        columns |= beside or {}
        start = torch.as_tensor(window.start, device=self.device)
        teacher, teacher_memories = None, None
        if self.method.reads_teacher:
            guide = self._seen(self.views.teacher(window.observation))
            teacher, teacher_memories = unroll(self.teacher, guide, self.teacher_memory, start)
            self.teacher_memory = None if teacher_memories is None else teacher_memories[-1]
            columns["teacher"] = teacher.policy.flat
            if teacher.state_value is not None:
                columns["teacher_value"] = teacher.state_value
        facts: dict[str, float] = {}
        before, memories, student = self.memory, None, None
        if self._reads_student:
            student, memories = unroll(self.student, seen, before, start)
            self.memory = None if memories is None else memories[-1]
        if self.method.reward or self.values_task:
            assert student is not None
            beyond_memories = (memories, teacher_memories)
            facts = self._reward_columns(window, student, teacher, beyond_memories, columns)
        if self.student.memory_size:
            assert memories is not None
            return self._sequences(columns, window, before, memories), facts
        return _single_steps(columns, window.valid), facts

    @property
    def _reads_student(self) -> bool:
        """Whether the student's own answers on a window are needed before learning from it."""
        return bool(self.method.reward) or self.values_task or self.student.memory_size > 0

    def _seen(self, observation: Observation) -> TensorObservation:
        return tensors(observation, self.device)

    def _reward_columns(
        self,
        window: Window,
        student: Heads,
        teacher: Heads | None,
        memories: tuple[Tensor | None, Tensor | None],
        columns: Columns,
    ) -> dict[str, float]:
        """Advantages, the critic's targets and the old log-probabilities; returns what was noticed."""
        values, tails = self._values(window)
        student = replace(student, state_value=values[..., 0] if self.values_task else None)
        beyond = self._beyond(window, memories, tails if self.values_task else None)
        whole = not self.estimator.has_critic
        steps = window_steps(window, student, teacher or student, self.gamma, beyond, whole)
        columns["action"] = steps.action
        columns["reward"] = steps.reward
        if self.values_task:
            columns["student_value"] = values[..., 0]
        if self.method.reward:
            columns["old_log_prob"] = student.policy.log_prob(steps.action)
        advantage, targets = self._advantages(window, steps, values, tails)
        columns["advantage"] = advantage
        if self.critic is not None:
            columns |= observation_columns("critic", self._seen(self.views.critic(window.observation)))
            columns["target"] = targets
            if self.estimator.value_clip is not None:
                columns["old_value"] = values
            self.critic.rescale(targets[torch.as_tensor(window.valid, device=targets.device)])
        noisy = advantage[torch.as_tensor(window.valid, device=advantage.device)]
        dropped = float(window.beyond_truncated.sum()) if whole else 0.0
        return {"dropped_tails": dropped, "advantage_variance": float(noisy.var()) if noisy.numel() > 1 else 0.0}

    def _values(self, window: Window) -> tuple[Tensor, Tensor]:
        """The critic on the window ``[L, N, K]``, and at the states beyond it ``[B, K]``."""
        if self.critic is None:
            shape = (*window.valid.shape, 0)
            return torch.zeros(shape, device=self.device), torch.zeros(len(window.beyond_index), 0, device=self.device)
        inside = self.critic(self._seen(self.views.critic(window.observation)))
        if not len(window.beyond_index):
            return inside, inside.new_zeros(0, inside.shape[-1])
        return inside, self.critic(self._seen(self.views.critic(window.beyond_observation)))

    def _beyond(
        self, window: Window, memories: tuple[Tensor | None, Tensor | None], tails: Tensor | None
    ) -> Answers | None:
        """Both sides at the states after time limits and after the window, with the memory they have there."""
        if not len(window.beyond_index):
            return None
        at = tuple(torch.as_tensor(window.beyond_index.T, device=self.device))

        def heads(policy: Policy, observation: Observation, held: Tensor | None) -> Heads:
            seen = self._seen(observation)
            if held is None:
                return policy(seen)[0]
            one = {k: v[None] for k, v in seen.items()} if isinstance(seen, dict) else seen[None]
            answer = policy(one, held[at])[0]
            value = None if answer.state_value is None else answer.state_value[0]
            return Heads(policy.family(answer.policy.flat[0]), value)

        student = heads(self.student, self.views.student(window.beyond_observation), memories[0])
        if tails is not None:
            student = replace(student, state_value=tails[:, 0])
        if not self.method.reads_teacher:
            return Answers(student, student)
        return Answers(student, heads(self.teacher, self.views.teacher(window.beyond_observation), memories[1]))

    def _advantages(self, window: Window, steps: WindowSteps, values: Tensor, tails: Tensor) -> tuple[Tensor, Tensor]:
        """The advantage ``[L, N]``, and the critic's targets ``[L, N, K]``."""
        stop, held, tail = steps.stop, values.cpu().double().numpy(), np.zeros(values.shape)
        tail[window.beyond_index[:, 0], window.beyond_index[:, 1]] = tails.cpu().numpy()
        targets = []
        if self.values_task:
            gain = gae(window.reward, held[..., 0], stop, tail[..., 0], self.gamma, self.estimator.lam)
            targets.append(gain + held[..., 0])
        total = np.zeros(window.valid.shape)
        costly = self._now.divergence_only() if self.remedy.kind != "none" else self._now
        for credit in self.method.credits:
            k, discount = len(targets), self.gamma * credit
            rewards = pseudo_reward(self._now, steps, credit).cpu().double().numpy() * window.valid
            if credit in costly.credits:
                costs = pseudo_reward(costly, steps, credit).cpu().double().numpy()
                rewards = self.remedy.apply(rewards, costs, window.terminated, window.valid, discount)
            if not self.estimator.has_critic:
                total += discounted_sums(rewards, stop, discount)
                continue
            gain = gae(rewards, held[..., k], stop, tail[..., k], discount, self.estimator.lam)
            total += gain
            targets.append(gain + held[..., k])
        stacked = np.stack(targets, -1) if targets else np.zeros((*total.shape, 0))
        options: dict[str, Any] = {"dtype": torch.float32, "device": self.device}
        return torch.as_tensor(total, **options), torch.as_tensor(stacked, **options)

    def _sequences(self, columns: Columns, window: Window, before: Tensor | None, after: Tensor) -> Columns:
        """``[T, N, ...]`` to sequences ``[K, L, ...]`` that lie in one episode each, with the memory they begin with.

        Cut at the starts of episodes and every L steps, and filled up with steps that are not valid: so no memory has
        to be reset on the way, and a recurrent network runs over a batch of them in one call. ``before [N, M]`` and
        ``after [T, N, M]`` are the memories before the window and after each of its steps.
        """
        steps, length = len(window.valid), self.length
        begins = window.start.copy()
        begins[::length] = True
        copy, first = np.nonzero(begins.T)
        last = np.append(first[1:], steps)
        last[np.append(copy[1:] != copy[:-1], True)] = steps
        time = first[:, None] + np.arange(length)
        inside = time < last[:, None]
        if before is None:
            before = torch.zeros_like(after[0])
        memory = torch.cat([before[None], after[:-1]])
        memory = memory * ~torch.as_tensor(window.start, device=self.device)[..., None]
        at = tuple(torch.as_tensor(x, device=self.device) for x in (np.minimum(time, steps - 1), copy[:, None]))
        played = torch.as_tensor(window.valid, device=self.device)[at] & torch.as_tensor(inside, device=self.device)
        rows = {name: column[at] for name, column in columns.items()}
        return rows | {"valid": played.float(), "memory": memory[at[0][:, 0], at[1][:, 0]]}

    def loss(self, columns: Columns, method: Method) -> Tensor:
        """The surrogate of a minibatch ``[L, B, ...]``, and the critic's error; ``method`` has numbers for weights."""
        return self.loss_of(self.answered(columns), columns, method)

    def answered(self, columns: Columns) -> Distribution:
        """The student's distribution ``[L, B]`` on a minibatch."""
        return self.run(shown(columns), columns.get("memory"))[0]

    def loss_of(self, policy: Distribution, columns: Columns, method: Method) -> Tensor:
        """:meth:`loss` where the student's distribution on the minibatch is known."""
        student = Heads(policy, columns.get("student_value"))
        teacher = student
        if "teacher" in columns:
            teacher = Heads(self.teacher.family(columns["teacher"]), columns.get("teacher_value"))
        steps = StoredSteps(
            student,
            teacher,
            columns.get("action", NOTHING),
            columns.get("reward", NOTHING),
            columns.get("valid"),
            columns.get("old_log_prob"),
        )
        advantage = columns.get("advantage")
        if advantage is not None:
            advantage = self._estimate.scaled(advantage, steps.valid)
            self.strayed = self._estimate.strayed(steps)
        loss = surrogate(method, steps, advantage, self._estimate.score)
        return loss if self.critic is None else loss + self._critic_error(self.critic, columns)

    def _critic_error(self, critic: Critic, columns: Columns) -> Tensor:
        near, weight = self.estimator.value_clip, self.estimator.value_weight
        old = None if near is None else (columns["old_value"], near)
        error = critic.loss(observation_of("critic", columns), columns["target"], columns.get("valid"), old)
        return error if weight == 1 else weight * error


def _single_steps(columns: Columns, valid: np.ndarray) -> Columns:
    """``[L, N, ...]`` to windows of one valid step, ``[K, 1, ...]``."""
    flat = {name: column.flatten(0, 1)[:, None] for name, column in columns.items()}
    if valid.all():
        return flat
    keep = torch.as_tensor(valid.reshape(-1), device=next(iter(flat.values())).device)
    return {name: column[keep] for name, column in flat.items()}


def columns_needed(method: Method, estimator: Estimator) -> int:
    """How many values the critic has: the task reward's if the row needs it, and one for each credit."""
    task = int(Need.STUDENT_VALUE in method.needs)
    return task + (len(method.credits) if estimator.has_critic else 0)


def shown(columns: Columns) -> TensorObservation | Encoded:
    """What the student sees of a minibatch, or its features where these are known."""
    features = columns.get("features")
    return observation_of("observation", columns) if features is None else Encoded(features)


def unroll(
    policy: Policy, seen: TensorObservation, memory: Tensor | None, start: Tensor
) -> tuple[Heads, Tensor | None]:
    """Heads on a window ``[L, N, ...]``; a recurrent policy's step by step, and the memory after each ``[L, N, M]``."""
    if not policy.memory_size:
        return policy(seen)[0], None
    flats, values, memories = [], [], []
    for t in range(len(start)):
        one = {k: v[t : t + 1] for k, v in seen.items()} if isinstance(seen, dict) else seen[t : t + 1]
        heads, memory = policy(one, memory, start[t : t + 1])
        flats.append(heads.policy.flat)
        values.append(heads.state_value)
        assert memory is not None
        memories.append(memory)
    value = torch.cat([v for v in values if v is not None]) if values[0] is not None else None
    return Heads(policy.family(torch.cat(flats)), value), torch.stack(memories)


def observation_columns(name: str, seen: TensorObservation) -> Columns:
    """An observation as columns; the parts of a Dict are ``name/key``."""
    return {f"{name}/{key}": value for key, value in seen.items()} if isinstance(seen, dict) else {name: seen}


def observation_of(name: str, columns: Columns) -> TensorObservation:
    """The inverse of :func:`observation_columns`."""
    if name in columns:
        return columns[name]
    prefix = f"{name}/"
    return {key.removeprefix(prefix): value for key, value in columns.items() if key.startswith(prefix)}
