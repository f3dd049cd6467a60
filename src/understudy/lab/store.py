"""Finished chunks on disk: whole or absent, and never taken for those of other settings."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.lab.chunk import Chunk, Outcome


@dataclass(frozen=True)
class Store:
    """One ``.npz`` a chunk, named by a digest of everything that decides its content."""

    folder: Path

    def path(self, chunk: Chunk) -> Path:
        return self.folder / f"{chunk.key}.npz"

    def save(self, chunk: Chunk, outcome: Outcome) -> None:
        """Under a temporary name, then renamed: a sweep that is stopped leaves no half chunk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.path(chunk)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        arrays: dict[str, Any] = {f"metric:{name}": values for name, values in outcome.metrics.items()}
        arrays |= {f"fact:{name}": values for name, values in outcome.facts.items()}
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays, description=np.array(chunk.description))
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def load(self, chunk: Chunk) -> Outcome | None:
        """None where the chunk is missing, cannot be read or is of other settings: such a chunk is run again."""
        try:
            with np.load(self.path(chunk), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        if str(arrays.pop("description", "")) != chunk.description:
            return None
        outcome = Outcome(_named(arrays, "metric:"), _named(arrays, "fact:"))
        return outcome if _fits(outcome, chunk) else None

    def has(self, chunk: Chunk) -> bool:
        """Whether there is a file; only :meth:`load` tells whether it is sound."""
        return self.path(chunk).exists()


def _named(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def _fits(outcome: Outcome, chunk: Chunk) -> bool:
    mdps = chunk.stop - chunk.first
    shapes = [values.shape == (mdps, len(chunk.points)) for values in outcome.metrics.values()]
    shapes += [values.shape == (mdps,) for values in outcome.facts.values()]
    return bool(outcome.metrics) and bool(outcome.facts) and all(shapes)
