"""Checkpoints: the state of a run in one file each, whole or absent, and read without running code.

A state is a tree of dicts whose leaves are tensors, arrays and what JSON holds. The arrays are the file's tensors, the
rest is JSON in its header, in which each array is named.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from understudy.errors import RunError
from understudy.policies.whole_files import write_atomically

Tree = dict[str, Any]
FORMAT = "3"
KEPT = 2
BEGINNING = "beginning"
ARRAY, TENSOR = "$array", "$tensor"  # keys that stand for an array by its name


ANOTHER = "{} was written by another version of Understudy. Go on with that one, or begin anew"


@contextmanager
def of_this_version(place: Path) -> Iterator[None]:
    """A state from ``place`` is taken up: what is missing or unknown in it is another version's."""
    try:
        yield
    except (KeyError, TypeError) as error:
        raise RunError(ANOTHER.format(f"the checkpoint in {place}")) from error


class Saved(NamedTuple):
    """Where a run had got to: what its beginning settled for good, and the state at its last checkpoint."""

    beginning: Tree
    state: Tree

    @property
    def env_steps(self) -> int:
        return int(self.state["learner"]["env_steps"])

    @property
    def updates(self) -> int:
        return int(self.state["learner"]["updates"])


class Checkpoints:
    """The checkpoints in a folder, by their environment steps; the last two are kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, state: Tree) -> None:
        """A file of its own, which is never removed, for what does not change any more."""
        self.folder.mkdir(exist_ok=True)
        write_atomically(self._path(name), lambda path: save(state, path))

    def add(self, env_steps: int, state: Tree) -> None:
        """Write the next one and remove those that are too old."""
        self.write(f"{env_steps:012d}", state)
        for old in (*self._numbered()[KEPT:], *self.folder.glob(".*.tmp")):
            old.unlink()

    def latest(self, metrics: int) -> Saved | None:
        """The newest that is whole and no younger than the first ``metrics`` bytes of metrics.jsonl."""
        return self.newest_whole(lambda state: bool(state["metrics"] <= metrics))

    def newest_whole(self, fits: Callable[[Tree], bool]) -> Saved | None:
        """The newest that is not damaged and ``fits``."""
        beginning = load(self._path(BEGINNING))
        states = (state for path in self._numbered() if (state := load(path)) is not None)
        state = next(filter(fits, states), None)
        return None if beginning is None or state is None else Saved(beginning, state)

    @property
    def newest(self) -> int | None:
        """The environment steps of the last one."""
        found = self._numbered()
        return int(found[0].stem) if found else None

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def _numbered(self) -> list[Path]:
        """The newest first."""
        return sorted((path for path in self.folder.glob("*.safetensors") if path.stem.isdigit()), reverse=True)


def save(state: Tree, path: Path) -> None:
    """Write a state as one file, with checksums."""
    tensors: dict[str, Tensor] = {}
    plain = json.dumps(_named(state, "state", tensors))
    sums = {name: _checksum(tensor) for name, tensor in tensors.items()} | {"": zlib.crc32(plain.encode())}
    save_file(tensors, path, {"format": FORMAT, "state": plain, "checksums": json.dumps(sums)})


def load(path: Path) -> Tree | None:
    """The state that ``save`` wrote; None where the file is missing or damaged. RunError: written in another format."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        if header["format"] != FORMAT:
            raise RunError(ANOTHER.format(path))
        plain, sums = header["state"], json.loads(header["checksums"])
        found = {name: _checksum(tensor) for name, tensor in tensors.items()} | {"": zlib.crc32(plain.encode())}
        return _filled(json.loads(plain), tensors) if found == sums else None
    except (OSError, SafetensorError, ValueError, KeyError):
        return None


def size(state: Any) -> int:
    """Bytes of the arrays in a state."""
    if isinstance(state, Mapping):
        return sum(map(size, state.values()))
    return state.nbytes if isinstance(state, np.ndarray | Tensor) else 0


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data)


def _named(node: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The tree with names in place of its arrays, which go to ``tensors``."""
    if isinstance(node, Mapping):
        return {key: _named(child, f"{name}/{_escaped(key)}", tensors) for key, child in node.items()}
    if isinstance(node, Tensor):
        held = node.detach().cpu().contiguous()
        again = next((known for known, one in tensors.items() if _same(one, held)), None)  # one file takes it once only
        if again is None:
            tensors[name] = held
        return {TENSOR: again or name}
    if isinstance(node, np.ndarray):
        tensors[name] = torch.from_numpy(np.require(node, requirements=["C", "W"]))
        return {ARRAY: name}
    return node.item() if isinstance(node, np.generic) else node


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two are one and the same memory, as where tasks share parameters."""
    place = one.data_ptr() == other.data_ptr() and one.numel() > 0
    return place and one.shape == other.shape and one.dtype == other.dtype


def _escaped(key: str) -> str:
    """As in JSON pointers, so that no two places have one name."""
    return key.replace("~", "~0").replace("/", "~1")


def _filled(node: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of :func:`_named`."""
    if not isinstance(node, dict):
        return node
    if TENSOR in node:
        return tensors[node[TENSOR]]
    if ARRAY in node:
        return tensors[node[ARRAY]].numpy()
    return {key: _filled(child, tensors) for key, child in node.items()}
