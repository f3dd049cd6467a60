"""What a person sees during a run, on stderr: a progress bar, plain lines, or nothing."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO


class Console(Protocol):
    """Told what happens; ``with console:`` puts the terminal back in order."""

    def __enter__(self) -> Console: ...
    def __exit__(self, *_: object) -> None: ...

    def note(self, text: str) -> None:
        """Something worth knowing, such as what was inferred."""
        ...

    def warning(self, text: str) -> None:
        """Something that may spoil the run."""
        ...

    def begin(self, steps: int, what: str = "", unit: str = "steps", done: int = 0) -> None:
        """``steps``: the budget, of environment steps or of what ``unit`` says; may be called again for more work.

        ``done``: how many of them an earlier run has taken.
        """
        ...

    def progress(self, steps: int, recovered: float | None = None) -> None:
        """Environment steps so far; cheap enough to call after every collection."""
        ...

    def evaluated(self, steps: int, mean_return: float, recovered: float | None) -> None:
        """An evaluation is in."""
        ...


def open_console(quiet: bool = False, stream: TextIO | None = None) -> Console:
    """Silent, a bar where ``stream`` (stderr) is a terminal, else lines."""
    stream = sys.stderr if stream is None else stream
    if quiet:
        return Silent()
    return Bar(stream) if stream.isatty() else Lines(stream)


class Silent:
    """Shows nothing but warnings, which go to stderr all the same."""

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def warning(self, text: str) -> None:
        print(f"warning: {text}", file=sys.stderr)

    def begin(self, steps: int, what: str = "", unit: str = "steps", done: int = 0) -> None:
        pass

    def progress(self, steps: int, recovered: float | None = None) -> None:
        pass

    def evaluated(self, steps: int, mean_return: float, recovered: float | None) -> None:
        pass


@dataclass
class Pace:
    """Steps per second, and the time that the rest of the budget takes at that rate."""

    budget: int = 0
    unit: str = "steps"
    begun: float = field(default_factory=time.monotonic)
    steps: int = 0
    first: int = 0  # steps that were done before

    @property
    def rate(self) -> float:
        return (self.steps - self.first) / max(time.monotonic() - self.begun, 1e-9)

    @property
    def left(self) -> float | None:
        """Seconds, at most: a run that reaches its target ends sooner."""
        return max(0.0, self.budget - self.steps) / self.rate if self.steps > self.first else None

    def __str__(self) -> str:
        return f"{self.done}, {self.speed}"

    @property
    def done(self) -> str:
        return f"{self.steps:,} of {self.budget:,} {self.unit}"

    @property
    def speed(self) -> str:
        left = "" if self.left is None else f", at most {clock(self.left)} left"
        rate = f"{self.rate:,.0f}" if self.rate >= 10 else f"{self.rate:.2g}"
        return f"{rate}/s{left}"


def clock(seconds: float) -> str:
    """``0:07``, ``12:34`` or ``1:02:03``."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def share(recovered: float | None) -> str:
    return "" if recovered is None else f"recovered {recovered:.1%}"


class Lines:
    """One line every few seconds, and one at each evaluation; for logs and pipes."""

    def __init__(self, stream: TextIO, seconds: float = 5.0) -> None:
        self.stream, self.seconds = stream, seconds
        self.pace, self.shown = Pace(), time.monotonic()
        self.recovered: float | None = None

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.flush()

    def note(self, text: str) -> None:
        self._print(text)

    def warning(self, text: str) -> None:
        self._print(f"warning: {text}")

    def begin(self, steps: int, what: str = "", unit: str = "steps", done: int = 0) -> None:
        self.pace = Pace(steps, unit, steps=done, first=done)
        if what:
            self._print(what)

    def progress(self, steps: int, recovered: float | None = None) -> None:
        self.pace.steps = steps
        self.recovered = self.recovered if recovered is None else recovered
        if time.monotonic() - self.shown >= self.seconds:
            self._print(", ".join(filter(None, (str(self.pace), share(self.recovered)))))

    def evaluated(self, steps: int, mean_return: float, recovered: float | None) -> None:
        self.pace.steps, self.recovered = steps, recovered
        self._print(", ".join(filter(None, (str(self.pace), f"student's return {mean_return:.1f}", share(recovered)))))

    def _print(self, text: str) -> None:
        self.shown = time.monotonic()
        print(text, file=self.stream, flush=True)


BAR = 14


class Bar:
    """A bar over the budget: the recovered fraction, the rate and the time left; then the steps, where they fit."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console as Terminal
        from rich.progress import BarColumn, Progress, TextColumn

        self.terminal = Terminal(file=stream)
        columns = (BarColumn(bar_width=BAR), TextColumn("{task.fields[facts]}", markup=False))
        self.bar: Any = Progress(*columns, console=self.terminal, transient=True, refresh_per_second=8)
        self.pace, self.task = Pace(), None
        self.recovered: float | None = None

    def __enter__(self) -> Console:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def note(self, text: str) -> None:
        self.terminal.print(text, markup=False, highlight=False)

    def warning(self, text: str) -> None:
        self.terminal.print(f"warning: {text}", style="yellow", markup=False, highlight=False)

    def begin(self, steps: int, what: str = "", unit: str = "steps", done: int = 0) -> None:
        self.pace = Pace(steps, unit, steps=done, first=done)
        if what:
            self.note(what)
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.task = self.bar.add_task("", total=steps, completed=done, facts="")

    def progress(self, steps: int, recovered: float | None = None) -> None:
        self.pace.steps = steps
        self.recovered = self.recovered if recovered is None else recovered
        if self.task is not None:
            facts = ", ".join(filter(None, (share(self.recovered), self.pace.speed)))
            whole = f"{facts}, {self.pace.done}"
            fits = BAR + 1 + len(whole) <= self.terminal.width
            self.bar.update(self.task, completed=steps, facts=whole if fits else facts)

    def evaluated(self, steps: int, mean_return: float, recovered: float | None) -> None:
        self.progress(steps, recovered)
