"""Rusu et al. 2015 on three games of MinAtar: how small, by which loss, how sharp; writes q_networks/page.md.

python benchmarks/q_networks.py [--seeds 3] [--processes 1] [--out runs/q-networks] [--only freeway/q-kl ...]

Every run is a run folder under --out: what is finished is not run again, and what was stopped goes on where it was.
The page is written from all that is finished; `--page-only` runs nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from minatar_teachers import GAMES, HOME
from q_networks_page import write

import understudy

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"25": "cnn:small:x0.5", "7": "cnn:small:x0.26", "100": "cnn:small", "2": "cnn:small:x0.14"}
"""Students by their rounded share of the teacher's parameters; the page says the exact one."""
LOSSES = ("q-kl", "q-mse", "q-ce", "q-nll")
SHARP = 0.01
TEMPERATURES = (0.001, SHARP, 0.1, 1.0, 10.0)
TRIED_ON = "freeway"
LIMITS = {"freeway": 500, "breakout": 2500, "space_invaders": 2500}
"""Steps of an episode. Freeway's last 2,500 by themselves, all of the same kind; the other games have no limit."""
OPTIONS: dict[str, Any] = {
    "steps": 16_000,
    "learning_rate": 4e-3,
    "target": 100.0,  # every run spends its budget
    "evaluation_episodes": 10,
    "final_episodes": 100,
    "quiet": True,
}


@dataclass(frozen=True)
class Setting:
    """What is run with every seed. ``size``: a key of SIZES."""

    game: str
    method: str = "q-kl"
    size: str = "25"
    temperature: float = SHARP

    @property
    def name(self) -> str:
        return f"{self.game}/{self.method}-{self.size}-{self.temperature:g}"

    def options(self, seed: int, out: Path) -> dict[str, Any]:
        """Of :func:`understudy.distill`."""
        return OPTIONS | {
            "teacher": os.path.relpath(HOME / self.game, Path.cwd()),
            "env": GAMES[self.game].env,
            "wrap": (f"time-limit:{LIMITS[self.game]}",),
            "student": SIZES[self.size],
            "method": self.method,
            "teacher_temperature": self.temperature,
            "seed": seed,
            "out": str(self.folder(seed, out)),
        }

    def folder(self, seed: int, out: Path) -> Path:
        return out / f"{self.name}-s{seed}"


def settings() -> list[Setting]:
    """All of them, each once, the most important first."""
    quarter = [Setting(game, method) for method in LOSSES for game in GAMES]
    sizes = [Setting(game, size=size) for size in SIZES for game in GAMES]
    heat = [Setting(TRIED_ON, temperature=temperature) for temperature in TEMPERATURES]
    return list(dict.fromkeys(quarter + sizes + heat))


def run(setting: Setting, seed: int, out: Path) -> str:
    """One run, unless it is finished; a line about it."""
    folder = setting.folder(seed, out)
    if (folder / "result.json").exists():
        return ""
    begun = (folder / "config.toml").exists()
    result = understudy.resume(folder) if begun else understudy.distill(**setting.options(seed, out))
    return (
        f"{setting.name} seed {seed}: {result.student_return:.2f} of the teacher's {result.teacher_return:.2f}, "
        f"{result.student_parameters / result.teacher_parameters:.1%} of the parameters, {result.total_seconds:.0f} s"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "q-networks")
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "q_networks")
    parser.add_argument("--only", nargs="*", default=[], help="beginnings of names, such as freeway/q-kl")
    parser.add_argument("--page-only", action="store_true")
    options = parser.parse_args()
    chosen = [one for one in settings() if not options.only or one.name.startswith(tuple(options.only))]
    if not options.page_only:
        jobs = [(one, seed) for seed in range(options.seeds) for one in chosen]
        with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
            for done in [pool.submit(run, one, seed, options.out) for one, seed in jobs]:
                if done.result():
                    print(done.result(), flush=True)
    write(settings(), options.seeds, options.out, options.page, OPTIONS | {"time_limits": LIMITS})
    return 0


if __name__ == "__main__":
    sys.exit(main())
