"""Agents with policy classes of their own, through SB3 and with the user's consent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.errors import TeacherError
from understudy.policies.open_sb3 import load
from understudy.policies.policy import tensors

sb3 = pytest.importorskip("stable_baselines3", reason="these agents need Stable-Baselines3")
contrib = pytest.importorskip("sb3_contrib", reason="these agents need sb3-contrib")
torch.set_num_threads(1)

VECTOR = spaces.Box(-np.inf, np.inf, (5,))
IMAGE = spaces.Box(0, 255, (36, 40, 3), np.uint8)
MIXED = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "m": spaces.Discrete(3)})
REACH = spaces.Box(np.array([-1, 0], np.float32), np.array([3, 0.5], np.float32))
THREE = spaces.Discrete(3)
OFF = {"buffer_size": 10}


class Blank(gymnasium.Env):
    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        return self.observation_space.sample(), {}


class Doubled(sb3.common.torch_layers.BaseFeaturesExtractor):
    """Twice the observation: a feature extractor of someone's own."""

    def __init__(self, observation_space: spaces.Space) -> None:
        super().__init__(observation_space, spaces.utils.flatdim(observation_space))

    def forward(self, observations: Any) -> torch.Tensor:
        parts = observations.values() if isinstance(observations, dict) else [observations]
        return 2 * torch.cat([part.flatten(1) for part in parts], 1)


CASES = {
    "ppo": (sb3.PPO, VECTOR, THREE, {"n_steps": 4, "batch_size": 4}),
    "ppo-box": (sb3.PPO, VECTOR, REACH, {"n_steps": 4, "batch_size": 4}),
    "ppo-image": (sb3.PPO, IMAGE, THREE, {"n_steps": 4, "batch_size": 4}),
    "ppo-dict": (sb3.PPO, MIXED, spaces.MultiBinary(2), {"n_steps": 4, "batch_size": 4}),
    "a2c-multi": (sb3.A2C, VECTOR, spaces.MultiDiscrete([2, 3]), {}),
    "dqn": (sb3.DQN, VECTOR, THREE, OFF),
    "qrdqn": (contrib.QRDQN, VECTOR, THREE, OFF),
    "sac": (sb3.SAC, VECTOR, REACH, OFF),
    "td3": (sb3.TD3, VECTOR, REACH, OFF),
}


@pytest.fixture(params=CASES)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Any, Any]:
    algorithm, observations, actions, more = CASES[request.param]
    policy = "MultiInputPolicy" if isinstance(observations, spaces.Dict) else "MlpPolicy"
    kwargs = {"features_extractor_class": Doubled, "net_arch": [8]}
    model = algorithm(policy, Blank(observations, actions), policy_kwargs=kwargs, device="cpu", **more)
    model.save(tmp_path / "agent.zip")
    with pytest.raises(TeacherError, match=r"Doubled.*--trust"):
        load(tmp_path / "agent.zip")
    observations.seed(0)
    samples = [observations.sample() for _ in range(6)]
    seen = (
        {key: np.stack([sample[key] for sample in samples]) for key in observations}
        if isinstance(observations, spaces.Dict)
        else np.stack(samples)
    )
    return model, load(tmp_path / "agent.zip", trust=True), seen


def test_trusted_agents_act_as_in_sb3(opened: tuple[Any, Any, Any]) -> None:
    model, policy, seen = opened
    expected, _ = model.predict(seen, deterministic=True)
    heads, _ = policy(tensors(seen))
    actions = heads.policy.mode().numpy()
    space = policy.action_space
    if policy.family.kind == "squashed-gaussian":
        actions = space.low + (np.tanh(actions) + 1) / 2 * (space.high - space.low)
    if isinstance(space, spaces.Box):
        actions = actions.clip(space.low, space.high)
    np.testing.assert_allclose(actions, expected, atol=1e-5)
    assert not heads.policy.flat.requires_grad
    assert policy.accepts(model.observation_space)


def test_trusted_actor_critics_have_sb3s_values(opened: tuple[Any, Any, Any]) -> None:
    model, policy, seen = opened
    heads, _ = policy(tensors(seen))
    if hasattr(model.policy, "predict_values"):
        batch, _ = model.policy.obs_to_tensor(seen)
        with torch.no_grad():
            expected = model.policy.predict_values(batch)[:, 0]
        torch.testing.assert_close(heads.value, expected, atol=1e-5, rtol=1e-5)
    assert policy.has_value == (heads.state_value is not None)
    assert policy.without_value()(tensors(seen))[0].state_value is None


def test_the_name_of_gym_is_not_left_behind(opened: tuple[Any, Any, Any]) -> None:
    assert "gym" not in sys.modules


def test_recurrent_agents_are_refused_even_when_trusted(tmp_path: Path) -> None:
    model = contrib.RecurrentPPO("MlpLstmPolicy", Blank(VECTOR, THREE), n_steps=4, batch_size=4, device="cpu")
    model.save(tmp_path / "agent.zip")
    with pytest.raises(TeacherError, match=r"remembers earlier steps"):
        load(tmp_path / "agent.zip", trust=True)
