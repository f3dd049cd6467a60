"""What the student, the teacher and the critic each see of an observation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from understudy.envs.simulator import blank
from understudy.errors import ConfigurationError, SpaceError, TeacherError, nearest
from understudy.policies.open_function import named
from understudy.policies.policy import Observation

FORMS = "'' (everything), '0,2' (entries of a flat Box), 'key:a,b' (keys of a Dict) or 'module:function'"


@dataclass(frozen=True)
class View:
    """A part of an observation, taken from arrays with any leading dimensions. ``text`` is what it was parsed from."""

    text: str = ""
    keys: tuple[str, ...] = ()
    entries: tuple[int, ...] = ()
    function: Callable[[Any], Any] | None = field(default=None, compare=False, repr=False)

    def __call__(self, observation: Observation) -> Observation:
        if not self.text:
            return observation
        if self.function is not None:
            return self.function(observation)
        if isinstance(observation, dict):
            if len(self.keys) == 1:
                return observation[self.keys[0]]
            return {key: observation[key] for key in self.keys}
        return observation[..., self.entries]

    def space(self, observation_space: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
        """The space of what is seen; a view that does not fit ``observation_space`` is refused."""
        if self.function is not None:
            return self._space_of_function(observation_space)
        if self.keys:
            return self._space_of_keys(observation_space)
        return self._space_of_entries(observation_space) if self.entries else observation_space

    def _space_of_keys(self, seen: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
        if not isinstance(seen, spaces.Dict):
            raise SpaceError(
                f"view {self.text!r} selects keys, but observations are {seen}. Select entries, as in '0,2'."
            )
        for key in self.keys:
            if key not in seen.spaces:
                known = ", ".join(seen.spaces)
                raise SpaceError(f"view {self.text!r}: no key {key!r} among {known}.{nearest(key, seen.spaces)}")
        if len(self.keys) == 1:
            return seen[self.keys[0]]
        return spaces.Dict({key: seen[key] for key in self.keys})

    def _space_of_entries(self, seen: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
        if not isinstance(seen, spaces.Box) or len(seen.shape) != 1:
            mend = "Select keys, as in 'key:a,b'" if isinstance(seen, spaces.Dict) else "Use module:function"
            raise SpaceError(f"view {self.text!r} selects entries of a flat Box, but observations are {seen}. {mend}.")
        if max(self.entries) >= seen.shape[0]:
            raise SpaceError(f"view {self.text!r}: entries run from 0 to {seen.shape[0] - 1} in {seen}.")
        chosen = list(self.entries)
        return spaces.Box(seen.low[chosen], seen.high[chosen], dtype=seen.dtype.type)

    def _space_of_function(self, seen: gymnasium.Space[Any]) -> gymnasium.Space[Any]:
        """By trying it on zeros; its bounds are unknown."""
        once, twice = self(blank(seen, 2)), self(blank(seen, 3, 2))
        if isinstance(once, dict) and isinstance(twice, dict):
            return spaces.Dict({key: self._box(once[key], twice.get(key)) for key in once})
        return self._box(once, twice)

    def _box(self, once: Any, twice: Any) -> gymnasium.Space[Any]:
        if not isinstance(once, np.ndarray) or not isinstance(twice, np.ndarray) or twice.shape != (3, *once.shape):
            shapes = f"{np.shape(once)} from [2, ...] and {np.shape(twice)} from [3, 2, ...]"
            raise SpaceError(
                f"view {self.text!r} must answer arrays and keep all leading dimensions, got {shapes}. "
                "Index from the end, as in observation[..., :3]."
            )
        if once.dtype == np.uint8:
            return spaces.Box(0, 255, once.shape[1:], np.uint8)
        return spaces.Box(-np.inf, np.inf, once.shape[1:], once.dtype.type)

    def __str__(self) -> str:
        return self.text or "everything"


EVERYTHING = View()


@dataclass(frozen=True)
class ObservationViews:
    """What each side and the estimator's critic see."""

    student: View = EVERYTHING
    teacher: View = EVERYTHING
    critic: View = EVERYTHING


def parse_view(text: str) -> View:
    """A view from its text; see FORMS."""
    text = text.strip()
    if not text:
        return EVERYTHING
    kind, colon, rest = text.partition(":")
    if not colon:
        return View(text, entries=_entries(text))
    if kind == "key":
        return View(text, keys=_distinct(text, tuple(key.strip() for key in rest.split(","))))
    try:
        found = named(text)
    except TeacherError as error:
        raise ConfigurationError(f"view {text!r}: {error}") from None
    if not callable(found):
        raise ConfigurationError(f"view {text!r} is a {type(found).__name__}, not a function of the observation.")
    return View(text, function=found)


def _entries(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise ConfigurationError(f"a view is {FORMS}, got {text!r}.")
    return _distinct(text, tuple(int(word) for word in words))


def _distinct(text: str, chosen: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(chosen)) < len(chosen) or "" in chosen:
        raise ConfigurationError(f"view {text!r} names something twice or nothing. A view is {FORMS}.")
    return chosen
