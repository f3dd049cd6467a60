"""What an exported file computes: from what the student sees to the environment's action, in one module."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from understudy.envs.simulator import blank
from understudy.errors import ExportError
from understudy.math.distributions import LOG_STD_MAX, LOG_STD_MIN
from understudy.policies.onnx_session import PART
from understudy.policies.policy import Observation
from understudy.policies.student import Student

MEMORY, MEMORY_OUT, VALUES = "memory", "memory_out", "q_values"
PARAMETERS = {
    "categorical": ("logits",),
    "multi-categorical": ("logits",),
    "bernoulli": ("logits",),
    "gaussian": ("mean", "log_std"),
    "squashed-gaussian": ("pre_tanh_mean", "pre_tanh_log_std"),
}
"""Outputs beside ``action``, by the family's kind. The logits of several parts lie in one row, one after the other."""
TYPES: dict[str, torch.dtype] = {
    "float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "int64": torch.int64,
    "int32": torch.int32, "int16": torch.int16, "int8": torch.int8, "uint8": torch.uint8, "bool": torch.bool,
}  # fmt: skip


def surroundings(
    student: Student, wrapped: str = "give it what they make of observations", seen: str = "give it only this"
) -> tuple[str, ...]:
    """What a file does not do, and must be done to observations before they reach it.

    ``wrapped`` and ``seen``: how it is done, where the student acts behind wrappers, and where it sees a part.
    """
    wrappers, view = student.facts.get("wrappers"), student.facts.get("view")
    behind = f"it acts behind the wrappers {', '.join(wrappers or ())}: {wrapped}"
    part = f"it sees the part {view!r} of observations: {seen}"
    return (behind,) * bool(wrappers) + (part,) * bool(view)


def in_units(student: Student) -> Student:
    """A student of action values answers them as they are, undivided; any other is left alone."""
    if student.temperature is not None:
        student.temperature = 1.0
    return student


class Deployed(nn.Module):
    """``obs [N, ...]`` (a Dict's parts one after the other), and ``memory [N, M]`` of a recurrent student, to the
    deterministic ``action [N, ...]`` as the environment takes it, the distribution's parameters, and ``memory_out``.

    Normalisation is part of the student; bounds are applied as ``envs.actions.ActionMap`` applies them. An episode
    begins with a memory of zeros.
    """

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = copy.deepcopy(student)
        self.student.value_network = None  # what does not act is not deployed
        self.keys = [key for key in student.network.keys if key]
        self.bounded = BOUNDED[student.family.kind](student.action_space)

    @property
    def inputs(self) -> list[str]:
        names = [f"{PART}{key}" for key in self.keys] or ["obs"]
        return [*names, *([MEMORY] if self.student.memory_size else [])]

    @property
    def outputs(self) -> list[str]:
        more = [MEMORY_OUT] if self.student.memory_size else []
        numbers = PARAMETERS[self.student.family.kind] if self.student.temperature is None else (VALUES,)
        return ["action", *numbers, *more]

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        student = self.student
        seen: Any = dict(zip(self.keys, values, strict=False)) if self.keys else values[0]
        if student.memory_size:
            one = {key: part[None] for key, part in seen.items()} if self.keys else seen[None]
            flat, memory = student.flat(one, values[-1])
            assert memory is not None
            return (*self._answer(flat[0]), memory)
        return self._answer(student.flat(seen)[0])

    def _answer(self, flat: Tensor) -> tuple[Tensor, ...]:
        family = self.student.family
        action = self.bounded(family(flat).mode())
        if not family.continuous:
            return action, flat
        mean, log_std = flat.chunk(2, -1)
        return action, mean, log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)

    def feed(self, observation: Observation, memory: np.ndarray | None) -> list[np.ndarray]:
        """The inputs' values in their order, in the types that the file takes."""
        parts = [observation[key] for key in self.keys] if isinstance(observation, dict) else [observation]
        values = [np.ascontiguousarray(one, _input_type(one.dtype)) for one in parts]
        return values if memory is None else [*values, memory]

    def example(self, copies: int = 2) -> tuple[Tensor, ...]:
        """Inputs of the right shapes and types, for tracing; what they hold does not matter."""
        memory = np.zeros((copies, self.student.memory_size), np.float32) if self.student.memory_size else None
        seen = blank(self.student.observation_space, copies)
        return tuple(torch.as_tensor(value) for value in self.feed(seen, memory))


def _input_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Reals are float32 and bytes stay bytes; all else is int64, as most runtimes want it."""
    if dtype.kind == "f":
        return np.dtype(np.float32)
    return dtype if dtype == np.uint8 else np.dtype(np.int64)


class Chosen(nn.Module):
    """Indices, from the space's first value on."""

    start: Tensor

    def __init__(self, start: Any, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        super().__init__()
        self.register_buffer("start", torch.as_tensor(np.asarray(start, np.int64).ravel()))
        self.shape, self.dtype = tuple(shape), _torch_type(dtype)

    def forward(self, mode: Tensor) -> Tensor:
        chosen = mode + (self.start if self.shape else self.start[0])
        return chosen.reshape(-1, *self.shape).to(self.dtype) if self.shape else chosen.to(self.dtype)


class Switched(nn.Module):
    """Zeros and ones."""

    def __init__(self, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        super().__init__()
        self.shape, self.dtype = tuple(shape), _torch_type(dtype)

    def forward(self, mode: Tensor) -> Tensor:
        return mode.reshape(-1, *self.shape).to(self.dtype)


class Boxed(nn.Module):
    """Numbers within the bounds: clipped to them, or, where squashed, scaled to them first."""

    low: Tensor
    high: Tensor

    def __init__(self, space: spaces.Box, squashed: bool) -> None:
        super().__init__()
        whole = np.issubdtype(space.dtype, np.integer)
        exact = torch.float64 if whole or space.dtype == np.float64 else torch.float32
        self.register_buffer("low", torch.as_tensor(space.low.ravel(), dtype=exact))
        self.register_buffer("high", torch.as_tensor(space.high.ravel(), dtype=exact))
        self.squashed, self.whole, self.shape, self.dtype = squashed, whole, space.shape, _torch_type(space.dtype)

    def forward(self, mode: Tensor) -> Tensor:
        mode = mode.to(self.low.dtype)
        if self.squashed:
            middle, half = self.low / 2 + self.high / 2, self.high / 2 - self.low / 2
            mode = middle + torch.tanh(mode) * half
        elif self.whole:
            mode = torch.round(mode)
        inside = torch.minimum(torch.maximum(mode, self.low), self.high)
        return inside.reshape(-1, *self.shape).to(self.dtype)


def _torch_type(dtype: Any) -> torch.dtype:
    name = np.dtype(dtype).name
    if name not in TYPES:
        raise ExportError(f"actions of the type {name} cannot be exported. There are {', '.join(TYPES)}")
    return TYPES[name]


BOUNDED: dict[str, Callable[[Any], nn.Module]] = {
    "categorical": lambda space: Chosen(space.start, (), np.dtype(np.int64)),
    "multi-categorical": lambda space: Chosen(space.start, space.shape, space.dtype),
    "bernoulli": lambda space: Switched(space.shape, space.dtype),
    "gaussian": lambda space: Boxed(space, squashed=False),
    "squashed-gaussian": lambda space: Boxed(space, squashed=True),
}
"""From a raw mode to the environment's action, by the family's kind; the counterpart of ``envs.actions.MAPS``."""
