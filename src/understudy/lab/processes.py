"""Work for PyTorch, one process a core; what a stopped run has finished is not run again."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import understudy
from understudy.lab.experiment import Bench
from understudy.lab.spread import cores

Item = TypeVar("Item")
Numbers = dict[str, list[float]]
_CODE = (
    *(f"{package}/*.py" for package in ("engines", "envs", "math", "mdp", "methods", "policies")),
    "lab/draw.py",
    "lab/small_network.py",
)


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
            try:
                for done in bench.track(_Finishing(running), label):
                    _keep(running[done], done.result())  # type: ignore[index, attr-defined]
            except BaseException:  # after an error or Ctrl-C nobody waits for what has not begun
                pool.shutdown(cancel_futures=True)
                raise
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
    """Of the item, the work's own text and the code below it: what other code has done is not taken for ours."""
    return hashlib.sha256(f"{inspect.getsource(work)} {item!r} {_code()}".encode()).hexdigest()[:24]


@cache
def _code() -> str:
    home, digest = Path(understudy.__file__).parent, hashlib.sha256()
    for file in sorted(file for part in _CODE for file in home.glob(part)):
        digest.update(file.read_bytes())
    return digest.hexdigest()
