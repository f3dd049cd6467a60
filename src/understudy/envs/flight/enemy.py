"""The enemy: it weaves and breaks by a plan drawn when the episode begins, the harder the nearer you are."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from understudy.envs.flight.motion import Airframe

BODY = Airframe(slowest=180.0, fastest=260.0, turn=0.30, pull=60.0, thrust=10.0)
LEGS, LEG = 12, 2.5
"""Parts of a plan, and the seconds of each; a plan begins anew behind its last leg."""
MISSILES = 4
"""The most that it carries."""
CALM = 0.35
"""Share of its turns that it flies where nobody is near."""
CLOSE, FAR = 600.0, 1800.0
"""m: it turns as hard as it can within the one, calmly beyond the other."""
RELOAD = (3.0, 6.0)
"""s between a missile's end and the next launch."""


@dataclass
class Plan:
    """``[..., N]``: what N enemies are going to do, as long as nobody comes near."""

    turn: np.ndarray
    """``[LEGS, N]`` share of the largest turn rate, held through each leg"""
    thrust: np.ndarray
    """``[LEGS, N]`` share of the thrust"""
    weave: np.ndarray
    """``[N]`` share of the turn rate that swings"""
    rate: np.ndarray
    """``[N]`` rad/s of the weaving"""
    phase: np.ndarray
    """``[N]`` rad"""
    wait: np.ndarray
    """``[MISSILES, N]`` s before each launch"""

    @classmethod
    def empty(cls, copies: int) -> Plan:
        return drawn(np.zeros((NUMBERS, copies)))

    def put(self, copies: np.ndarray, other: Plan) -> None:
        """These copies' plans are the other's from now on."""
        for field in fields(self):
            getattr(self, field.name)[..., copies] = getattr(other, field.name)


NUMBERS = 2 * LEGS + 3 + MISSILES
"""Uniform numbers that a plan takes."""


def drawn(uniform: np.ndarray) -> Plan:
    """The plans that ``uniform [NUMBERS, n]`` in [0, 1) make: half of the legs straight, half of them breaks."""
    legs, throttle, rest, wait = np.split(uniform, [LEGS, 2 * LEGS, 2 * LEGS + 3])
    side = np.sign(legs - 0.5)
    hard = np.abs(4 * legs - 2) - 1  # above 0 in half of them
    return Plan(
        turn=side * np.sqrt(np.maximum(hard, 0)),
        thrust=2 * throttle - 1,
        weave=0.3 + 0.4 * rest[0],
        rate=0.6 + 0.9 * rest[1],
        phase=2 * np.pi * rest[2],
        wait=RELOAD[0] + (RELOAD[1] - RELOAD[0]) * wait,
    )


def steer(plan: Plan, time: np.ndarray, distance: np.ndarray, speed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``[N]`` each: turn rate, rad/s, and acceleration, m/s², at these times and distances of its pursuer."""
    leg = (time / LEG).astype(np.intp) % LEGS
    copies = np.arange(len(time))
    wanted = plan.turn[leg, copies] + plan.weave * np.sin(plan.rate * time + plan.phase)
    near = np.minimum(np.maximum((FAR - distance) / (FAR - CLOSE), 0), 1)
    share = np.minimum(np.maximum(wanted, -1), 1) * (CALM + (1 - CALM) * near)
    return share * BODY.turn_limit(speed), plan.thrust[leg, copies] * BODY.thrust
