"""Who runs the chunks: threads of this process, or Ray (``on_ray``). The results are the same, bit for bit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from understudy.lab.chunk import Chunk, Outcome, run_chunk


class Spread(Protocol):
    """``with spread:`` gives back what it holds."""

    def __enter__(self) -> Spread: ...
    def __exit__(self, *_: object) -> None: ...

    def run(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Outcome]]:
        """Each chunk with its outcome, in the order in which they are finished; few wait in memory."""
        ...


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Local:
    """``threads`` chunks at once, each on one core: compiled code lets go of the interpreter's lock."""

    threads: int = field(default_factory=cores)

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Outcome]]:
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="chunk")
        waiting = iter(chunks)
        running: dict[Future[Outcome], Chunk] = {}
        try:
            while True:
                while len(running) <= self.threads and (chunk := next(waiting, None)) is not None:
                    running[pool.submit(run_chunk, chunk)] = chunk
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(done), done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
