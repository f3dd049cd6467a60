"""Fig. 3: who acts while the student copies its teacher: the student, the teacher, chance, or both in turn."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from understudy.lab.curve import Curve, Ground
from understudy.lab.experiment import Bench, Experiment, Measured
from understudy.lab.findings import Claim, Effect, Findings, Panel
from understudy.lab.panels import end, mean_return, panel, recovered, share_of_teacher
from understudy.lab.rates import GAMMA, rate, setting, tutor
from understudy.lab.verdict import Estimate, difference, iterations_to, median_interval, ratio_interval, speed_up
from understudy.methods import CONTROLS, METHODS, mixture, with_control

TEMPERATURES = (0.0, 0.01, 0.1)
ACTING = {**CONTROLS, "mixture:0.5": mixture(0.5)}
ORDER = ("student", "teacher", "uniform", "mixture:0.5")
TRAVEL = 300.0
RECOVERED = 0.95
WINDOW, WINDOW_MDPS = 5, 200
VISITS = {"student": "kl-student", "teacher": "kl-teacher", "uniform": "kl-uniform"}

Found = Mapping[tuple[str, float, float], Measured]
"""By who acts, the teacher's temperature and the learning rate."""


@dataclass(frozen=True)
class Sizes:
    """Learning rates: a slow one, and the one that the rule chose for on-policy distillation."""

    slow: float
    chosen: float

    @classmethod
    def of(cls, iterations: int) -> Sizes:
        """The slow one makes the iterations as many as in the paper: student-driven needs about a tenth of them."""
        return cls(TRAVEL / iterations, rate("on-policy-distill"))

    @property
    def both(self) -> tuple[float, float]:
        return self.slow, self.chosen


def curve(acting: str, temperature: float, learning_rate: float, window: int | None = None) -> Curve:
    """Forward cross-entropy under this control."""
    method = with_control(METHODS["on-policy-distill"], ACTING[acting])
    name = f"{acting}, temperature {temperature:g}, rate {learning_rate:g}" + (", window" if window else "")
    return Curve(
        name,
        setting(method, "monte-carlo", learning_rate),
        Ground(window=window),
        tutor(temperature),
        mdps=WINDOW_MDPS if window else None,
    )


def speed_claim(found: Found, sizes: Sizes) -> Claim:
    """Claim 5."""
    effects: list[Effect] = []
    for size in sizes.both:
        for temperature in TEMPERATURES:
            student, teacher = (found[who, temperature, size] for who in ("student", "teacher"))
            where = f"temperature {temperature:g}, rate {size:g}"
            times = speed_up(
                teacher.metrics["return"],
                student.metrics["return"],
                student.iterations,
                share_of_teacher(student, RECOVERED),
            )
            effects.append(times.effect(f"{where}: iterations of teacher-driven / student-driven", 1.5, 6.0))
            if size == sizes.slow:
                effects.append(per_world(student, teacher).effect(f"{where}: the same in the median world", above=1.0))
                effects.append(
                    ratio_interval(*recovered(student)).effect(
                        f"{where}: student-driven recovers in the end", above=0.95
                    )
                )
    return Claim(
        "5",
        "Student-driven distillation is about three times faster than teacher-driven",
        "Fig. 3: letting the student act recovers the full return of the teacher in about three times fewer "
        "iterations than letting the teacher act (about 0.4e4 against 1.2e4).",
        "Counted are the iterations until the mean return is 95 % of the way from the uniform policy's to the "
        "teacher's. About three times is read as between 1.5 and 6 times. The paper tells no learning rate: the slow "
        "one here makes the iterations as many as in the paper, the other was chosen by the rule of the notes.",
        tuple(effects),
    )


