"""Missiles: proportional navigation, with a limited turn rate, a limited view and limited fuel."""

from __future__ import annotations

import numpy as np

from understudy.envs.flight.motion import STEP, Airframe, length

BODY = Airframe(slowest=150.0, fastest=520.0, turn=0.12, pull=np.inf, thrust=300.0)
GAIN = 4.0
"""Turn rate for each rad/s that the line of sight turns by."""
VIEW = np.pi / 3
"""rad: a target that is further off its nose is lost, and so is the missile."""
BURN = 1.0
"""s of thrust."""
DRAG = 25.0
"""m/s² that it loses afterwards."""
LIFE = 9.0
"""s"""
LAUNCH_SPEED, CRUISE = 300.0, 440.0
"""m/s at the launch, and about what it flies on average."""
BLAST = 10.0
"""m: a target that comes nearer is hit."""
NEAREST, FURTHEST = 300.0, 4500.0
"""m: launched at targets between these."""


def sight_rate(offset: np.ndarray, drift: np.ndarray) -> np.ndarray:
    """``[N]`` rad/s at which the line of sight turns, by the target's ``offset`` and its change, ``[2, N]``."""
    cross = offset[0] * drift[1] - offset[1] * drift[0]
    return cross / np.maximum((offset * offset).sum(0), 1.0)


def guidance(rate: np.ndarray) -> np.ndarray:
    """``[N]`` the turn rate of proportional navigation, within the limit."""
    return np.minimum(np.maximum(GAIN * rate, -BODY.turn), BODY.turn)


def course(offset: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """``[N]`` rad: the heading of a launch at targets at an ``offset`` with a ``velocity``, ``[2, N]`` each:
    about where they are met if they fly straight on."""
    across = sight_rate(offset, velocity) * length(offset)
    return np.arctan2(offset[1], offset[0]) + np.arcsin(np.minimum(np.maximum(across / CRUISE, -1), 1))


def thrust(age: np.ndarray) -> np.ndarray:
    """``[N]`` m/s², by seconds since the launch."""
    return np.where(age < BURN - STEP / 2, BODY.thrust, -DRAG)
