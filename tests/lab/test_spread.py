"""Ray: the local run's bits from worker processes, one of which is killed."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_sweeps import SMALL, bits, curve

from understudy.errors import ConfigurationError, MissingExtra, RunError
from understudy.lab.on_ray import OnRay, run_chunk_as
from understudy.lab.spread import Local
from understudy.lab.sweep import Sweep

PROC = Path("/proc")
BUSY = "ray::run_chunk"


def busy_workers() -> list[int]:
    """Processes below this one that are running a chunk: Ray gives a worker its task's name."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir(PROC))) if _text(pid, "cmdline").startswith(BUSY)
            and _is_ours(pid)]  # fmt: skip


def _is_ours(pid: int) -> bool:
    while pid > 1:
        fields = _text(pid, "stat").rpartition(")")[2].split()
        if not fields:
            return False
        pid = int(fields[1])
        if pid == os.getpid():
            return True
    return False


def _text(pid: int, name: str) -> str:
    try:
        return (PROC / str(pid) / name).read_text(errors="replace")
    except OSError:
        return ""


def kill_one(killed: list[int], enough: threading.Event, ready: Callable[[], bool]) -> None:
    """As soon as some chunks are finished, the first worker that is at work."""
    while not enough.is_set():
        if ready() and (found := busy_workers()):
            os.kill(found[0], signal.SIGKILL)
            killed.append(found[0])
            return
        time.sleep(0.002)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the worker in /proc")
def test_two_ray_workers_of_which_one_is_killed_give_the_local_run_s_bits(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    scale = replace(SMALL, mdps=8, iterations=60_000)
    curves = [curve("on-policy-distill"), curve("exp-entropy-regularised")]
    local = Sweep(scale, tmp_path / "local", Local(2), chunk=1).train(curves)
    folder = tmp_path / "ray" / "chunks"
    killed: list[int] = []
    enough = threading.Event()
    killer = threading.Thread(target=kill_one, args=(killed, enough, lambda: len([*folder.glob("*.npz")]) >= 2))
    killer.start()
    try:
        with OnRay(workers=2, memory=100 * 2**20) as spread:
            spread_out = Sweep(scale, tmp_path / "ray", spread, chunk=1).train(curves)
    finally:
        enough.set()
        killer.join()
    assert len(killed) == 1
    assert bits(spread_out) == bits(local)


def test_an_address_where_no_cluster_is_is_refused_at_once(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"ray://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RunError, match=f"no Ray cluster answers at {address}"), OnRay(address) as spread:
            Sweep(SMALL, tmp_path, spread).train([curve("task-reward")])


def test_without_ray_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"--on ray needs ray.*understudy\[ray\]"), OnRay():
        pass


def test_a_worker_with_other_code_refuses_its_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest of the engine's code is another one, and so is the chunk's key."""
    (chunk,) = Sweep(SMALL, tmp_path, Local(1), chunk=SMALL.mdps)._chunks(curve("task-reward"))
    key = chunk.key
    monkeypatch.setattr("understudy.lab.chunk._code", lambda: "another version")
    with pytest.raises(RunError, match="has another version of understudy"):
        run_chunk_as(chunk, key)


def test_what_a_chunk_raises_reaches_the_caller_from_threads(tmp_path: Path) -> None:
    wrong = replace(curve("task-reward"), tutor=replace(curve("task-reward").tutor, kind="q-lerning"))
    with pytest.raises(ConfigurationError, match=r"unknown kind of teacher 'q-lerning'\. Did you mean 'q-learning'"):
        Sweep(SMALL, tmp_path, Local(2), chunk=3).train([wrong])
