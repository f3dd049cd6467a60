"""Layouts that today's SB3 no longer writes, made from ones it does write."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.policies.open_sb3 import load

sb3 = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 writes the files")
torch.set_num_threads(1)


class Blank(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (3,))
    action_space = spaces.Discrete(2)


class BlankImage(Blank):
    observation_space = spaces.Box(0, 255, (36, 36, 1), np.uint8)


def respell(path: Path, weights: Callable[[dict], dict], policy_kwargs: dict[str, Any] | None = None) -> None:
    with zipfile.ZipFile(path) as archive:
        data = json.loads(archive.read("data"))
        with archive.open("policy.pth") as file:
            state = torch.load(file, weights_only=True)
    if policy_kwargs is not None:
        data["policy_kwargs"] = policy_kwargs
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", json.dumps(data))
        with archive.open("policy.pth", "w") as file:
            torch.save(weights(state), file)


@pytest.mark.parametrize("said", [[16, {"pi": [8], "vf": [6]}], None])
def test_layers_shared_by_actor_and_critic_come_before_their_own(said: Any, tmp_path: Path) -> None:
    """SB3 up to 1.7: net_arch [16, dict(pi=[8], vf=[6])]; today's equivalent has equal first layers."""
    arch = {"pi": [16, 8], "vf": [16, 6]}
    model = sb3.PPO("MlpPolicy", Blank(), policy_kwargs={"net_arch": arch}, device="cpu", n_steps=4, batch_size=4)
    model.policy.mlp_extractor.value_net[0].load_state_dict(model.policy.mlp_extractor.policy_net[0].state_dict())
    model.save(tmp_path / "agent.zip")

    def shared(state: dict) -> dict:
        names = {"policy_net.0": "shared_net.0", "policy_net.2": "policy_net.0", "value_net.2": "value_net.0"}
        kept = {name: tensor for name, tensor in state.items() if "mlp_extractor" not in name}
        for old, new in names.items():
            for part in ("weight", "bias"):
                kept[f"mlp_extractor.{new}.{part}"] = state[f"mlp_extractor.{old}.{part}"]
        return kept

    respell(tmp_path / "agent.zip", shared, {"net_arch": said} if said else {})
    seen = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    policy = load(tmp_path / "agent.zip")
    heads, _ = policy(seen)
    with torch.no_grad():
        expected = model.policy.get_distribution(seen).distribution.logits
        value = model.policy.predict_values(seen)[:, 0]
    torch.testing.assert_close(heads.policy.log_probs, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(heads.value, value, atol=1e-5, rtol=1e-5)
    assert policy.parameter_count == 3 * 16 + 16 + 16 * 8 + 8 + 8 * 2 + 2


def test_pictures_before_actor_and_critic_had_extractors_of_their_own(tmp_path: Path) -> None:
    """SB3 up to 1.6 wrote features_extractor only."""
    kwargs = {"features_extractor_kwargs": {"features_dim": 8}}
    model = sb3.PPO("CnnPolicy", BlankImage(), policy_kwargs=kwargs, device="cpu", n_steps=4, batch_size=4)
    model.save(tmp_path / "agent.zip")
    names = ("pi_features_extractor", "vf_features_extractor")
    respell(tmp_path / "agent.zip", lambda state: {k: v for k, v in state.items() if not k.startswith(names)})
    seen = np.random.default_rng(0).integers(0, 255, (4, 36, 36, 1), np.uint8)
    heads, _ = load(tmp_path / "agent.zip")(torch.as_tensor(seen))
    batch, _ = model.policy.obs_to_tensor(seen)
    with torch.no_grad():
        expected = model.policy.get_distribution(batch).distribution.logits
    torch.testing.assert_close(heads.policy.log_probs, expected, atol=1e-5, rtol=1e-5)
