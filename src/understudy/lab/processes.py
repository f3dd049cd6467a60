"""Work for PyTorch, one process a core; what a stopped run has finished is not run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from understudy.lab.experiment import Bench
from understudy.lab.spread import cores

Item = TypeVar("Item")
Numbers = dict[str, list[float]]


def each(work: Callable[[Item], Numbers], items: Sequence[Item], bench: Bench, label: str) -> list[Numbers]:
    """``work(item)`` for every item, in order. ``work`` is a module's function and decides by its item alone."""
    folder = bench.folder / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{_key(work, item)}.json" for item in items]
    missing = [(item, path) for item, path in zip(items, paths, strict=True) if not path.exists()]
    if missing:
        # fresh interpreters: a forked PyTorch may wait for threads that it does not have
        workers = min(cores(), len(missing))
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_alone) as pool:
            running = {pool.submit(work, item): path for item, path in missing}
            for done in bench.track(_Finishing(running), label):
                _keep(running[done], done.result())  # type: ignore[index, attr-defined]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


class _Finishing(Sequence[Any]):
    """Futures in the order in which they are done, as something that can be counted."""

    def __init__(self, running: dict[Any, Path]) -> None:
        self.running = running

    def __len__(self) -> int:
        return len(self.running)

    def __getitem__(self, index: Any) -> Any:
        return list(self.running)[index]

    def __iter__(self) -> Any:
        return as_completed(self.running)


def _alone() -> None:
    """One PyTorch thread: the processes share the cores."""
    import torch

    torch.set_num_threads(1)


def _keep(path: Path, numbers: Numbers) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(numbers), encoding="utf-8")
    unfinished.replace(path)


def _key(work: Callable[..., Any], item: object) -> str:
    return hashlib.sha256(f"{work.__module__}.{work.__qualname__} {item!r}".encode()).hexdigest()[:24]
