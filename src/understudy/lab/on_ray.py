"""Chunks as Ray tasks: a local Ray, or the cluster at an address. The driver alone writes results."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from understudy.errors import MissingExtra, RunError
from understudy.lab.chunk import Chunk, Outcome, run_chunk

RETRIES = 5
PATIENCE = 5.0  # seconds


@dataclass
class OnRay:
    """``workers``: processes of a local Ray; None: one a core. ``memory``: bytes of its store of results.

    Every worker of a cluster needs the same version of this package. Ray starts at the first chunk.
    """

    address: str | None = None
    workers: int | None = None
    memory: int | None = None
    _ray: Any = field(default=None, init=False)
    _started: bool = field(default=False, init=False)

    def __enter__(self) -> OnRay:
        _import()  # a missing package shows before anything is run
        return self

    def __exit__(self, *_: object) -> None:
        if self._started:
            self._ray.shutdown()
            self._started = False

    def run(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Outcome]]:
        """A task a chunk; Ray runs those of a lost worker again."""
        ray = self._connect()
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(run_chunk_as)
        most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting = iter(chunks)
        running: dict[Any, Chunk] = {}
        try:
            while True:
                while len(running) < most and (chunk := next(waiting, None)) is not None:
                    running[task.remote(chunk, chunk.key)] = chunk
                if not running:
                    return
                done, _ = ray.wait(list(running), num_returns=1)
                yield running.pop(done[0]), _result(ray, done[0])
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _connect(self) -> Any:
        ray = self._ray = _import()
        if ray.is_initialized():
            return ray
        if self.address:
            _check_reachable(self.address)
        words: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self.address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a Ray of our own reports to nobody
            words |= {"num_cpus": self.workers, "object_store_memory": self.memory, "include_dashboard": False}
        try:
            ray.init(self.address or "local", **words)
        except Exception as error:
            where = f"the Ray cluster at {self.address}" if self.address else "a local Ray"
            raise RunError(f"{where} does not answer: {error}") from None
        self._started = True
        return ray


def run_chunk_as(chunk: Chunk, key: str) -> Outcome:
    """What a worker does: :func:`run_chunk`, by the same code as the driver's, of which ``key`` holds a digest."""
    if chunk.key != key:
        raise RunError(
            f"the Ray worker on {socket.gethostname()} has another version of understudy than this process, and its "
            "results might differ; install the same one on every machine of the cluster"
        )
    return run_chunk(chunk)


def _import() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingExtra("ray", "ray", "--on ray") from None
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself would wait for minutes before it says so."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        return  # "auto", which Ray resolves
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except OSError as error:
        raise RunError(f"no Ray cluster answers at {address}: {error}") from None


def _result(ray: Any, reference: Any) -> Outcome:
    try:
        found: Outcome = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise RunError(f"a chunk was lost {RETRIES + 1} times: {error}. What is finished is kept; run again.") from None
    return found
