"""Wrappers by name, what a teacher's observations need of them, and whether spaces match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces, wrappers

from understudy.errors import ConfigurationError, EnvironmentFailure, SpaceError, TeacherError, nearest
from understudy.policies.open_function import named

Env = gymnasium.Env[Any, Any]
ATARI_SHAPES = ((4, 84, 84), (84, 84, 4))


class TimeFeature(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Appends the remaining share of the episode, 1 - t / limit: sb3-contrib's TimeFeatureWrapper."""

    def __init__(self, env: Env, limit: int) -> None:
        space = env.observation_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise SpaceError(f"time-feature extends a flat Box, but observations are {space}. Flatten them first.")
        super().__init__(env)
        low, high = np.append(space.low, 0.0), np.append(space.high, 1.0)
        self.observation_space = spaces.Box(low.astype(space.dtype), high.astype(space.dtype), dtype=space.dtype.type)
        self.limit, self.elapsed = limit, 0

    def reset(self, **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.elapsed = 0
        observation, info = self.env.reset(**options)
        return self._extended(observation), info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        self.elapsed += 1
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._extended(observation), reward, terminated, truncated, info

    def _extended(self, observation: np.ndarray) -> np.ndarray:
        row = np.empty(len(observation) + 1, self.observation_space.dtype)
        row[:-1] = observation
        row[-1] = 1 - self.elapsed / self.limit
        return row


def time_limit(env: Env) -> int | None:
    """The steps after which the environment truncates an episode, if it has such a limit."""
    layer: Any = env
    while isinstance(layer, gymnasium.Wrapper):
        if isinstance(layer, wrappers.TimeLimit):
            return layer._max_episode_steps
        layer = layer.env
    return layer.spec.max_episode_steps if layer.spec is not None else None


def _time_feature(env: Env, argument: str) -> Env:
    limit = _whole("time-feature", argument) if argument else time_limit(env)
    if limit is None:
        raise EnvironmentFailure("time-feature needs the length of an episode; give it, as in time-feature:1000.")
    return TimeFeature(env, limit)


def _frame_stack(env: Env, argument: str) -> Env:
    return wrappers.FrameStackObservation(env, _whole("frame-stack", argument or "4"))


def _atari(env: Env, argument: str) -> Env:
    return wrappers.FrameStackObservation(wrappers.AtariPreprocessing(env), 4)


def _time_limit(env: Env, argument: str) -> Env:
    return wrappers.TimeLimit(env, _whole("time-limit", argument))


def _whole(name: str, argument: str) -> int:
    if not argument.isdecimal() or int(argument) < 1:
        raise ConfigurationError(f"wrapper {name} takes a positive number, as in {name}:4, got {argument!r}.")
    return int(argument)


WRAPPERS: dict[str, Callable[[Env, str], Env]] = {
    "time-feature": _time_feature,
    "time-limit": _time_limit,
    "frame-stack": _frame_stack,
    "flatten": lambda env, _: wrappers.FlattenObservation(env),
    "atari": _atari,
    "clip-action": lambda env, _: wrappers.ClipAction(env),
    "rescale-action": lambda env, _: wrappers.RescaleAction(env, np.float32(-1), np.float32(1)),
    "none": lambda env, _: env,  # in place of the wrappers that a student brings
}
ARGUMENTS = ("time-feature", "time-limit", "frame-stack")
ENV_KWARGS: dict[str, dict[str, Any]] = {"atari": {"frameskip": 1}}
"""What a wrapper needs the environment to be made with: AtariPreprocessing skips the frames itself."""


def parse_wrapper(text: str) -> Callable[[Env], Env]:
    """A function that wraps an environment: a name of WRAPPERS, with its argument, or ``module:function``."""
    name, colon, argument = text.partition(":")
    if name in WRAPPERS:
        if colon and name not in ARGUMENTS:
            raise ConfigurationError(f"wrapper {name} takes no argument, got {text!r}.")
        return lambda env: WRAPPERS[name](env, argument)
    if not colon:
        known = f"There are {', '.join(WRAPPERS)} and module:function."
        raise ConfigurationError(f"no wrapper is called {text!r}.{nearest(text, WRAPPERS)} {known}")
    try:
        found = named(text)
    except TeacherError as error:
        raise ConfigurationError(f"wrapper {text!r}: {error}") from None
    if not callable(found):
        raise ConfigurationError(f"wrapper {text!r} is a {type(found).__name__}, not a function of an environment.")
    return found


def wrapped(env: Env, names: Sequence[str]) -> Env:
    """The environment in these wrappers, the first innermost."""
    for name in names:
        wrap = parse_wrapper(name)
        try:
            env = wrap(env)
        except (AssertionError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"wrapper {name!r} refuses {env.observation_space}, {env.action_space}: {error}. Leave it out"
            ) from error
        if not isinstance(env, gymnasium.Env):
            raise EnvironmentFailure(f"wrapper {name!r} answered a {type(env).__name__}, not a Gymnasium environment.")
    return env


def infer_wrappers(
    teacher_observation_space: gymnasium.Space[Any],
    env_observation_space: gymnasium.Space[Any],
    max_episode_steps: int | None,
) -> tuple[tuple[str, ...], str | None]:
    """The wrappers without which the environment shows less than the teacher was trained on, and a message."""
    teacher, env = teacher_observation_space, env_observation_space
    if not isinstance(teacher, spaces.Box) or not isinstance(env, spaces.Box):
        return (), None
    if teacher.shape in ATARI_SHAPES and env.shape[-1:] == (3,) and len(env.shape) == 3:
        return ("atari",), (
            f"The teacher sees {teacher.shape}, the environment shows {env.shape}: adding wrapper 'atari' "
            "(84x84 grey, every fourth frame, four stacked)."
        )
    if not (len(env.shape) == 1 and teacher.shape == (env.shape[0] + 1,) and max_episode_steps):
        return (), None
    if teacher.low[-1] != 0 or teacher.high[-1] != 1:
        return (), None
    return ("time-feature",), (
        f"The teacher sees {teacher.shape[0]} numbers, the environment shows {env.shape[0]}, and the last one lies in "
        f"[0, 1]: adding wrapper 'time-feature' (the share of the {max_episode_steps} steps that remains)."
    )


def check_spaces(
    teacher_obs: gymnasium.Space[Any],
    teacher_act: gymnasium.Space[Any],
    env_obs: gymnasium.Space[Any],
    env_act: gymnasium.Space[Any],
    squashed: bool = False,
    who: str = "teacher",
    mend: str = "Name the environment the teacher was trained in, or add what it was wrapped in (--wrap).",
    other: str = "environment",
) -> None:
    """Refuses spaces of other kinds or shapes; bounds may differ, and images may have their channels first or last.

    ``squashed``: the teacher's actions are scaled to the bounds of their Box, which must then be the environment's.
    ``who`` and ``other``: whose spaces both are, where not the teacher's and the environment's; ``mend``: what that one
    does about it.
    """
    wrong = [
        f"{what}: the {who}'s {words(teacher)} against the {other}'s {words(env)}"
        for what, teacher, env in (("observations", teacher_obs, env_obs), ("actions", teacher_act, env_act))
        if not _alike(teacher, env)
    ]
    if wrong:
        raise SpaceError(f"the {who} and the {other} do not match. {'; '.join(wrong)}. {mend}")
    if squashed and not same_bounds(teacher_act, env_act):
        raise SpaceError(
            f"the teacher's actions are scaled to the bounds of {words(teacher_act)}, but the environment's are those "
            f"of {words(env_act)}. Name the environment the teacher was trained in, or add --wrap rescale-action if "
            "that environment was rescaled."
        )


def words(space: gymnasium.Space[Any]) -> str:
    """A space as short as it can be said."""
    if not isinstance(space, spaces.Box):
        return str(space)
    low, high = f"{space.low.min():.3g}", f"{space.high.max():.3g}"
    shape = "x".join(map(str, space.shape))
    return f"Box({shape} of {space.dtype}, {low} to {high})"


def same_bounds(one: gymnasium.Space[Any], other: gymnasium.Space[Any]) -> bool:
    """Whether both are Boxes of the same bounds."""
    return (
        isinstance(one, spaces.Box)
        and isinstance(other, spaces.Box)
        and np.allclose(one.low, other.low)
        and np.allclose(one.high, other.high)
    )


def _alike(one: gymnasium.Space[Any], other: gymnasium.Space[Any]) -> bool:
    if isinstance(one, spaces.Dict) and isinstance(other, spaces.Dict):
        return set(one.spaces) == set(other.spaces) and all(_alike(one[key], other[key]) for key in one.spaces)
    if isinstance(one, spaces.Box) and isinstance(other, spaces.Box):
        return other.shape in _layouts(one.shape)
    if isinstance(one, spaces.Discrete) and isinstance(other, spaces.Discrete):
        return one.n == other.n
    if isinstance(one, spaces.MultiDiscrete) and isinstance(other, spaces.MultiDiscrete):
        return np.array_equal(one.nvec, other.nvec)
    return type(one) is type(other) and one.shape == other.shape


def _layouts(shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """An image's shape with its channels first and last."""
    if len(shape) != 3:
        return (shape,)
    first, middle, last = shape
    return shape, (middle, last, first), (last, first, middle)
