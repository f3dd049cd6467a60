"""THE world of all three tasks: you, the enemy and its missile in N copies, stepped side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from understudy.envs.flight import enemy, missile
from understudy.envs.flight.motion import STEP, Airframe, Bodies, fly, least_distance, length

YOU, ENEMY, MISSILE = range(3)
BODY = Airframe(slowest=150.0, fastest=320.0, turn=0.40, pull=80.0, thrust=20.0)
SLOWEST, FASTEST = (
    np.array([[getattr(body, limit)] for body in (BODY, enemy.BODY, missile.BODY)]) for limit in ("slowest", "fastest")
)
START_RANGE, START_BEARING, START_SPEED = (1200.0, 2500.0), np.pi / 2, (200.0, 250.0)
"""m; rad off your nose at most, either way; m/s, of both."""
NUMBERS = 5 + enemy.NUMBERS
"""Uniform numbers that an episode takes: all chance is in them."""
NEVER = np.inf


class Sight(NamedTuple):
    """One body as you see it, ``[N]`` each."""

    ahead: np.ndarray
    """m along your heading"""
    left: np.ndarray
    """m to the left of it"""
    distance: np.ndarray
    """m"""
    closing: np.ndarray
    """m/s"""
    along: np.ndarray
    """cosine of the difference of headings"""
    across: np.ndarray
    """sine of it: above 0 where the other heads to your left"""
    rate: np.ndarray
    """rad/s of the line of sight"""


class World:
    """Positions and clocks of N copies. A copy's episode follows from its uniform numbers and actions alone."""

    def __init__(self, copies: int, missiles: int) -> None:
        self.copies, self.missiles = copies, missiles
        self.bodies, self.plan = Bodies.at_rest(3, copies), enemy.Plan.empty(copies)
        self.turn = np.zeros((3, copies))
        self.time = np.zeros(copies)
        self.left = np.zeros(copies, np.intp)
        """missiles that the enemy still carries"""
        self.age = np.full(copies, NEVER)
        """s since the launch of the one in the air; infinite where there is none"""
        self.wait = np.zeros(copies)
        """s before the next launch"""
        self.nearest = np.full(copies, NEVER)
        """m: how near the missile in the air has come"""
        self.hit = np.zeros(copies, bool)
        self.dodged = np.zeros(copies, np.intp)
        self.begin(np.arange(copies), np.full((NUMBERS, copies), 0.5))  # so that no copy is ever undefined

    @property
    def flying(self) -> np.ndarray:
        """``[N]`` whether there is a missile in the air."""
        return self.age < NEVER

    def begin(self, copies: np.ndarray, uniform: np.ndarray) -> None:
        """Episodes begin in these copies, by ``uniform [NUMBERS, n]`` in [0, 1)."""
        self.plan.put(copies, enemy.drawn(uniform[5:]))
        share = uniform[:5]
        speeds = START_SPEED[0] + (START_SPEED[1] - START_SPEED[0]) * share[3:]
        distance = START_RANGE[0] + (START_RANGE[1] - START_RANGE[0]) * share[0]
        bearing = np.pi / 2 + START_BEARING * (2 * share[1] - 1)
        x, y = distance * np.cos(bearing), distance * np.sin(bearing)
        self.bodies.place((YOU, copies), 0, 0, np.pi / 2, speeds[0])
        for body in (ENEMY, MISSILE):
            self.bodies.place((body, copies), x, y, 2 * np.pi * share[2], speeds[1])
        self.turn[:, copies] = 0
        self.time[copies], self.left[copies], self.dodged[copies] = 0, self.missiles, 0
        self.age[copies], self.nearest[copies], self.hit[copies] = NEVER, NEVER, False
        self.wait[copies] = self.plan.wait[0, copies] - enemy.RELOAD[0]

    def step(self, action: np.ndarray) -> None:
        """One step under ``action [2, N]`` in [-1, 1]: shares of your turn rate (left is positive) and thrust."""
        bodies, flying, offset = self.bodies, self.flying, self._you_from(MISSILE)
        rate = missile.sight_rate(offset, self._velocity(YOU) - self._velocity(MISSILE))
        speeds, distance = bodies.speed, length(self._you_from(ENEMY))
        enemy_turn, enemy_thrust = enemy.steer(self.plan, self.time, distance, speeds[ENEMY])
        self.turn = np.stack([action[0] * BODY.turn_limit(speeds[YOU]), enemy_turn, missile.guidance(rate)])
        thrust = np.stack([action[1] * BODY.thrust, enemy_thrust, missile.thrust(self.age)])
        fly(bodies, self.turn, thrust, SLOWEST, FASTEST)
        self.time += STEP
        self._follow(flying, offset)
        self._launch(~flying)

    def _you_from(self, body: int) -> np.ndarray:
        """``[2, N]`` m: where you are, seen from there."""
        bodies = self.bodies
        return np.stack([bodies.x[YOU] - bodies.x[body], bodies.y[YOU] - bodies.y[body]])

    def _velocity(self, body: int) -> np.ndarray:
        """``[2, N]`` m/s."""
        heading = self.bodies.heading[body]
        return self.bodies.speed[body] * np.stack([np.cos(heading), np.sin(heading)])

    def _follow(self, flying: np.ndarray, before: np.ndarray) -> None:
        """What became of the missiles: hits, those that were lost, and those that go on."""
        after, heading = self._you_from(MISSILE), self.bodies.heading[MISSILE]
        passed = np.minimum(self.nearest, least_distance(before, after))
        self.nearest = np.where(flying, passed, self.nearest)
        self.hit = flying & (passed < missile.BLAST)
        ahead = after[0] * np.cos(heading) + after[1] * np.sin(heading)
        self.age = self.age + STEP
        lost = (ahead < length(after) * np.cos(missile.VIEW)) | (self.age > missile.LIFE)
        over = flying & (self.hit | lost)
        self.dodged += over & ~self.hit
        self.age = np.where(over, NEVER, self.age)
        launched = (self.missiles - self.left) % enemy.MISSILES
        self.wait = np.where(over, self.plan.wait[launched, np.arange(self.copies)], self.wait - STEP)

    def _launch(self, idle: np.ndarray) -> None:
        """New missiles, where one is due and you are within its reach."""
        bodies, offset = self.bodies, self._you_from(ENEMY)
        distance = length(offset)
        inside = (distance > missile.NEAREST) & (distance < missile.FURTHEST)
        ready = np.flatnonzero(idle & (self.left > 0) & (self.wait <= 0) & inside)
        if len(ready):
            heading = missile.course(offset[:, ready], self._velocity(YOU)[:, ready])
            x, y = bodies.x[ENEMY, ready], bodies.y[ENEMY, ready]
            bodies.place((MISSILE, ready), x, y, heading, missile.LAUNCH_SPEED)
            self.left[ready] -= 1
            self.age[ready], self.nearest[ready] = 0, NEVER

    def sight(self) -> tuple[Sight, Sight]:
        """The enemy and the missile as you see them."""
        bodies = self.bodies
        cos, sin = np.cos(bodies.heading), np.sin(bodies.heading)
        east, north = bodies.speed * cos, bodies.speed * sin
        x, y = bodies.x[1:] - bodies.x[YOU], bodies.y[1:] - bodies.y[YOU]
        u, v = east[1:] - east[YOU], north[1:] - north[YOU]
        distance = np.sqrt(x * x + y * y)
        seen = (
            x * cos[YOU] + y * sin[YOU],
            y * cos[YOU] - x * sin[YOU],
            distance,
            -(x * u + y * v) / np.maximum(distance, 1.0),
            cos[1:] * cos[YOU] + sin[1:] * sin[YOU],
            sin[1:] * cos[YOU] - cos[1:] * sin[YOU],
            (x * v - y * u) / np.maximum(distance * distance, 1.0),
        )
        return Sight(*(part[0] for part in seen)), Sight(*(part[1] for part in seen))
