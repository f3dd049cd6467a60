"""Who runs the chunks: threads of this process, or Ray (``on_ray``). The results are the same, bit for bit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, Queue
from threading import Event, Thread
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
        waiting: Queue[Chunk] = Queue()
        done: Queue[tuple[Chunk, Outcome | BaseException]] = Queue()
        stopped = Event()
        for chunk in chunks:
            waiting.put(chunk)
        for _ in range(self.threads):  # daemons: after Ctrl-C nobody waits for chunks that are half done
            Thread(target=_work, args=(waiting, done, stopped), daemon=True).start()
        try:
            for _ in chunks:
                chunk, found = done.get()
                if isinstance(found, BaseException):
                    raise found
                yield chunk, found
        finally:
            stopped.set()


def _work(waiting: Queue[Chunk], done: Queue[tuple[Chunk, Outcome | BaseException]], stopped: Event) -> None:
    """Run what is waiting until nothing is, or until nobody wants it any more."""
    while not stopped.is_set():
        try:
            chunk = waiting.get_nowait()
        except Empty:
            return
        try:
            done.put((chunk, run_chunk(chunk)))
        except BaseException as error:
            done.put((chunk, error))
