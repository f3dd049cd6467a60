"""Windows of steps as Eq. 1 reads them: the deep engine's answer to the ``Steps`` protocol."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.envs.rollout import Window
from understudy.math.heads import Heads
from understudy.math.sums import discounted_sums
from understudy.methods.steps import Beyond


@dataclass(frozen=True)
class Answers:
    """Both sides' heads at some states."""

    student: Heads
    teacher: Heads


@dataclass(frozen=True)
class StoredSteps:
    """Steps drawn from a store, ``[L, B]``: order and neighbours are gone, so advantages must be given."""

    student: Heads
    teacher: Heads
    action: Tensor
    reward: Tensor
    valid: Tensor | None = None
    old_log_prob: Tensor | None = None

    def expect(self, x: Tensor) -> Tensor:
        """Mean per valid step: the direction of the sum over an episode, shorter by the mean episode length."""
        return x.mean() if self.valid is None else (x * self.valid).sum() / self.valid.sum().clamp(min=1)


@dataclass(frozen=True)
class WindowSteps:
    """Steps in order, ``[L, N]``, with the operators of Eq. 1. The discounting of visits is left out.

    ``stop``: the last step of an episode or of the window. ``beyond_index [B, 2]``: the (t, n) of those after which
    the episode goes on unseen. ``tail [L, N]``: a critic's value there, 0 without one. ``episodes``: divide sums by
    this count (whole episodes, Eq. 1 as printed) in place of the number of steps.
    """

    student: Heads
    teacher: Heads
    action: Tensor
    reward: Tensor
    valid: Tensor
    stop: np.ndarray
    gamma: float
    beyond: Beyond | None
    beyond_index: Tensor
    episodes: int | None = None

    @property
    def held(self) -> WindowSteps:
        """Both sides detached; these steps themselves where no gradients are kept, as while a window is prepared."""
        if not torch.is_grad_enabled():
            return self
        beyond = self.beyond and Answers(*(Heads.detached(side) for side in (self.beyond.student, self.beyond.teacher)))
        return replace(self, student=self.student.detached(), teacher=self.teacher.detached(), beyond=beyond)

    def next(self, x: Tensor, beyond: Tensor | None) -> Tensor:
        """gamma x_{t+1}: 0 after a terminal, gamma times ``beyond`` where the episode goes on unseen."""
        after = torch.cat([x[1:], torch.zeros_like(x[:1])])
        after = torch.where(torch.as_tensor(self.stop, device=x.device), 0.0, after)
        if beyond is not None and len(self.beyond_index):
            after = after.index_put((self.beyond_index[:, 0], self.beyond_index[:, 1]), beyond)
        return self.gamma * after * self.valid

    def to_go(self, x: Tensor, credit: float) -> Tensor:
        """Discounted sums to the end of each episode, or to where the window stops short of it."""
        masked = self._played(x.detach()).cpu().numpy()
        sums = discounted_sums(masked, self.stop, self.gamma * credit)
        return torch.as_tensor(sums, dtype=x.dtype, device=x.device)

    def expect(self, x: Tensor) -> Tensor:
        """Mean per valid step, or per episode."""
        count = self.valid.sum().clamp(min=1) if self.episodes is None else self.episodes
        return self._played(x).sum() / count

    def _played(self, x: Tensor) -> Tensor:
        """0 where nothing was played, whatever stands there."""
        return torch.where(self.valid > 0, x, 0.0)


def stops(window: Window) -> np.ndarray:
    """``[L, N]``: the last step of an episode, or of the window."""
    stop = window.terminated | window.truncated
    stop[window.beyond_index[:, 0], window.beyond_index[:, 1]] = True
    return stop


def window_steps(
    window: Window,
    student: Heads,
    teacher: Heads,
    gamma: float,
    beyond: Beyond | None = None,
    whole_episodes: bool = False,
) -> WindowSteps:
    """Steps from a window and both sides' heads ``[L, N]`` on it (and at ``window.beyond_observation``)."""
    flat = student.policy.flat
    options: dict[str, Any] = {"device": flat.device}
    return WindowSteps(
        student,
        teacher,
        torch.as_tensor(window.action, **options),
        torch.as_tensor(window.reward, dtype=flat.dtype, **options),
        torch.as_tensor(window.valid, dtype=flat.dtype, **options),
        stops(window),
        gamma,
        beyond,
        torch.as_tensor(window.beyond_index, **options),
        window.valid.shape[1] if whole_episodes else None,
    )
