"""Scripted pilots: what one can do who knows the tasks, from observations alone.

Each is a function from observations ``[N, 18]`` to actions ``[N, 2]``, and so a teacher too:
``understudy distill understudy.envs.flight.pilots:chase --env understudy/Pursuit-v0 --trust``.
"""

from __future__ import annotations

import numpy as np

from understudy.envs.flight.seeing import CLOSING, INDEX, NEAR

STATION = 600.0
"""m: where a chase settles behind the enemy."""
BREAK, ALARM = 2.5, 1.5
"""s to the impact: when who flees turns hard, and when who chases breaks off for it."""


def chase(seen: np.ndarray) -> np.ndarray:
    """Point at the enemy and turn as it does; fast when far, at its speed when near."""
    bearing, distance, closing = _bearing(seen, "enemy")
    wanted = np.clip((distance - STATION) / 6, -60, 100)
    return _action(4 * bearing + 0.75 * seen[:, INDEX["enemy_turn"]], (wanted - closing) / 20)


def evade(seen: np.ndarray) -> np.ndarray:
    """Run from the enemy, and from its missile while it is far; turn hard away from its line when it is near."""
    threat = np.where(seen[:, INDEX["missile"]] > 0, _bearing(seen, "missile")[0], _bearing(seen, "enemy")[0])
    run = 3 * (threat - np.where(threat > 0, np.pi, -np.pi))
    return _action(np.where(_due(seen, BREAK), _hard(seen), run), np.ones(len(seen)))


def chase_and_evade(seen: np.ndarray) -> np.ndarray:
    """Chase, and turn hard only where a missile is about to hit."""
    dodge = _action(_hard(seen), np.ones(len(seen)))
    return np.where(_due(seen, ALARM)[:, None], dodge, chase(seen))


def _due(seen: np.ndarray, seconds: float) -> np.ndarray:
    """``[N]`` whether a missile would be here so soon."""
    _, distance, closing = _bearing(seen, "missile")
    return (seen[:, INDEX["missile"]] > 0) & (distance < seconds * np.maximum(closing, 50))


def _hard(seen: np.ndarray) -> np.ndarray:
    """``[N]`` the turn away from where the missile is."""
    return np.where(seen[:, INDEX["missile_left"]] > 0, -1.0, 1.0)


PILOTS = {"chase": chase, "evade": evade, "chase_and_evade": chase_and_evade}


def _bearing(seen: np.ndarray, body: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bearing off the nose, rad; distance, m; closing speed, m/s."""
    ahead, left, near, closing = (
        seen[:, INDEX[f"{body}_{name}"]].astype(float) for name in ("ahead", "left", "near", "closing")
    )
    return np.arctan2(left, ahead), NEAR / np.maximum(near, 1e-3) - NEAR, closing * CLOSING[body]


def _action(turn: np.ndarray, thrust: np.ndarray) -> np.ndarray:
    return np.clip(np.stack([turn, thrust], 1), -1, 1).astype(np.float32)
