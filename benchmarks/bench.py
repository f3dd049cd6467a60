"""CPU seconds and environment steps to 95 % of the teacher, beside a plain loop and imitation's DAgger.

    python benchmarks/bench.py [--seeds 5] [--tasks cartpole ...] [--no-rivals] [--wide]

Every figure is of one run of this program on one machine: the tools take turns, seed by seed, on one thread.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from understudy.engines.actor import PolicyActor, random_actor
from understudy.envs.play import play
from understudy.envs.rollout import Rollout
from understudy.runs.assemble import Assembly, assemble
from understudy.runs.config import DistillConfig
from understudy.runs.console import Silent

ROOT = Path(__file__).resolve().parents[1]
RIVALS = ROOT / "benchmarks" / "rivals"
TASKS = {  # the zoo's PPO agents: file, environment, CPU seconds after which a run is given up
    "cartpole": ("ppo/CartPole-v1/CartPole-v1.zip", "CartPole-v1", 10),
    "lunarlander": ("ppo/LunarLander-v2/LunarLander-v2.zip", "LunarLander-v3", 20),
    "pendulum": ("ppo/Pendulum-v1/Pendulum-v1.zip", "Pendulum-v1", 10),
    "halfcheetah": ("ppo/HalfCheetah-v3/HalfCheetah-v3.zip", "HalfCheetah-v5", 50),
}
STUDENTS = ("16,16", "64,64")
TARGET, EPISODES, FIRST_SEED, SPACING = 0.95, 20, 1_000_000, 1.15


def ours(task: str, student: str, seed: int, teachers: Path) -> dict[str, Any]:
    """One run of Understudy's learner by the rule: two evaluations in a row at 95 %, evaluation not counted."""
    path, env, cap = TASKS[task]
    config = DistillConfig(teacher=str(teachers / path), env=env, student=f"mlp:{student}", seed=seed)
    parts = assemble(config, None, None, Silent())
    bench = parts.origin.make(EPISODES)
    seeds = range(FIRST_SEED, FIRST_SEED + EPISODES)
    uniform = random_actor(parts.actions)
    floor = play(bench, parts.actions, uniform, seeds).returns.mean()
    ceiling = play(bench, parts.actions, parts.teacher_actor(), seeds).returns.mean()
    spent, env_seconds, held, due = 0.0, Stopwatch(parts), 0, 0.0
    learner = parts.learner
    while held < 2 and spent < cap:
        began = time.process_time()
        learner.step()
        spent += time.process_time() - began
        if learner.env_steps < due:
            continue
        due = learner.env_steps * SPACING
        learner.optimiser.swap()
        student_actor = PolicyActor(parts.student, parts.views.student, None)
        mean = play(bench, parts.actions, student_actor, seeds).returns.mean()
        learner.optimiser.swap()
        held = held + 1 if (mean - floor) / (ceiling - floor) >= TARGET else 0
    parts.close()
    bench.close()
    facts = {"task": task, "student": student, "seed": seed, "tool": "Understudy", "reached": held >= 2}
    return facts | {
        "cpu_seconds": round(spent, 3),
        "env_steps": learner.env_steps,
        "env_seconds": round(env_seconds.seconds, 3),
        "updates": learner.updates,
    }


class Stopwatch:
    """CPU seconds that the training environments take by themselves."""

    def __init__(self, parts: Assembly) -> None:
        self.seconds, self.step = 0.0, parts.simulator.step
        parts.simulator.step = self  # type: ignore[method-assign]

    def __call__(self, action: np.ndarray) -> Any:
        began = time.process_time()
        outcome = self.step(action)
        self.seconds += time.process_time() - began
        return outcome


