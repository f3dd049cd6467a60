"""Questions with yes or no, to a person at a terminal or to what is piped in; a script is never kept waiting."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

from understudy.errors import ConfigurationError
from understudy.methods.advice import Question

WORDS = {"y": True, "yes": True, "n": False, "no": False}
PATIENCE = 1.0  # seconds that an open but silent pipe, as of many schedulers, is given


class Asker:
    """Asks on stderr, so that stdout holds the answer alone; None where there is nobody, or nobody any more."""

    def __init__(self, source: TextIO | None = None) -> None:
        source = sys.stdin if source is None else source
        self.person = source is not None and not source.closed and source.isatty()
        self._lines = _nothing() if source is None or source.closed else iter(source) if self.person else _piped(source)

    def __call__(self, question: Question) -> bool | None:
        """Enter stands for the answer in capitals, ``?`` for what is meant."""
        choice = "[Y/n/?]" if question.assumed else "[y/N/?]"
        if self.person:
            _say(f"{question.text} {choice} ", end="")
        while (line := next(self._lines, None)) is not None:
            word = line.strip().lower()
            if not self.person and word != "?":
                _say(f"{question.text} {choice} {word}")
            if not word or word in WORDS:
                return WORDS.get(word, question.assumed)
            if not self.person and word != "?":
                raise ConfigurationError(
                    f"the answer to {question.text!r} ({question.flag}) is yes or no, got {word!r}"
                )
            _say(f"{question.meaning if word == '?' else 'Please answer yes or no.'} {choice} ", end="")
        if self.person:
            _say("")
        return None


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


def _nothing() -> Iterator[str]:
    return iter(())


def _piped(source: TextIO) -> Iterator[str]:
    """Lines of a pipe or a file, until it ends or nothing comes for a while."""
    try:
        number = source.fileno()
    except (OSError, ValueError):
        yield from _held(source)
        return
    pending = b""
    while chunk := _chunk(number):
        *lines, pending = (pending + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
    if pending:
        yield pending.decode(errors="replace")


def _chunk(number: int) -> bytes:
    """What is there now or soon; nothing where the system cannot tell, as Windows of pipes."""
    try:
        return os.read(number, 4096) if select.select([number], [], [], PATIENCE)[0] else b""
    except OSError:
        return b""


def _held(source: TextIO) -> Iterator[str]:
    """Lines of a stream that is no file, such as a test's."""
    try:
        yield from source
    except OSError:
        return
