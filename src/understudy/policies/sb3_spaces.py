"""Spaces from pickled records of gym's or Gymnasium's spaces, of any version."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from understudy.errors import TeacherError
from understudy.policies.sb3_pickle import Record


def space_of(record: Any, source: str) -> gymnasium.Space[Any]:
    """A Gymnasium space with the sizes, bounds and order of keys of the record; ``source`` names it in errors."""
    if not isinstance(record, Record) or record.name not in BUILDERS:
        kind = f"{record.module}.{record.name}" if isinstance(record, Record) else type(record).__name__
        raise TeacherError(f"{source} is a {kind}; agents need one of {', '.join(BUILDERS)}.")
    try:
        return BUILDERS[record.name](record.state, source)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise TeacherError(
            f"{source}: this {record.name} is incomplete ({type(error).__name__}: {error}). Save the agent again."
        ) from error


def _box(state: dict[str, Any], _: str) -> gymnasium.Space[Any]:
    dtype = np.dtype(state["dtype"])
    low, high = np.asarray(state["low"], dtype), np.asarray(state["high"], dtype)
    shape = tuple(int(n) for n in _shape(state, low.shape))
    return spaces.Box(np.broadcast_to(low, shape), np.broadcast_to(high, shape), dtype=dtype.type)


def _shape(state: dict[str, Any], default: tuple[int, ...]) -> tuple[int, ...]:
    """gym up to 0.18 called it ``shape``, later ones ``_shape``."""
    return state.get("_shape", state.get("shape")) or default


def _discrete(state: dict[str, Any], _: str) -> gymnasium.Space[Any]:
    return spaces.Discrete(int(state["n"]), start=int(state.get("start", 0)))


def _multi_discrete(state: dict[str, Any], _: str) -> gymnasium.Space[Any]:
    nvec = np.asarray(state["nvec"])
    return spaces.MultiDiscrete(nvec, start=state.get("start", np.zeros_like(nvec)))


def _multi_binary(state: dict[str, Any], _: str) -> gymnasium.Space[Any]:
    size = state["n"]
    return spaces.MultiBinary(int(size) if np.ndim(size) == 0 else [int(n) for n in size])


def _dict(state: dict[str, Any], source: str) -> gymnasium.Space[Any]:
    # an OrderedDict, because Gymnasium sorts the keys of other mappings and features follow the stored order
    parts = ((str(key), space_of(part, f"{source}[{key!r}]")) for key, part in dict(state["spaces"]).items())
    return spaces.Dict(OrderedDict(parts))


BUILDERS: dict[str, Callable[[dict[str, Any], str], gymnasium.Space[Any]]] = {
    "Box": _box,
    "Discrete": _discrete,
    "MultiDiscrete": _multi_discrete,
    "MultiBinary": _multi_binary,
    "Dict": _dict,
}
