"""Normalisation statistics: found, applied once, in the right unit."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.errors import TeacherError
from understudy.policies.normaliser import Normaliser
from understudy.policies.open_sb3 import load
from understudy.policies.policy import tensors
from understudy.policies.sb3_observation import Prepare
from understudy.policies.sb3_vecnormalize import VecNormalize, find, read

sb3 = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 writes the files")
vec_env = sb3.common.vec_env
torch.set_num_threads(1)

VECTOR = spaces.Box(-np.inf, np.inf, (3,))
MIXED = spaces.Dict({"near": spaces.Box(-1, 1, (2,)), "far": spaces.Box(-9, 9, (3,)), "mode": spaces.Discrete(2)})


class Blank(gymnasium.Env):
    def __init__(self, observation_space: spaces.Space = VECTOR) -> None:
        self.observation_space, self.action_space = observation_space, spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        return self.observation_space.sample(), 0.0, False, False, {}


def trained(folder: Path, space: spaces.Space = VECTOR, name: str = "agent.zip", **options: Any) -> tuple[Any, Any]:
    """An agent and the VecNormalize it sees through, with uneven statistics; the zip is saved, the pickle not."""
    normalise = vec_env.VecNormalize(vec_env.DummyVecEnv([lambda: Blank(space)]), training=False, **options)
    generator = np.random.default_rng(5)
    found = getattr(normalise, "obs_rms", {}) if options.get("norm_obs", True) else {}
    for moments in (found if isinstance(found, dict) else {"": found}).values():
        moments.mean = generator.normal(size=moments.mean.shape) * 2
        moments.var = generator.uniform(0.1, 4, size=moments.var.shape)
    normalise.ret_rms.var = np.float64(49.0)
    policy = "MultiInputPolicy" if isinstance(space, spaces.Dict) else "MlpPolicy"
    model = sb3.PPO(policy, normalise, n_steps=4, batch_size=4, device="cpu", seed=0)
    model.save(folder / name)
    return model, normalise


def values(model: Any, seen: Any) -> np.ndarray:
    with torch.no_grad():
        return model.policy.predict_values(model.policy.obs_to_tensor(seen)[0])[:, 0].numpy()


def logits(model: Any, seen: Any) -> np.ndarray:
    with torch.no_grad():
        return model.policy.get_distribution(model.policy.obs_to_tensor(seen)[0]).distribution.logits.numpy()


def test_a_normaliser_is_the_formula() -> None:
    found = Normaliser(np.array([1.0, -2.0]), np.array([4.0, 0.25]), clip=3.0, epsilon=0.0)
    x = torch.tensor([[5.0, -2.0], [1.0, -1.0], [100.0, -100.0]])
    torch.testing.assert_close(found(x), torch.tensor([[2.0, 0.0], [0.0, 2.0], [3.0, -3.0]]))


def test_a_normaliser_keeps_features_apart_that_hardly_vary() -> None:
    mean, variance = np.array([1.2345678912]), np.array([0.0])
    x = np.array([[1.2345679]], np.float32)
    expected = (x.astype(np.float64) - mean) / np.sqrt(variance + 1e-8)
    np.testing.assert_allclose(Normaliser(mean, variance)(torch.as_tensor(x)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("mean", "variance", "clip"), [([0.0], [1.0, 1.0], 1), ([np.nan], [1.0], 1), ([0.0], [-1.0], 1), ([0.0], [1.0], 0)]
)
def test_a_normaliser_refuses_statistics_that_make_no_sense(mean: list, variance: list, clip: float) -> None:
    with pytest.raises(ValueError):
        Normaliser(np.array(mean), np.array(variance), clip=clip)


def test_statistics_beside_the_zip_are_applied_once_and_values_are_in_task_rewards(tmp_path: Path) -> None:
    model, normalise = trained(tmp_path)
    normalise.save(str(tmp_path / "vecnormalize.pkl"))
    raw = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32) * 3
    heads, _ = load(tmp_path / "agent.zip")(tensors(raw))
    by_hand = np.clip((raw - normalise.obs_rms.mean) / np.sqrt(normalise.obs_rms.var + 1e-8), -10, 10)
    np.testing.assert_allclose(heads.policy.log_probs, logits(model, by_hand.astype(np.float32)), atol=1e-5)
    np.testing.assert_allclose(heads.value, 7 * values(model, by_hand.astype(np.float32)), atol=1e-5)
    twice = normalise.normalize_obs(normalise.normalize_obs(raw))
    assert np.abs(heads.value.numpy() - 7 * values(model, twice)).max() > 0.1
    assert np.abs(heads.value.numpy() - 7 * values(model, raw)).max() > 0.1


def test_statistics_of_rewards_only_leave_observations_alone(tmp_path: Path) -> None:
    model, normalise = trained(tmp_path, norm_obs=False)
    normalise.save(str(tmp_path / "vecnormalize.pkl"))
    raw = np.ones((2, 3), np.float32)
    heads, _ = load(tmp_path / "agent.zip")(tensors(raw))
    np.testing.assert_allclose(heads.value, 7 * values(model, raw), atol=1e-5)


def test_statistics_of_observations_only_leave_values_alone(tmp_path: Path) -> None:
    model, normalise = trained(tmp_path, norm_reward=False, clip_obs=0.5)
    normalise.save(str(tmp_path / "vecnormalize.pkl"))
    raw = np.ones((2, 3), np.float32)
    heads, _ = load(tmp_path / "agent.zip")(tensors(raw))
    np.testing.assert_allclose(heads.value, values(model, normalise.normalize_obs(raw)), atol=1e-5)


def test_chosen_keys_of_a_dict_are_normalised_and_no_others(tmp_path: Path) -> None:
    model, normalise = trained(tmp_path, MIXED, norm_obs_keys=["far"])
    normalise.save(str(tmp_path / "vecnormalize.pkl"))
    MIXED.seed(0)
    samples = [MIXED.sample() for _ in range(4)]
    raw = {key: np.stack([sample[key] for sample in samples]) for key in MIXED}
    heads, _ = load(tmp_path / "agent.zip")(tensors(raw))
    seen = normalise.normalize_obs(raw)
    np.testing.assert_allclose(heads.policy.log_probs, logits(model, seen), atol=1e-5)
    np.testing.assert_allclose(heads.value, 7 * values(model, seen), atol=1e-5)


def test_statistics_of_channel_last_pictures_are_turned_with_them() -> None:
    generator = np.random.default_rng(0)
    mean, variance = generator.uniform(size=(4, 5, 2)), generator.uniform(0.5, 1, size=(4, 5, 2))
    found = VecNormalize(Path("x"), {"": (mean, variance)}, 10.0, 1e-8, 1.0)
    space = spaces.Box(-9, 9, (2, 4, 5))
    picture = generator.normal(size=(3, 4, 5, 2)).astype(np.float32)
    expected = np.moveaxis((picture - mean) / np.sqrt(variance + 1e-8), -1, 1)
    prepare = Prepare(space, found.normalisers(space)[""])
    np.testing.assert_allclose(prepare(torch.as_tensor(picture)), expected, atol=1e-5)
    np.testing.assert_allclose(prepare(torch.as_tensor(np.moveaxis(picture, -1, 1))), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("zipped", "statistics"),
    [
        ("a.zip", "vecnormalize.pkl"),
        ("CartPole-v1.zip", "CartPole-v1/vecnormalize.pkl"),
        ("CartPole-v1_3/best_model.zip", "CartPole-v1_3/CartPole-v1/vecnormalize.pkl"),
        ("rl_model_500_steps.zip", "rl_model_vecnormalize_500_steps.pkl"),
        ("a.zip", "a_vecnormalize.pkl"),
    ],
)
def test_statistics_are_found_where_sb3_and_its_zoo_put_them(zipped: str, statistics: str, tmp_path: Path) -> None:
    (tmp_path / statistics).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / statistics).touch()
    assert find(tmp_path / zipped) == tmp_path / statistics


def test_named_statistics_go_before_those_beside_the_zip(tmp_path: Path) -> None:
    model, normalise = trained(tmp_path)
    normalise.save(str(tmp_path / "vecnormalize.pkl"))
    normalise.ret_rms.var = np.float64(4.0)
    normalise.save(str(tmp_path / "other.pkl"))
    raw = np.ones((1, 3), np.float32)
    heads, _ = load(tmp_path / "agent.zip", vecnormalize=tmp_path / "other.pkl")(tensors(raw))
    np.testing.assert_allclose(heads.value, 2 * values(model, normalise.normalize_obs(raw)), atol=1e-5)


def test_missing_statistics_of_an_agent_that_had_some_are_warned_of(tmp_path: Path) -> None:
    model, _ = trained(tmp_path)
    model._setup_learn(1)
    model.save(tmp_path / "agent.zip")
    with pytest.warns(UserWarning, match=r"trained under VecNormalize.*--vecnormalize"):
        load(tmp_path / "agent.zip")


def test_statistics_of_another_agent_are_refused_with_both_shapes(tmp_path: Path) -> None:
    trained(tmp_path)
    _, other = trained(tmp_path, spaces.Box(-1, 1, (4,)), "other.zip")
    other.save(str(tmp_path / "vecnormalize.pkl"))
    with pytest.raises(TeacherError, match=r"vecnormalize.pkl.*shape \(4,\).*takes \(3,\)"):
        load(tmp_path / "agent.zip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated"),
        (pickle.dumps({"mean": 1}), "not a VecNormalize"),
        (pickle.dumps(spaces.Discrete(2)), "not a VecNormalize"),
    ],
)
def test_a_file_that_is_no_vecnormalize_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(content)
    with pytest.raises(TeacherError, match=rf"x.pkl.*{message}"):
        read(tmp_path / "x.pkl")


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    with pytest.raises(TeacherError, match=r"gone.pkl does not exist"):
        load(tmp_path / "agent.zip", vecnormalize=tmp_path / "gone.pkl")
