"""Published agents of RL Zoo, most of them saved with gym and SB3 1.x: data beside the repository, where present."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
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
torch.set_num_threads(1)

TEACHERS = Path(__file__).parents[3] / "shared" / "teachers"
ZIPS = sorted(TEACHERS.glob("*/*/*.zip"))
NORMALISED = {path.parent for path in TEACHERS.glob("*/*/vecnormalize.pkl")}
CLASSES = {
    **{name: getattr(sb3, name.upper()) for name in ("ppo", "a2c", "dqn", "sac")},
    **{name: getattr(contrib, name.upper()) for name in ("trpo", "ars", "qrdqn", "tqc")},
}
# old files hold these as byte code of another Python
SCHEDULES = {"learning_rate": 0.0, "lr_schedule": lambda _: 0.0, "clip_range": lambda _: 0.2}

pytestmark = pytest.mark.skipif(not ZIPS, reason=f"no agents in {TEACHERS}")


class Blank(gymnasium.Env):
    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        return self.observation_space.sample(), {}


@pytest.fixture
def _gym_is_gymnasium() -> Iterator[None]:
    names = [name for name in sys.modules if name.split(".")[0] == "gymnasium"]
    aliases = {"gym" + name.removeprefix("gymnasium"): sys.modules[name] for name in names}
    sys.modules.update(aliases)
    yield
    for alias in aliases:
        sys.modules.pop(alias, None)


def identity(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", ZIPS, ids=identity)
@pytest.mark.usefixtures("_gym_is_gymnasium")
def test_a_published_agent_answers_as_sb3_plays_it(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = CLASSES[path.parent.parent.name].load(path, device="cpu", custom_objects=SCHEDULES)
    raw = np.random.default_rng(0).normal(scale=1.5, size=(64, *policy.observation_space.shape)).astype(np.float32)
    seen, scale = raw, 1.0
    if path.parent in NORMALISED:
        venv = sb3.common.vec_env.DummyVecEnv([lambda: Blank(model.observation_space, model.action_space)])
        normaliser = sb3.common.vec_env.VecNormalize.load(str(path.parent / "vecnormalize.pkl"), venv)
        seen, scale = normaliser.normalize_obs(raw), normaliser.unnormalize_reward(np.ones(()))
    expected, _ = model.predict(seen, deterministic=True)
    heads, _ = policy(tensors(raw))
    actions = heads.policy.mode().numpy()
    if policy.family.kind == "squashed-gaussian":
        actions = policy.action_space.low + (np.tanh(actions) + 1) / 2 * (
            policy.action_space.high - policy.action_space.low
        )
    if isinstance(policy.action_space, spaces.Box):
        actions = actions.clip(policy.action_space.low, policy.action_space.high)
    np.testing.assert_allclose(actions, expected, atol=1e-5)
    if not hasattr(model.policy, "get_distribution"):
        return
    batch, _ = model.policy.obs_to_tensor(seen)
    with torch.no_grad():
        found = model.policy.get_distribution(batch).distribution
        values = model.policy.predict_values(batch)[:, 0].numpy() * scale
    np.testing.assert_allclose(heads.value, values, rtol=1e-5, atol=1e-5 * float(scale))
    if hasattr(found, "loc"):
        np.testing.assert_allclose(heads.policy.mean, found.mean, atol=1e-5)
        np.testing.assert_allclose(heads.policy.log_std, found.stddev.log(), atol=1e-5)
    else:
        np.testing.assert_allclose(heads.policy.log_probs, found.logits, atol=1e-5)


def test_all_seventeen_agents_are_there() -> None:
    assert len(ZIPS) == 17
    assert len(NORMALISED) == 7


def test_gamma_comes_from_the_file() -> None:
    assert load(TEACHERS / "ppo/LunarLander-v2/LunarLander-v2.zip").gamma == 0.999
    assert load(TEACHERS / "ars/CartPole-v1/CartPole-v1.zip").gamma is None
