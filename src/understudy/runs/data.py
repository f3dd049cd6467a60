"""A data set by its name, ``minari:NAME``, ``store:RUN`` or ``FILE.npz``, in the spaces of those who use it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces

from understudy.engines.replay import TERMINATED, Replay, check_memory
from understudy.envs import of_minari, of_npz
from understudy.envs.recording import Recording
from understudy.envs.wrappers import check_spaces, words
from understudy.errors import ConfigurationError, RunError, SpaceError
from understudy.policies.policy import Observation
from understudy.runs.checkpoints import Checkpoints, Tree
from understudy.runs.folder import RunFolder

Given = tuple[Space[Any], Space[Any]] | None


def open_data(name: str, given: Given, whose: str, labelled: bool) -> Recording:
    """The data set that ``name`` means. ``given``: the spaces of an environment or a teacher, which it must fit, and
    ``whose`` they are; None: its own, or what its numbers allow. ``labelled``: what was done must be in it.

    Raises: ConfigurationError where it cannot be read, lacks something or holds what is no number; SpaceError.
    """
    scheme, _, rest = name.partition(":")
    if scheme == "store":
        recording = _of_store(rest, given, labelled)
    elif scheme == "minari":
        recording = of_minari.read(rest, _check_room)
    else:
        recording = of_npz.read(name, _check_room)
    return recording if given is None else fitted(recording, *given, whose)


def _check_room(needed: int) -> None:
    try:
        check_memory(needed)
    except ConfigurationError as error:
        raise ConfigurationError(f"{str(error).partition(';')[0]}. Use a part of the data") from None


def fingerprint(recording: Recording) -> str:
    """The same for the same steps, whatever file they came from."""
    digest = hashlib.sha256()
    parts = [
        part
        for seen in (recording.observation, recording.after)
        for part in (seen.values() if isinstance(seen, dict) else [seen])
    ]
    rewards = [] if recording.reward is None else [recording.reward]
    ends = recording.terminated, recording.last, recording.after_row
    for part in (*parts, recording.action, *rewards, *ends):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def fitted(recording: Recording, seen: Space[Any], done: Space[Any], whose: str) -> Recording:
    """The recording in these spaces; SpaceError where a row of it does not lie in them."""
    mend = f"Name data for this {whose}, or another {whose}"
    if recording.declared:
        own = recording.observation_space, recording.action_space
        check_spaces(*own, seen, done, who="data", mend=mend, other=whose)
        return recording
    observation, action = recording.observation, _in_kind(recording.action, done)
    if isinstance(seen, spaces.Dict) or isinstance(observation, dict):
        raise SpaceError(f"{recording.name} holds one array of observations, and the {whose} sees {seen}. {mend}")
    shape = seen.shape or ()
    if observation.shape[1:] != shape and observation[0].size == int(np.prod(shape)) and len(shape) <= 1:
        observation = observation.reshape(len(observation), *shape)
    if observation.shape[1:] != shape:
        raise SpaceError(
            f"{recording.name} and the {whose} do not match: a row of observations has the shape "
            f"{list(observation.shape[1:])}, and the {whose} sees {words(seen)}. {mend}"
        )
    _check_choices(recording.name, "observations", observation, seen, whose, mend)
    if action is None or action.shape[1:] != (done.shape or ()):
        found = f"{recording.action.dtype} of the shape {list(recording.action.shape[1:])}"
        raise SpaceError(f"{recording.name}: an action is {found}, and the {whose} takes {words(done)}. {mend}")
    _check_choices(recording.name, "actions", action, done, whose, mend)
    return replace(
        recording, observation=observation, after=observation[:0] if not len(recording.after_row) else recording.after,
        action=action, observation_space=seen, action_space=done,
    )  # fmt: skip


def _in_kind(action: np.ndarray, space: Space[Any]) -> np.ndarray | None:
    """Actions in the shape and kind of number that the space has; None where they cannot be."""
    shape = (len(action), *(space.shape or ()))
    if action.size != int(np.prod(shape)):
        return None
    action = action.reshape(shape)
    if isinstance(space, spaces.Box):
        return action.astype(np.float32)
    return action if action.dtype.kind != "f" or (action == np.rint(action)).all() else None


def _check_choices(name: str, what: str, values: np.ndarray, space: Space[Any], whose: str, mend: str) -> None:
    """Where the space counts, every number must be one that it counts; amounts that are done lie in its bounds.

    Observations often leave the bounds that an environment tells; but those of bytes are bytes, and no others are.
    """
    low, high = _range(space)
    bytes_here, bytes_there = values.dtype == np.uint8, space.dtype == np.uint8
    if low is None or (isinstance(space, spaces.Box) and what == "observations" and bytes_here == bytes_there):
        return
    wrong = (values < low) | (values > high)
    if bytes_there and values.dtype.kind == "f":
        wrong |= values != np.rint(values)
    if wrong.any():
        row = tuple(int(i) for i in np.argwhere(wrong)[0])
        there = words(space)
        raise SpaceError(f"{name}: the {what} of row {row[0]:,} are {values[row]}, and the {whose} has {there}. {mend}")


def _range(space: Space[Any]) -> tuple[Any, Any]:
    """The least and the largest number in a space, those of a Box with a thousandth of its range to spare."""
    if isinstance(space, spaces.Discrete):
        return int(space.start), int(space.start + space.n - 1)
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    if isinstance(space, spaces.MultiBinary):
        return 0, 1
    if not isinstance(space, spaces.Box):
        return None, None
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    spare = np.where(np.isfinite(high - low), 1e-3 * (high - low), 0.0)
    return low - spare, high + spare


def _of_store(run: str, given: Given, labelled: bool) -> Recording:
    """The replay store in the last checkpoint of a run."""
    folder = RunFolder.open(run)
    if folder.result_path.is_file():
        raise RunError(
            f"{run} has finished, and its store went with its checkpoints: a run that was stopped has one. The student "
            "of a finished one may be another's teacher"
        )
    saved = Checkpoints(folder.checkpoints).latest(folder.metrics_size)
    if saved is None:
        raise RunError(f"{run} has no checkpoint yet, so there is no store to read")
    state = saved.state["learner"].get("store")
    if state is None or not state.get("kept", True):
        raise RunError(f"the checkpoint of {run} holds no store (it was begun with --light-checkpoints, or keeps none)")
    if "capacity" in state:
        if labelled or given is None:
            raise RunError(
                f"the store of {run} holds states and no actions; name the teacher that is to answer in them"
            )
        return _of_aggregate(run, state, saved.state["learner"]["student"], given)
    return _of_replay(run, state, folder, given)


def _of_replay(run: str, state: Tree, folder: RunFolder, given: Given) -> Recording:
    copies, used = state["columns"]["reward"].shape
    frames = int((folder.provenance.get("resolved") or {}).get("frames") or 1)
    seen = None if given is None else given[0].shape
    last_axis = seen is not None and len(seen) == 3 and seen[-1] == frames and seen[0] != frames
    store = Replay(copies * used, copies, n_step=0, frames=frames, last_axis=last_axis)
    store.room = used
    store.restore(state)
    steps, last, after_row, after = store.in_order()
    end = steps["end"].numpy()
    observation, action = _observation(steps), steps["action"].numpy()
    if given is not None and isinstance(given[1], spaces.Discrete):
        action = action + int(given[1].start)
    name = f"store:{run}"
    space = _space(observation) if given is None else given[0]
    return Recording(
        name,
        observation,
        action,
        steps["reward"].numpy(),
        end == TERMINATED,
        last.numpy().copy(),
        after_row.numpy(),
        _observation(after),
        space,
        of_npz.space_of_actions(name, action),
        declared=False,
    )


def _of_aggregate(run: str, state: Tree, student: Tree, given: tuple[Space[Any], Space[Any]]) -> Recording:
    """The aggregated states, in no order; what was done in them was not kept."""
    columns = {name: rows.flatten(0, 1) for name, rows in state["columns"].items()}
    if "features" in columns:
        if "network.inputs.1.standardise.mean" in student:
            raise RunError(
                f"the store of {run} holds the parts of its observations in one row, which are not told apart"
            )
        mean, scale = (student[f"network.inputs.0.standardise.{part}"] for part in ("mean", "scale"))
        columns = {"observation": columns["features"] / scale + mean}
    observation = _observation({name: rows for name, rows in columns.items() if name.startswith("observation")})
    count = len(next(iter(columns.values())))
    nothing = np.zeros((count, *(given[1].shape or ())), given[1].dtype)
    if isinstance(given[1], spaces.Discrete | spaces.MultiDiscrete):
        nothing = nothing + given[1].start
    ends = np.ones(count, bool)
    return Recording(
        f"store:{run}", observation, nothing, None, ends, ends.copy(), np.zeros(0, np.int64),
        {k: v[:0] for k, v in observation.items()} if isinstance(observation, dict) else observation[:0],
        _space(observation), given[1], declared=False,
    )  # fmt: skip


def _observation(columns: dict[str, torch.Tensor]) -> Observation:
    seen = {name.partition("observation")[2]: rows.numpy() for name, rows in columns.items() if "observation" in name}
    return seen[""] if "" in seen else {name.removeprefix("/"): rows for name, rows in seen.items()}


def _space(observation: Observation) -> Space[Any]:
    if isinstance(observation, dict):
        return spaces.Dict({key: of_npz.space_of_observations(part) for key, part in observation.items()})
    return of_npz.space_of_observations(observation)