def per_world(quick: Measured, slow: Measured) -> Estimate:
    """The median over worlds of how many times longer ``slow`` takes; never counts as infinitely long.

    Left out: worlds where the teacher is not better than chance, and those where neither arrives.
    """
    goal = share_of_teacher(quick, RECOVERED)
    first, second = (iterations_to(one.metrics["return"], one.iterations, goal) for one in (quick, slow))
    better = quick.facts["teacher-return"] > quick.facts["uniform-return"]
    told = better & (np.isfinite(first) | np.isfinite(second)) & (first > 0)
    with np.errstate(invalid="ignore"):
        ratios = second[told] / first[told]
    return median_interval(ratios if len(ratios) else np.array([1.0]))


def visits_claim(found: Found, slow: float) -> Claim:
    """Claim 6: each control is first under its own visits."""
    effects = []
    for temperature in TEMPERATURES:
        for own, metric in VISITS.items():
            mine = mean_return(found[own, temperature, slow], metric)
            for other in VISITS:
                if other != own:
                    theirs = mean_return(found[other, temperature, slow], metric)
                    name = f"temperature {temperature:g}, {own}'s visits: mean KL, {other}-driven / {own}-driven"
                    effects.append(ratio_interval(theirs, mine).effect(name, above=1.0))
        left, right = (end(found[who, temperature, slow], "kl-uniform") for who in ("teacher", "student"))
        name = f"temperature {temperature:g}, uniform visits: last KL, teacher-driven - student-driven"
        effects.append(difference(left, right).effect(name, above=0.0))
    return Claim(
        "6",
        "Each control policy wins where it acts, and only there",
        "Fig. 3: student-driven is first under the student's visits, teacher-driven under the teacher's only, uniform "
        "under the uniform policy's only; teacher-driven leaves the largest divergence under uniform visits.",
        "Compared is the mean over the whole training of KL(teacher‖student) per visited step, at the slow rate. A "
        "state's divergence falls with the number of visits it has had so far, so an early student that strays "
        "widely has learned the rare states of the teacher's own paths as well.",
        tuple(effects),
    )


def return_claim(found: Found, slow: float) -> Claim:
    """Claim 6, returns."""
    effects = []
    for temperature in TEMPERATURES:
        student, teacher, uniform = (mean_return(found[who, temperature, slow]) for who in VISITS)
        where = f"temperature {temperature:g}: mean return"
        effects.append(difference(student, teacher).effect(f"{where}, student-driven - teacher-driven", above=0.0))
        effects.append(difference(student, uniform).effect(f"{where}, student-driven - uniform", above=0.0))
        effects.append(difference(teacher, uniform).effect(f"{where}, teacher-driven - uniform", above=0.0))
    return Claim(
        "6a",
        "In return, student-driven is first and uniform last",
        "Fig. 3: student-driven is first in return, and uniform last, at every temperature.",
        "Compared is the mean return over the whole training, at the slow rate. Chance visits every cell of a "
        "20 x 20 world often enough in so many episodes, so a table copied under it is complete; it is late, not lost.",
        tuple(effects),
    )


def sharpness_claim(found: Found, slow: float) -> Claim:
    """Claim 6, temperatures."""

    def gap(temperature: float) -> np.ndarray:
        student, teacher = (mean_return(found[who, temperature, slow]) for who in ("student", "teacher"))
        return student - teacher

    pairs = list(itertools.pairwise(TEMPERATURES))
    effects = [
        difference(gap(sharp), gap(soft)).effect(
            f"lead of student-driven in mean return, temperature {sharp:g} - temperature {soft:g}", above=0.0
        )
        for sharp, soft in pairs
    ]
    return Claim(
        "6b",
        "The sharper the teacher, the more it matters who acts",
        "Fig. 3: the differences between the control policies grow as the teacher's temperature falls.",
        "The lead is the mean return over the training, student-driven minus teacher-driven, on the same worlds.",
        tuple(effects),
    )


