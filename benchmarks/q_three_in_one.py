"""Rusu et al. 2015, the claim on several games: three games of MinAtar in one network; writes q_three_in_one.md.

python benchmarks/q_three_in_one.py [--seeds 3] [--sizes 100 25] [--out runs/q-three-in-one] [--page-only]

Every run is a folder under --out: what is finished is not run again, and what was stopped goes on where it was. One
student for each game, under the same options, is what q_networks.py measures.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minatar_teachers import GAMES, HOME
from q_networks import LIMITS, OPTIONS, ROOT, SHARP, SIZES

import understudy
from understudy.runs.tasks.folder import TasksFolder
from understudy.runs.tasks.result import TasksResult

PAGE = ROOT / "benchmarks" / "q_three_in_one.md"
CLAIM = 0.9
"""R15's network of ten games has 89 % of its teachers' scores in the geometric mean."""


HEAD = """# Three games in one network

Written by `python benchmarks/q_three_in_one.py`. DQN teachers of three games of MinAtar ([how they were
trained](../teachers/README.md)) are distilled into one student by `q-kl` at temperature {sharp}, with {episodes} final
episodes of each game. Their observations have different channels, so that the first convolution is each game's own, and
so is the head. `steps` are environment steps of all games together.

For each game the normalised return, (student − random) / (teacher − random), and their geometric mean; `ratio` is the
geometric mean of student / teacher, as R15 gives it.
"""


def tables() -> dict[str, dict[str, Any]]:
    """The three tasks, as q_networks.py runs each of them alone."""
    return {
        game: {
            "teacher": os.path.relpath(HOME / game, Path.cwd()),
            "env": one.env,
            "wrap": [f"time-limit:{LIMITS[game]}"],
            "teacher_temperature": SHARP,
        }
        for game, one in GAMES.items()
    }


def run(size: str, seed: int, out: Path) -> TasksResult:
    """One run, unless it is finished."""
    folder = out / f"{size}-s{seed}"
    if (folder / "result.json").exists():
        return TasksFolder.open(folder).result
    if (folder / "tasks.toml").exists():
        result = understudy.resume(folder)
        assert isinstance(result, TasksResult)
        return result
    options = OPTIONS | {"steps": OPTIONS["steps"] * len(GAMES), "seed": seed, "out": str(folder)}
    return understudy.distill_tasks(tables(), SIZES[size], "q-kl", **options)


def ratio(result: TasksResult) -> float:
    """The geometric mean of returns over the teachers', as R15 gives it."""
    return _mean(max(one.student_return / one.teacher_return, 1e-3) for one in result.tasks.values())


def _mean(values: Iterable[float]) -> float:
    found = [math.log(one) for one in values]
    return math.exp(sum(found) / len(found))


def page(results: dict[str, list[TasksResult]]) -> str:
    """Tables of all that is finished."""
    columns = [
        "student",
        "parameters",
        "of them shared",
        "of the teachers'",
        "steps",
        "seed",
        *GAMES,
        "geometric mean",
        "ratio",
    ]
    lines = [
        HEAD.format(episodes=OPTIONS["final_episodes"], sharp=SHARP),
        f"| {' | '.join(columns)} |",
        "|" + " --- |" * len(columns),
        *(_row(size, one) for size, found in results.items() for one in found),
        "",
        *_verdicts(results),
    ]
    return "\n".join(lines) + "\n"


def _row(size: str, one: TasksResult) -> str:
    games = [f"{task.recovered:.1%}" if task.recovered is not None else "none" for task in one.tasks.values()]
    mean = "none" if one.geometric_mean is None else f"{one.geometric_mean:.1%}"
    share = one.student_parameters / one.teacher_parameters
    sizes = [f"`{SIZES[size]}`", f"{one.student_parameters:,}", f"{one.shared_parameters:,}", f"{share:.0%}"]
    return "| " + " | ".join([*sizes, f"{one.env_steps:,}", str(one.seed), *games, mean, f"{ratio(one):.1%}"]) + " |"


def _verdicts(results: dict[str, list[TasksResult]]) -> list[str]:
    """R15's claim against the seeds of each student."""
    lines = []
    for size, found in results.items():
        means = [one.geometric_mean or 0.0 for one in found]
        if means:
            seeds = f"{len(means)} seed{'s' * (len(means) > 1)}"
            text = "holds" if min(means) >= CLAIM else "does not hold" if max(means) < CLAIM else "holds for some seeds"
            lines.append(
                f"- `{SIZES[size]}`: geometric mean {min(means):.1%} to {max(means):.1%} over {seeds}; that "
                f"one network keeps about {CLAIM:.0%} {text}."
            )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", default=["100", "25"], choices=list(SIZES))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "q-three-in-one")
    parser.add_argument("--page-only", action="store_true")
    options = parser.parse_args()
    results: dict[str, list[TasksResult]] = {size: [] for size in options.sizes}
    for seed in range(options.seeds):
        for size in options.sizes:
            if not options.page_only or (options.out / f"{size}-s{seed}" / "result.json").exists():
                results[size].append(run(size, seed, options.out))
                print(results[size][-1].summary(), flush=True)
            PAGE.write_text(page(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
