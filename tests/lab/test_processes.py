"""Work in processes of its own: in order, kept, not done twice, and an error that does not wait for the rest."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from small_bench import SmallBench

from understudy.lab.experiment import Scale
from understudy.lab.processes import each
from understudy.lab.spread import cores


def square(item: tuple[str, int]) -> dict[str, list[float]]:
    """Leaves a trace of every call; 13 is an error, and from 100 on it takes long."""
    folder, n = item
    with (Path(folder) / "calls").open("a") as calls:
        calls.write(f"{n}\n")
    if n == 13:
        raise ValueError("thirteen")
    if n >= 100:
        time.sleep(0.1)
    return {"square": [float(n * n)]}


def calls(folder: Path) -> list[int]:
    return sorted(map(int, (folder / "calls").read_text().split()))


def test_results_are_in_order_and_what_is_finished_is_not_done_again(tmp_path: Path) -> None:
    bench = SmallBench(Scale(), tmp_path)
    items = [(str(tmp_path), n) for n in (3, 1, 2)]
    wanted = [{"square": [9.0]}, {"square": [1.0]}, {"square": [4.0]}]
    assert each(square, items[:2], bench, "squares") == wanted[:2]
    assert each(square, items, bench, "squares") == wanted
    assert calls(tmp_path) == [1, 2, 3]


def test_an_error_is_told_without_waiting_for_work_that_has_not_begun(tmp_path: Path) -> None:
    items = [(str(tmp_path), n) for n in (13, *range(100, 300))]
    with pytest.raises(ValueError, match="thirteen"):
        each(square, items, SmallBench(Scale(), tmp_path), "squares")
    time.sleep(1.5)  # enough for many more
    assert len(calls(tmp_path)) <= 4 * cores()
