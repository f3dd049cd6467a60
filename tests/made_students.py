"""Students of which no part is as it is at a beginning, and what they might see; for the tests of exported files."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from understudy.export.parity import Seen
from understudy.policies.families import family_of
from understudy.policies.network import Standardiser
from understudy.policies.student import Student


def a_student(sees: Any, acts: Any, spec: str = "mlp:8", squashed: bool = False, **more: Any) -> Student:
    """With weights, deviations and standardisers that are not those of a beginning."""
    student = Student(sees, acts, family_of(acts, squashed), spec, seed=3, **more)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in student.parameters():
            size = parameter[0].numel() if parameter.ndim > 1 else 2
            parameter.copy_(1.4 * size**-0.5 * torch.randn(parameter.shape, generator=generator))
        for module in student.modules():
            if isinstance(module, Standardiser):
                module.mean.copy_(torch.randn(module.mean.shape, generator=generator))
                module.scale.copy_(0.5 + torch.rand(module.scale.shape, generator=generator))
    return student.requires_grad_(False).eval()


def sampled(space: gymnasium.Space[Any], steps: int, copies: int) -> Any:
    """Observations ``[steps, copies, ...]``."""
    space.seed(7)
    rows = [[space.sample() for _ in range(copies)] for _ in range(steps)]
    if isinstance(space, spaces.Dict):
        return {key: np.stack([[one[key] for one in row] for row in rows]) for key in space}
    return np.stack([np.stack(row) for row in rows])


def some_play(space: gymnasium.Space[Any], steps: int = 6, copies: int = 3) -> Seen:
    """What a student of this observation space might see, in episodes of a few steps."""
    start = np.random.default_rng(0).random((steps, copies)) < 0.3
    start[0] = True
    return Seen(sampled(space, steps, copies), start)
