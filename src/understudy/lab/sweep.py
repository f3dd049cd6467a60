"""Curves trained on all MDPs of a scale, chunk by chunk; what is finished is kept and never run again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np

from understudy.errors import ConfigurationError, RunError
from understudy.lab.chunk import Chunk, size_of
from understudy.lab.curve import Curve
from understudy.lab.experiment import Measured, Scale
from understudy.lab.spread import Local, Spread
from understudy.lab.store import Store
from understudy.runs.console import Console, Silent

LATER = 2
"""Points are spaced as a power of the iteration: the early part of a curve, where it moves, has most of them."""


def measured_at(iterations: int, points: int) -> np.ndarray:
    """Iterations ``[P]`` after which to measure, from 0 to the end, at most ``points`` and each once."""
    shares = np.linspace(0, 1, points) ** LATER
    return np.unique(np.rint(iterations * shares).astype(np.int64))


@dataclass(frozen=True)
class Sweep:
    """What an experiment works with (``experiment.Bench``). ``chunk``: MDPs a chunk; None: as memory allows."""

    scale: Scale
    folder: Path
    spread: Spread = field(default_factory=Local)
    console: Console = field(default_factory=Silent)
    chunk: int | None = None

    def train(self, curves: Sequence[Curve]) -> dict[str, Measured]:
        """Every curve by its name, on all MDPs of the scale."""
        names = [curve.name for curve in curves]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(f"every curve needs a name of its own, got twice: {', '.join(twice)}")
        parts = {curve.name: self._chunks(curve) for curve in curves}
        self._finish(list(_by_world([*parts.values()])))
        return {name: self._gather(chunks) for name, chunks in parts.items()}

    def track(self, items: Sequence[object], label: str) -> Iterator[object]:
        """The items, with a progress bar."""
        self.console.begin(len(items), label, "items")
        for count, item in enumerate(items, 1):
            yield item
            self.console.progress(count)

    @property
    def store(self) -> Store:
        return Store(self.folder / "chunks")

    def _chunks(self, curve: Curve) -> list[Chunk]:
        mdps = min(curve.mdps or self.scale.mdps, self.scale.mdps)
        iterations = min(curve.iterations or self.scale.iterations, self.scale.iterations)
        points = tuple(measured_at(iterations, self.scale.points).tolist())
        size = self.chunk or size_of(curve.ground)
        return [
            Chunk(curve.setting, curve.ground, curve.tutor, self.scale.seed, iterations, points, first, stop)
            for first in range(0, mdps, size)
            for stop in [min(first + size, mdps)]
        ]

    def _finish(self, chunks: list[Chunk]) -> None:
        """Run what is missing or broken; each chunk is on disk as soon as it is done."""
        missing = [chunk for chunk in dict.fromkeys(chunks) if not self._sound(chunk)]
        if not missing:
            return
        kept = len(set(chunks)) - len(missing)
        self.console.begin(
            sum(chunk.episodes for chunk in missing),
            f"{len(missing)} chunks to run" + (f", {kept} kept from before" if kept else ""),
            "episodes",
        )
        done = 0
        for chunk, outcome in self.spread.run(missing):
            self.store.save(chunk, outcome)
            done += chunk.episodes
            self.console.progress(done)

    def _sound(self, chunk: Chunk) -> bool:
        if not self.store.has(chunk):
            return False
        sound = self.store.load(chunk) is not None
        if not sound:
            self.console.warning(f"{self.store.path(chunk)} cannot be read or is of other settings; it is run again")
        return sound

    def _gather(self, chunks: list[Chunk]) -> Measured:
        facts: list[dict[str, np.ndarray]] = []
        with ExitStack() as stack:
            files: dict[str, IO[bytes]] = {}
            for chunk in chunks:
                outcome = self.store.load(chunk)
                if outcome is None:
                    raise RunError(f"{self.store.path(chunk)} was changed while the sweep ran; run it again")
                facts.append(outcome.facts)
                for name, values in outcome.metrics.items():
                    if name not in files:
                        files[name] = stack.enter_context(TemporaryFile(dir=self.folder))
                    files[name].write(values.astype(np.float32).tobytes())
            points = np.array(chunks[0].points)
            metrics = {name: _mapped(file, (chunks[-1].stop, len(points))) for name, file in files.items()}
        return Measured(points, metrics, {name: np.concatenate([one[name] for one in facts]) for name in facts[0]})


def _mapped(file: IO[bytes], shape: tuple[int, int]) -> np.ndarray:
    """A file's float32 numbers, read when they are looked at: a large sweep's metrics need not fit into memory."""
    file.flush()
    return np.asarray(np.memmap(file, np.float32, "r", shape=shape))


def _by_world(parts: Sequence[list[Chunk]]) -> Iterator[Chunk]:
    """Chunks on the same worlds one after the other, so that worlds and teachers are made once."""
    chunks = [chunk for part in parts for chunk in part]
    yield from sorted(chunks, key=lambda chunk: (repr(chunk.ground), chunk.first, chunk.stop, repr(chunk.tutor)))
