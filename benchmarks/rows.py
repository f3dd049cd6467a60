"""Every row of the catalogue on CartPole, one budget, default settings; writes the table of docs/results-rows.md.

python benchmarks/rows.py [--seeds 1] [--jobs 1] [--out runs/rows]
"""

from __future__ import annotations

from cartpole import Cell, arguments, each, kept, measure, results, table, write

from understudy.methods import METHODS

STEPS = 100_000
HEAD = (
    "row", "recovered, seed by seed", "length at the end of training", "environment steps", "updates", "CPU seconds",
    "fell into the trap", "losses finite",
)  # fmt: skip


def main() -> None:
    options = arguments(__doc__, "results-rows", seeds=1)
    cells = {name: Cell(name, ("--method", name, "--steps", str(STEPS))) for name in METHODS}
    measure(list(cells.values()), options)
    lines = []
    for name, cell in cells.items():
        found = results(cell, options)
        figures = [each(found, key) for key in ("last_length", "env_steps", "updates")]
        trapped = f"{sum(bool(r['termination_trap']) for r in found)} of {len(found)}"
        finite = "yes" if found and all(r["finite"] for r in found) else "no"
        lines.append([f"`{name}`", kept(found), *figures, each(found, "cpu_seconds", ".1f"), trapped, finite])
    write(options.page, table(HEAD, lines))


if __name__ == "__main__":
    main()
