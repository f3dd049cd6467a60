"""Minari's data sets, which lie on this machine. None is downloaded, and no environment is made from what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from understudy.envs.recording import Recording
from understudy.envs.simulator import blank
from understudy.errors import ConfigurationError, MissingExtra, nearest
from understudy.policies.policy import Observation


def read(name: str, check_room: Callable[[int], None]) -> Recording:
    """The data set of that name; ``check_room`` is told its bytes before they are read."""
    try:
        from minari import MinariDataset, list_local_datasets
        from minari.storage import get_dataset_path
    except ImportError:
        raise MissingExtra("minari", "minari", f"--data minari:{name}") from None
    place = get_dataset_path(name) / "data"
    known = list_local_datasets() if not place.is_dir() else {}
    if not place.is_dir():
        raise ConfigurationError(
            f"there is no Minari data set {name!r} in {get_dataset_path()}.{nearest(name, known)} Download it with "
            f"`minari download {name}`, or set MINARI_DATASETS_PATH"
        )
    try:
        _check_told(name, MinariDataset, place)
        dataset = MinariDataset(place)
        row = sum(part.nbytes for part in _arrays(blank(dataset.observation_space, 1)))
        check_room(dataset.total_steps * row)
        episodes = [episode for episode in dataset if len(episode)]
    except ImportError as error:
        raise ConfigurationError(f"the Minari data set {name}: {error}") from None
    except (ValueError, KeyError, OSError, AssertionError) as error:
        raise ConfigurationError(f"the Minari data set {name} in {place} cannot be read: {error}") from None
    if not episodes:
        raise ConfigurationError(f"the Minari data set {name} holds no steps")
    return _recording(f"minari:{name}", dataset, episodes)


def _check_told(name: str, kind: Any, place: Any) -> None:
    """Refuse what does not say its spaces: Minari would make the environment that it names, and so run code."""
    from minari.dataset.minari_storage import MinariStorage

    told = MinariStorage.read_raw_metadata(place)
    if not {"observation_space", "action_space"} <= told.keys():
        raise ConfigurationError(
            f"the Minari data set {name} does not say its spaces, and making its environment to find them could run "
            "code. Write it anew with a current Minari"
        )


def _recording(name: str, dataset: Any, episodes: Sequence[Any]) -> Recording:
    terminated = np.concatenate([one.terminations for one in episodes]).astype(bool)
    lengths = np.array([len(one) for one in episodes])
    last = np.zeros(int(lengths.sum()), bool)
    ends = np.cumsum(lengths) - 1
    last[ends] = True
    beyond = np.flatnonzero(~terminated[ends])
    return Recording(
        name,
        _joined([_cut(one.observations, slice(len(one))) for one in episodes]),
        np.concatenate([one.actions for one in episodes]),
        np.concatenate([one.rewards for one in episodes]),
        terminated,
        last,
        ends[beyond],
        _joined(
            [_cut(episodes[k].observations, slice(-1, None)) for k in beyond.tolist()]
            or [_cut(episodes[0].observations, slice(0))]
        ),
        dataset.observation_space,
        dataset.action_space,
    )


def _arrays(observation: Observation) -> list[np.ndarray]:
    return list(observation.values()) if isinstance(observation, dict) else [observation]


def _cut(observation: Any, rows: slice) -> Observation:
    if isinstance(observation, dict):
        return {key: part[rows] for key, part in observation.items()}
    found: np.ndarray = observation[rows]
    return found


def _joined(parts: Sequence[Observation]) -> Observation:
    if isinstance(parts[0], dict):
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return np.concatenate(parts)  # type: ignore[arg-type]
