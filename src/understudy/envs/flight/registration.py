"""Tell Gymnasium of the tasks as soon as it is there, without importing it.

Gymnasium 1.x looks for no packages that register environments (it had done so by entry points before 1.0).
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

REGISTRY = "gymnasium.envs"
PREFIX = "understudy/"
HOME = "understudy.envs.flight"
STEPS = 300
"""A time limit of 30 s."""
TASKS = ("Pursuit", "Evasion", "Combat")


def register() -> None:
    """Register the three tasks; once is enough."""
    from gymnasium.envs import registration

    for name in TASKS:
        env_id = f"{PREFIX}{name}-v0"
        if env_id not in registration.registry:
            registration.register(
                env_id,
                entry_point=f"{HOME}.single:FlightEnv",
                vector_entry_point=f"{HOME}.vector:FlightVectorEnv",
                max_episode_steps=STEPS,
                kwargs={"task": name},
            )


def register_soon() -> None:
    """Register now where Gymnasium is imported already, otherwise right after it is."""
    if REGISTRY in sys.modules and "gymnasium" in sys.modules:
        register()
    elif not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())


class _Waiting:
    """Sees Gymnasium's registry being imported, adds the tasks behind it, and is gone."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != REGISTRY:
            return None
        sys.meta_path.remove(self)
        found = PathFinder.find_spec(name, path, target)
        if found is not None and found.loader is not None:
            load = found.loader.exec_module

            def load_and_register(module: ModuleType) -> None:
                load(module)
                register()

            found.loader.exec_module = load_and_register  # type: ignore[method-assign]
        return found
