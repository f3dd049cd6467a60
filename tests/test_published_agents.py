"""Agents that other people trained play here as their README measured them."""

from pathlib import Path

import numpy as np
import pytest

import understudy

TEACHERS = Path(__file__).parents[2] / "shared" / "teachers"
pytestmark = pytest.mark.skipif(not TEACHERS.is_dir(), reason=f"the published agents are not at {TEACHERS}")

# (file, environment, mean and deviation of deterministic returns in the README, episodes played here)
QUICK = (
    ("ppo/CartPole-v1", "CartPole-v1", 500, 0, 10),
    ("a2c/CartPole-v1", "CartPole-v1", 500, 0, 10),
    ("dqn/CartPole-v1", "CartPole-v1", 500, 0, 10),
    ("ars/CartPole-v1", "CartPole-v1", 500, 0, 10),
    ("a2c/Acrobot-v1", "Acrobot-v1", -87.2, 35, 40),
    ("qrdqn/MountainCar-v0", "MountainCar-v0", -109.1, 9.5, 40),
    ("ppo/MountainCarContinuous-v0", "MountainCarContinuous-v0", 87.4, 2.8, 40),
    ("ppo/Pendulum-v1", "Pendulum-v1", -179, 107, 40),
    ("sac/Pendulum-v1", "Pendulum-v1", -147.2, 85, 40),
    ("tqc/Pendulum-v1", "Pendulum-v1", -143.7, 86, 40),
    ("ppo/LunarLander-v2", "LunarLander-v3", 240, 32, 20),
    ("dqn/LunarLander-v2", "LunarLander-v3", 140.5, 68, 10),
    ("trpo/LunarLanderContinuous-v2", "LunarLanderContinuous-v3", 259.4, 13.6, 20),
    ("a2c/BipedalWalker-v3", "BipedalWalker-v3", 301.4, 0.9, 4),
    ("ppo/Swimmer-v3", "Swimmer-v5", 269.9, 5.6, 4),
    ("trpo/Hopper-v3", "Hopper-v5", 3456, 507, 4),
    ("ppo/HalfCheetah-v3", "HalfCheetah-v5", 5835, 368, 4),
)


@pytest.mark.parametrize(("agent", "env", "mean", "deviation", "episodes"), QUICK, ids=[row[0] for row in QUICK])
def test_a_published_agent_returns_what_its_readme_says(agent, env, mean, deviation, episodes):
    found = understudy.evaluate(
        TEACHERS / agent / f"{agent.split('/')[1]}.zip", env, episodes=episodes, copies=episodes
    )
    # four standard errors of the difference; the README's mean is itself of 20 episodes or more
    margin = 4 * deviation * np.sqrt(1 / episodes + 1 / 20)
    assert found.mean_return == pytest.approx(mean, abs=max(margin, 1e-6))
