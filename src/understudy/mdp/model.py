"""A finite Markov decision process as three arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class MDP:
    """Finite states and actions, in float64.

    ``transitions [S, A, S]``: probability of the next state. A row may sum to less than 1: the rest ends the episode.
    ``rewards [S, A]``: expected reward of an action.
    ``start [S]``: probability of the first state.
    ``terminal [S]``: True where an episode ends on arrival, without an action; None: no such state.
    """

    transitions: np.ndarray
    rewards: np.ndarray
    start: np.ndarray
    terminal: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("transitions", "rewards", "start"):
            object.__setattr__(self, name, _frozen(getattr(self, name), np.float64))
        if self.terminal is not None:
            object.__setattr__(self, "terminal", _frozen(self.terminal, np.bool_))
        self._check_shapes()
        self._check_probabilities()

    def _check_shapes(self) -> None:
        shape = self.transitions.shape
        if len(shape) != 3 or shape[0] != shape[2] or 0 in shape:
            raise ValueError(f"transitions must have the shape [S, A, S], got {list(shape)}")
        wanted = {"rewards": shape[:2], "start": shape[:1], "terminal": shape[:1]}
        for name, expected in wanted.items():
            array = getattr(self, name)
            if array is not None and array.shape != expected:
                raise ValueError(f"{name} must have the shape {list(expected)}, got {list(array.shape)}")

    def _check_probabilities(self) -> None:
        if not np.isfinite(self.rewards).all():
            s, a = np.argwhere(~np.isfinite(self.rewards))[0]
            raise ValueError(f"rewards must be finite, got {self.rewards[s, a]} in state {s}, action {a}")
        for name, array in (("transitions", self.transitions), ("start", self.start)):
            wrong = ~(array >= 0)
            if wrong.any():
                where = [int(i) for i in np.argwhere(wrong)[0]]
                raise ValueError(f"{name} must be probabilities, got {array[tuple(where)]} at {where}")
        mass = self.transitions.sum(-1)
        if mass.max() > 1 + _TOLERANCE:
            s, a = np.unravel_index(mass.argmax(), mass.shape)
            raise ValueError(f"transitions must sum to at most 1, got {mass[s, a]:.6g} in state {s}, action {a}")
        if abs(self.start.sum() - 1) > _TOLERANCE:
            raise ValueError(f"start must sum to 1, got {self.start.sum():.6g}")
        if self.terminal is not None and self.start[self.terminal].any():
            raise ValueError(f"an episode cannot start in the terminal state {np.argmax(self.start * self.terminal)}")

    @property
    def states(self) -> int:
        return self.transitions.shape[0]

    @property
    def actions(self) -> int:
        return self.transitions.shape[1]


def _frozen(array: np.ndarray, dtype: type) -> np.ndarray:
    """A copy that nobody can write to: a frozen model whose arrays change would be no model."""
    copy: np.ndarray = np.array(array, dtype=dtype)
    copy.flags.writeable = False
    return copy
