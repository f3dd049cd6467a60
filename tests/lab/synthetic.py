"""Curves made by hand, in the place of trained ones: what a claim makes of them is known beforehand."""

from __future__ import annotations

import numpy as np

from understudy.lab.experiment import Measured

ITERATIONS = np.arange(0, 101, 2)
WORLDS = 12


def wobble(size: float = 0.05) -> np.ndarray:
    """``[WORLDS, 1]``: what differs from world to world, with mean 0."""
    return size * np.linspace(-1, 1, WORLDS)[:, None]


def rising(
    time: float, start: float = 0.0, end: float = 10.0, fall: float = 0.0, kl: dict[str, float] | None = None
) -> Measured:
    """Returns straight from ``start`` to ``end`` within ``time`` iterations, then straight down by ``fall``.

    The uniform policy earns 0 and the teacher 10. ``kl``: by visitation, the height of a level curve.
    """
    up = np.minimum(ITERATIONS / time, 1.0)
    down = np.clip((ITERATIONS - time) / (ITERATIONS[-1] - time), 0.0, 1.0)
    returns = start + (end - start) * up - fall * down + wobble() * up
    heights = {"student": 1.0, "teacher": 1.0, "uniform": 1.0} | (kl or {})
    metrics = {f"kl-{name}": np.full(returns.shape, height) * (1 + wobble()) for name, height in heights.items()}
    level = np.ones(WORLDS)
    facts = {"teacher-return": 10 * level, "uniform-return": 0 * level, "optimal-return": 12 * level}
    return Measured(ITERATIONS, {"return": returns, **metrics}, facts)
