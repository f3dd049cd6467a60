"""How soon a student of the RL Zoo's DQN agents holds 95 % of its teacher; writes q_zoo.md.

python benchmarks/q_zoo.py TEACHERS [--seeds 5] [--page benchmarks/q_zoo.md]

TEACHERS: a folder with CartPole-v1/CartPole-v1.zip and LunarLander-v2/LunarLander-v2.zip. Default settings; a run ends
when the library's own judge finds 95 %, and is measured on 100 further episodes. CPU seconds are of training, on one
thread, without evaluation.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import understudy
from understudy.runs.result import Result


@dataclass(frozen=True)
class Case:
    """``asked``: CPU seconds within which it should be done."""

    env: str
    file: str
    student: str
    asked: float
    steps: int


CASES = (
    Case("CartPole-v1", "CartPole-v1/CartPole-v1.zip", "mlp:16,16", 3.0, 30_000),
    Case("LunarLander-v3", "LunarLander-v2/LunarLander-v2.zip", "mlp:64,64", 15.0, 60_000),
)
ROWS = ("q-kl", "q-ce", "q-nll", "q-mse")
HEAD = """# The RL Zoo's DQN agents, to 95 % of their return

Written by `python benchmarks/q_zoo.py TEACHERS --seeds {seeds}`. Default settings, one thread; medians over the seeds
(their range). *Held*: runs whose return on 100 more episodes is 95 % of the teacher's; *stopped*: runs that the judge
ended before their budget of environment steps was spent.

| environment | student | method | CPU seconds of training | asked for | environment steps | held | stopped |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
"""


def run(case: Case, row: str, seed: int, teachers: Path) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        return understudy.distill(
            str(teachers / case.file),
            case.env,
            student=case.student,
            method=row,
            steps=case.steps,
            seed=seed,
            out=str(Path(folder) / "run"),
            curve_episodes=0,
            quiet=True,
        )


def told(case: Case, row: str, found: list[Result]) -> str:
    seconds, steps = [one.cpu_seconds for one in found], [one.env_steps for one in found]
    held = sum(one.recovered is not None and one.recovered >= 0.95 for one in found)
    stopped = sum(one.env_steps < case.steps for one in found)
    return (
        f"| {case.env} | {case.student} | {row} | {median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f}) | "
        f"{case.asked:g} | {median(steps):,.0f} | {held} of {len(found)} | {stopped} of {len(found)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teachers", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--page", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    lines = []
    for case in CASES:
        for row in ROWS:
            lines.append(told(case, row, [run(case, row, seed, options.teachers) for seed in range(options.seeds)]))
            print(lines[-1], flush=True)
    options.page.write_text(HEAD.format(seeds=options.seeds) + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
