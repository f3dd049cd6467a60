"""How good a place behind the enemy is: what the chase pays, and what counts as a lock."""

from __future__ import annotations

import numpy as np

from understudy.envs.flight.world import Sight

LOCK = (200.0, 1000.0)
"""m: distances of a lock."""
NOSE, TAIL = np.pi / 9, np.pi / 4
"""rad: in a lock the enemy is no further off your nose, and you are no further off its tail."""
BEST, TAPER = 800.0, 600.0
"""m: the distance within which a place is as good as any, and the growth beyond that halves its worth."""
TOO_NEAR = 300.0
"""m: nearer than this the worth falls to 0 at contact."""

AWAY = 3000.0
"""m: as far from the enemy as it pays to be."""


def angles(enemy: Sight) -> tuple[np.ndarray, np.ndarray]:
    """``[N]`` cosines: of the enemy off your nose, and of you off its tail. Both are 1 right behind it."""
    distance = np.maximum(enemy.distance, 1.0)
    return enemy.ahead / distance, (enemy.ahead * enemy.along + enemy.left * enemy.across) / distance


def worth(enemy: Sight) -> np.ndarray:
    """``[N]`` in [0, 1]: 1 behind the enemy, near, and pointing at it."""
    nose, tail = angles(enemy)
    facing = (1 + nose) / 2 * (1 + tail) / 2
    beyond = np.maximum(enemy.distance - BEST, 0) / TAPER
    return facing * facing * np.minimum(enemy.distance / TOO_NEAR, 1) / (1 + beyond * beyond)


def locked(enemy: Sight) -> np.ndarray:
    """``[N]`` whether the enemy could be shot at."""
    nose, tail = angles(enemy)
    inside = (enemy.distance > LOCK[0]) & (enemy.distance < LOCK[1])
    return inside & (nose > np.cos(NOSE)) & (tail > np.cos(TAIL))


def escape(enemy: Sight) -> np.ndarray:
    """``[N]`` in [0, 1]: the share of ``AWAY`` that lies between you and the enemy."""
    return np.minimum(enemy.distance / AWAY, 1)
