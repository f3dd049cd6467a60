"""Students that do not see CartPole's velocities, with and without memory; writes the table of docs/results-partial.md.

python benchmarks/partial.py [--seeds 3] [--jobs 1] [--out runs/partial]
"""

from __future__ import annotations

from cartpole import Cell, arguments, each, kept, measure, results, table, write

STEPS = 100_000
STUDENTS = ("gru:32", "lstm:32", "gru:64", "mlp:64,64")
HEAD = ("student", "recovered, seed by seed", "return", "environment steps", "updates", "CPU seconds")


def main() -> None:
    options = arguments(__doc__, "results-partial")
    words = ("--student-view", "0,2", "--steps", str(STEPS))
    cells = {spec: Cell(spec.replace(":", "-"), ("--student", spec, *words)) for spec in STUDENTS}
    measure(list(cells.values()), options)
    lines = []
    for spec, cell in cells.items():
        found = results(cell, options)
        figures = [each(found, "student_return", ".1f"), each(found, "env_steps"), each(found, "updates")]
        lines.append([f"`{spec}`", kept(found), *figures, each(found, "cpu_seconds", ".1f")])
    write(options.page, table(HEAD, lines))


if __name__ == "__main__":
    main()
