"""A chunk of a sweep: some neighbouring MDPs of one curve, drawn from seeds, trained, measured, and forgotten."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

import understudy
from understudy.engines.tabular.setting import Setting
from understudy.lab.curve import Ground, Tutor
from understudy.lab.draw import draw_mdp, draw_teacher, training_seeds

MOST_MDPS = 32
MOST_CELLS = 2_000_000
KEPT = 3
_CODE = (
    "engines/tabular", "mdp", "math/compiled.py", "methods/method.py", "methods/schedule.py", "lab/chunk.py",
    "lab/draw.py",
)  # fmt: skip


@dataclass(frozen=True)
class Chunk:
    """MDPs ``first`` to ``stop`` (not included) of a curve; ``points``: iterations after which to measure."""

    setting: Setting
    ground: Ground
    tutor: Tutor
    seed: int
    iterations: int
    points: tuple[int, ...]
    first: int
    stop: int

    @property
    def episodes(self) -> int:
        return (self.stop - self.first) * self.iterations

    @property
    def description(self) -> str:
        """Everything that decides the result, and nothing else: neither names nor remarks."""
        method = self.setting.method
        row = (method.control, method.loss, method.reward)
        settings = {name: value for name, value in vars(self.setting).items() if name != "method"}
        rest = {name: value for name, value in vars(self).items() if name != "setting"}
        return repr((row, settings, rest, _code()))

    @property
    def key(self) -> str:
        return hashlib.sha256(self.description.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Outcome:
    """``metrics``: name to ``[MDPs, P]`` in float32; ``facts``: name to ``[MDPs]``."""

    metrics: dict[str, np.ndarray]
    facts: dict[str, np.ndarray]


@cache
def _code() -> str:
    """A digest of the code that results depend on: results of other code are not mixed with ours."""
    home = Path(understudy.__file__).parent
    files = [file for part in _CODE for file in ([home / part] if part.endswith(".py") else (home / part).glob("*.py"))]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def size_of(ground: Ground) -> int:
    """MDPs a chunk: fewer where states times actions are many, so that memory stays bounded."""
    states = ground.size**2 if ground.kind == "grid" else ground.size
    return max(1, min(MOST_MDPS, MOST_CELLS // (states * ground.actions)))


def run_chunk(chunk: Chunk) -> Outcome:
    """Draw, train, measure; a pure function of ``chunk``."""
    from understudy.engines.tabular.train import train

    packed, facts = _prepared(chunk)
    seeds = training_seeds(chunk.seed, range(chunk.first, chunk.stop))
    trained = train(packed, chunk.setting, chunk.iterations, np.array(chunk.points), seeds)
    metrics = {name: values.astype(np.float32) for name, values in trained.metrics.items()}
    return Outcome(metrics, facts | {"steps": trained.steps, "cut": trained.cut})


def _prepared(chunk: Chunk) -> Any:
    """Worlds and teachers, packed, and the facts about them; kept for the other curves of the same family."""
    from understudy.engines.tabular.pack import pack
    from understudy.engines.tabular.train import facts

    indices, gamma = range(chunk.first, chunk.stop), chunk.setting.gamma

    def make() -> Any:
        mdps = _WORLDS.get((chunk.ground, chunk.seed, indices), worlds)
        pairs = zip(mdps, indices, strict=True)
        packed = pack(mdps, [draw_teacher(chunk.tutor, mdp, chunk.seed, index, gamma) for mdp, index in pairs])
        return packed, facts(packed)

    def worlds() -> Any:
        return [draw_mdp(chunk.ground, chunk.seed, index) for index in indices]

    return _FAMILIES.get((chunk.ground, chunk.tutor, chunk.seed, indices, gamma), make)


class _Kept:
    """The last few things made, by key. Threads that want the same thing wait for the first of them to make it."""

    def __init__(self, most: int) -> None:
        self.most, self.lock = most, Lock()
        self.entries: OrderedDict[Hashable, tuple[Lock, list[Any]]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        with self.lock:
            entry = self.entries.setdefault(key, (Lock(), []))
            self.entries.move_to_end(key)
            while len(self.entries) > self.most:
                self.entries.popitem(last=False)
        lock, found = entry
        with lock:
            if not found:
                found.append(make())
        return found[0]


_WORLDS, _FAMILIES = _Kept(KEPT), _Kept(KEPT)
