"""What you see: the components of the observation, each with its unit and its scale."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from understudy.envs.flight import enemy, missile
from understudy.envs.flight.world import BODY, ENEMY, YOU, Sight, World

NEAR = 1000.0
"""m at which nearness is one half."""
MIDDLE, HALF = (BODY.fastest + BODY.slowest) / 2, (BODY.fastest - BODY.slowest) / 2
CLOSING = {"enemy": 600.0, "missile": 1000.0}
"""m/s that closing speeds are divided by."""
RATE = 0.5
"""rad/s that the missile's line of sight is divided by."""


class Component(NamedTuple):
    name: str
    meaning: str


COMPONENTS = (
    Component("speed", "your speed, (v − 235 m/s) / 85 m/s"),
    Component("enemy_ahead", "cosine of the enemy's bearing off your nose"),
    Component("enemy_left", "sine of it, positive to the left"),
    Component("enemy_near", "1 km / (1 km + distance)"),
    Component("enemy_closing", "closing speed / 600 m/s"),
    Component("enemy_along", "cosine of its heading against yours"),
    Component("enemy_across", "sine of it, positive where it heads to your left"),
    Component("enemy_speed", "its speed, (v − 235 m/s) / 85 m/s"),
    Component("enemy_turn", "its turn rate / 0.3 rad/s, positive to the left"),
    Component("missile", "1 where a missile is in the air, else 0, and 0 in the rest of its components"),
    Component("missile_ahead", "cosine of its bearing off your nose"),
    Component("missile_left", "sine of it, positive to the left"),
    Component("missile_near", "1 km / (1 km + distance)"),
    Component("missile_closing", "closing speed / 1000 m/s"),
    Component("missile_along", "cosine of its heading against yours"),
    Component("missile_across", "sine of it"),
    Component("missile_rate", "turn rate of the line of sight / 0.5 rad/s, cut at ±1"),
    Component("missile_life", "the share of its 9 s that is left"),
)
INDEX = {component.name: i for i, component in enumerate(COMPONENTS)}
OBSERVATION = spaces.Box(-1, 1, (len(COMPONENTS),), np.float32)
ACTION = spaces.Box(-1, 1, (2,), np.float32)
"""Shares of your largest turn rate (positive to the left) and of your thrust (negative: brake)."""


def observe(world: World, foe: Sight, threat: Sight) -> np.ndarray:
    """``[N, 18]`` float32."""
    flying, bodies = world.flying, world.bodies
    speeds = (bodies.speed - MIDDLE) / HALF
    seen = np.stack(
        [
            speeds[YOU],
            *_bearing(foe, "enemy"),
            speeds[ENEMY],
            world.turn[ENEMY] / enemy.BODY.turn,
            flying,
            *_bearing(threat, "missile"),
            threat.rate / RATE,
            1 - np.where(flying, world.age, missile.LIFE) / missile.LIFE,
        ]
    )
    seen[INDEX["missile_ahead"] :, ~flying] = 0
    return np.clip(seen, -1, 1).T.astype(np.float32, order="C")


def _bearing(sight: Sight, name: str) -> tuple[np.ndarray, ...]:
    distance = np.maximum(sight.distance, 1.0)
    return (
        sight.ahead / distance,
        sight.left / distance,
        NEAR / (NEAR + sight.distance),
        sight.closing / CLOSING[name],
        sight.along,
        sight.across,
    )
