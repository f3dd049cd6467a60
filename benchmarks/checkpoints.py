"""What checkpoints cost: their share of a run, and of an environment's steps now that each episode has a seed.

python benchmarks/checkpoints.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import torch

from understudy.runs.checkpoints import Checkpoints
from understudy.runs.config import DistillConfig
from understudy.runs.console import Silent
from understudy.runs.environments import Environments
from understudy.runs.execute import distill

TEACHERS = Path(__file__).resolve().parent.parent / "teachers"
SEEDS, RESETS = 5, 3000


def timed(home: type, name: str, spent: dict[str, list[float]]) -> None:
    """From now on every call of a method adds its seconds to ``spent``."""
    method: Callable[..., Any] = getattr(home, name)

    def measured(*arguments: Any) -> Any:
        began = time.perf_counter()
        answer = method(*arguments)
        spent[name].append(time.perf_counter() - began)
        return answer

    setattr(home, name, measured)


def runs(env: str, spent: dict[str, list[float]]) -> str:
    """A table's row: seconds of whole runs, and of what is done for checkpoints in them."""
    training = total = 0.0
    for times in spent.values():
        times.clear()
    for seed in range(SEEDS):
        with tempfile.TemporaryDirectory() as folder:
            config = DistillConfig(str(TEACHERS / f"ppo-{env}.zip"), env, "mlp:16,16", seed=seed, out=f"{folder}/run")
            result = distill(config, console=Silent())
        training, total = training + result.seconds, total + result.total_seconds
    trial, write = sum(spent["_replays"]), sum(spent["write"])
    cells = (training / SEEDS, total / SEEDS, len(spent["write"]) / SEEDS, write / len(spent["write"]), trial / SEEDS)
    text = "{:.2f} s | {:.2f} s | {:.1f} | {:.4f} s | {:.4f} s".format(*cells)
    return f"| {env} | {text} | {(trial + write) / training:.1%} | {(trial + write) / total:.1%} |"


def resets(env: str) -> str:
    """Microseconds of a reset without a seed and with one."""
    one, found = gymnasium.make(env).unwrapped, []
    one.reset(seed=0)
    for options in ({}, {"seed": 1}):
        began = time.perf_counter()
        for _ in range(RESETS):
            one.reset(**options)
        found.append((time.perf_counter() - began) / RESETS * 1e6)
    return "{}: a reset takes {:.1f} µs, with a seed {:.1f} µs".format(env, *found)


def main() -> None:
    torch.set_num_threads(1)
    spent: dict[str, list[float]] = {"write": [], "_replays": []}
    timed(Checkpoints, "write", spent)
    timed(Environments, "_replays", spent)
    heads = ("environment", "training", "whole run", "files", "a file", "the trial", "of training", "of the whole run")
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for env in ("CartPole-v1", "LunarLander-v3"):
        print(runs(env, spent))
    for env in ("CartPole-v1", "LunarLander-v3"):
        print(resets(env))


if __name__ == "__main__":
    main()
