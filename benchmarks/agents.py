"""Distil every published agent into a 64x64 student with default settings, and write the table of what was kept.

    python benchmarks/agents.py [--seeds 3] [--only ppo/CartPole-v1 ...] [--out benchmarks/agents]

One process a run; finished runs are kept, so that a stopped benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AGENTS = {  # file under the folder of teachers: (today's environment, its README's deterministic return)
    "ppo/CartPole-v1": ("CartPole-v1", "500 ± 0"),
    "a2c/CartPole-v1": ("CartPole-v1", "500 ± 0"),
    "dqn/CartPole-v1": ("CartPole-v1", "500 ± 0"),
    "ars/CartPole-v1": ("CartPole-v1", "500 ± 0"),
    "a2c/Acrobot-v1": ("Acrobot-v1", "-87.2 ± 35"),
    "qrdqn/MountainCar-v0": ("MountainCar-v0", "-109.1 ± 9.5"),
    "ppo/MountainCarContinuous-v0": ("MountainCarContinuous-v0", "87.4 ± 2.8"),
    "ppo/Pendulum-v1": ("Pendulum-v1", "-179 ± 107"),
    "sac/Pendulum-v1": ("Pendulum-v1", "-147.2 ± 85"),
    "tqc/Pendulum-v1": ("Pendulum-v1", "-143.7 ± 86"),
    "ppo/LunarLander-v2": ("LunarLander-v3", "240 ± 32"),
    "dqn/LunarLander-v2": ("LunarLander-v3", "140.5 ± 68"),
    "trpo/LunarLanderContinuous-v2": ("LunarLanderContinuous-v3", "259.4 ± 13.6"),
    "a2c/BipedalWalker-v3": ("BipedalWalker-v3", "301.4 ± 0.9"),
    "ppo/Swimmer-v3": ("Swimmer-v5", "269.9 ± 5.6"),
    "trpo/Hopper-v3": ("Hopper-v5", "3456 ± 507"),
    "ppo/HalfCheetah-v3": ("HalfCheetah-v5", "5835 ± 368"),
}
HEAD = (
    "| teacher | environment | its return | random | the students' | recovered, seed by seed | steps | seconds |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teachers", type=Path, default=ROOT.parent / "shared" / "teachers")
    parser.add_argument("--student", default="mlp:64,64")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(AGENTS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "agents")
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "agents.md")
    options = parser.parse_args()
    runs = [(agent, seed) for seed in range(options.seeds) for agent in options.only]
    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(lambda run: distil(*run, options), runs))
    options.page.write_text(table(options), encoding="utf-8")


def folder(agent: str, seed: int, options: argparse.Namespace) -> Path:
    return options.out / f"{agent.replace('/', '-')}-s{seed}"


def distil(agent: str, seed: int, options: argparse.Namespace) -> None:
    """One run through the command line, unless it is done."""
    out = folder(agent, seed, options)
    if (out / "result.json").exists():
        return
    path = options.teachers / agent / f"{agent.split('/')[1]}.zip"
    words = [sys.executable, "-m", "understudy", "distill", str(path), "--env", AGENTS[agent][0]]
    words += ["--student", options.student, "--seed", str(seed), "--out", str(out), "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    print(f"{agent} seed {seed}:", (done.stdout or done.stderr).strip().replace("\n", "\n    "), flush=True)


def table(options: argparse.Namespace) -> str:
    """The Markdown table, a line an agent, each seed's recovered fraction with its 95 % interval."""
    lines = [
        "# Every published agent, distilled",
        "",
        f"`python benchmarks/agents.py`: a {options.student} student, default settings, {options.seeds} seeds.",
        "Deterministic returns over 100 episodes, paired by seed; 95 % bootstrap intervals in brackets.",
        "",
        *HEAD,
    ]
    for agent in options.only:
        found = [folder(agent, seed, options) / "result.json" for seed in range(options.seeds)]
        results = [json.loads(path.read_text(encoding="utf-8")) for path in found if path.exists()]
        if results:
            lines.append(line(agent, results))
    return "\n".join(lines) + "\n"


def line(agent: str, results: list[dict]) -> str:
    first = results[0]
    students = ", ".join(f"{r['student_return']:.1f}" for r in results)
    kept = "; ".join(
        "undefined"
        if r["recovered"] is None
        else "{:.1%} [{:.1%}, {:.1%}]".format(r["recovered"], *r["recovered_interval"])
        for r in results
    )
    steps = ", ".join(f"{r['env_steps']:,}" for r in results)
    seconds = ", ".join(f"{r['seconds']:.1f}" for r in results)
    returns = f"{first['teacher_return']:.1f} [{first['teacher_interval'][0]:.1f}, {first['teacher_interval'][1]:.1f}]"
    cells = (agent, first["env"], returns, f"{first['random_return']:.1f}", students, kept, steps, seconds)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
