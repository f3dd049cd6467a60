"""MinAtar's games: registered with Gymnasium, and mended so that an episode depends on its seed alone."""

from __future__ import annotations

from typing import Any

import gymnasium

from understudy.errors import MissingExtra

PREFIX = "MinAtar/"


def register(env_id: str) -> None:
    """Gymnasium does not look for packages that register environments: theirs is asked here."""
    try:
        from minatar.gym import register_envs
    except ImportError:
        raise MissingExtra("MinAtar", "minatar", env_id) from None
    register_envs()


class FreshStart(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Forgets the last action of the episode before, which MinAtar may repeat as the first of the next one."""

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        self.env.unwrapped.game.last_action = 0  # type: ignore[attr-defined]
        return self.env.reset(**options)
