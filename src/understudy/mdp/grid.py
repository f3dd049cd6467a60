"""The random grid worlds of C19: walls, cells that cost, cells that end the episode with a prize or a loss."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cached_property, lru_cache

import numpy as np

from understudy.mdp.model import MDP, Successors

KINDS = (".", "#", "-1", "+10", "+5", "-10", "-5")
"""What a cell may be, in the order of its code; ``#`` is a wall."""

_REWARD = np.array([0, 0, -1, 10, 5, -10, -5], dtype=np.float64)
_WALL, _FIRST_TERMINAL = 1, 3
# Each move (left, right, up, down), and after it those that a slip may make of it.
_ORDER = np.array([[move, *(other for other in range(4) if other != move)] for move in range(4)])


@dataclass(frozen=True)
class GridOdds:
    """Probability of each kind of cell; the rest is free. The defaults follow the world that C19 prints."""

    wall: float = 0.09
    minus_one: float = 0.10
    plus_ten: float = 0.0075
    plus_five: float = 0.005
    minus_ten: float = 0.015
    minus_five: float = 0.01

    def __post_init__(self) -> None:
        odds = astuple(self)
        if min(odds) < 0 or sum(odds) > 1 + 1e-9:
            raise ValueError(f"the odds of cells must not be negative and must sum to at most 1, got {self}")


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid world: ``mdp``, and ``codes [size, size]``, row by row from the upper left, as indices of ``KINDS``.

    State ``y * size + x`` is cell ``(y, x)``. Walls are states too, which nothing ever reaches; they count as terminal.
    """

    mdp: MDP
    codes: np.ndarray

    @property
    def size(self) -> int:
        return len(self.codes)

    @cached_property
    def cells(self) -> tuple[tuple[str, ...], ...]:
        """``cells[y][x]`` as text: one of ``KINDS``, or ``S`` at the start."""
        text = [[KINDS[code] for code in row] for row in self.codes]
        text[self.size // 2][self.size // 2] = "S"
        return tuple(map(tuple, text))

    @property
    def terminal(self) -> np.ndarray:
        """``[size, size]``: the cells that end an episode, without the walls."""
        return self.codes >= _FIRST_TERMINAL

    @property
    def wall(self) -> np.ndarray:
        """``[size, size]``."""
        return self.codes == _WALL

    def features(self, window: int | None = 5, coordinates: bool = True) -> np.ndarray:
        """What a network may see of each state, ``[S, F]`` float32 of ones and zeros.

        Its row and its column one-hot, if ``coordinates``; and of each cell of the ``window`` around it (odd; None: no
        window) the kind, one-hot, where cells beyond the edge are walls.
        """
        parts = [np.zeros((self.codes.size, 0), dtype=np.float32)]
        if coordinates:
            unit = np.eye(self.size, dtype=np.float32)
            parts += [np.repeat(unit, self.size, axis=0), np.tile(unit, (self.size, 1))]
        if window is not None:
            seen = np.eye(len(KINDS), dtype=np.float32)[_windows(self.codes, window)]
            parts.append(seen.reshape(len(seen), -1))
        return np.concatenate(parts, axis=1)


def grid(
    generator: np.random.Generator,
    size: int = 20,
    odds: GridOdds = GridOdds(),
    slip: float = 0.1,
    end: float = 0.01,
    actions: int = 4,
    window: int | None = None,
) -> Grid:
    """A random world of ``size`` x ``size`` cells, one draw each from the upper left; the centre is free: the start.

    Action k moves in direction k mod 4: left, right, up, down. With probability ``slip`` the move is one of the four
    at random, the intended one among them. A move off the grid or into a wall stays. Arriving at a cell pays its
    reward, also where a move stays in it. Then the episode ends with probability ``end``, and always in a terminal
    cell. So ``rewards`` is the expectation over where the move leads.

    ``window``: odd extent of what a student sees, the kinds of the cells around it; ``observed`` numbers the windows
    that differ. None: a student sees the state.
    """
    _check(size, actions, slip, end)
    codes = _draw(generator, size, odds)
    flat, start = codes.reshape(-1), np.zeros(size * size)
    start[_centre(size)] = 1.0
    aside = _neighbours(size)
    aside = np.where(flat[aside] == _WALL, np.arange(size * size)[:, None], aside)
    chance = np.array([1 - slip * 3 / 4, *[slip / 4] * 3]) if slip else np.ones(1)
    following = aside[:, _ORDER[:, : len(chance)]]
    mapped = np.arange(actions) % 4
    rewards = (_REWARD[flat][following] @ chance)[:, mapped]
    probability = np.broadcast_to((1 - end) * chance, following.shape)
    terminal = (flat == _WALL) | (flat >= _FIRST_TERMINAL)
    observed = None if window is None else _classes(_windows(codes, window))
    if actions < 4:  # the moves that no action makes
        following, probability = following[:, :actions], probability[:, :actions]
    return Grid(MDP(Successors(following, probability), rewards, start, terminal, mapped, observed), codes)


def _check(size: int, actions: int, slip: float, end: float) -> None:
    for name, count in {"size": size, "actions": actions}.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    for name, share in {"slip": slip, "end": end}.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must lie in [0, 1], got {share}")


def _draw(generator: np.random.Generator, size: int, odds: GridOdds) -> np.ndarray:
    given = astuple(odds)
    bounds = np.cumsum([max(0.0, 1 - sum(given)), *given[:-1]])
    codes = np.searchsorted(bounds, generator.random(size * size), side="right").astype(np.int8)
    codes[_centre(size)] = 0
    codes.flags.writeable = False
    return codes.reshape(size, size)


def _centre(size: int) -> int:
    return size // 2 * size + size // 2


@lru_cache(maxsize=8)
def _neighbours(size: int) -> np.ndarray:
    """``[S, 4]``: the cell to the left, right, above and below; the cell itself at the edge."""
    y, x = np.divmod(np.arange(size * size), size)
    left, right = np.maximum(x - 1, 0), np.minimum(x + 1, size - 1)
    above, below = np.maximum(y - 1, 0), np.minimum(y + 1, size - 1)
    return np.stack([y * size + left, y * size + right, above * size + x, below * size + x], axis=1)


def _windows(codes: np.ndarray, window: int) -> np.ndarray:
    """``[S, window^2]``: the codes around each cell."""
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd and at least 1, got {window}")
    padded = np.pad(codes, window // 2, constant_values=_WALL)
    return np.lib.stride_tricks.sliding_window_view(padded, (window, window)).reshape(codes.size, -1)


def _classes(rows: np.ndarray) -> np.ndarray:
    """``[S]``: equal rows have equal numbers, counted in the order of their first appearance."""
    number: dict[bytes, int] = {}
    return np.array([number.setdefault(row.tobytes(), len(number)) for row in np.ascontiguousarray(rows)])
