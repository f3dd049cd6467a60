"""Which family of distributions an action space calls for."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
from gymnasium import spaces

from understudy.errors import SpaceError
from understudy.math.distributions import Family


def family_of(space: gymnasium.Space[Any], squashed: bool = False) -> Family:
    """The family of distributions over an action space; over a Box a Gaussian, perhaps squashed into its bounds."""
    if isinstance(space, spaces.Discrete):
        return Family("categorical", (int(space.n),))
    if isinstance(space, spaces.MultiDiscrete):
        return Family("multi-categorical", tuple(int(n) for n in space.nvec.flat))
    if isinstance(space, spaces.MultiBinary):
        return Family("bernoulli", (math.prod(space.shape),))
    if isinstance(space, spaces.Box):
        return Family("squashed-gaussian" if squashed else "gaussian", (math.prod(space.shape),))
    raise SpaceError(
        f"actions must be Discrete, MultiDiscrete, MultiBinary or Box, got {space}. "
        "Wrap the environment so that its actions are one of these."
    )
