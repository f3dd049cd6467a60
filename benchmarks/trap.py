"""The termination trap on CartPole, with and without its remedies; writes the table of docs/results-trap.md.

python benchmarks/trap.py [--seeds 3] [--jobs 1] [--out runs/trap]
"""

from __future__ import annotations

from cartpole import Cell, arguments, each, kept, measure, results, table, write

STEPS = 30_000
HEAD = (
    "method", "divergence", "remedy", "student", "recovered, seed by seed", "length at the end of training",
    "environment steps", "CPU seconds", "warned before / after",
)  # fmt: skip


def main() -> None:
    options = arguments(__doc__, "results-trap")
    settings = [
        (method, divergence, remedy, student)
        for method in ("n-distill", "exp-entropy-regularised")
        for remedy in ("none", "absorbing", "credit:0")
        for divergence in ("cross-entropy", "kl")
        for student in ("mlp:64,64", "mlp:16,16")
        if (remedy, divergence) != ("credit:0", "kl")
    ]
    cells = [cell(*setting) for setting in settings]
    measure(cells, options)
    lines = []
    for setting, one in zip(settings, cells, strict=True):
        found = results(one, options)
        warned = f"{sum(bool(r['warnings']) for r in found)} / {sum(bool(r['termination_trap']) for r in found)}"
        figures = [each(found, "last_length"), each(found, "env_steps"), each(found, "cpu_seconds", ".1f"), warned]
        lines.append([*setting, kept(found), *figures])
    write(options.page, table(HEAD, lines))


def cell(method: str, divergence: str, remedy: str, student: str) -> Cell:
    words = ("--method", method, "--divergence", divergence, "--remedy", remedy, "--student", student)
    name = "-".join((method, divergence, remedy, student)).replace(":", "-").replace(",", "-")
    return Cell(name, (*words, "--steps", str(STEPS)))


if __name__ == "__main__":
    main()
