"""Exact sums over the episodes of a finite MDP, in float64: expected visits, values, the best values."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from understudy.errors import ConfigurationError
from understudy.mdp.model import MDP, Links

_TINY_PIVOT = 1e-11  # below it the matrix may be singular: look whether episodes end at all
_SAME = 1e-12
_LEAST_LEAK = 1e-9  # what rows may lack of 1 by rounding


class Chain:
    """The states that follow each other under ``policy [S, A]``: P, with one factorisation of I - gamma P.

    Banded where the MDP is (a grid by rows), dense else. With gamma = 1 every episode must end: otherwise a
    ConfigurationError that names a state.
    """

    def __init__(self, mdp: MDP, policy: np.ndarray, gamma: float = 1.0) -> None:
        if policy.shape != (mdp.states, mdp.actions):
            raise ConfigurationError(
                f"policy must have the shape {[mdp.states, mdp.actions]}, got {list(policy.shape)}"
            )
        if not 0 <= gamma <= 1:
            raise ConfigurationError(f"gamma must lie in [0, 1], got {gamma}")
        self.mdp, self.policy, self.gamma = mdp, policy, gamma
        if not np.isfinite(policy).all():
            s, a = np.argwhere(~np.isfinite(policy))[0]
            raise ConfigurationError(f"policy must be finite, got {policy[s, a]} in state {s}, action {a}")
        weight, links = mdp.by_move(policy), mdp.links
        probability = (weight[:, :, None] * mdp.successors.probability).reshape(-1)[links.entry]
        lower, upper = _bandwidths(links)
        kind = _Banded if 2 * lower + upper < mdp.states // 2 else _Dense
        self._factor = kind(mdp.states, links, gamma * probability)
        if gamma == 1 and self._factor.smallest_pivot < _TINY_PIVOT:
            _check_that_episodes_end(mdp, weight)

    def visits(self, start: np.ndarray | None = None) -> np.ndarray:
        """Expected number of actions taken in each state per episode, ``[S]``; weighed by gamma^(t-1).

        ``start [S]``: probability of the first state, or any other weight; None: the MDP's own.
        """
        first = self.mdp.start if start is None else start
        return self.spread(first)

    def values(self, per_step: np.ndarray) -> np.ndarray:
        """Expected sum ``[S]`` from each state to the end, discounted, of ``per_step``: ``[S, A]`` of each action
        or ``[S]`` of each state. 0 in terminal states."""
        mean = per_step if per_step.ndim == 1 else np.einsum("sa,sa->s", self.policy, per_step)
        return self.accumulate(mean)

    def accumulate(self, per_state: np.ndarray) -> np.ndarray:
        """(I - gamma P)^-1 x of a vector ``[S]`` or of columns ``[S, N]``; terminal states count 0."""
        return self._factor.solve(self._acting(per_state), False)

    def spread(self, weight: np.ndarray) -> np.ndarray:
        """(I - gamma P)^-T x of a vector ``[S]`` or of columns ``[S, N]``; terminal states count 0."""
        return self._acting(self._factor.solve(self._acting(weight), True))

    def _acting(self, array: np.ndarray) -> np.ndarray:
        kept = np.array(array, dtype=np.float64)
        kept[self.mdp.terminal] = 0.0
        return kept


class _Banded:
    """LAPACK's band factorisation of I - P: row i, column j stands in row ``lower + upper + i - j`` of the band."""

    def __init__(self, states: int, links: Links, probability: np.ndarray) -> None:
        self._lower, self._upper = lower, upper = _bandwidths(links)
        rows = 2 * lower + upper + 1  # LAPACK's arrays run down the columns
        place = links.next * (rows - 1) + links.state + lower + upper
        band = np.bincount(place, -probability, states * rows).reshape(states, rows)
        band[:, lower + upper] += 1
        self._band, self._pivots, _ = lapack.dgbtrf(band.T, lower, upper, overwrite_ab=True)
        self.smallest_pivot = float(np.abs(self._band[lower + upper]).min())

    def solve(self, right: np.ndarray, transposed: bool) -> np.ndarray:
        solved, _ = lapack.dgbtrs(self._band, self._lower, self._upper, right, self._pivots, trans=int(transposed))
        return solved.reshape(right.shape)


