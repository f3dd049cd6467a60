"""What the CartPole benchmarks share: the published PPO agent distilled through the command line, and tables of it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- measured -->", "<!-- measured until here -->"


@dataclass(frozen=True)
class Cell:
    """One line of a table: options of ``understudy distill``, run once a seed."""

    name: str
    words: tuple[str, ...]

    def folder(self, seed: int, out: Path) -> Path:
        return out / f"{self.name}-s{seed}"


def arguments(description: str | None, page: str, seeds: int = 3) -> argparse.Namespace:
    """The options of these benchmarks."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    zoo = ROOT.parent / "shared" / "teachers" / "ppo" / "CartPole-v1" / "CartPole-v1.zip"
    parser.add_argument("--teacher", type=Path, default=zoo)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / page.removeprefix("results-"))
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / f"{page}.md")
    return parser.parse_args()


def measure(cells: Sequence[Cell], options: argparse.Namespace) -> None:
    """Run every cell with every seed; finished runs are kept, so that a stopped benchmark goes on where it was."""
    jobs = [(cell, seed) for cell in cells for seed in range(options.seeds)]
    with ThreadPoolExecutor(options.jobs) as pool:
        failed = sum(not done for done in pool.map(lambda job: distil(*job, options), jobs))
    if failed:
        raise SystemExit(f"{failed} of {len(jobs)} runs failed; the page stays as it was")


def distil(cell: Cell, seed: int, options: argparse.Namespace) -> bool:
    """One run through the command line, unless it is done; whether there is a result."""
    out = cell.folder(seed, options.out)
    if (out / "result.json").exists():
        return True
    words = [sys.executable, "-m", "understudy", "distill", str(options.teacher), "--env", "CartPole-v1"]
    words += [*cell.words, "--seed", str(seed), "--out", str(out)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    print(f"{cell.name} seed {seed}:", (done.stdout + done.stderr).strip().replace("\n", "\n    "), flush=True)
    return (out / "result.json").exists()


def results(cell: Cell, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The result.json of every finished seed, with the mean length of the student's last evaluation in training."""
    found = []
    for seed in range(options.seeds):
        folder = cell.folder(seed, options.out)
        if (folder / "result.json").exists():
            lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
            lengths = [line["student_length"] for line in lines if line["kind"] == "evaluation"]
            finite = all(line.get("loss", 0.0) is not None for line in lines)
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            found.append(result | {"last_length": lengths[-1] if lengths else None, "finite": finite})
    return found


def kept(found: Iterable[dict[str, Any]]) -> str:
    """Each seed's recovered fraction with its 95 % interval."""
    return "; ".join("{:.1%} [{:.1%}, {:.1%}]".format(r["recovered"], *r["recovered_interval"]) for r in found)


def each(found: Iterable[dict[str, Any]], key: str, form: str = ",.0f") -> str:
    """One figure of each seed."""
    return ", ".join("-" if r[key] is None else format(r[key], form) for r in found)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write(page: Path, text: str) -> None:
    """Show the table, and put it between the page's two marks."""
    print(text)
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
