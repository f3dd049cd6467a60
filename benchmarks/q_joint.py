"""Does learning by temporal differences beside distillation pay? Writes q_joint.md.

python benchmarks/q_joint.py TEACHERS [--seeds 5] [--jobs 1] [--out runs/q-joint] [--page benchmarks/q_joint.md]

TEACHERS: a folder with CartPole-v1/CartPole-v1.zip and LunarLander-v2/LunarLander-v2.zip, DQN agents of the RL Zoo.
Five ways, equal budgets: plain DQN, pure distillation, and both together with a constant and with a falling lambda. A
run that has finished is not run again, and one that was stopped goes on.

A run *reaches* its teacher at the first evaluation (20 episodes) whose return is the teacher's on the same seeds or
more, and which the next one confirms. What it earns *at the end* is the mean of the evaluations in the last tenth of
the budget.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understudy.math.statistics import bootstrap_interval
from understudy.runs.folder import RunFolder

TASKS = {
    "CartPole-v1": ("CartPole-v1/CartPole-v1.zip", 30_000),
    "LunarLander-v3": ("LunarLander-v2/LunarLander-v2.zip", 80_000),
}
FALLING = "linear:1:0:0.5"
WAYS: dict[str, tuple[str, ...]] = {
    "plain DQN": ("--method", "dqn"),
    "pure distillation (q-kl)": ("--method", "q-kl"),
    "TD + q-mse, λ = 1": ("--method", "dqn+q-mse"),
    "TD + q-nll, λ = 1": ("--method", "dqn+q-nll"),
    "TD + q-nll, λ 1 to 0": ("--method", "dqn+q-nll", "--loss-weight", FALLING),
}
STUDENT, NEVER_ENOUGH = "mlp:64,64", "9"


HEAD = """Students {student}, {seeds} seeds, default settings otherwise. *Reached*: median environment steps until the
student's return is its teacher's, confirmed once (runs that never did count as the whole budget). *At the
end*: the mean return in the evaluations of the last tenth of the budget, over the seeds, with a 95 %
bootstrap interval.

    python benchmarks/q_joint.py TEACHERS --seeds {seeds}"""


@dataclass(frozen=True)
class Run:
    env: str
    way: str
    seed: int
    out: Path

    @property
    def folder(self) -> RunFolder:
        name = "".join(letter if letter.isalnum() else "-" for letter in self.way)
        return RunFolder(self.out / f"{self.env}{name}-s{self.seed}")


def play(run: Run, teachers: Path) -> None:
    """One run in a process of its own."""
    if run.folder.result_path.is_file():
        return
    file, steps = TASKS[run.env]
    new = [
        str(teachers / file),
        "--env",
        run.env,
        "--student",
        STUDENT,
        "--steps",
        str(steps),
        "--target",
        NEVER_ENOUGH,
    ]
    new += ["--seed", str(run.seed), "--out", str(run.folder.path), "--quiet", *WAYS[run.way]]
    words = ["--resume", str(run.folder.path)] if run.folder.config_path.is_file() else new
    subprocess.run([sys.executable, "-m", "understudy", "distill", *words], check=True, stdout=subprocess.DEVNULL)


def told(run: Run) -> dict[str, Any]:
    """Steps until the teacher was reached (None: never), what it earned at the end, and the teacher."""
    records = [one for one in run.folder.records() if one["kind"] == "evaluation"]
    level = [one["student_return"] >= one["teacher_return"] for one in records]
    reached = next(
        (one["env_steps"] for one, now, then in zip(records, level, [*level[1:], False], strict=False) if now and then),
        None,
    )
    steps = TASKS[run.env][1]
    last = [one["student_return"] for one in records if one["env_steps"] > 0.9 * steps]
    return {"reached": reached, "end": float(np.mean(last)), "teacher": run.folder.result.teacher_return}


def row(env: str, way: str, seeds: int, out: Path) -> str:
    found = [told(Run(env, way, seed, out)) for seed in range(seeds)]
    ends = np.array([one["end"] for one in found])
    low, high = bootstrap_interval(ends, np.random.default_rng(0))
    reached = [one["reached"] for one in found]
    known = [steps for steps in reached if steps is not None]
    median = f"{np.median([TASKS[env][1] if steps is None else steps for steps in reached]):,.0f}" if known else "never"
    count = "" if len(known) == seeds else f" ({len(known)} of {seeds})"
    return f"| {way} | {median}{count} | {ends.mean():.1f} [{low:.1f}, {high:.1f}] |"


def page(seeds: int, out: Path) -> str:
    lines = ["# Temporal differences beside distillation", "", HEAD.format(student=STUDENT, seeds=seeds), ""]
    for env, (_, steps) in TASKS.items():
        teacher = np.mean([told(Run(env, "plain DQN", seed, out))["teacher"] for seed in range(seeds)])
        lines += [f"## {env}, {steps:,} steps, the teacher earns {teacher:.1f}", ""]
        lines += ["| way | reached | at the end |", "| --- | --- | --- |"]
        lines += [row(env, way, seeds, out) for way in WAYS] + [""]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teachers", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/q-joint"))
    parser.add_argument("--page", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args(words)
    options.out.mkdir(parents=True, exist_ok=True)
    runs = [Run(env, way, seed, options.out) for env in TASKS for seed in range(options.seeds) for way in WAYS]
    with ThreadPoolExecutor(options.jobs) as pool:
        for _ in pool.map(lambda run: play(run, options.teachers), runs):
            pass
    options.page.write_text(page(options.seeds, options.out), encoding="utf-8")


if __name__ == "__main__":
    main()
