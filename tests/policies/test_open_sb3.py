"""Rebuilt agents against Stable-Baselines3's own answers, for every algorithm, policy and space it takes."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.policies.open_sb3 import load
from understudy.policies.policy import tensors

sb3 = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 gives the answers to compare with")
contrib = pytest.importorskip("sb3_contrib", reason="sb3-contrib gives the answers to compare with")
nn = torch.nn
torch.set_num_threads(1)


class Blank(gymnasium.Env):
    """An environment that has spaces and nothing else."""

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        return self.observation_space.sample(), 0.0, False, False, {}


VECTOR = spaces.Box(-np.inf, np.inf, (5,))
GRID = spaces.Box(-1, 1, (2, 3))
IMAGE = spaces.Box(0, 255, (36, 40, 3), np.uint8)
CHANNEL_FIRST = spaces.Box(0, 255, (1, 36, 36), np.uint8)
MIXED = spaces.Dict(
    {"zoom": spaces.Box(-2, 2, (3,)), "eye": IMAGE, "mode": spaces.Discrete(4), "bits": spaces.MultiBinary(2)}
)
FLAT_MIX = spaces.Dict({"b": spaces.Box(-1, 1, (2,)), "a": spaces.MultiDiscrete([3, 2])})
REACH = spaces.Box(np.array([-1, 0], np.float32), np.array([3, 0.5], np.float32))
THREE = spaces.Discrete(3)

SMALL = {"net_arch": [12, 8]}
SPLIT = {"net_arch": {"pi": [8], "vf": [12, 6]}, "activation_fn": nn.ReLU}
OFF = {"buffer_size": 10, "learning_starts": 0}

PPO = (sb3.PPO, {"n_steps": 4, "batch_size": 4, "n_epochs": 1})
A2C, TRPO = (sb3.A2C, {}), (contrib.TRPO, {"n_steps": 4, "batch_size": 4})
DQN, QRDQN = (sb3.DQN, OFF), (contrib.QRDQN, OFF)
SAC, TD3, DDPG, TQC = (sb3.SAC, OFF), (sb3.TD3, OFF), (sb3.DDPG, OFF), (contrib.TQC, OFF)
ARS = (contrib.ARS, {})

# name: algorithm, policy, observations, actions, policy_kwargs, other arguments
CASES: dict[str, tuple] = {
    "ppo-discrete": (PPO, "MlpPolicy", VECTOR, THREE, None, {}),
    "ppo-split-relu": (PPO, "MlpPolicy", VECTOR, REACH, SPLIT, {}),
    "ppo-linear": (PPO, "MlpPolicy", VECTOR, THREE, {"net_arch": []}, {}),
    "ppo-multi-discrete": (PPO, "MlpPolicy", VECTOR, spaces.MultiDiscrete([3, 2, 4]), SMALL, {}),
    "ppo-multi-binary": (PPO, "MlpPolicy", VECTOR, spaces.MultiBinary(3), SMALL, {}),
    "ppo-matrix-observation": (PPO, "MlpPolicy", GRID, THREE, SMALL, {}),
    "ppo-discrete-observation": (PPO, "MlpPolicy", spaces.Discrete(6), THREE, SMALL, {}),
    "ppo-multi-discrete-observation": (PPO, "MlpPolicy", spaces.MultiDiscrete([3, 4]), THREE, SMALL, {}),
    "ppo-multi-binary-observation": (PPO, "MlpPolicy", spaces.MultiBinary(4), THREE, SMALL, {}),
    "ppo-gsde": (PPO, "MlpPolicy", VECTOR, REACH, SMALL, {"use_sde": True}),
    "ppo-gsde-expln": (PPO, "MlpPolicy", VECTOR, REACH, {**SMALL, "use_expln": True}, {"use_sde": True}),
    "ppo-gsde-narrow": (PPO, "MlpPolicy", VECTOR, REACH, {**SMALL, "full_std": False}, {"use_sde": True}),
    "ppo-squashed": (PPO, "MlpPolicy", VECTOR, REACH, {**SMALL, "squash_output": True}, {"use_sde": True}),
    "ppo-cnn": (PPO, "CnnPolicy", IMAGE, THREE, {"features_extractor_kwargs": {"features_dim": 16}}, {}),
    "ppo-cnn-two-extractors": (
        PPO,
        "CnnPolicy",
        IMAGE,
        THREE,
        {"share_features_extractor": False, "features_extractor_kwargs": {"features_dim": 8}, "net_arch": [4]},
        {},
    ),
    "ppo-cnn-raw-bytes": (
        PPO,
        "CnnPolicy",
        CHANNEL_FIRST,
        THREE,
        {"normalize_images": False, "features_extractor_kwargs": {"features_dim": 8}},
        {},
    ),
    "ppo-mlp-on-image": (PPO, "MlpPolicy", IMAGE, THREE, {"net_arch": [4]}, {}),
    "ppo-multi-input": (
        PPO,
        "MultiInputPolicy",
        MIXED,
        REACH,
        {**SMALL, "features_extractor_kwargs": {"cnn_output_dim": 6}},
        {},
    ),
    "ppo-multi-input-flat": (PPO, "MultiInputPolicy", FLAT_MIX, THREE, SMALL, {}),
    "a2c-box": (A2C, "MlpPolicy", VECTOR, REACH, None, {}),
    "a2c-elu": (A2C, "MlpPolicy", VECTOR, THREE, {**SMALL, "activation_fn": nn.ELU}, {}),
    "trpo-box": (TRPO, "MlpPolicy", VECTOR, REACH, SMALL, {}),
    "trpo-gsde": (TRPO, "MlpPolicy", VECTOR, REACH, SMALL, {"use_sde": True}),
    "dqn": (DQN, "MlpPolicy", VECTOR, THREE, SMALL, {}),
    "dqn-cnn": (DQN, "CnnPolicy", IMAGE, THREE, {"features_extractor_kwargs": {"features_dim": 8}}, {}),
    "dqn-multi-input": (DQN, "MultiInputPolicy", FLAT_MIX, THREE, SMALL, {}),
    "qrdqn": (QRDQN, "MlpPolicy", VECTOR, THREE, {**SMALL, "n_quantiles": 7}, {}),
    "qrdqn-default": (QRDQN, "MlpPolicy", VECTOR, THREE, None, {}),
    "sac": (SAC, "MlpPolicy", VECTOR, REACH, SMALL, {}),
    "sac-split": (SAC, "MlpPolicy", VECTOR, REACH, {"net_arch": {"pi": [8], "qf": [6, 4]}, "n_critics": 3}, {}),
    "sac-gsde": (SAC, "MlpPolicy", VECTOR, REACH, SMALL, {"use_sde": True}),
    "sac-gsde-unclipped": (SAC, "MlpPolicy", VECTOR, REACH, {**SMALL, "clip_mean": 0.0}, {"use_sde": True}),
    "sac-cnn": (
        SAC,
        "CnnPolicy",
        IMAGE,
        REACH,
        {**SMALL, "features_extractor_kwargs": {"features_dim": 8}, "share_features_extractor": True},
        {},
    ),
    "sac-multi-input": (
        SAC,
        "MultiInputPolicy",
        MIXED,
        REACH,
        {**SMALL, "features_extractor_kwargs": {"cnn_output_dim": 6}},
        {},
    ),
    "td3": (TD3, "MlpPolicy", VECTOR, REACH, SMALL, {}),
    "td3-cnn": (TD3, "CnnPolicy", IMAGE, REACH, {**SMALL, "features_extractor_kwargs": {"features_dim": 8}}, {}),
    "ddpg": (DDPG, "MlpPolicy", VECTOR, REACH, SMALL, {}),
    "tqc": (TQC, "MlpPolicy", VECTOR, REACH, {**SMALL, "n_quantiles": 5, "n_critics": 3}, {}),
    "tqc-gsde": (TQC, "MlpPolicy", VECTOR, REACH, SMALL, {"use_sde": True}),
    "ars": (ARS, "MlpPolicy", VECTOR, THREE, SMALL, {}),
    "ars-linear": (ARS, "LinearPolicy", VECTOR, THREE, None, {}),
    "ars-box": (ARS, "MlpPolicy", VECTOR, REACH, SMALL, {}),
    "ars-box-linear": (ARS, "LinearPolicy", VECTOR, REACH, {"with_bias": True}, {}),
    "ars-box-linear-squashed": (ARS, "LinearPolicy", VECTOR, REACH, {"squash_output": True}, {}),
}
ALGORITHMS = {"qrdqn": "QR-DQN"}


def agent(name: str) -> Any:
    """An untrained agent whose weights are shaken, so that no part of it is near zero."""
    (algorithm, own), policy, observations, actions, policy_kwargs, more = CASES[name]
    # SB3 adds its own entries to the dict that it is given
    kwargs = copy.deepcopy(policy_kwargs)
    model = algorithm(policy, Blank(observations, actions), policy_kwargs=kwargs, device="cpu", **own, **more)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def observations(space: spaces.Space, count: int = 6) -> Any:
    space.seed(3)
    if isinstance(space, spaces.Dict):
        return {key: observations(part, count) for key, part in space.items()}
    return np.stack([space.sample() for _ in range(count)])


def sb3_answers(model: Any, seen: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Flat distribution parameters (or scores), and values, from SB3's own methods."""
    policy = model.policy
    policy.set_training_mode(False)
    batch, _ = policy.obs_to_tensor(seen)
    with torch.no_grad():
        if hasattr(policy, "get_distribution"):
            return parameters(policy.get_distribution(batch)), policy.predict_values(batch)[:, 0]
        if hasattr(policy, "q_net"):
            return policy.q_net(batch), policy.q_net(batch).max(1).values
        if hasattr(policy, "quantile_net"):
            scores = policy.quantile_net(batch).mean(1)
            return scores, scores.max(1).values
        if isinstance(model, contrib.ARS):
            features = policy.extract_features(batch, policy.features_extractor)
            return policy.action_net(features), None
        if hasattr(policy.actor, "get_action_dist_params"):
            mean, log_std, more = policy.actor.get_action_dist_params(batch)
            return parameters(policy.actor.action_dist.proba_distribution(mean, log_std, **more)), None
        action = policy.actor(batch)
        return action, torch.cat(policy.critic(batch, action), 1).min(1).values


