"""Stable-Baselines3 and sb3-contrib where they are installed: the one place that imports them."""

from __future__ import annotations

import importlib
from typing import Any

from understudy.errors import MissingExtra

ALGORITHMS = {
    "PPO": "stable_baselines3",
    "A2C": "stable_baselines3",
    "DQN": "stable_baselines3",
    "SAC": "stable_baselines3",
    "TD3": "stable_baselines3",
    "DDPG": "stable_baselines3",
    "TRPO": "sb3_contrib",
    "QRDQN": "sb3_contrib",
    "TQC": "sb3_contrib",
    "ARS": "sb3_contrib",
    "RecurrentPPO": "sb3_contrib",
}


def algorithm(name: str, purpose: str) -> Any:
    """The class of that name; MissingExtra, with ``purpose``, where its package is not installed."""
    return getattr(_package(ALGORITHMS[name], purpose), name)


def vec_env(purpose: str) -> Any:
    """SB3's module of vector environments and their wrappers."""
    return _package("stable_baselines3.common.vec_env", purpose)


def pickled(thing: Any) -> str:
    """As Stable-Baselines3 saves what is no plain data."""
    return str(_package("stable_baselines3.common.save_util", "saving").data_to_json({"thing": thing}))


def _package(name: str, purpose: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(name.partition(".")[0].replace("_", "-"), "sb3", purpose) from error
