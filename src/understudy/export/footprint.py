"""What a student takes on a small board: bytes of its parameters, and of what passes between its layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from understudy.envs.simulator import blank
from understudy.policies.policy import tensors
from understudy.policies.student import Student


class Footprint(NamedTuple):
    """Bytes in float32, for one observation at a time. ``activations``: the most that a layer reads and writes."""

    parameters: int
    activations: int

    def __str__(self) -> str:
        return f"{self.parameters:,} bytes in float32; activations {self.activations:,} bytes at most at a time"


@torch.no_grad()
def footprint(student: Student) -> Footprint:
    """Of what acts: the value network is not deployed."""
    most = [0]

    def noted(module: nn.Module, given: tuple[Any, ...], answer: Any) -> None:
        most[0] = max(most[0], sum(_bytes(given)) + sum(_bytes(answer)))

    leaves = [module for module in student.network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(noted) for module in leaves]
    try:
        seen = tensors(blank(student.observation_space, *((1, 1) if student.memory_size else (1,))))
        student.flat(seen)
    finally:
        for hook in hooks:
            hook.remove()
    return Footprint(4 * student.parameter_count, most[0])


def _bytes(values: Any) -> Iterator[int]:
    if isinstance(values, Tensor):
        yield values.numel() * values.element_size()
    elif isinstance(values, tuple | list):
        for one in values:
            yield from _bytes(one)
