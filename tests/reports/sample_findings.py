"""Findings of every kind, of the shapes that experiments have: twelve panels, two fields, two worlds, a table."""

from __future__ import annotations

import numpy as np

from understudy.lab.findings import Claim, Effect, Figure, Findings, Flow, Panel, Picture, Series, Table

NASTY = "<script>alert('x')</script> & a|b *c* [d](http://elsewhere.example/e)"
CLAIMS = (
    Claim(
        "5",
        "Student-driven distillation reaches the teacher's return first",
        "In about a third of the iterations.",
        "In 3.1 times fewer, over 1000 worlds.",
        (
            Effect("iterations of teacher-driven / student-driven", 3.12, 2.87, 3.41, "above 1", True, "times"),
            Effect("return at the end, student- minus teacher-driven", 0.02, -0.01, 0.05),
        ),
    ),
    Claim(
        "10",
        "Teacher-driven is first only under its own visitation",
        "So it is at every temperature.",
        NASTY,
        (
            Effect("KL under the teacher's", -0.1, -0.12, -0.08, "below 0", True),
            Effect("KL under the student's", 0.0012, -0.3, 0.3, "above 0", False),
        ),
        tried="Twice the iterations gave the same.",
    ),
    Claim(
        "6, networks", "Does it hold for networks?", "Open.", "No.", (Effect("gap", -1e-12, -2, -1, "above 0", False),)
    ),
)


def sample(experiment: str = "control") -> Findings:
    """The same at every call."""
    figures = (*control_panels(), *fields(), *worlds(), table())
    settings = {"mdps": 1000, "iterations": 30_000, "seed": 7, "odds": {"wall": 0.09, "text": NASTY}}
    summary = "Who should act while a student learns? on-policy-distill and teacher-distill, beside n-distill+r."
    return Findings(experiment, "Control policies", summary, CLAIMS, figures, settings, ("A note.", NASTY))


def control_panels() -> list[Figure]:
    rng = np.random.default_rng(0)
    x = np.unique(np.geomspace(1, 30_000, 60).astype(int)).tolist()
    panels: list[Figure] = []
    for row, temperature in enumerate((0, 0.01, 0.1)):
        for column in ("KL, student's states", "KL, teacher's states", "KL, uniform states", "return"):
            returns = column == "return"
            series = []
            for speed, label in enumerate(("student", "teacher", "uniform", "mixture 0.5")):
                part = np.exp(-np.asarray(x) / (900 * (speed + 1)))
                mean = 5 - 7 * part if returns else 2 * part + 0.01 * (1 + speed)
                half = 0.3 * np.abs(rng.normal(size=len(x))).mean() * (part + 0.1)
                series.append(Series(label, x, mean.tolist(), (mean - half).tolist(), (mean + half).tolist()))
            if returns:
                series.append(Series("teacher's return", x, [5.1] * len(x), dashed=True))
            title = f"temperature {temperature}: {column}"
            label = "return" if returns else "KL(teacher‖student)"
            panels.append(Panel(title, "iterations", label, tuple(series), row, y_log=not returns, figure="As Fig. 3."))
    return panels


def fields() -> list[Figure]:
    at = np.linspace(0.05, 0.95, 11)
    x, y = (side.ravel() for side in np.meshgrid(at, at))
    turn = np.linspace(0, 2 * np.pi, 100)
    ring = Series("from (0.8, 0.5)", (0.5 + 0.3 * np.cos(turn)).tolist(), (0.5 + 0.3 * np.sin(turn)).tolist())
    straight = Series("from (0.8, 0.5)", [0.8, 1.0], [0.5, 1.0])
    axes = ("P(right) at the start", "P(right) later")
    return [
        Flow("on-policy-distill+r", *axes, x.tolist(), y.tolist(), (0.5 - y).tolist(), (x - 0.5).tolist(), (ring,)),
        Flow("n-distill+r", *axes, x.tolist(), y.tolist(), [0.4] * 121, [0.5] * 121, (straight,)),
    ]


def worlds() -> list[Figure]:
    return [world(seed) for seed in (1, 2)]


def world(seed: int, size: int = 20) -> Picture:
    rng = np.random.default_rng(seed)
    names, odds = [".", "#", "-1", "10", "5", "-10", "-5"], [0.76, 0.09, 0.1, 0.015, 0.01, 0.015, 0.01]
    cells = rng.choice(names, (size, size), p=odds)
    cells[size // 2, size // 2] = "S"
    terminal = np.isin(cells, ["10", "5", "-10", "-5"])
    policy = rng.dirichlet([0.3] * 4, (size, size))
    return Picture(f"world {seed}", cells.tolist(), terminal.tolist(), policy.tolist(), figure="As Fig. 7.")


def table() -> Table:
    rows = [["on-policy-distill", 0.123456, 12_345.6], [NASTY, 1e-12, float("inf")]]
    return Table("Variance of one update", ["row", "4 actions", "4000 actions"], rows)