def rival(script: str, task: str, student: str, seed: int, teachers: Path) -> dict[str, Any] | None:
    """One run of a rival in its own environment; None where that is not installed."""
    python = ROOT / ".bench-venv" / "bin" / "python"
    if not python.exists():
        return None
    words = [str(python), str(RIVALS / script), "--task", task, "--student", student, "--seed", str(seed)]
    words += ["--cap", str(TASKS[task][2]), "--teachers", str(teachers)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if not lines:
        print(f"{script} {task} {student} seed {seed} failed:\n{done.stderr[-2000:]}")
        return None
    return json.loads(lines[-1])


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Medians over the seeds, and how many seeds got there."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["task"], row["student"], row["tool"]].append(row)
    lines = [
        "| task, student | tool | reached | CPU seconds | of it the environment | ratio | steps |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (task, student, tool), found in groups.items():
        cpu, env = median(r["cpu_seconds"] for r in found), median(r["env_seconds"] for r in found)
        worst = max(r["cpu_seconds"] for r in found)
        reached, steps = sum(r["reached"] for r in found), median(r["env_steps"] for r in found)
        cells = (f"{task}, {student.replace(',', 'x')}", tool, f"{reached} of {len(found)}")
        cells += (f"{cpu:.3f} (worst {worst:.3f})", f"{env:.3f}", f"{cpu / max(env, 1e-9):.1f}", f"{steps:,.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def wide(seconds: float = 1.0) -> list[str]:
    """Environment steps a second with a 64x64 student acting, and without a policy, by number of copies."""
    lines = [
        "| environment | copies | steps/s without a policy | steps/s with a 64x64 student | share |",
        "| --- | --- | --- | --- | --- |",
    ]
    for env in ("CartPole-v1", "vector:CartPole-v1", "LunarLander-v3"):
        for copies in (8, 64, 256, 4096):
            if env == "LunarLander-v3" and copies > 256:
                continue
            bare, acting = speeds(env, copies, seconds)
            lines.append(f"| {env} | {copies} | {bare:,.0f} | {acting:,.0f} | {acting / bare:.0%} |")
    return lines


def speeds(env: str, copies: int, seconds: float) -> tuple[float, float]:
    """Steps a second: constant actions through the simulator alone, and a student through the rollout loop."""
    config = DistillConfig(teacher=str(ROOT / "teachers" / f"ppo-{env.split(':')[-1]}.zip"), env=env, copies=copies)
    parts = assemble(config, None, None, Silent())
    actor = PolicyActor(parts.student, parts.views.student, np.random.default_rng(0))
    rollout = Rollout(parts.simulator, parts.actions, 0)
    window = max(1, 2048 // copies)
    rollout.collect(actor, window)
    parts.simulator.reset(0)
    actions = parts.actions.to_env(parts.actions.uniform(copies, np.random.default_rng(1)))
    found = []
    for play_once, steps in (
        (lambda: parts.simulator.step(actions), 1),
        (lambda: rollout.collect(actor, window), window),
    ):
        count, began = 0, time.process_time()
        while time.process_time() - began < seconds:
            play_once()
            count += steps * copies
        found.append(count / (time.process_time() - began))
    parts.close()
    return found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teachers", type=Path, default=ROOT.parent / "shared" / "teachers")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--dagger-seeds", type=int, default=2, help="DAgger is slow; fewer seeds tell enough")
    parser.add_argument("--no-rivals", action="store_true")
    parser.add_argument("--wide", action="store_true", help="only the table of wide vector environments")
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "speed.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    if not options.wide:
        ours("cartpole", "16,16", 0, options.teachers)  # what is loaded on first use is on nobody's bill
        for task in options.tasks:
            for student in STUDENTS:
                rows += contest(task, student, options)
                print("\n".join(table(rows)), flush=True)
    page = ["# Speed", "", f"`python benchmarks/bench.py`, {options.seeds} seeds, one thread; medians.", ""]
    page += [*table(rows), ""] if rows else []
    page += [
        "## Wide vector environments",
        "",
        "CPU time; the share is what the policy leaves of the environment's own speed.",
        "",
    ]
    page += wide()
    options.page.write_text("\n".join(page) + "\n", encoding="utf-8")
    print("\n".join(page))


def contest(task: str, student: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All tools on one task, seed by seed."""
    rows: list[dict[str, Any] | None] = []
    for seed in range(options.seeds):
        rows.append(ours(task, student, seed, options.teachers))
        if not options.no_rivals:
            rows.append(rival("plain_loop.py", task, student, seed, options.teachers))
            if seed < options.dagger_seeds:
                rows.append(rival("dagger.py", task, student, seed, options.teachers))
        print(rows[-1], flush=True)
    return [row for row in rows if row is not None]


if __name__ == "__main__":
    main()
