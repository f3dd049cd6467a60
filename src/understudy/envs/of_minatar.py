"""MinAtar's games: registered with Gymnasium, and mended where they are not what an environment should be."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from understudy.errors import MissingExtra

PREFIX = "MinAtar/"
CELL = 16  # pixels of a picture for each cell of a game


def register(env_id: str) -> None:
    """Gymnasium does not look for packages that register environments: theirs is asked here."""
    try:
        from minatar.gym import register_envs
    except ImportError:
        raise MissingExtra("MinAtar", "minatar", env_id) from None
    register_envs()


class Mended(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An episode depends on its seed alone, and a picture is one.

    MinAtar may repeat the last action of the episode before as the first of the next one, and it answers one number
    from 0 to 1 for each colour of a cell.
    """

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        self.env.unwrapped.game.last_action = 0  # type: ignore[attr-defined]
        return self.env.reset(**options)

    def render(self) -> Any:
        shown = self.env.render()
        if self.env.render_mode != "rgb_array":
            return shown
        pixels = np.rint(255 * np.asarray(shown)).astype(np.uint8)
        return pixels.repeat(CELL, 0).repeat(CELL, 1)
