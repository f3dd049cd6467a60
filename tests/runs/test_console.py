"""Progress: plain lines, a bar on a terminal, silence."""

from __future__ import annotations

import io
import re

import pytest

from understudy.runs.console import Bar, Lines, Pace, clock, open_console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_plain_lines_appear_every_few_seconds_and_at_evaluations() -> None:
    stream = io.StringIO()
    with Lines(stream, seconds=1e9) as console:
        console.begin(1000, "distilling a into b")
        console.progress(100)
        console.progress(200)
        console.evaluated(300, 41.5, 0.25)
        console.warning("beware")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "distilling a into b"
    assert lines[1].startswith("300 of 1,000 steps, ")
    assert lines[1].endswith("left, student's return 41.5, recovered 25.0%")
    assert lines[2:] == ["warning: beware"]
    with Lines(stream := io.StringIO(), seconds=0) as console:
        console.begin(10)
        console.progress(5, recovered=0.5)
    assert "recovered 50.0%" in stream.getvalue()


def test_a_terminal_gets_a_bar_with_rate_share_and_time_left() -> None:
    stream = Terminal()
    console = open_console(stream=stream)
    assert isinstance(console, Bar)
    console.terminal.width = 120
    with console:
        console.begin(1000)
        console.progress(400, recovered=0.31)
        console.note("inferred [x]")
        console.bar.refresh()
        shown = stream.getvalue()
    assert all(words in shown for words in ("recovered 31.0%", "400 of 1,000 steps", "/s", "left", "inferred [x]"))


def test_on_80_columns_the_bar_shows_the_recovered_fraction_the_rate_and_the_time_left() -> None:
    stream = Terminal()
    console = Bar(stream)
    console.terminal.width = 80
    what = "on-policy-distill over aggregated states: PPO of SB3, 64-64, normalised (ppo-Walker2d-v5.zip) -> mlp:64,64"
    with console:
        console.begin(500_000, what)
        console.pace.begun -= 40
        console.progress(400_000, recovered=0.313)
        console.bar.refresh()
        frame = stream.getvalue().split("\x1b[2K")[-1]
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n")
    assert " ".join(what.split()) in " ".join(shown.split()), "the description stands whole, on lines of its own"
    bar = next(line for line in shown.splitlines() if "recovered" in line)
    assert re.search(r"recovered 31\.3%, [\d,]+/s, at most 0:\d\d left", bar)
    assert "…" not in bar
    assert "..." not in bar
    assert max(map(len, shown.splitlines())) <= 80, frame


def test_quiet_runs_show_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    with open_console(quiet=True) as console:
        console.begin(10)
        console.note("nothing")
        console.progress(5, 0.5)
        console.evaluated(5, 1.0, None)
        console.warning("the trap")
    assert capsys.readouterr() == ("", "warning: the trap\n")


def test_time_left_is_the_rest_of_the_budget_at_the_rate_so_far() -> None:
    pace = Pace(budget=300)
    assert pace.left is None
    pace.begun -= 10
    pace.steps = 100
    assert pace.rate == pytest.approx(10, rel=0.01)
    assert pace.left == pytest.approx(20, rel=0.01)
    assert [clock(s) for s in (7, 754, 3723)] == ["0:07", "12:34", "1:02:03"]


def test_no_time_is_left_once_the_budget_is_overshot() -> None:
    pace = Pace(1000)
    pace.begun -= 10
    pace.steps = 1200
    assert pace.left == 0
