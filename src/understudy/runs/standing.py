"""Where a run stands: the plain facts of it that outlast its process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NOT_REPLAYED = (
    "{env} does not come back when it is played again from its seed: episodes are broken off, and all environments "
    "made anew, at each checkpoint"
)
NOT_BACK = (
    "{env} did not come back as it was when the run was stopped: the result may differ from that of a run that was "
    "never stopped"
)


@dataclass
class Standing:
    """Plain facts of a run so far.

    ``because``: why training has stopped, empty before. ``replays``: whether environments come back when they are
    played again, None before that is known. ``resumed``: whether the run was stopped; ``strayed``: and environments
    did not come back. ``due``: the cost at which the next checkpoint is due. ``score``: of the best student evaluated.
    ``last_length``: of the student's episodes in the last evaluation, even where the best is kept. ``traced``: how
    often the environment steps had doubled at the learning curve's last point. Seconds are those of all processes;
    ``total`` those of earlier ones.
    """

    because: str = ""
    replays: bool | None = None
    resumed: bool = False
    strayed: bool = False
    due: float = 0.0
    score: float = -np.inf
    last_length: float = np.inf
    traced: int = 0
    dropped_tails: int = 0
    training: float = 0.0
    cpu: float = 0.0
    evaluation: float = 0.0
    total: float = 0.0

    def warnings(self, env: str) -> list[str]:
        """What the result must say of the environment."""
        return [
            *([NOT_REPLAYED.format(env=env)] if self.replays is False else []),
            *([NOT_BACK.format(env=env)] if self.strayed else []),
        ]
