"""What every teacher and student is: observations in, heads out."""

from __future__ import annotations

from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from torch import Tensor

from understudy.math.distributions import Family
from understudy.math.heads import Heads

Observation = np.ndarray | dict[str, np.ndarray]
"""Observations as an environment gives them, ``[..., *shape]``, or a dict of such arrays."""

TensorObservation = Tensor | dict[str, Tensor]


class Policy(Protocol):
    """Observations in, heads out. Observations are raw: what normalises them belongs to the policy.

    A recurrent policy (``memory_size > 0``) takes windows ``[L, N, ...]``, the memory before them ``[N, memory_size]``
    and ``start [L, N]`` (True where a step is the first of its episode, so that the memory is reset before it); it
    answers ``[L, N]`` heads and the memory after. Others take any leading dimensions and ignore the rest.
    """

    @property
    def family(self) -> Family: ...
    @property
    def observation_space(self) -> gymnasium.Space[Any]: ...
    @property
    def action_space(self) -> gymnasium.Space[Any]: ...
    @property
    def memory_size(self) -> int: ...
    @property
    def has_value(self) -> bool: ...
    @property
    def full_support(self) -> bool: ...
    @property
    def description(self) -> str: ...
    def __call__(
        self, observation: TensorObservation, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Heads, Tensor | None]: ...

    def to(self, device: torch.device | str) -> Policy: ...

    @property
    def parameter_count(self) -> int: ...


def without_value(policy: Policy) -> Policy:
    """The same policy, sparing the work of its value where it can; for acting, which never reads it."""
    spare = getattr(policy, "without_value", None)
    return policy if spare is None else spare()


def score_scale(policy: Any) -> float | None:
    """What a policy's flat parameters are to be multiplied by to be action values, in the unit of the task reward.

    None where they are none. A reward that VecNormalize scaled is scaled back.
    """
    if getattr(policy, "scores", False):
        return float(getattr(policy, "value_scale", 1.0))
    return getattr(policy, "score_scale", None)


def tensors(observation: Observation, device: torch.device | str = "cpu") -> TensorObservation:
    """An environment's observation as tensors, without a copy where the type allows it; float64 becomes float32."""
    if isinstance(observation, dict):
        return {key: _tensor(value, device) for key, value in observation.items()}
    return _tensor(observation, device)


def _tensor(array: np.ndarray, device: torch.device | str) -> Tensor:
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return torch.as_tensor(array, device=device)