def window_claim(found: Mapping[str, Measured]) -> Claim:
    student, teacher, uniform = (found[who] for who in VISITS)
    lead = (difference(end(student), end(other)) for other in (teacher, uniform))
    names = ("student-driven - teacher-driven", "student-driven - uniform")
    effects = [one.effect(f"last return, {name}", above=0.0) for one, name in zip(lead, names, strict=True)]
    effects.append(ratio_interval(*recovered(student)).effect("student-driven recovers in the end"))
    return Claim(
        "6c",
        f"The same for a student that sees {WINDOW} x {WINDOW} cells",
        "The paper trains partially observed students too; its figure's order is held against them here.",
        "States that look alike share a row, so a copy is a compromise, and who acts decides between which states. "
        "Only returns are compared: no statement is made of KL.",
        tuple(effects),
    )


def panels(found: Found, sizes: Sizes) -> tuple[Panel, ...]:
    drawn = []
    metrics = ("kl-student", "kl-teacher", "kl-uniform", "return")
    for step, size in enumerate(sizes.both):
        figure = f"Learning rate {size:g}" + (" (slow)" if size == sizes.slow else " (chosen by the rule)")
        for row, temperature in enumerate(TEMPERATURES):
            shown = {f"{who}-driven": found[who, temperature, size] for who in ORDER}
            title, log = f"temperature {temperature:g}", size == sizes.chosen
            drawn += [panel(title, shown, one, 3 * step + row, figure, x_log=log) for one in metrics]
    return tuple(drawn)


def run(bench: Bench) -> Findings:
    """Every control at every temperature and both rates; windows at one."""
    sizes = Sizes.of(bench.scale.iterations)
    keys = [(who, one, size) for size in sizes.both for one in TEMPERATURES for who in ORDER]
    windowed = {who: curve(who, 0.1, sizes.slow, WINDOW) for who in ORDER}
    trained = bench.train([*(curve(*key) for key in keys), *windowed.values()])
    found = {key: trained[curve(*key).name] for key in keys}
    seen = {who: trained[one.name] for who, one in windowed.items()}
    shown = {f"{who}-driven": one for who, one in seen.items()}
    claims = (
        speed_claim(found, sizes),
        visits_claim(found, sizes.slow),
        return_claim(found, sizes.slow),
        sharpness_claim(found, sizes.slow),
        window_claim(seen),
    )
    figure = f"A student that sees {WINDOW} x {WINDOW} cells ({WINDOW_MDPS} worlds at most, slow rate)"
    return Findings(
        "control",
        "Who acts while the student learns",
        SUMMARY,
        claims,
        (*panels(found, sizes), panel("temperature 0.1", shown, row=6, figure=figure)),
        settings(sizes),
        NOTES,
    )


def settings(sizes: Sizes) -> dict[str, object]:
    teacher = asdict(tutor()) | {"temperature": list(TEMPERATURES)}
    return {"learning rates": list(sizes.both), "gamma": GAMMA, "teacher": teacher, "world": asdict(Ground())}


SUMMARY = (
    "A student copies its teacher, action probabilities for action probabilities, in the states that come up. "
    "Which states come up depends on who acts: the student itself, the teacher, pure chance, or teacher and "
    "student in turn (mixture:0.5). Each panel shows one measure against iterations (episodes); a row of panels "
    "is one sharpness of the teacher."
)
NOTES = (
    (
        "The teacher is tabular Q-learning: 30,000 steps, a tenth of them random, made a policy by a softmax at the "
        "temperature; at 0 it takes its best action, and chooses at random where several are equal. That is so in "
        "every state that it never visited."
    ),
    (
        "The loss is the cross-entropy H(teacher‖student) for every control; without a reward there is nothing to "
        "estimate. Small steps move along a fixed path, so that halving the rate doubles all iteration counts: "
        "the slow rate is 300 / iterations, with which student-driven needs about as much of the run as in the "
        "paper."
    ),
    (
        "The other rate was chosen by the rule of the experiments update-rules and imperfect-teacher: the smallest of "
        "nine whose mean return over a short training is within 0.1 of the best (`python -m understudy.lab.rates`)."
    ),
    "Where neither of two curves arrives, their ratio of iterations is that of two nevers, and is shown as undefined.",
)

CONTROL = Experiment("control", "Fig. 3", "who acts: the student, the teacher, chance, or a mixture", run)
