"""How a student's parameters become logits for every state and action: any map that PyTorch can differentiate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from understudy.errors import ConfigurationError

Numbers = np.ndarray | Tensor


class Parametrisation(Protocol):
    """A student of a finite MDP: parameters of one shape to logits ``[S, A]``."""

    def __call__(self, parameters: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Table:
    """Parameters ``[O, A]``, the given shape: a logit for each observation and action.

    ``observed [S]``: which observation each state shows; states that look alike act alike.
    """

    observed: Numbers
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        _keep(self, "observed", torch.int64)

    def __call__(self, parameters: Tensor) -> Tensor:
        if tuple(parameters.shape) != self.shape:
            raise ConfigurationError(f"logits must have the shape {list(self.shape)}, got {list(parameters.shape)}")
        return parameters[self.observed]


@dataclass(frozen=True, eq=False)
class SharedSigmoids:
    """Parameters ``[P]``, two actions: state s takes action 1 with probability sigmoid(parameters[index[s]]).

    ``index [S]``: which parameter a state reads; states with the same one act alike.
    """

    index: Numbers

    def __post_init__(self) -> None:
        _keep(self, "index", torch.int64)

    def __call__(self, parameters: Tensor) -> Tensor:
        logit = parameters[self.index]
        return torch.stack([torch.zeros_like(logit), logit], -1)


@dataclass(frozen=True, eq=False)
class LinearFeatures:
    """Parameters ``[F, A]`` for features ``[S, F]`` of states, or ``[F]`` for features ``[S, A, F]`` of actions too."""

    features: Numbers

    def __post_init__(self) -> None:
        _keep(self, "features", torch.float64)

    def __call__(self, parameters: Tensor) -> Tensor:
        return torch.as_tensor(self.features) @ parameters


def _keep(student: Any, name: str, dtype: torch.dtype) -> None:
    """A tensor of its own, whatever was given."""
    object.__setattr__(student, name, torch.tensor(np.asarray(getattr(student, name)), dtype=dtype))
