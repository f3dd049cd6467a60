"""Fig. 6: a corridor with a prize at one end and a loss at the other, and a teacher that is best or worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from understudy.lab.curve import Curve, Ground, Tutor
from understudy.lab.experiment import Bench, Experiment, Measured
from understudy.lab.findings import Claim, Effect, Findings
from understudy.lab.panels import end, panel
from understudy.lab.rates import GAMMA, setting
from understudy.lab.verdict import mean_interval, speed_up
from understudy.methods import METHODS

ROWS = (
    "task-reward",
    "on-policy-distill",
    "on-policy-distill+r",
    "v-gated",
    "teacher-critic",
    "student-critic",
    "teacher-v-reward",
)
GROUND = Ground("corridor", size=21, actions=2, slip=0.0, end=0.001)
ARRIVING = ("on-policy-distill", "task-reward", "teacher-v-reward")
"""With the best teacher, according to the paper."""
TUTORS = {kind: Tutor(kind, temperature=0.0) for kind in ("optimal", "adversarial")}
TRAVEL, RUNS = 4.0, 100
GAMMAS = (GAMMA, 1.0)
THERE = 0.9
ALIKE = 0.1

Found = Mapping[tuple[str, float, str], Measured]
"""By teacher, gamma and row."""


def learning_rate(iterations: int) -> float:
    """One for all rows: the baseline is there after about a third of the run, as in the paper's figure."""
    return TRAVEL / iterations


def curve(kind: str, gamma: float, method: str, iterations: int) -> Curve:
    one = setting(METHODS[method], "monte-carlo", learning_rate(iterations), gamma)
    return Curve(f"{kind} teacher, gamma {gamma:g}: {method}", one, GROUND, TUTORS[kind], mdps=RUNS)


def quicker(found: Found, kind: str, slow: str, quick: str, above: float) -> Effect:
    one, other = found[kind, GAMMA, slow], found[kind, GAMMA, quick]
    times = speed_up(one.metrics["return"], other.metrics["return"], one.iterations, THERE)
    return times.effect(f"iterations to {THERE} of {slow} / of {quick}", above=above)


def ends(
    found: Found, kind: str, method: str, gamma: float = GAMMA, above: float = -np.inf, below: float = np.inf
) -> Effect:
    name = f"{method} ends at" + (f" (gamma {gamma:g})" if gamma != GAMMA else "")
    return mean_interval(end(found[kind, gamma, method])).effect(name, above, below)


def optimal_claim(found: Found) -> Claim:
    effects = [
        quicker(found, "optimal", slow, "on-policy-distill", 3.0) for slow in ("task-reward", "teacher-v-reward")
    ]
    effects += [ends(found, "optimal", method, above=THERE if method in ARRIVING else -np.inf) for method in ROWS]
    return Claim(
        "12a",
        "With the best teacher cloning is there at once, baseline and V-reward later",
        "Fig. 6: with an optimal teacher cloning is there at once; the baseline and V-reward take about 1e4 "
        "iterations.",
        "At once is read as at least three times sooner. One learning rate serves all rows; the paper tells none.",
        tuple(effects),
    )


def adversarial_claim(found: Found) -> Claim:
    effects = [
        ends(found, "adversarial", method, below=-THERE) for method in ("on-policy-distill", "on-policy-distill+r")
    ]
    effects += [ends(found, "adversarial", method, above=THERE) for method in ("task-reward", "teacher-v-reward")]
    effects.append(quicker(found, "adversarial", "teacher-v-reward", "task-reward", 1.2))
    effects.append(ends(found, "adversarial", "v-gated", above=-0.5, below=0.5))
    effects.append(ends(found, "adversarial", "teacher-critic", above=-0.9, below=-0.1))
    effects += [
        ends(found, "adversarial", method, gamma=1.0) for method in ("v-gated", "teacher-critic", "teacher-v-reward")
    ]
    return Claim(
        "12b",
        "With the worst teacher: who follows, who resists, who stands in the middle",
        "Fig. 6: with an adversarial teacher cloning and +R end at -1; the baseline reaches the optimum in about 1e4 "
        "iterations, V-reward in about 2e4; the V-gated row ends at about 0, TD + V_teacher falls to about -0.5.",
        "With discounting the worst teacher's values are less bad the farther the loss is, so TD + V_teacher is "
        "told to walk away from it, which here is towards the prize. Without discounting they are -1 everywhere "
        "and tell nothing. The V-gate is open only where the teacher's value is above the student's; a student "
        "that starts half-way between the ends is worth about 0 and the teacher -1, so it is shut from the first.",
        tuple(effects),
        "Gamma 0.99 (shown first) and 1; the paper does not print the corridor's length, start or slip.",
    )


def alike(found: Found, kind: str, gamma: float) -> list[list[str]]:
    """Rows whose mean curves are nowhere farther than ``ALIKE`` from that of the first of their group."""
    means = {method: found[kind, gamma, method].metrics["return"].mean(0) for method in ROWS}
    groups: list[list[str]] = []
    for method, mean in means.items():
        near = (group for group in groups if np.abs(means[group[0]] - mean).max() < ALIKE)
        group = next(near, None)
        if group is None:
            groups.append([method])
        else:
            group.append(method)
    return groups


def caption(found: Found, gamma: float) -> str:
    """Names the curves that hide one another."""
    lines = [f"Gamma {gamma:g}."]
    for kind in TUTORS:
        several = [", ".join(group) for group in alike(found, kind, gamma) if len(group) > 1]
        if several:
            lines.append(f"With the {kind} teacher these curves coincide to within {ALIKE:g}: {'; '.join(several)}.")
    return " ".join(lines)


def run(bench: Bench) -> Findings:
    """Both teachers, with and without discounting."""
    iterations = bench.scale.iterations
    keys = [(kind, gamma, method) for gamma in GAMMAS for kind in TUTORS for method in ROWS]
    curves = {key: curve(*key, iterations) for key in keys}
    trained = bench.train(list(curves.values()))
    found = {key: trained[one.name] for key, one in curves.items()}
    drawn = [
        panel(f"{kind} teacher", {m: found[kind, gamma, m] for m in ROWS}, row=row, figure=caption(found, gamma))
        for row, gamma in enumerate(GAMMAS)
        for kind in TUTORS
    ]
    settings = {
        "world": asdict(GROUND),
        "learning rate of all rows": learning_rate(iterations),
        "runs": min(RUNS, bench.scale.mdps),
        "gamma": list(GAMMAS),
    }
    claims = (optimal_claim(found), adversarial_claim(found))
    return Findings(
        "corridor", "A corridor with the best and the worst teacher", SUMMARY, claims, tuple(drawn), settings, NOTES
    )


SUMMARY = (
    f"{GROUND.size} cells in a row; the student starts in the middle and goes left or right. The right end pays 1, the "
    "left end -1, and either ends the episode. One teacher always goes right, the other always left."
)
NOTES = (
    "There is one corridor, so the runs differ in the student's luck alone, and the intervals are over runs.",
    "One learning rate serves all rows: 4 / iterations, with which the baseline needs about a third of the run.",
    (
        f"After every action the episode ends with probability {GROUND.end:g}, so that a student that only turns back "
        "and forth comes to an end too."
    ),
)

CORRIDOR = Experiment("corridor", "Fig. 6", "a corridor with the best and the worst teacher", run)
