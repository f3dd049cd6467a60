"""MinAtar's games through Gymnasium."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from understudy.envs import of_gym
from understudy.errors import MissingExtra

BREAKOUT = "MinAtar/Breakout-v1"


@pytest.fixture
def minatar() -> None:
    pytest.importorskip("minatar", reason="MinAtar is not installed (extra minatar)")


def episode(simulator: Any, seed: int, actions: np.ndarray) -> list[Any]:
    """What a single copy shows from ``seed`` on, until it ends or ``actions`` do."""
    seen: list[Any] = [simulator.reset(seed).tobytes()]
    for action in actions:
        outcome = simulator.step(np.array([action]))
        seen += [outcome.observation.tobytes(), float(outcome.reward[0])]
        if outcome.terminated[0]:
            break
    return seen


@pytest.mark.parametrize("game", ["Breakout", "SpaceInvaders", "Asterix"])
@pytest.mark.usefixtures("minatar")
def test_an_episode_of_minatar_depends_on_its_seed_alone(game):
    used = of_gym.make(f"MinAtar/{game}-v1", 1)
    count = int(used.action_space.n)
    for seed in range(12):
        draws = np.random.default_rng(seed)
        actions, others = draws.integers(0, count, 60), draws.integers(1, count, 20 + seed)
        episode(used, 1000 + seed, others)
        assert episode(used, seed, actions) == episode(of_gym.make(f"MinAtar/{game}-v1", 1), seed, actions)


@pytest.mark.usefixtures("minatar")
def test_a_time_limit_ends_what_has_no_end_of_its_own():
    simulator = of_gym.make("MinAtar/Freeway-v1", 2, wrappers=["time-limit:7"])
    assert of_gym.make("MinAtar/Freeway-v1", 2).max_episode_steps is None
    assert simulator.max_episode_steps == 7
    simulator.reset(0)
    ends = [simulator.step(np.zeros(2, int)).truncated.tolist() for _ in range(7)]
    assert ends == [[False, False]] * 6 + [[True, True]]


def test_minatar_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    for name in ("minatar", "minatar.gym"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(of_gym.gymnasium, "registry", {})
    with pytest.raises(MissingExtra, match=r"MinAtar/Breakout-v1 needs MinAtar.*understudy\[minatar\]"):
        of_gym.make(BREAKOUT, 1)


@pytest.mark.usefixtures("minatar")
def test_a_picture_of_minatar_is_one():
    simulator = of_gym.make(BREAKOUT, 1, env_kwargs={"render_mode": "rgb_array"})
    seen = simulator.reset(0)
    shown = simulator.render(0)
    assert shown.dtype == np.uint8
    assert shown.shape == (160, 160, 3)
    assert np.array_equal(shown.any(-1)[::16, ::16], seen[0].any(-1))
