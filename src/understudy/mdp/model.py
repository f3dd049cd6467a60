"""A finite Markov decision process as arrays; where it may lead is kept as lists of successors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

_TOLERANCE = 1e-9


class Sparse(Protocol):
    """What SciPy's sparse matrices and arrays can do; SciPy itself is not needed here."""

    def tocsr(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class Successors:
    """Where each move may lead: ``next [S, M, K]`` with ``probability [S, M, K]``; shorter lists are padded with 0.

    A state may stand in a list more than once: its probabilities add up.
    """

    next: np.ndarray
    probability: np.ndarray


class Links(NamedTuple):
    """``entry [E]``: index of a probability that is not 0, among all S * M * K; it leads from ``state`` to ``next``."""

    entry: np.ndarray
    state: np.ndarray
    next: np.ndarray


@dataclass(frozen=True, eq=False, init=False)
class MDP:
    """Finite states S and actions A, in float64; many actions may share one of M moves.

    ``successors``: where each move of each state may lead; none from a terminal state.
    ``rewards [S, A]``: expected reward of an action; 0 in a terminal state.
    ``start [S]``: probability of the first state.
    ``terminal [S]``: True where an episode ends on arrival, without an action.
    ``action_map [A]``: each action's move.
    ``observed [S]``: what a student sees of each state, a number below ``observations``.
    """

    successors: Successors
    rewards: np.ndarray
    start: np.ndarray
    terminal: np.ndarray
    action_map: np.ndarray
    observed: np.ndarray

    def __init__(
        self,
        transitions: np.ndarray | Sparse | Successors,
        rewards: np.ndarray,
        start: np.ndarray,
        terminal: np.ndarray | None = None,
        action_map: np.ndarray | None = None,
        observed: np.ndarray | None = None,
    ) -> None:
        """``transitions``: dense ``[S, M, S]``, a SciPy sparse matrix ``[S * M, S]``, or ``Successors``.

        A row may sum to less than 1: the rest ends the episode. Rows of terminal states are ignored. None: no terminal
        state; a move for each action; all states are seen. Arrays that describe no process are a ValueError.
        """
        start = _frozen("start", start, np.float64)
        if start.ndim != 1 or not len(start):
            raise ValueError(f"start must have the shape [S], got {list(start.shape)}")
        states = len(start)
        ends = _frozen("terminal", np.zeros(states) if terminal is None else terminal, np.bool_)
        _check_shape("terminal", ends, [states])
        successors = _successors(transitions, ends)
        moves = successors.next.shape[1]
        mapped = _index("action_map", np.arange(moves) if action_map is None else action_map, "action", moves, "moves")
        seen = _index("observed", np.arange(states) if observed is None else observed, "state", states, "states")
        _check_shape("observed", seen, [states])
        paid = np.array(rewards, dtype=np.float64)
        _check_shape("rewards", paid, [states, len(mapped)])
        paid[ends] = 0.0
        paid.flags.writeable = False
        values = {"successors": successors, "rewards": paid, "start": start, "terminal": ends}
        for name, value in {**values, "action_map": mapped, "observed": seen}.items():
            object.__setattr__(self, name, value)
        self._check_numbers(action_map is None)

    def _check_numbers(self, own_moves: bool) -> None:
        if not np.isfinite(self.rewards).all():
            s, a = np.argwhere(~np.isfinite(self.rewards))[0]
            raise ValueError(f"rewards must be finite, got {self.rewards[s, a]} in state {s}, action {a}")
        mass = self.successors.probability.sum(-1)
        if mass.max() > 1 + _TOLERANCE:
            s, m = np.unravel_index(mass.argmax(), mass.shape)
            where = f"state {s}, {'action' if own_moves else 'move'} {m}"
            raise ValueError(f"transitions must sum to at most 1, got {mass[s, m]:.6g} in {where}")
        if not (self.start >= 0).all():
            wrong = int(np.argmin(self.start >= 0))
            raise ValueError(f"start must be probabilities, got {self.start[wrong]} at [{wrong}]")
        if abs(self.start.sum() - 1) > _TOLERANCE:
            raise ValueError(f"start must sum to 1, got {self.start.sum():.6g}")
        if self.start[self.terminal].any():
            raise ValueError(f"an episode cannot start in the terminal state {np.argmax(self.start * self.terminal)}")

    @property
    def states(self) -> int:
        return len(self.start)

    @property
    def actions(self) -> int:
        return len(self.action_map)

    @property
    def moves(self) -> int:
        return self.successors.next.shape[1]

    @cached_property
    def observations(self) -> int:
        """One more than the greatest number in ``observed``."""
        return int(self.observed.max()) + 1

    @cached_property
    def transitions(self) -> np.ndarray:
        """Dense ``[S, M, S]``, made when first asked for; rows of terminal states are 0."""
        dense = np.zeros((self.states, self.moves, self.states))
        state, move = np.ogrid[: self.states, : self.moves]
        np.add.at(dense, (state[..., None], move[..., None], self.successors.next), self.successors.probability)
        dense.flags.writeable = False
        return dense

    @cached_property
    def links(self) -> Links:
        """The successors that are not padding."""
        entry = np.flatnonzero(self.successors.probability)
        return Links(
            entry, entry // self.successors.next[0].size, self.successors.next.reshape(-1)[entry].astype(np.int64)
        )

    @cached_property
    def _one_move_each(self) -> bool:
        return self.actions == self.moves and bool((self.action_map == np.arange(self.moves)).all())

    @cached_property
    def _move_of_action(self) -> np.ndarray:
        return np.asarray(self.action_map[:, None] == np.arange(self.moves), dtype=np.float64)

    def by_move(self, weight: np.ndarray) -> np.ndarray:
        """``weight [S, A]`` of the actions, such as their probabilities, added up over equal moves: ``[S, M]``."""
        return weight if self._one_move_each else weight @ self._move_of_action

    def expected_next(self, values: np.ndarray) -> np.ndarray:
        """Expectation ``[S, A]`` of ``values [S]`` in the state that follows; an ended episode counts 0."""
        ahead = np.where(self.terminal, 0.0, values)[self.successors.next]
        by_move = np.einsum("smk,smk->sm", self.successors.probability, ahead)
        return by_move if self._one_move_each else by_move[:, self.action_map]


def _successors(transitions: np.ndarray | Sparse | Successors, terminal: np.ndarray) -> Successors:
    """Checked, read-only, empty where ``terminal``."""
    if isinstance(transitions, Successors):
        following, probability = np.array(transitions.next), np.array(transitions.probability, dtype=np.float64)
        following = _of_lists(following, probability, terminal)
    elif hasattr(transitions, "tocsr"):
        following, probability = _of_sparse(transitions.tocsr(), len(terminal))
    else:
        following, probability = _of_dense(np.asarray(transitions, dtype=np.float64), terminal)
    if terminal.any():
        probability[terminal] = 0.0
    if not (probability >= 0).all():
        place = tuple(np.argwhere(~(probability >= 0))[0])
        where = [int(place[0]), int(place[1]), int(following[place])]
        raise ValueError(f"transitions must be probabilities, got {probability[place]} at {where}")
    following.flags.writeable = probability.flags.writeable = False
    return Successors(following, probability)


def _of_lists(following: np.ndarray, probability: np.ndarray, terminal: np.ndarray) -> np.ndarray:
    """The states as int32, each of them a state."""
    shape, states = following.shape, len(terminal)
    if len(shape) != 3 or shape[0] != states or 0 in shape or probability.shape != shape:
        raise ValueError(
            f"successors must have the shapes [S, M, K] with S = {states}, as start has, "
            f"got {list(shape)} and {list(probability.shape)}"
        )
    if following.dtype.kind not in "iu":
        raise ValueError(f"successors.next must be whole numbers, got {following.dtype}")
    following[terminal] = 0
    if following.min() < 0 or following.max() >= states:
        s, m, k = np.argwhere((following < 0) | (following >= states))[0]
        raise ValueError(f"successors.next must be states below {states}, got {following[s, m, k]} at [{s}, {m}, {k}]")
    return following.astype(np.int32)


def _of_dense(dense: np.ndarray, terminal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shape, states = dense.shape, len(terminal)
    if len(shape) != 3 or shape[0] != shape[2] or 0 in shape:
        raise ValueError(f"transitions must have the shape [S, A, S], got {list(shape)}")
    if shape[0] != states:
        raise ValueError(
            f"transitions must have the shape [S, A, S] with S = {states}, as start has, got {list(shape)}"
        )
    row, column = np.nonzero(np.where(terminal[:, None, None], 0.0, dense).reshape(-1, states))
    return _padded(row, column, dense.reshape(-1, states)[row, column], states, shape[1])


def _of_sparse(csr: Any, states: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = csr.shape
    if columns != states or not rows or rows % states:
        raise ValueError(f"sparse transitions must have the shape [S * M, S] with S = {states}, got {[rows, columns]}")
    row = np.repeat(np.arange(rows), np.diff(csr.indptr))
    return _padded(row, csr.indices, np.asarray(csr.data, dtype=np.float64), states, rows // states)


def _padded(
    row: np.ndarray, column: np.ndarray, value: np.ndarray, states: int, moves: int
) -> tuple[np.ndarray, np.ndarray]:
    """Entries in order of their rows ``state * M + move`` as lists ``[S, M, K]`` of one length."""
    count = np.bincount(row, minlength=states * moves)
    longest = max(1, int(count.max()))
    place = np.arange(len(row)) - np.repeat(count.cumsum() - count, count)
    following = np.zeros((states * moves, longest), dtype=np.int32)
    probability = np.zeros((states * moves, longest))
    following[row, place], probability[row, place] = column, value
    return following.reshape(states, moves, longest), probability.reshape(states, moves, longest)


def _index(name: str, numbers: np.ndarray, item: str, below: int, kind: str) -> np.ndarray:
    """A vector of whole numbers in 0 .. ``below`` - 1."""
    array = np.asarray(numbers)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be a vector of whole numbers, got {array.dtype} {list(array.shape)}")
    if array.min() < 0 or array.max() >= below:
        wrong = int(np.argmax((array < 0) | (array >= below)))
        raise ValueError(f"{name} must be below the {below} {kind}, got {array[wrong]} for {item} {wrong}")
    return _frozen(name, array, np.int64)


def _check_shape(name: str, array: np.ndarray, expected: list[int]) -> None:
    if list(array.shape) != expected:
        mend = "; where actions share moves, give action_map" if name == "rewards" else ""
        raise ValueError(f"{name} must have the shape {expected}, got {list(array.shape)}{mend}")


def _frozen(name: str, array: np.ndarray, dtype: type) -> np.ndarray:
    """A copy that nobody can write to: a frozen model whose arrays change would be no model."""
    try:
        copy: np.ndarray = np.array(array, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers in an array: {error}") from None
    copy.flags.writeable = False
    return copy
