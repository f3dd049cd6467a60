"""What a policy answers: an action distribution and, where it has one, a value."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from torch import Tensor

from understudy.errors import MethodError
from understudy.math.distributions import Distribution


@dataclass(frozen=True)
class Heads:
    """A policy's answer to a batch of observations.

    ``policy``: distributions over raw actions, parameters ``[..., P]``.
    ``state_value``: ``[...]``, in the unit of the task reward, or None.
    """

    policy: Distribution
    state_value: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """``[...]``; an error where the policy has no value function."""
        if self.state_value is None:
            raise MethodError("this policy has no value function; fit one or choose a method that needs none")
        return self.state_value

    def detached(self) -> Heads:
        """The same answer with no gradient flowing back from it."""
        return Heads(_detached(self.policy), _detached(self.state_value))


def _detached(part: Any) -> Any:
    """A tensor without its history, and so a distribution, which is a dataclass of tensors and distributions."""
    if isinstance(part, Tensor):
        return part.detach()
    if not is_dataclass(part) or isinstance(part, type):
        return part
    return replace(part, **{field.name: _detached(getattr(part, field.name)) for field in fields(part)})
