"""How a student's parameters become logits for every state and action: any map that PyTorch can differentiate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from understudy.errors import ConfigurationError


class Parametrisation(Protocol):
    """A student of a finite MDP: parameters of any one shape to logits ``[S, A]``."""

    def __call__(self, parameters: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Table:
    """Parameters ``[O, A]``: one logit for each observation and action; ``observed [S]`` says what each state shows."""

    observed: Tensor
    shape: tuple[int, int]

    def __call__(self, parameters: Tensor) -> Tensor:
        if tuple(parameters.shape) != self.shape:
            raise ConfigurationError(f"logits must have the shape {list(self.shape)}, got {list(parameters.shape)}")
        return parameters[self.observed]


@dataclass(frozen=True)
class SharedSigmoids:
    """Parameters ``[P]``, two actions: state s takes action 1 with probability sigmoid(parameters[index[s]]).

    ``index [S]``: which parameter a state reads; states with the same one act alike.
    """

    index: Tensor

    def __call__(self, parameters: Tensor) -> Tensor:
        logit = parameters[self.index]
        return torch.stack([torch.zeros_like(logit), logit], -1)


@dataclass(frozen=True)
class LinearFeatures:
    """Parameters ``[F, A]`` for features ``[S, F]`` of states, or ``[F]`` for features ``[S, A, F]`` of actions too."""

    features: Tensor

    def __call__(self, parameters: Tensor) -> Tensor:
        return self.features @ parameters
