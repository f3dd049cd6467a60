"""How small can a student be? Published agents compressed, methods compared on one of them; writes compress.md.

    python benchmarks/compress.py [--teachers ../shared/teachers] [--out runs/compress] [--only dqn/CartPole-v1 ...]

The commands that it runs are on the page. What they have finished in --out is kept, so that a stopped benchmark goes
on where it was.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agents import AGENTS, ROOT

from understudy.comparison.summary import Comparison, read
from understudy.comparison.verdict import Wish, decide, share
from understudy.reports.comparison_page import sentence
from understudy.reports.comparison_table import rows, with_interval
from understudy.runs.sturdiness import Sturdiness

LADDERS = ("dqn/CartPole-v1", "ppo/LunarLander-v2", "trpo/LunarLanderContinuous-v2")
COMPARED, METHODS = "methods", "on-policy-distill,teacher-distill,n-distill+r"
COMMANDS: dict[str, tuple[str, str, Sequence[str]]] = {
    **{agent: ("compress", agent, ()) for agent in LADDERS},
    COMPARED: (
        "compare",
        "ppo/LunarLander-v2",
        ("--steps", "50000", "--methods", METHODS, "--students", "mlp:64,64;mlp:16,16;linear"),
    ),
}
"""The command, the teacher and further options, by what they are for."""
LEFT_OUT = ("µs", "seconds")
NUMBERS = ("parameters", "bytes", "steps")
INTRODUCTION = """# How small can a student be?

Written by `python benchmarks/compress.py{only}`, which runs the commands below; `T` is the folder of the published
agents. Default settings but for what the commands say. Students' returns and recovered fractions are interquartile
means over their runs, the teacher's and the random policy's returns means over episodes, all with 95 % bootstrap
intervals ([compare](../docs/compare.md#figures)). *perhaps*: by the point estimate alone. *Steps*: of the environment,
until an evaluation found {target:.0%} of the teacher's return held (and in how many of the runs, where not in all).
Seconds and microseconds depend on the machine and are left out.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teachers", type=Path, default=ROOT.parent / "shared" / "teachers")
    parser.add_argument("--only", nargs="*", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "compress")
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "compress.md")
    options = parser.parse_args()
    found = {name: compared(name, options) for name in options.only}
    only = "" if list(found) == list(COMMANDS) else f" --only {' '.join(found)}"
    parts = [INTRODUCTION.format(only=only, target=next(iter(found.values())).target)]
    parts += [section(name, command(name, Path("$T")), one) for name, one in found.items()]
    options.page.write_text("\n".join(parts), encoding="utf-8")


def command(name: str, teachers: Path) -> list[str]:
    """What is typed after ``understudy``."""
    verb, agent, more = COMMANDS[name]
    return [verb, str(teachers / agent / f"{agent.split('/')[1]}.zip"), "--env", AGENTS[agent][0], *more]


def compared(name: str, options: argparse.Namespace) -> Comparison:
    """What the command found; runs that are finished are not run again."""
    place = (options.out / name.replace("/", "-")).resolve()
    teachers = Path(os.path.relpath(options.teachers, ROOT))  # a run remembers the name, and refuses another
    words = [sys.executable, "-m", "understudy", *command(name, teachers), "--out", str(place), "--quiet"]
    subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return read(place)


def section(name: str, words: Sequence[str], found: Comparison) -> str:
    """Of the page."""
    shown = shlex.join(["understudy", *words]).replace("'$T/", "$T/").replace(".zip'", ".zip")
    title = f"Methods compared on {COMMANDS[name][1]}" if name == COMPARED else name
    wish = Wish(found.keep, teacher_parameters=found.teacher.parameters)
    verdict = decide([replace(one, latency=None) for one in found.runs], wish)
    lines = [f"## {title}", "", "```sh", shown, "```", "", *around(found), "", *table(found), ""]
    lines += [f"**{verdict.headline}**", *verdict.details, "", *methods(found), *sturdiness(found)]
    return "\n".join(lines)


def around(found: Comparison) -> list[str]:
    """Between what and what the students lie."""
    seeds = sorted({len(one.seeds) for one in found.runs})
    teacher, random = with_interval(found.teacher.returns), with_interval(found.random.returns)
    failed = f" {found.failures} runs failed." if found.failures else ""
    text = f"The teacher: {found.teacher.parameters:,} parameters, return {teacher}; a random policy: {random}."
    runs = f"{' to '.join(map(str, seeds))} runs of each student, {found.episodes} final episodes each.{failed}"
    return [f"{text} {runs}"]


def table(found: Comparison) -> list[str]:
    """A line for each method with each student."""
    several = len(found.methods) > 1
    names = ["method"] * several + ["student", "return", "recovered", "keeps", "parameters", "bytes", "steps"]
    titles = [f"keeps {found.keep:.0%}" if name == "keeps" else name for name in names]
    marks = ["---:" if name in NUMBERS else "---" for name in names]
    _, *students, _ = rows(found)
    cells = [titles, marks, *([one.get(name, "") for name in names] for one in students)]
    return [f"| {' | '.join(line)} |" for line in cells]


def methods(found: Comparison) -> list[str]:
    """Which is better than which, over all students."""
    if not found.overall:
        return []
    kept = "; ".join(f"`{one.method}` {share(one.recovered)}" for one in found.overall)
    over = ", ".join(found.overall[0].students)
    return [
        f"Recovered over all students ({over}): {kept}.",
        "",
        *(f"- {sentence(one)}" for one in found.improvements),
        "",
    ]


def sturdiness(found: Comparison) -> list[str]:
    """All perturbations together in words, and how the verdicts on each kind went."""
    if "problem" in found.sturdiness:
        return [f"Sturdiness could not be measured: {found.sturdiness['problem']}", ""]
    whole = Sturdiness.from_dict(found.sturdiness)
    counts = Counter(verdict.outcome for trial in whole.trials for verdict in trial.verdicts)
    kinds = ", ".join(trial.title for trial in whole.trials)
    each = ", ".join(f"{outcome} {count}" for outcome, count in counts.most_common())
    alone = (
        f"{whole.episodes} episodes at each size of {kinds}; of {counts.total()} verdicts on each kind alone: {each}."
    )
    return [f"{whole.headline} {alone}", ""]


if __name__ == "__main__":
    main()
