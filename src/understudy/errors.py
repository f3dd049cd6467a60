"""One small tree of errors. A message says what is wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UnderstudyError(Exception):
    """Anything the user can mend. The command line prints it without a traceback and exits with 2."""


class ConfigurationError(UnderstudyError):
    """An option or a configuration key that cannot be used; several are reported at once."""


class MethodError(UnderstudyError):
    """A method whose needs are not met, or terms that cannot be combined."""


class TeacherError(UnderstudyError):
    """A teacher file that cannot be read, is not what it seems, or would run code."""


class SpaceError(UnderstudyError):
    """Observation or action spaces that do not match; both are printed."""


class EnvironmentFailure(UnderstudyError):
    """An environment that cannot be made or stepped."""


class RunError(UnderstudyError):
    """A run folder that is missing, incomplete or of another kind."""


class HubError(UnderstudyError):
    """The Hugging Face Hub, where it cannot be reached, refuses, or has not what a name means."""


class ExportError(UnderstudyError):
    """An exported file that cannot be written, or that does not act as its student."""


class MissingExtra(UnderstudyError):
    """An optional package that this feature needs."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed. pip install 'understudy[{extra}]'")


@contextmanager
def said_of(what: str) -> Iterator[None]:
    """Errors begin with what they are about."""
    try:
        yield
    except UnderstudyError as error:
        error.args = (f"{what}: {error}",)
        raise


def nearest(word: str, known: Iterable[str], cutoff: float = 0.65) -> str:
    """``" Did you mean 'x'?"`` for the nearest known word, or an empty string."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return f" Did you mean {found[0]!r}?" if found else ""
