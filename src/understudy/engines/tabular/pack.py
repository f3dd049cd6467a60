"""Finite MDPs and their teachers as stacked arrays, and each of them as the compiled kernels read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from understudy.engines.tabular.draws import NEVER_PASSED, UNIT
from understudy.errors import ConfigurationError
from understudy.mdp.model import MDP
from understudy.mdp.teachers import Teacher

ENDED = -1  # in place of a next state


class World(NamedTuple):
    """One MDP and its teacher, for compiled code; K counts a sentinel that ends the episode.

    ``first [S]``: thresholds of the first state. ``following``, ``thresholds [S * M * K]``: where a move leads, the
    likeliest first, or ENDED. ``move [A]``. ``seen [S]``: what the student sees. ``probability [S, M, K]``: of
    ``following``; 0 where it is ENDED. ``members``: the states by what is seen, those of o from ``first_member[o]``
    on. ``acting [S]``: not terminal. ``own_move``, ``sees_all``: whether ``move`` and ``seen`` change nothing.
    ``reach``: the most by which a move changes the state's number.
    """

    start: np.ndarray
    first: np.ndarray
    following: np.ndarray
    thresholds: np.ndarray
    probability: np.ndarray
    move: np.ndarray
    seen: np.ndarray
    members: np.ndarray
    first_member: np.ndarray
    acting: np.ndarray
    reward: np.ndarray
    teacher: np.ndarray
    log_teacher: np.ndarray
    teacher_value: np.ndarray
    own_move: bool
    sees_all: bool
    reach: int


@dataclass(frozen=True, eq=False)
class Packed:
    """N MDPs of one shape with their teachers: ``worlds``, and the ``mdps`` that they were made from."""

    worlds: tuple[World, ...]
    mdps: tuple[MDP, ...]
    observations: int

    def __len__(self) -> int:
        return len(self.worlds)


def pack(mdps: Sequence[MDP], teachers: Sequence[Teacher]) -> Packed:
    """MDPs of one number of states and actions; the student's table has a row for every observation of any of them."""
    if not mdps or len(mdps) != len(teachers):
        raise ConfigurationError(f"pack needs as many teachers as MDPs, got {len(teachers)} for {len(mdps)}")
    shapes = {(mdp.states, mdp.actions) for mdp in mdps}
    if len(shapes) > 1:
        raise ConfigurationError(f"packed MDPs have one shape [S, A], got {sorted(shapes)}")
    observations = max(mdp.observations for mdp in mdps)
    return Packed(tuple(map(world, mdps, teachers)), tuple(mdps), observations)


def world(mdp: MDP, teacher: Teacher) -> World:
    """One MDP and its teacher."""
    if teacher.policy.shape != (mdp.states, mdp.actions):
        raise ConfigurationError(f"the teacher has the shape {teacher.policy.shape}, the MDP {mdp.rewards.shape}")
    policy = teacher.policy / teacher.policy.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        log_policy = np.log(policy)
    following, thresholds, probability = _moves(mdp)
    ahead = np.where(following == ENDED, 0, following - np.arange(mdp.states)[:, None, None])
    arrays = World(
        start=np.array(mdp.start),
        first=_thresholds(mdp.start),
        following=following.reshape(-1),
        thresholds=thresholds.reshape(-1),
        probability=probability,
        move=np.array(mdp.action_map, dtype=np.int64),
        seen=np.array(mdp.observed, dtype=np.int64),
        members=np.argsort(mdp.observed, kind="stable"),
        first_member=np.concatenate([[0], np.cumsum(np.bincount(mdp.observed))]),
        acting=~mdp.terminal,
        reward=np.array(mdp.rewards),
        teacher=policy,
        log_teacher=log_policy,
        teacher_value=np.where(mdp.terminal, 0.0, teacher.values),
        own_move=bool(np.array_equal(mdp.action_map, np.arange(mdp.moves))),
        sees_all=bool(np.array_equal(mdp.observed, np.arange(mdp.states))),
        reach=int(np.abs(ahead).max()),
    )
    # one layout, or Numba would compile everything again for another
    return World._make(np.ascontiguousarray(x) if isinstance(x, np.ndarray) else x for x in arrays)


def _moves(mdp: MDP) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``following`` (int32), ``thresholds`` (uint32) and ``probability``, each ``[S, M, K]``; likeliest first."""
    order = np.argsort(-mdp.successors.probability, axis=-1, kind="stable")
    chance = np.take_along_axis(mdp.successors.probability, order, -1)
    kept = max(1, int((chance > 0).sum(-1).max()))
    chance = chance[..., :kept]
    following = np.take_along_axis(mdp.successors.next, order, -1)[..., :kept]
    following = np.where(mdp.terminal[following] | (chance == 0), ENDED, following)
    one_more = (*following.shape[:2], 1)
    return (
        np.concatenate([following, np.full(one_more, ENDED)], axis=-1).astype(np.int32),
        np.concatenate([_thresholds(chance), np.full(one_more, NEVER_PASSED, dtype=np.uint32)], axis=-1),
        np.concatenate([np.where(following == ENDED, 0.0, chance), np.zeros(one_more)], axis=-1),
    )


def _thresholds(probability: np.ndarray) -> np.ndarray:
    """Cumulative probabilities in units of 2^-31; what rounding leaves of 1 goes to the last."""
    total = np.cumsum(probability, axis=-1)
    whole = np.where(total > 1 - 1e-9, 1.0, np.minimum(total, 1.0))
    return np.rint(whole * UNIT).astype(np.uint32)
