"""A console that cuts a run off, as a kill does, but in this process."""

from __future__ import annotations

import signal

from understudy.runs.console import Silent


class Cut(BaseException):
    """Instead of a kill: nothing catches it, and nothing is tidied up."""


class Cutter(Silent):
    """Cuts a run off after so many rounds, or ``politely`` asks it to stop as Ctrl-C does; hears what is said."""

    def __init__(self, rounds: int | None = None, politely: bool = False) -> None:
        self.left, self.politely, self.begun = rounds, politely, 0
        self.notes, self.warnings = list[str](), list[str]()

    def begin(self, steps: int, what: str = "", unit: str = "steps", done: int = 0) -> None:
        self.begun = done

    def progress(self, steps: int, recovered: float | None = None) -> None:
        if self.left is None:
            return
        self.left -= 1
        if not self.left and self.politely:
            signal.raise_signal(signal.SIGINT)
        elif not self.left:
            raise Cut

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)
