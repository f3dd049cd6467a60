"""A sweep in a process of its own that is interrupted or killed in mid-run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from small_sweeps import SMALL, Counted, bits, curve

from understudy.lab.chunk import Chunk
from understudy.lab.spread import Local
from understudy.lab.store import Store
from understudy.lab.sweep import Sweep

LONG = replace(SMALL, mdps=400, iterations=4000)
PROGRAM = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
sys.path.insert(0, sys.argv[1])
from small_sweeps import curve
from test_resume import LONG
from understudy.lab.spread import Local
from understudy.lab.sweep import Sweep
Sweep(LONG, Path(sys.argv[2]), Local(2), chunk=2).train([curve("on-policy-distill")])
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_what_was_finished_when_the_process_ended_is_kept_and_sound(how: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "chunks"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(tmp_path)], stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while len(list(folder.glob("*.npz"))) < 3 and time.monotonic() < until:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(how)
        assert process.wait(20) != 0
    finally:
        process.kill()
    finished = len(list(folder.glob("*.npz")))
    assert 3 <= finished < LONG.mdps // 2
    part = replace(LONG, mdps=4)
    spread = Counted()
    found = Sweep(part, tmp_path, spread, chunk=2).train([curve("on-policy-distill")])
    assert len(spread.ran) == 0
    assert bits(found) == bits(Sweep(part, tmp_path / "whole", Local(1)).train([curve("on-policy-distill")]))


def test_a_chunk_that_cannot_be_written_whole_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored: list[Chunk] = []
    real = Store.save

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def save(self: Store, chunk: Chunk, outcome: object) -> None:
        stored.append(chunk)
        with monkeypatch.context() as patch:
            patch.setattr("numpy.savez", full_disk)
            real(self, chunk, outcome)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "save", save)
    with pytest.raises(OSError, match="No space left"):
        Sweep(SMALL, tmp_path).train([curve("task-reward")])
    assert len(stored) == 1
    assert list((tmp_path / "chunks").iterdir()) == []