class _Dense:
    """LU factorisation of I - P."""

    def __init__(self, states: int, links: Links, probability: np.ndarray) -> None:
        place = links.next * states + links.state  # down the columns, as LAPACK has it
        matrix = np.bincount(place, -probability, states * states).reshape(states, states).T
        matrix[np.diag_indices(states)] += 1
        self._lu, self._pivots, _ = lapack.dgetrf(matrix, overwrite_a=True)
        self.smallest_pivot = float(np.abs(self._lu.diagonal()).min())

    def solve(self, right: np.ndarray, transposed: bool) -> np.ndarray:
        solved, _ = lapack.dgetrs(self._lu, self._pivots, right, trans=int(transposed))
        return solved.reshape(right.shape)


def _bandwidths(links: Links) -> tuple[int, int]:
    """How far below and above the diagonal P reaches."""
    ahead = links.next - links.state
    return (max(0, -int(ahead.min())), max(0, int(ahead.max()))) if len(ahead) else (0, 0)


def _check_that_episodes_end(mdp: MDP, weight: np.ndarray) -> None:
    """``weight [S, M]``: how often each move is made. The way back from all ends must reach every state."""
    taken = weight > 0
    leaves = mdp.successors.probability.sum(-1) < 1 - _LEAST_LEAK
    links = mdp.links
    used = taken.reshape(-1)[links.entry // mdp.successors.next.shape[2]]
    state, following = links.state[used], links.next[used]
    ends = mdp.terminal | (taken & leaves).any(-1)
    known = -1
    while known != (known := int(ends.sum())):
        ends[state[ends[following]]] = True
    if not ends.all():
        raise ConfigurationError(
            f"with gamma = 1 every episode must end, but from state {np.argmin(ends)} this policy never ends one; "
            "use gamma below 1, or let actions end the episode with some probability"
        )


def optimal(mdp: MDP, gamma: float = 1.0, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The best values ``[S]`` and action values ``[S, A]``, by policy iteration from the uniform policy (Howard 1960).

    ``among [S, A]``: the actions that may be taken, at least one in each state; None: all.

    A state's choice changes only for a strictly better action. So the policy keeps ending its episodes, also with
    gamma = 1, unless going round for ever pays: then the return has no bound, and that is a ConfigurationError.
    """
    allowed = np.ones((mdp.states, mdp.actions), dtype=bool) if among is None else among
    if mdp.moves < mdp.actions:
        values = optimal(*_best_of_each_move(mdp, gamma, allowed))[0]
        return values, mdp.rewards + gamma * mdp.expected_next(values)
    policy = allowed / allowed.sum(-1, keepdims=True)
    values, action_values = _values(mdp, policy, gamma)
    for _ in range(100 + 10 * mdp.states):
        choice = np.where(allowed, action_values, -np.inf)
        best = choice.argmax(-1)
        room = _SAME * (1 + np.abs(action_values).max())
        better = np.flatnonzero(choice.max(-1) > values + room)
        if not len(better):
            return values, action_values
        policy[better] = 0.0
        policy[better, best[better]] = 1.0
        try:
            values, action_values = _values(mdp, policy, gamma)
        except ConfigurationError as error:
            raise ConfigurationError(f"the best return has no bound: {error}") from None
    raise ConfigurationError(
        f"policy iteration went round in rounding errors; rewards up to {np.abs(mdp.rewards).max()}"
    )


def _best_of_each_move(mdp: MDP, gamma: float, allowed: np.ndarray) -> tuple[MDP, float, np.ndarray]:
    """The process of the moves alone: of the actions that make one, only the best paid is ever taken."""
    paid = np.where(allowed, mdp.rewards, -np.inf)
    made = [mdp.action_map == move for move in range(mdp.moves)]
    rewards = np.stack([paid[:, actions].max(-1, initial=-np.inf) for actions in made], axis=1)
    some = rewards > -np.inf
    return MDP(mdp.successors, np.where(some, rewards, 0.0), mdp.start, mdp.terminal), gamma, some


def _values(mdp: MDP, policy: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    values = Chain(mdp, policy, gamma).values(mdp.rewards)
    return values, mdp.rewards + gamma * mdp.expected_next(values)
