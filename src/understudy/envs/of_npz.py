"""A file of observations and actions, as a person's recordings are, as a data set. It is read without running code."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import Space, spaces

from understudy.envs.recording import CHUNK, Recording
from understudy.errors import ConfigurationError, nearest

KEYS = ("observations", "actions", "rewards", "terminations", "truncations", "next_observations")
REQUIRED = KEYS[:2]
ELSEWHERE = {"terminals": KEYS[3], "dones": KEYS[3], "done": KEYS[3], "timeouts": KEYS[4], "next_obs": KEYS[5]}
"""What others call these arrays."""


def read(path: str, check_room: Callable[[int], None]) -> Recording:
    """The data set in a NumPy archive; ``check_room`` is told its bytes before they are read.

    ConfigurationError where it is none, lacks something, or holds Python objects.
    """
    arrays = _arrays(path, check_room)
    _check_complete(path, arrays)
    count = len(arrays["actions"])
    _check_lengths(path, arrays, count)
    terminated, truncated = (_flags(path, key, arrays, count) for key in KEYS[3:5])
    observation, action = (_numbers(path, key, arrays[key]) for key in REQUIRED)
    open_ends, after = np.zeros(0, np.int64), observation[:0]
    if "next_observations" in arrays:
        after = _numbers(path, "next_observations", arrays["next_observations"])
        if after.shape != observation.shape:
            raise ConfigurationError(
                f"{path}: observations are of the shape {observation.shape}, and next_observations of {after.shape}"
            )
        truncated[-1:] |= ~terminated[-1:]
        _check_order(path, observation, after, terminated | truncated)
        open_ends = np.flatnonzero(truncated & ~terminated)
        after = after[open_ends]
    reward = arrays.get("rewards")
    return Recording(
        path,
        observation,
        action,
        None if reward is None else _line(path, "rewards", reward).astype(np.float64),
        terminated,
        terminated | truncated,
        open_ends,
        after,
        space_of_observations(observation),
        space_of_actions(path, action),
        declared=False,
    )


def _check_complete(path: str, arrays: dict[str, np.ndarray]) -> None:
    missing = [key for key in REQUIRED if key not in arrays]
    if missing:
        raise ConfigurationError(
            f"{path} has no array {missing[0]!r}; it holds {', '.join(arrays) or 'nothing'}. Write it with "
            "np.savez(path, observations=..., actions=...)"
        )


def _arrays(path: str, check_room: Callable[[int], None]) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            check_room(sum(entry.file_size for entry in archive.infolist()))
        with np.load(path, allow_pickle=False) as file:
            _check_names(path, file.files)
            return {key: np.atleast_1d(file[key]) for key in KEYS if key in file.files}
    except FileNotFoundError:
        folder = Path(path).parent
        known = [one.name for one in folder.glob("*.npz")] if folder.is_dir() else []
        raise ConfigurationError(f"there is no file {path}.{nearest(Path(path).name, known)}") from None
    except zipfile.BadZipFile:
        raise ConfigurationError(
            f"{path} is no NumPy archive; write it with np.savez(path, observations=...)"
        ) from None
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise ConfigurationError(f"{path} cannot be read: {error}") from None
        raise ConfigurationError(
            f"{path} holds Python objects, which are not read, for they could run code. Write arrays of numbers, all "
            "rows of one shape"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from None


def _check_lengths(path: str, arrays: dict[str, np.ndarray], count: int) -> None:
    if not count:
        raise ConfigurationError(f"{path} holds no steps")
    for key, values in arrays.items():
        if len(values) != count:
            raise ConfigurationError(
                f"{path} holds {len(values):,} rows of {key}, and {count:,} actions; each step has one"
            )


def _check_order(path: str, observation: np.ndarray, after: np.ndarray, last: np.ndarray) -> None:
    """Where no episode ends, what came after a step is what was seen at the next one: rows are in order of time."""
    rows = np.flatnonzero(~last[:-1])
    for part in np.array_split(rows, 1 + len(rows) // CHUNK):
        same = (after[part] == observation[part + 1]).all(tuple(range(1, after.ndim)))
        if not same.all():
            row = int(part[~same][0])
            raise ConfigurationError(
                f"{path}: the next_observations of row {row:,} are not the observations of row {row + 1:,}, and no "
                "episode ends between them. Write steps in the order in which they were taken, and mark where an "
                "episode was cut off (truncations)"
            )


def _check_names(path: str, names: list[str]) -> None:
    """A misspelt key is not passed over, nor one that others use; what has another name altogether is."""
    for name in names:
        meant = f" Did you mean {ELSEWHERE[name]!r}?" if name in ELSEWHERE else nearest(name, KEYS, 0.7)
        if name not in KEYS and meant:
            raise ConfigurationError(f"{path} holds an array {name!r}.{meant} The names are {', '.join(KEYS)}")


def _flags(path: str, key: str, arrays: dict[str, np.ndarray], count: int) -> np.ndarray:
    if key not in arrays:
        return np.zeros(count, bool)
    flags = _line(path, key, arrays[key])
    if not np.isin(flags, (0, 1)).all():
        row = int(np.flatnonzero(~np.isin(flags, (0, 1)))[0])
        raise ConfigurationError(f"{path}: the {key} are true or false, and that of row {row:,} is {flags[row]}")
    return flags.astype(bool)


def _line(path: str, key: str, values: np.ndarray) -> np.ndarray:
    """One number a row."""
    if values.size != len(values) or values.dtype.kind not in "fiub":
        raise ConfigurationError(f"{path}: {key} must be one number a row, got {values.dtype} of shape {values.shape}")
    return values.reshape(len(values))


def _numbers(path: str, key: str, values: np.ndarray) -> np.ndarray:
    """Bytes and choices as they are; anything else as float32, of which a row has one or more."""
    if values.dtype.kind not in "fiub":
        raise ConfigurationError(f"{path}: {key} must be numbers, got {values.dtype}")
    choices = key == "actions" or values.ndim == 1
    if values.dtype == np.uint8 or (values.dtype.kind in "iu" and choices) or (values.dtype.kind == "b" and choices):
        return values
    values = values.astype(np.float32)
    return values[:, None] if values.ndim == 1 else values


def space_of_observations(values: np.ndarray) -> Space[Any]:
    """What rows like these may be taken from."""
    if values.dtype == np.uint8:
        return spaces.Box(0, 255, values.shape[1:], np.uint8)
    if values.dtype.kind in "iu":
        return spaces.Discrete(
            int(values.max(initial=0)) + 1 - min(0, first := int(values.min(initial=0))), start=min(0, first)
        )
    return spaces.Box(-np.inf, np.inf, values.shape[1:], np.float32)


def space_of_actions(name: str, values: np.ndarray) -> Space[Any]:
    """The smallest space that actions like these may be taken from: choices from 0 on, or a Box around them."""
    if values.dtype.kind == "f":
        return spaces.Box(values.min(0), values.max(0), dtype=np.float32)
    if values.dtype.kind == "b" and values.ndim > 1:
        return spaces.MultiBinary(values.shape[1:])
    if int(values.min(initial=0)) < 0:
        raise ConfigurationError(f"{name}: whole numbers as actions are choices from 0 on, and {values.min()} is one")
    if values.ndim == 1:
        return spaces.Discrete(max(2, int(values.max(initial=0)) + 1))
    return spaces.MultiDiscrete(np.maximum(2, values.reshape(len(values), -1).max(0).astype(np.int64) + 1))
