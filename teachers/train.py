"""Train the two example teachers with Stable-Baselines3 PPO.

    python teachers/train.py cartpole
    python teachers/train.py lunarlander

The policy is scored every few rollouts on the selection seeds and the best one so far
is written next to this file as ``ppo-<env id>.zip``. At the end that file is loaded
again and measured on seeds that neither training nor selection has used.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

TRAIN_SEED = 0
SELECTION_SEEDS = range(20_000, 20_050)
TEST_SEEDS = range(10_000, 10_100)

# State of the interrupted training run: of no use to somebody who loads the policy.
NOT_SAVED = [
    "ep_info_buffer",
    "ep_success_buffer",
    "lr_schedule",  # rebuilt from learning_rate by PPO.load
    "_last_episode_starts",
    "_last_obs",
    "_last_original_obs",
]

Policy = Callable[[npt.NDArray[np.float32]], int]


@dataclass(frozen=True)
class Recipe:
    """What to train, for how long, and how often to look at the result."""

    env_id: str
    n_envs: int
    timesteps: int
    rollouts_per_check: int
    ppo: dict[str, Any]

    @property
    def path(self) -> Path:
        return Path(__file__).resolve().parent / f"ppo-{self.env_id}.zip"


# Both follow RL Baselines3 Zoo, except that CartPole's step sizes stay constant.
RECIPES = {
    "cartpole": Recipe(
        env_id="CartPole-v1",
        n_envs=8,
        timesteps=100_000,
        rollouts_per_check=20,
        ppo={
            "learning_rate": 3e-4,
            "n_steps": 32,
            "batch_size": 256,
            "n_epochs": 20,
            "gamma": 0.98,
            "gae_lambda": 0.8,
            "ent_coef": 0.0,
        },
    ),
    "lunarlander": Recipe(
        env_id="LunarLander-v3",
        n_envs=16,
        timesteps=1_000_000,
        rollouts_per_check=4,
        ppo={
            "learning_rate": 3e-4,
            "n_steps": 1024,
            "batch_size": 64,
            "n_epochs": 4,
            "gamma": 0.999,
            "gae_lambda": 0.98,
            "ent_coef": 0.01,
        },
    ),
}


def evaluate(env_id: str, policy: Policy, seeds: range) -> npt.NDArray[np.float64]:
    """Return the undiscounted return of one episode per seed."""
    env = gym.make(env_id)
    returns = []
    for seed in seeds:
        obs, _ = env.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            obs, reward, terminated, truncated, _ = env.step(policy(obs))
            total += float(reward)
            done = terminated or truncated
        returns.append(total)
    env.close()
    return np.array(returns)


def deterministic(model: PPO) -> Policy:
    """The model's most likely action, as a plain function."""
    return lambda obs: int(model.predict(obs, deterministic=True)[0])


def random_policy(env_id: str, seed: int) -> Policy:
    """Uniformly random actions."""
    space = gym.make(env_id).action_space
    space.seed(seed)
    return lambda _obs: int(space.sample())


class KeepBest(BaseCallback):
    """Save the policy whenever its score on the selection seeds improves.

    The score is mean minus standard deviation, so that of two policies with similar
    means the steadier one is kept.
    """

    model: PPO

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.rollouts = 0
        self.best = -np.inf

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.rollouts and self.rollouts % self.recipe.rollouts_per_check == 0:
            self._check()
        self.rollouts += 1

    def _on_training_end(self) -> None:
        self._check()

    def _check(self) -> None:
        policy = deterministic(self.model)
        returns = evaluate(self.recipe.env_id, policy, SELECTION_SEEDS)
        score = returns.mean() - returns.std()
        kept = bool(score >= self.best)
        if kept:
            self.best = score
            self.model.save(self.recipe.path, exclude=NOT_SAVED)
        print(
            f"{self.num_timesteps:>9} steps  {returns.mean():7.1f} +- {returns.std():5.1f}{'  saved' if kept else ''}",
            flush=True,
        )


def train(recipe: Recipe) -> None:
    """Train, keeping the best policy on disk."""
    env = make_vec_env(recipe.env_id, n_envs=recipe.n_envs, seed=TRAIN_SEED)
    model = PPO("MlpPolicy", env, seed=TRAIN_SEED, device="cpu", **recipe.ppo)
    model.learn(recipe.timesteps, callback=KeepBest(recipe))
    env.close()


def report(recipe: Recipe) -> None:
    """Load the saved teacher and measure it, and a random policy, on the test seeds."""
    model = PPO.load(recipe.path, device="cpu")
    policies = {
        "teacher": deterministic(model),
        "random": random_policy(recipe.env_id, TRAIN_SEED),
    }
    seeds = f"seeds {TEST_SEEDS.start}..{TEST_SEEDS.stop - 1}"
    for name, policy in policies.items():
        returns = evaluate(recipe.env_id, policy, TEST_SEEDS)
        print(
            f"{recipe.env_id} {name}: {returns.mean():.1f} +- {returns.std():.1f} "
            f"(min {returns.min():.1f}, {len(returns)} episodes, {seeds})"
        )
    print(f"{recipe.path.name}: {recipe.path.stat().st_size} bytes, saved after {model.num_timesteps} steps")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train an example teacher.")
    parser.add_argument("teacher", choices=sorted(RECIPES))
    parser.add_argument("--report-only", action="store_true", help="measure the saved file, do not train")
    args = parser.parse_args(argv)
    recipe = RECIPES[args.teacher]
    torch.set_num_threads(1)
    start = time.perf_counter()
    if not args.report_only:
        train(recipe)
        print(f"training took {time.perf_counter() - start:.0f} s")
    report(recipe)
    return 0


if __name__ == "__main__":
    sys.exit(main())
