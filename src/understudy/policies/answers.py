"""What a teacher from outside answers to a batch of observations, read as an action distribution.

Modules, ONNX files and functions answer in one of these forms, N observations at a time:

================ ============================================================================================
action space     answer
================ ============================================================================================
Discrete(n)      ``[N, n]`` logits, or probabilities where every row sums to 1; whole numbers ``[N]``: actions
MultiDiscrete    ``[N, sum(nvec)]`` logits or probabilities of every part in turn; whole numbers ``[N, K]``
MultiBinary(n)   ``[N, n]`` logits, or probabilities where all lie in [0, 1]; zeros and ones: actions
Box, A numbers   ``[N, A]`` actions in the environment's units; ``[N, 2A]`` means and log-deviations; a tuple
                 ``(mean, std)``
any              a dict that names its parts: ``logits``, ``probabilities``, ``q``, ``action``, ``mean`` with
                 ``std`` or ``log_std``, and ``value``; a ``torch.distributions`` object; a tuple
                 ``(any of these, value [N])``, also with log-probabilities third, as SB3's forward has it
================ ============================================================================================

A bare array is read once, from a batch of sampled observations, and held to that reading ever after. Name the
parts where it matters: only ``q`` says that numbers are action values (they get a sharpening temperature, and
their maximum is the state's value).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, distributions

from understudy.errors import ConfigurationError, SpaceError, TeacherError, nearest
from understudy.math.distributions import Family

DEFAULT_STD = 0.1
"""Standard deviation given to bare continuous actions, as a fraction of half the action range."""

CHOICES = ("logits", "probabilities", "action")
READINGS = {
    "categorical": (*CHOICES, "q"),
    "multi-categorical": CHOICES,
    "bernoulli": CHOICES,
    "gaussian": ("mean", "action"),
}
NAMES = ("logits", "probabilities", "q", "action", "mean", "std", "log_std", "value")
ALIASES = {"actions": "action", "probs": "probabilities", "q_values": "q", "values": "value"}
BARE = "answer"

Parts = dict[str, Tensor]


def family_of(space: gymnasium.Space[Any]) -> Family:
    """The family in which answers for this action space are read; Box is Gaussian."""
    if isinstance(space, spaces.Discrete):
        return Family("categorical", (int(space.n),))
    if isinstance(space, spaces.MultiDiscrete):
        return Family("multi-categorical", tuple(int(n) for n in space.nvec.ravel()))
    if isinstance(space, spaces.MultiBinary):
        return Family("bernoulli", (int(np.prod(space.shape)),))
    if isinstance(space, spaces.Box):
        return Family("gaussian", (int(np.prod(space.shape)),))
    raise SpaceError(f"actions must be Discrete, MultiDiscrete, MultiBinary or Box, got {space}")


@dataclass(frozen=True)
class Form:
    """How one teacher's answers are read: decided on the first batch, demanded of every later one."""

    family: Family
    first: Tensor
    """The smallest action of every part of a discrete space, ``[K]``."""
    scale: Tensor
    """Half the range of every continuous action, 1 where unbounded, ``[A]``."""
    names: frozenset[str] = frozenset()
    bare: str = ""
    """What an unnamed array means; empty where the answer names its parts."""
    std: float | None = None
    full_support: bool = True

    @classmethod
    def decide(
        cls, answer: Any, count: int, action_space: gymnasium.Space[Any], std: float | None = None
    ) -> Form:
        """The form of the answer to the first ``count`` observations."""
        family = family_of(action_space)
        if std is not None and not std > 0:
            raise ConfigurationError(f"std must be positive, got {std:g}")
        blank = cls(family, _first_actions(action_space), _scale(action_space), std=std)
        parts = blank.take_apart(answer, count)
        bare = blank.meaning(parts[BARE]) if BARE in parts else ""
        form = cls(family, blank.first, blank.scale, frozenset(parts), bare, std)
        if std is not None and form.reading not in ("mean", "action") | {"mean"} - _spread(parts):
            raise ConfigurationError("--std is for teachers that answer a bare action; this one has its own noise")
        return form
