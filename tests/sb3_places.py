"""Places of every kind of space for models of Stable-Baselines3, and models that answer something of their own."""

from pathlib import Path

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

TEACHER = str(Path(__file__).parents[1] / "teachers" / "ppo-CartPole-v1.zip")
SMALL = {"n_steps": 64, "batch_size": 32, "n_epochs": 2, "seed": 3, "device": "cpu"}


class Noise(gymnasium.Env):
    """Observations drawn from the space; episodes of 3 to 12 steps."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.left = int(self.np_random.integers(3, 13))
        return self.observation_space.sample(), {}

    def step(self, action):
        self.left -= 1
        return self.observation_space.sample(), float(self.np_random.random()), self.left == 0, False, {}


def same(one, other):
    pairs = zip(one.policy.state_dict().values(), other.policy.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def shaken(model, scale=0.3):
    """The model with other weights, so that it answers something of its own."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return model


FLAT = spaces.Box(-2, 2, (3,), np.float32)
PLACES = {
    "flat": (FLAT, spaces.Discrete(3), "MlpPolicy", {}),
    "double": (spaces.Box(-2, 2, (3,), np.float64), spaces.Discrete(3, start=2), "MlpPolicy", {}),
    "numbers": (spaces.Discrete(5), spaces.Discrete(3), "MlpPolicy", {}),
    "parts": (FLAT, spaces.MultiDiscrete([3, 2]), "MlpPolicy", {}),
    "coins": (FLAT, spaces.MultiBinary(3), "MlpPolicy", {}),
    "box": (FLAT, spaces.Box(-1, 3, (2,), np.float32), "MlpPolicy", {}),
    "gsde": (FLAT, spaces.Box(-1, 3, (2,), np.float32), "MlpPolicy", {"use_sde": True}),
    "squashed": (
        FLAT,
        spaces.Box(-1, 3, (2,), np.float32),
        "MlpPolicy",
        {"use_sde": True, "policy_kwargs": {"squash_output": True}},
    ),
    "dict": (spaces.Dict({"a": FLAT, "b": spaces.Discrete(4)}), spaces.Discrete(3), "MultiInputPolicy", {}),
    "picture": (spaces.Box(0, 255, (36, 36, 3), np.uint8), spaces.Discrete(3), "CnnPolicy", {}),
}
