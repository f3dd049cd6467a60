"""The stage x task matrix of returns, and what it says of forgetting and of transfer.

``R[i, j]`` is the return on task j after stage i, and row 0 that of the policy before any training. Definitions as in
Lopez-Paz & Ranzato 2017 (backward and forward transfer) and Chaudhry et al. 2018 (forgetting). Tasks differ in their
units, so that each is also given in the unit of what its own stage gained: (R - random) / (R after its stage - random).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from understudy.errors import ConfigurationError


@dataclass(frozen=True)
class Matrix:
    """``returns [S + 1, T]`` with the tasks in the order of their stages, S <= T; ``random [T]``: a random policy's."""

    tasks: tuple[str, ...]
    returns: np.ndarray
    random: np.ndarray

    def __post_init__(self) -> None:
        if self.returns.ndim != 2 or self.returns.shape[1] != len(self.tasks) or len(self.random) != len(self.tasks):
            raise ConfigurationError(
                f"expected a column for each of {len(self.tasks)} tasks, got {self.returns.shape}, {len(self.random)}"
            )

    @property
    def stages(self) -> int:
        return len(self.returns) - 1

    @property
    def learned(self) -> np.ndarray:
        """``[S]``: on each task, after its own stage."""
        return np.array([self.returns[i + 1, i] for i in range(self.stages)])

    @property
    def normalised(self) -> np.ndarray:
        """``[S + 1, S]``: 0 a random policy's return, 1 that after the task's own stage; NaN: nothing was learned."""
        done, random = self.returns[:, : self.stages], self.random[: self.stages]
        gain = self.learned - random
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gain > 0, (done - random) / gain, np.nan)

    def forgetting(self, normalised: bool = False) -> np.ndarray:
        """``[S - 1]``: of each earlier task, the best return since its own stage, less that after the last.

        Chaudhry et al. count stages before the task's own too; what was not yet learned is not forgotten here.
        """
        values = self.normalised if normalised else self.returns
        last = self.stages
        return np.array([values[j + 1 : last, j].max() - values[last, j] for j in range(last - 1)])

    def backward_transfer(self, normalised: bool = False) -> np.ndarray:
        """``[S - 1]``: of each earlier task, the return after the last stage, less that after its own."""
        values = self.normalised if normalised else self.returns
        return np.array([values[self.stages, j] - values[j + 1, j] for j in range(self.stages - 1)])

    def forward_transfer(self, normalised: bool = False) -> np.ndarray:
        """``[S - 1]``: of each later task, the return before its own stage, less the untrained policy's."""
        values = self.normalised if normalised else self.returns
        return np.array([values[j, j] - values[0, j] for j in range(1, self.stages)])

    def facts(self) -> dict[str, Any]:
        """Averages, where there are at least two stages."""
        if self.stages < 2:
            return {}
        named = {
            "forgetting": self.forgetting,
            "backward_transfer": self.backward_transfer,
            "forward_transfer": self.forward_transfer,
        }
        found: dict[str, Any] = {}
        for name, measure in named.items():
            found[f"average_{name}"] = float(measure().mean())
            scaled = measure(normalised=True)
            found[f"average_{name}_normalised"] = float(scaled.mean()) if np.isfinite(scaled).all() else None
        return found
