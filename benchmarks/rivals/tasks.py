"""What the rivals share: the tasks, their teachers, and the rule by which they are measured."""

import argparse
import json
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecNormalize

Act = Callable[[NDArray[Any]], NDArray[Any]]
P = ParamSpec("P")
T = TypeVar("T")

TASKS = {  # name: (environment, the zoo's PPO teacher for it)
    "cartpole": ("CartPole-v1", "CartPole-v1"),
    "lunarlander": ("LunarLander-v3", "LunarLander-v2"),
    "halfcheetah": ("HalfCheetah-v5", "HalfCheetah-v3"),
    "pendulum": ("Pendulum-v1", "Pendulum-v1"),
}
TEACHERS = Path(__file__).resolve().parents[3] / "shared" / "teachers"
EPISODES, FIRST_SEED = 20, 1_000_000  # of every evaluation; training seeds are far below
SPACING = 1.15
RECOVERED = 0.95  # to be reached in two evaluations in a row


def arguments(description: str | None) -> argparse.Namespace:
    """The command line of a rival: one task, one student, one seed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--student", default="64,64", help="hidden layers (16,16 or 64,64)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--teachers", type=Path, default=TEACHERS, help="folder of the zoo's agents")
    parser.add_argument("--cap", type=float, default=60.0, help="CPU seconds after which to give up")
    return parser.parse_args()


@dataclass(frozen=True)
class Task:
    """An environment with its teacher, who sees normalised observations, as does the student."""

    env_id: str
    teacher: ActorCriticPolicy
    normaliser: VecNormalize | None

    def normalise(self, observation: NDArray[Any]) -> NDArray[np.float32]:
        """The observations [N, ...] as the teacher wants them."""
        seen: Any = self.normaliser.normalize_obs(observation) if self.normaliser else observation
        return np.asarray(seen, dtype=np.float32)

    def make(self) -> gymnasium.Env[Any, Any]:
        """A fresh environment."""
        return gymnasium.make(self.env_id)


def open_task(name: str, teachers: Path) -> Task:
    """The named task; the teacher's file may be one of the old `gym`."""
    for module in [m for m in sys.modules if m.split(".")[0] == "gymnasium"]:
        sys.modules.setdefault(module.replace("gymnasium", "gym", 1), sys.modules[module])
    env_id, teacher = TASKS[name]
    folder = teachers / "ppo" / teacher
    env = gymnasium.make(env_id)
    today = {"observation_space": env.observation_space, "action_space": env.action_space}
    frozen = {"learning_rate": 0.0, "lr_schedule": lambda _: 0.0, "clip_range": lambda _: 0.0}
    policy = PPO.load(folder / f"{teacher}.zip", device="cpu", custom_objects={**today, **frozen}).policy
    statistics = folder / "vecnormalize.pkl"
    normaliser = pickle.loads(statistics.read_bytes()) if statistics.exists() else None
    if normaliser:
        normaliser.training = normaliser.norm_reward = False
    return Task(env_id, policy, normaliser)


def mean_return(task: Task, act: Act) -> float:
    """Mean over the evaluation's episodes, every one with its own fixed seed."""
    envs = [task.make() for _ in range(EPISODES)]
    seen = np.stack([env.reset(seed=FIRST_SEED + i)[0] for i, env in enumerate(envs)])
    running, total = list(range(EPISODES)), 0.0
    while running:
        steps = [envs[i].step(action) for i, action in zip(running, act(task.normalise(seen)), strict=True)]
        total += sum(float(reward) for _, reward, *_ in steps)
        over = [terminated or truncated for _, _, terminated, truncated, _ in steps]
        running = [i for i, done in zip(running, over, strict=True) if not done]
        seen = np.array([step[0] for step, done in zip(steps, over, strict=True) if not done])
    for env in envs:
        env.close()
    return total / EPISODES


@dataclass
class Meter:
    """Counts the CPU seconds and environment steps until the student has recovered the teacher's return.

    `env_seconds` is the part of `cpu_seconds` spent in environments; evaluation belongs to neither.
    """

    task: Task
    args: argparse.Namespace
    cpu_seconds: float = 0.0
    env_seconds: float = 0.0
    env_steps: int = 0
    in_a_row: int = 0
    due: float = 0.0  # steps before which no evaluation is made: 15 % more than at the last one
    random: float = field(init=False)
    teacher: float = field(init=False)

    def __post_init__(self) -> None:
        space = self.task.make().action_space
        space.seed(FIRST_SEED)
        self.random = mean_return(self.task, lambda seen: np.array([space.sample() for _ in seen]))
        teacher = self.task.teacher
        self.teacher = mean_return(self.task, lambda seen: teacher.predict(seen, deterministic=True)[0])
        warm_up()

    @contextmanager
    def training(self) -> Iterator[None]:
        """Whatever runs inside is counted."""
        start = time.process_time()
        yield
        self.cpu_seconds += time.process_time() - start

    def env(self, steps: int, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Let the environments take `steps` steps in all."""
        start = time.process_time()
        result = call(*args, **kwargs)
        self.env_seconds += time.process_time() - start
        self.env_steps += steps
        return result

    def finished(self, act: Act) -> bool:
        """Evaluate the student: has it got there, or has it used up its time?"""
        if self.env_steps < self.due:
            return self.cpu_seconds >= self.args.cap
        self.due = self.env_steps * SPACING
        recovered = (mean_return(self.task, act) - self.random) / (self.teacher - self.random)
        self.in_a_row = self.in_a_row + 1 if recovered >= RECOVERED else 0
        progress = f"{self.env_steps:8d} steps {self.cpu_seconds:7.2f} s  recovered {recovered:.3f}"
        print(progress, file=sys.stderr)
        return self.in_a_row >= 2 or self.cpu_seconds >= self.args.cap

    def report(self, tool: str) -> None:
        """The run as one line of JSON."""
        line = {"task": self.args.task, "student": self.args.student, "seed": self.args.seed, "tool": tool}
        line |= {"reached": self.in_a_row >= 2, "cpu_seconds": round(self.cpu_seconds, 3)}
        line |= {"env_steps": self.env_steps, "env_seconds": round(self.env_seconds, 3)}
        print(json.dumps(line), flush=True)


def warm_up() -> None:
    """One step of Adam, so that what PyTorch loads and compiles on first use is on nobody's bill."""
    layer = torch.nn.Linear(4, 4)
    for fused in (False, True):
        adam = torch.optim.Adam(layer.parameters(), fused=fused)
        torch.nn.functional.mse_loss(layer(torch.ones(8, 4)), torch.zeros(8, 4)).backward()
        adam.step()


torch.set_num_threads(1)
