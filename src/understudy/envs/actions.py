"""From raw actions, as distributions draw them, to what an environment's action space takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from understudy.errors import SpaceError
from understudy.math.distributions import Family
from understudy.policies.families import family_of

ToEnv = Callable[[np.ndarray], np.ndarray]
Uniform = Callable[[int, np.random.Generator], np.ndarray]


class ActionMap:
    """Raw actions ``[N, ...]`` of ``family`` to the environment's, and uniform raw actions."""

    def __init__(self, family: Family, action_space: Space[Any]) -> None:
        expected = family_of(action_space, family.kind == "squashed-gaussian")
        if family != expected:
            raise SpaceError(f"a policy over {family} cannot act in {action_space}, which takes {expected}")
        self.family, self.action_space = family, action_space
        self.shape = family.action_shape
        self.dtype = np.dtype(np.int64 if "categorical" in family.kind else np.float32)
        self.to_env, self.uniform = MAPS[family.kind](action_space)


def _discrete(space: spaces.Discrete) -> tuple[ToEnv, Uniform]:
    start, n = int(space.start), int(space.n)

    def to_env(raw: np.ndarray) -> np.ndarray:
        return raw + start

    def uniform(copies: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(n, size=copies)

    return to_env if start else _unchanged, uniform


def _unchanged(raw: np.ndarray) -> np.ndarray:
    return raw


def _multi_discrete(space: spaces.MultiDiscrete) -> tuple[ToEnv, Uniform]:
    start, sizes = np.asarray(space.start), space.nvec.ravel()

    def to_env(raw: np.ndarray) -> np.ndarray:
        return (raw.reshape(-1, *space.shape) + start).astype(space.dtype, copy=False)

    def uniform(copies: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(sizes, size=(copies, len(sizes)))

    return to_env, uniform


def _multi_binary(space: spaces.MultiBinary) -> tuple[ToEnv, Uniform]:
    size = int(np.prod(space.shape))

    def to_env(raw: np.ndarray) -> np.ndarray:
        return raw.reshape(-1, *space.shape).astype(space.dtype)

    def uniform(copies: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(2, size=(copies, size)).astype(np.float32)

    return to_env, uniform


def _clipped(space: spaces.Box) -> tuple[ToEnv, Uniform]:
    low, high = space.low.ravel(), space.high.ravel()
    whole = np.issubdtype(space.dtype, np.integer)

    def to_env(raw: np.ndarray) -> np.ndarray:
        raw = np.rint(raw) if whole else raw
        inside = np.minimum(np.maximum(raw, low), high)
        return inside.reshape(-1, *space.shape).astype(space.dtype, copy=False)

    def uniform(copies: int, rng: np.random.Generator) -> np.ndarray:
        return _uniform_box(low, high, copies, rng)

    return to_env, uniform


def _uniform_box(low: np.ndarray, high: np.ndarray, copies: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform where bounded, a unit exponential from a single bound, standard normal where unbounded."""
    above, below = np.isfinite(low), np.isfinite(high)
    floor = np.where(above, low, 0).astype(np.float64)
    ceiling = np.where(below, high, 0).astype(np.float64)
    shape = (copies, len(low))
    value = floor + rng.random(shape) * (ceiling - floor)
    if not (above & below).all():
        tail, normal = rng.exponential(size=shape), rng.standard_normal(shape)
        value = np.where(above & ~below, floor + tail, value)
        value = np.where(below & ~above, ceiling - tail, value)
        value = np.where(above | below, value, normal)
    return value.astype(np.float32)


def _squashed(space: spaces.Box) -> tuple[ToEnv, Uniform]:
    low, high = space.low.ravel(), space.high.ravel()
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise SpaceError(f"squashed actions need finite bounds, got {space}. Use a plain Gaussian.")
    # half of each bound before adding: the whole range of a wide Box may not fit its type
    middle, half = low / 2 + high / 2, high / 2 - low / 2

    def to_env(raw: np.ndarray) -> np.ndarray:
        inside = np.minimum(np.maximum(middle + np.tanh(raw) * half, low), high)
        return inside.reshape(-1, *space.shape).astype(space.dtype, copy=False)

    def uniform(copies: int, rng: np.random.Generator) -> np.ndarray:
        edge = 1 - 1e-6
        return np.arctanh(rng.uniform(-edge, edge, (copies, len(low)))).astype(np.float32)

    return to_env, uniform


MAPS: dict[str, Callable[[Any], tuple[ToEnv, Uniform]]] = {
    "categorical": _discrete,
    "multi-categorical": _multi_discrete,
    "bernoulli": _multi_binary,
    "gaussian": _clipped,
    "squashed-gaussian": _squashed,
}
