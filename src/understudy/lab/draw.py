"""World and teacher number ``index`` of a family, drawn from (seed, index) alone.

Neither the curve nor the chunk that asks for them has a part in it: curves of one family are compared on the same
worlds, and any division of the work gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np

from understudy.errors import ConfigurationError, nearest
from understudy.lab.curve import Ground, Tutor
from understudy.mdp import families, teachers
from understudy.mdp.model import MDP
from understudy.mdp.teachers import Teacher

Make = TypeVar("Make")


class Stream(IntEnum):
    """What randomness is for: streams of one (seed, index) are independent of each other."""

    WORLD = 0
    TEACHER = 1
    TRAINING = 2
    NOISE = 3


def sequence(seed: int, index: int, stream: Stream) -> np.random.SeedSequence:
    """The source of one stream's randomness."""
    return np.random.SeedSequence((seed, index, stream))


def number(seed: int, index: int, stream: Stream) -> int:
    """The same as one whole number below 2^64, for compiled code."""
    return int(sequence(seed, index, stream).generate_state(1, np.uint64)[0])


def training_seeds(seed: int, indices: Sequence[int]) -> np.ndarray:
    """``[N]`` uint64."""
    return np.array([number(seed, index, Stream.TRAINING) for index in indices], dtype=np.uint64)


def draw_mdp(ground: Ground, seed: int, index: int) -> MDP:
    """One world."""
    draw = _chosen(_WORLDS, ground.kind, "world")
    return draw(ground, np.random.default_rng(sequence(seed, index, Stream.WORLD)))


def draw_teacher(tutor: Tutor, mdp: MDP, seed: int, index: int, gamma: float = 1.0) -> Teacher:
    """Its teacher: made, then noise mixed in, then the floor. Its values are exact and discounted by ``gamma``."""
    make = _chosen(_POLICIES, tutor.kind, "teacher")
    disturb = _chosen(_NOISES, tutor.noise_in, "noise")
    clean = make(tutor, mdp, number(seed, index, Stream.TEACHER), gamma)
    generator = np.random.default_rng(sequence(seed, index, Stream.NOISE))
    policy = floored(disturb(clean, tutor.noise, generator), tutor.floor)
    valued = {"policy": policy, "noiseless": floored(clean, tutor.floor)}
    values = teachers.evaluated(mdp, _chosen(valued, tutor.values_of, "policy to value"), gamma).values
    return Teacher(policy, values)


def _mixed(policy: np.ndarray, share: float, _: np.random.Generator) -> np.ndarray:
    mixed: np.ndarray = (1 - share) * policy + share / policy.shape[-1]
    return mixed


def _in_states(policy: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """With probability ``share`` a state has one action, drawn once, in place of its own probabilities."""
    states, actions = policy.shape
    hit = np.asarray(generator.random(states) < share)
    other = np.eye(actions)[generator.integers(actions, size=states)]
    return np.where(hit[:, None], other, policy)


_NOISES: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "actions": _mixed,
    "states": _in_states,
}


def floored(policy: np.ndarray, floor: float) -> np.ndarray:
    """No action of ``policy [S, A]`` less likely than ``floor``."""
    actions = policy.shape[-1]
    if not 0 <= floor * actions < 1:
        raise ConfigurationError(f"a floor for {actions} actions must lie in [0, {1 / actions:g}), got {floor}")
    found: np.ndarray = floor + (1 - actions * floor) * policy
    return found


def _grid(ground: Ground, generator: np.random.Generator) -> MDP:
    found = families.grid(
        generator,
        size=ground.size,
        odds=ground.odds,
        slip=ground.slip,
        end=ground.end,
        actions=ground.actions,
        window=ground.window,
    )
    return found.mdp


_WORLDS: dict[str, Callable[[Ground, np.random.Generator], MDP]] = {
    "grid": _grid,
    "random": lambda ground, generator: families.random_mdp(ground.size, ground.actions, ground.end, generator),
    "corridor": lambda ground, _: families.corridor(ground.size, ground.actions, ground.slip, ground.end),
}


def _q_learning(tutor: Tutor, mdp: MDP, seed: int, _: float) -> np.ndarray:
    return teachers.soften(teachers.q_learning(mdp, seed, steps=tutor.steps), tutor.temperature)


_POLICIES: dict[str, Callable[[Tutor, MDP, int, float], np.ndarray]] = {
    "q-learning": _q_learning,
    "actor-critic": lambda tutor, mdp, seed, _: teachers.actor_critic(mdp, seed, steps=tutor.steps).policy,
    "optimal": lambda tutor, mdp, _, gamma: teachers.optimal(mdp, gamma, tutor.temperature).policy,
    "adversarial": lambda tutor, mdp, _, gamma: teachers.adversarial(mdp, gamma, tutor.temperature).policy,
}


def _chosen(table: Mapping[str, Make], kind: str, what: str) -> Make:
    if kind not in table:
        raise ConfigurationError(f"unknown kind of {what} {kind!r}.{nearest(kind, table)} There are {', '.join(table)}")
    return table[kind]