def parameters(found: Any) -> torch.Tensor:
    inner = found.distribution
    if isinstance(inner, list):
        return torch.cat([part.logits for part in inner], -1)
    return torch.cat([inner.mean, inner.stddev.log()], -1) if hasattr(inner, "loc") else inner.logits


def environment_actions(policy: Any, seen: Any) -> np.ndarray:
    """The deterministic actions an environment would get."""
    raw = policy(tensors(seen))[0].policy.mode().numpy()
    space = policy.action_space
    if policy.family.kind == "squashed-gaussian":
        return space.low + 0.5 * (np.tanh(raw) + 1) * (space.high - space.low)
    return np.clip(raw, space.low, space.high) if isinstance(space, spaces.Box) else raw


@pytest.fixture(params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Any, Any, Any]:
    """A case's name, SB3's agent, the rebuilt one, and raw observations."""
    model = agent(request.param)
    model.save(tmp_path / "agent.zip")
    return request.param, model, load(tmp_path / "agent.zip"), observations(CASES[request.param][2])


def test_deterministic_actions_are_those_of_sb3(pair: tuple[str, Any, Any, Any]) -> None:
    _, model, policy, seen = pair
    expected, _ = model.predict(seen, deterministic=True)
    np.testing.assert_allclose(environment_actions(policy, seen), expected, atol=1e-5)


