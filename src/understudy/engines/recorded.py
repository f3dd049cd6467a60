"""Where steps come from that were taken before: a data set, which is given once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from understudy.envs.recording import DONE, SEEN, Recording
from understudy.envs.rollout import Window
from understudy.envs.views import ObservationViews, View
from understudy.errors import RunError


class Recorded:
    """The pieces of a recording, window after window; meets :class:`understudy.engines.source.Source`."""

    copies = 1
    whole_episodes = False

    def __init__(self, recording: Recording, pieces: np.ndarray, with_next: bool) -> None:
        """``pieces``, ``with_next``: as :meth:`Recording.windows` takes them."""
        self.recording, self.pieces, self.with_next = recording, pieces, with_next
        self.given = 0
        self._next: Window | None
        self._rest, self._next = self._windows(), None

    def _windows(self) -> Iterator[Window]:
        return itertools.islice(self.recording.windows(self.pieces, self.with_next), self.given, None)

    @property
    def left(self) -> bool:
        """Whether there is any more."""
        if self._next is None:
            self._next = next(self._rest, None)
        return self._next is not None

    def collect(self, progress: float) -> Window:
        window, self._next = self._next if self.left else None, None
        if window is None:
            raise RunError(f"{self.recording.name} has been given to the end; there is no environment to go on in")
        self.given += 1
        return window

    def first(self) -> Window:
        """The first window, which is given all the same."""
        return next(self.recording.windows(self.pieces, self.with_next))

    def state(self) -> dict[str, Any]:
        return {"given": self.given}

    def restore(self, state: dict[str, Any]) -> bool:
        self.given = state["given"]
        self._rest, self._next = self._windows(), None
        return True


def looking_back(views: ObservationViews, cloning: bool) -> ObservationViews:
    """The same views of windows of a recording. ``cloning``: the teacher is shown the action that was recorded."""

    def seen(view: View) -> View:
        return View(f"recorded {view}", function=lambda shown: view(shown[SEEN]))

    done = View("the recorded action", function=lambda shown: shown[DONE])
    return ObservationViews(seen(views.student), done if cloning else seen(views.teacher), seen(views.critic))
