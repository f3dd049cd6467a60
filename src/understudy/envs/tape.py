"""What brings episodes in play back: their seeds, and the actions since they began.

An environment's inner state cannot be saved. It can be played again: see docs/design/0016-checkpoints.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LONGEST = 1 << 22
"""Numbers (actions times their size) beyond which a tape is too long to be worth keeping."""


class Tape:
    """The episodes in play in N copies. Actions lie side by side in time, back to the start of the oldest of them.

    ``seeds [N]``: of each copy's episode, or of the whole simulator where it plays for ever on one seed: ``endless``,
    where an episode's end is on the tape like any other step. ``ages [N]``: steps since. Actions are raw.
    """

    def __init__(self, copies: int, endless: bool = False) -> None:
        self.endless = endless
        self.seeds, self.ages = np.zeros(copies, np.int64), np.zeros(copies, np.int64)
        self.pieces: list[np.ndarray] = []

    @classmethod
    def of_beginnings(cls, actions: np.ndarray, seeds: Any, ages: np.ndarray) -> Tape:
        """The first ``ages [N]`` steps of episodes that all began with ``actions [L, N, ...]``."""
        tape, oldest = cls(len(ages)), int(ages.max())
        tape.begin(slice(None), seeds)
        aligned = np.zeros_like(actions[:oldest])
        for copy, age in enumerate(ages):
            aligned[oldest - age :, copy] = actions[:age, copy]
        tape.pieces, tape.ages = [aligned], ages
        return tape

    def begin(self, copies: Any, seeds: Any, ahead: int = 0) -> None:
        """An episode begins in each of these copies, ``ahead`` steps after the last that is on the tape."""
        self.seeds[copies], self.ages[copies] = seeds, -ahead

    def extend(self, actions: np.ndarray) -> None:
        """The next steps, ``[L, N, ...]``; what belongs to no episode in play any more is let go."""
        self.ages += len(actions)
        self.pieces.append(actions)
        spare = sum(map(len, self.pieces)) - int(self.ages.max())
        while self.pieces and len(self.pieces[0]) <= spare:
            spare -= len(self.pieces.pop(0))

    @property
    def actions(self) -> np.ndarray:
        """``[K, N, ...]``, where K is the age of the oldest episode."""
        oldest = int(self.ages.max())
        whole = np.concatenate(self.pieces) if self.pieces else np.zeros((0, len(self.ages)))
        return whole[len(whole) - oldest :]

    @property
    def long(self) -> bool:
        """Whether playing it again would take longer than it is worth."""
        return bool(self.pieces) and int(self.ages.max()) * self.pieces[0].size > LONGEST * len(self.pieces[0])

    def only(self, copies: np.ndarray) -> Tape:
        """What is on it of these copies."""
        part = Tape(len(copies), self.endless)
        part.seeds, part.ages, part.pieces = self.seeds[copies], self.ages[copies], [self.actions[:, copies]]
        return part

    def youngest(self, steps: int) -> np.ndarray:
        """Copies whose episodes have no more than so many steps together, and one at least."""
        order = np.argsort(self.ages, kind="stable")
        return order[: max(1, int(np.searchsorted(self.ages[order].cumsum(), steps, side="right")))]

    def state(self) -> dict[str, Any]:
        return {"endless": self.endless, "seeds": self.seeds, "ages": self.ages, "actions": self.actions}

    def restore(self, state: dict[str, Any]) -> None:
        self.endless = state["endless"]
        self.seeds[:], self.ages[:] = state["seeds"], state["ages"]
        self.pieces = [state["actions"]]
