"""What stops a run on its way: said with when it was, and with what is kept of it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from safetensors import SafetensorError

from understudy.errors import EnvironmentFailure, RunError, TeacherError
from understudy.runs.checkpoints import Checkpoints

OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
COUNTED = "environment steps"


class Folder(Protocol):
    """Where a run is, and its checkpoints."""

    path: Path

    @property
    def checkpoints(self) -> Path: ...


class Counted(Protocol):
    """What has made so many environment steps and updates."""

    @property
    def env_steps(self) -> int: ...
    @property
    def updates(self) -> int: ...


@contextmanager
def told(folder: Folder, learner: Counted, command: str = "understudy distill") -> Iterator[None]:
    """Errors of the environment, the teacher, the training and the disk, and Ctrl-C, with the fix.

    ``command``: what goes on with such a folder, by its --resume.
    """
    try:
        yield
    except (EnvironmentFailure, RunError, TeacherError) as error:
        text = f"{str(error).rstrip('.')}. "
        text += "" if COUNTED in text else f"The run had made {_made(learner)}. "
        raise type(error)(text + kept(folder, "mend that and go on with", command)) from error
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno not in OF_DISKS:
            raise
        why = getattr(error, "strerror", None) or str(error)
        text = f"writing to {folder.path} failed after {_made(learner)}: {why}. "
        raise RunError(text + kept(folder, "make room and go on with", command)) from error
    except KeyboardInterrupt as why:
        text = f"stopped after {_made(learner)}. {why}"
        raise KeyboardInterrupt(text + kept(folder, "go on with", command)) from None


def _made(learner: Counted) -> str:
    """How far it has got; without an environment nobody takes a step."""
    if learner.env_steps or not learner.updates:
        return f"{learner.env_steps:,} {COUNTED}"
    return f"{learner.updates:,} updates"


def kept(folder: Folder, then: str, command: str = "understudy distill") -> str:
    """What a run that stops leaves, and the command that goes on from there."""
    found = Checkpoints(folder.checkpoints).newest
    none = "The run has no checkpoint yet and will begin anew"
    what = none if found is None else f"The checkpoint at {found:,} is kept"
    return f"{what}: {then} {command} --resume {folder.path}"
