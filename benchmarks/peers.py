"""Students that learn together, each near the others' moving policies, beside students that learn alone: peers.md.

python benchmarks/peers.py [--seeds 5] [--steps 100000] [--out runs/peers] [--page benchmarks/peers.md]

One stage of Pursuit. Three peers take three times the environment steps of one student, so that they stand beside one
student with the budget of one, and one with the budget of all three. A training that has finished is not run again.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.lab.verdict import mean_interval
from understudy.runs.console import Silent
from understudy.stages.config import StagesConfig
from understudy.stages.execute import resume_stages, run_stages
from understudy.stages.result import StagesResult

ENV, PEERS = "understudy/Pursuit-v0", 3
PPO: dict[str, Any] = {
    "n_steps": 128,
    "batch_size": 1024,
    "n_epochs": 8,
    "learning_rate": 1e-3,
    "final_learning_rate": 1e-4,
}


@dataclass(frozen=True)
class Way:
    """``times``: the budget of each student, in that of one peer."""

    name: str
    peers: int = 1
    times: int = 1
    weight: str = "linear:0.1:0"


WAYS = (
    Way("alone"),
    Way("three peers, weight 0.1 to 0", PEERS),
    Way("three peers, weight 0.1", PEERS, weight="0.1"),
    Way("three apart, the best of them", PEERS, weight="1e-9"),
    Way("alone, with the steps of three", times=PEERS),
)
HEAD = """# Learning together

Written by `python benchmarks/peers.py --seeds {seeds} --steps {steps}`: one stage of {env}, by PPO. *At the end*: the
mean return of 100 episodes of the best student; *on the way*: the mean of its evaluations. Means over {seeds} seeds
with 95 % bootstrap intervals; *less alone*: the difference, seed by seed. Steps are those of all students together.

| | steps | at the end | on the way | at the end, less alone |
| --- | ---: | --- | --- | --- |
"""


def trained(way: Way, seed: int, steps: int, out: Path) -> StagesResult:
    """One training, unless it has finished."""
    folder = out / f"{''.join(c if c.isalnum() else '-' for c in way.name)}-s{seed}"
    if (folder / "stages.toml").is_file():
        return resume_stages(folder, console=Silent())
    values = {
        "stages": [{"name": "pursuit", "env": ENV, "steps": steps * way.times, "store": 0}],
        "student": "mlp:64,64:tanh",
        "own_std": True,
        "copies": 64,
        "peers": way.peers,
        "peer_weight": way.weight,
        "seed": seed,
        "out": str(folder),
        "quiet": True,
        "ppo": PPO,
    }
    return run_stages(StagesConfig.of(values), console=Silent())


def told(values: np.ndarray) -> str:
    found = mean_interval(values)
    return f"{found.value:.1f} [{found.low:.1f}, {found.high:.1f}]"


def on_the_way(result: StagesResult) -> float:
    lines = (Path(result.path) / "pursuit" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    looks = [one for one in map(json.loads, lines) if one["kind"] == "evaluation"]
    return float(np.mean([one["returns"]["pursuit"] for one in looks]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path("runs/peers"))
    parser.add_argument("--page", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    lines, alone = [], np.zeros(0)
    for way in WAYS:
        found = [trained(way, seed, options.steps, options.out) for seed in range(options.seeds)]
        ends = np.array([one.rows["pursuit"]["pursuit"]["return"] for one in found])
        alone = alone if len(alone) else ends
        steps = np.mean([one.stages[0]["env_steps"] for one in found])
        less = "" if way is WAYS[0] else told(ends - alone)
        way_there = told(np.array([on_the_way(one) for one in found]))
        lines.append(f"| {way.name} | {steps:,.0f} | {told(ends)} | {way_there} | {less} |")
        print(lines[-1], flush=True)
    text = HEAD.format(seeds=options.seeds, steps=options.steps, env=ENV) + "\n".join(lines) + "\n"
    options.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
