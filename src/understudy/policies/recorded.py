"""The teacher of those who have none: it is shown the action that was recorded, and does that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import torch

from understudy.policies.outside import OutsidePolicy, open_source
from understudy.policies.policy import TensorObservation


@dataclass(frozen=True)
class _Echo:
    """Answers what it is shown."""

    description: str = "the recorded actions"
    parameter_count: int = 0

    def __call__(self, batch: TensorObservation) -> Any:
        return {"action": batch}

    def to(self, device: torch.device | str) -> _Echo:
        return self


def recorded_actions(action_space: gymnasium.Space[Any], std: float | None = None) -> OutsidePolicy:
    """Observations are actions here. All mass lies on a recorded choice; of amounts it is a Gaussian around them.

    ``std``: its deviation as a fraction of half the range, 0.1 where None. The cross-entropy of cloning is then
    -log πθ(a) of choices, and of amounts that in expectation over such a Gaussian: the same best means.
    """
    return open_source(_Echo(), action_space, action_space, std)
