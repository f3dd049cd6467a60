"""How a tabular student learns, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from understudy.errors import ConfigurationError
from understudy.methods.method import Method
from understudy.methods.schedule import Weight, extremes


@dataclass(frozen=True)
class Setting:
    """One episode an iteration: logits <- logits - learning_rate * g, with Eq. 1 summed over the episode.

    ``baseline``: subtract a learned critic of the pseudo-return, with GAE's ``lam`` (1: Monte-Carlo returns minus the
    critic; 0: one-step). ``value_rate``: step size of all learned values (tables, TD(``lam``) along each episode).
    ``discounted_visits``: weigh step t by gamma^(t-1), as Eq. 1 is printed. ``max_steps``: cut episodes here; the tail
    beyond is the critic's, or 0 without one.
    """

    method: Method
    learning_rate: Weight = 0.1
    gamma: float = 1.0
    baseline: bool = False
    lam: float = 1.0
    value_rate: float = 0.1
    discounted_visits: bool = False
    max_steps: int = 2000

    def __post_init__(self) -> None:
        if not min(extremes(self.learning_rate)) >= 0:  # so that NaN is refused too
            raise ConfigurationError(f"learning_rate must not be negative, got {self.learning_rate}")
        if not 0 < self.gamma <= 1:
            raise ConfigurationError(f"gamma must lie in (0, 1], got {self.gamma}")
        if not 0 <= self.lam <= 1:
            raise ConfigurationError(f"lam must lie in [0, 1], got {self.lam}")
        if not 0 <= self.value_rate <= 1:
            raise ConfigurationError(f"value_rate must lie in [0, 1], got {self.value_rate}")
        if self.max_steps < 1:
            raise ConfigurationError(f"max_steps must be at least 1, got {self.max_steps}")
        if self.discounted_visits and self.gamma**self.max_steps == 0:
            raise ConfigurationError(
                f"discounted visits with gamma {self.gamma} vanish within {self.max_steps} steps; use max_steps below "
                f"{int(-700 / math.log(self.gamma))}"
            )
        if self.baseline and not self.method.control.is_student:
            raise ConfigurationError(
                f"a baseline under control {self.method.control} would bias the update; use control student"
            )