def test_distributions_and_values_are_those_of_sb3(pair: tuple[str, Any, Any, Any]) -> None:
    name, model, policy, seen = pair
    flat, value = sb3_answers(model, seen)
    heads, _ = policy(tensors(seen))
    found = heads.policy.flat
    if policy.family.kind in ("categorical", "multi-categorical") and not policy.scores:
        sizes = list(policy.family.sizes)
        found = torch.cat([part.log_softmax(-1) for part in found.split(sizes, -1)], -1)
    if flat.shape == found.shape:
        torch.testing.assert_close(found, flat, atol=1e-5, rtol=1e-5)
    else:  # TD3, DDPG and ARS answer an action, whose mean the actions' test compares; the deviation is ours
        half = (policy.action_space.high - policy.action_space.low) / 2
        torch.testing.assert_close(found[:, 2:].exp(), torch.as_tensor(0.1 * half).expand(len(found), 2))
    if value is not None:
        torch.testing.assert_close(heads.value, value, atol=1e-5, rtol=1e-5)
    assert policy.has_value == (not name.startswith("ars"))


def test_what_a_policy_says_of_itself_is_what_sb3_holds(pair: tuple[str, Any, Any, Any]) -> None:
    name, model, policy, _ = pair
    assert policy.algorithm == ALGORITHMS.get(name.split("-")[0], name.split("-")[0].upper())
    assert policy.gamma == getattr(model, "gamma", None)
    assert policy.observation_space == model.observation_space
    assert policy.action_space == model.action_space
    assert policy.scores == (policy.algorithm in ("DQN", "QR-DQN") or (name in ("ars", "ars-linear")))
    assert policy.accepts(CASES[name][2])
    assert policy.parameter_count == acting_parameters(model)


