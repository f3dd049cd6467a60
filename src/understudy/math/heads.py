"""What a policy answers: an action distribution and, where it has one, a value."""

from __future__ import annotations

from dataclasses import dataclass

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
