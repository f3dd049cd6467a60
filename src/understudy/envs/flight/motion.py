"""Flight in the plane: points with a heading and a speed, which turn and accelerate within limits.

Metres, seconds and radians; x is east, y is north, headings are anticlockwise from east.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

STEP = 0.1
"""Seconds between two decisions."""


@dataclass(frozen=True)
class Airframe:
    """What a body can do: its range of speeds, and how fast it turns: ``turn`` at most, and no tighter than a lateral
    acceleration of ``pull`` allows at its speed. ``thrust`` is the largest change of speed, either way."""

    slowest: float
    """m/s"""
    fastest: float
    """m/s"""
    turn: float
    """rad/s"""
    pull: float
    """m/s²"""
    thrust: float
    """m/s²"""

    def turn_limit(self, speed: np.ndarray) -> np.ndarray:
        """The largest turn rate at this speed, rad/s."""
        return np.minimum(self.turn, self.pull / speed)


@dataclass
class Bodies:
    """``[B, N]`` each: B bodies in N copies of the world."""

    x: np.ndarray
    y: np.ndarray
    heading: np.ndarray
    speed: np.ndarray

    @classmethod
    def at_rest(cls, bodies: int, copies: int) -> Bodies:
        return cls(*(np.zeros((bodies, copies)) for _ in range(4)))

    def place(self, index: Any, x: Any, y: Any, heading: Any, speed: Any) -> None:
        """Put bodies somewhere."""
        self.x[index], self.y[index], self.heading[index], self.speed[index] = x, y, heading, speed


def fly(
    bodies: Bodies, turn: np.ndarray, thrust: np.ndarray, slowest: np.ndarray, fastest: np.ndarray, step: float = STEP
) -> None:
    """One step under constant ``turn`` rates and accelerations, ``[B, N]``; speeds stay within their limits.

    Exact on a straight line; in a turn the points lie on a circle of radius (v·step/2) / sin(turn·step/2), which is
    v/turn but for one part in ten thousand.
    """
    speed = np.minimum(np.maximum(bodies.speed + thrust * step, slowest), fastest)
    way = (bodies.speed + speed) * (step / 2)
    middle = bodies.heading + turn * (step / 2)
    bodies.x += way * np.cos(middle)
    bodies.y += way * np.sin(middle)
    bodies.heading += turn * step
    bodies.speed = speed


def least_distance(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """``[N]``: how near the origin comes to the straight line from ``before`` to ``after``, ``[2, N]`` each."""
    way = after - before
    share = -(before * way).sum(0) / np.maximum((way * way).sum(0), 1e-12)
    nearest = before + np.minimum(np.maximum(share, 0), 1) * way
    return length(nearest)


def length(vectors: np.ndarray) -> np.ndarray:
    """``[N]`` of ``[2, N]``."""
    return np.sqrt((vectors * vectors).sum(0))