def acting_parameters(model: Any) -> int:
    policy = model.policy
    if hasattr(policy, "actor"):
        parts = [policy.actor]
    elif hasattr(policy, "q_net") or hasattr(policy, "quantile_net"):
        parts = [getattr(policy, "q_net", None) or policy.quantile_net]
    elif isinstance(model, contrib.ARS):
        parts = [policy]
    else:
        parts = [policy.pi_features_extractor, policy.mlp_extractor.policy_net, policy.action_net]
    extra = policy.log_std.numel() if hasattr(policy, "log_std") else 0
    return extra + sum(p.numel() for part in parts for p in part.parameters())


def test_any_leading_dimensions_give_the_same_answers(pair: tuple[str, Any, Any, Any]) -> None:
    _, _, policy, seen = pair

    def shaped(x: np.ndarray, *lead: int) -> torch.Tensor:
        return torch.as_tensor(x[: int(np.prod(lead))].reshape((*lead, *x.shape[1:])))

    def asked(*lead: int) -> Any:
        given = {k: shaped(x, *lead) for k, x in seen.items()} if isinstance(seen, dict) else shaped(seen, *lead)
        return policy(given)[0]

    flat = asked(6).policy.flat
    torch.testing.assert_close(asked(2, 3).policy.flat, flat.reshape(2, 3, -1), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(asked().policy.flat, flat[0], atol=1e-6, rtol=1e-5)
    if policy.has_value:
        torch.testing.assert_close(asked(2, 3).value, asked(6).value.reshape(2, 3), atol=1e-5, rtol=1e-5)


def test_without_value_acts_the_same_and_leaves_the_original_alone(pair: tuple[str, Any, Any, Any]) -> None:
    _, _, policy, seen = pair
    had = policy.has_value
    quick = policy.without_value()
    heads, memory = quick(tensors(seen))
    assert memory is None
    assert heads.state_value is None
    assert not quick.has_value
    assert torch.equal(heads.policy.flat, policy(tensors(seen))[0].policy.flat)
    assert policy.has_value == had


@pytest.mark.parametrize("name", ["sac", "sac-gsde", "tqc"])
def test_soft_values_are_expected_action_values(name: str, tmp_path: Path) -> None:
    model = agent(name)
    model.save(tmp_path / "agent.zip")
    seen = observations(VECTOR)
    heads, _ = load(tmp_path / "agent.zip")(tensors(seen))
    flat, _ = sb3_answers(model, seen)
    mean, log_std = flat.chunk(2, -1)
    noise = torch.randn(4000, *mean.shape, generator=torch.Generator().manual_seed(0))
    actions = torch.tanh(mean + log_std.exp() * noise)
    batch, _ = model.policy.obs_to_tensor(seen)
    with torch.no_grad():
        values = torch.stack([action_value(model, batch, action) for action in actions])
    error = (heads.value - values.mean(0)).abs()
    # a few fixed points against four thousand: far within the spread of the single values
    assert (error < 0.15 * values.std(0) + 1e-4).all(), (error, values.std(0))


def action_value(model: Any, batch: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    answer = model.policy.critic(batch, action)
    return answer.mean((1, 2)) if isinstance(model, contrib.TQC) else torch.cat(answer, 1).min(1).values


@pytest.mark.parametrize("name", ["sac", "tqc"])
def test_soft_values_of_a_sure_policy_are_the_critics_at_its_action(name: str, tmp_path: Path) -> None:
    model = agent(name)
    with torch.no_grad():
        model.policy.actor.log_std.weight.zero_()
        model.policy.actor.log_std.bias.fill_(-30)
    model.save(tmp_path / "agent.zip")
    seen = observations(VECTOR)
    heads, _ = load(tmp_path / "agent.zip")(tensors(seen))
    batch, _ = model.policy.obs_to_tensor(seen)
    with torch.no_grad():
        expected = action_value(model, batch, model.policy.actor(batch, deterministic=True))
    torch.testing.assert_close(heads.value, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(heads.policy.flat[:, 2:], torch.full((6, 2), -20.0))


def test_no_gradient_flows_into_a_teacher(tmp_path: Path) -> None:
    agent("ppo-split-relu").save(tmp_path / "agent.zip")
    seen = torch.randn(3, 5, requires_grad=True)
    heads, _ = load(tmp_path / "agent.zip")(seen)
    assert not heads.policy.flat.requires_grad
    assert not heads.value.requires_grad


@pytest.mark.parametrize("name", ["td3", "ddpg", "ars-box"])
def test_the_deviation_of_a_deterministic_agent_can_be_chosen(name: str, tmp_path: Path) -> None:
    agent(name).save(tmp_path / "agent.zip")
    heads, _ = load(tmp_path / "agent.zip", std=0.5)(torch.zeros(1, 5))
    torch.testing.assert_close(heads.policy.flat[0, 2:].exp(), torch.tensor([1.0, 0.125]))


def test_the_suffix_may_be_left_off(tmp_path: Path) -> None:
    agent("ars-linear").save(tmp_path / "agent.zip")
    assert load(tmp_path / "agent").algorithm == "ARS"


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("stable_baselines3", "sb3_contrib", "gym", "cloudpickle"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
import torch
from understudy.policies.open_sb3 import load
heads, _ = load(sys.argv[1])(torch.ones(1, 5))
print(*heads.policy.mode()[0].tolist(), heads.value.item())
"""


def test_a_zip_opens_where_sb3_is_not_installed(tmp_path: Path) -> None:
    model = agent("ppo-gsde")
    model.save(tmp_path / "agent.zip")
    ran = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(tmp_path / "agent.zip")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    flat, value = sb3_answers(model, np.ones((1, 5), np.float32))
    np.testing.assert_allclose([float(x) for x in ran.stdout.split()], [*flat[0, :2], value[0]], atol=1e-5)


def test_opening_an_agent_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    load(Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip")
    assert torch.equal(torch.random.get_rng_state(), before)
