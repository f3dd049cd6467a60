"""Fig. 5: rows that copy a teacher, rows that listen to it and to the task, and a teacher that is wrong at times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from understudy.engines.tabular.train import sampled_update
from understudy.lab.curve import Curve, Ground, Tutor
from understudy.lab.draw import draw_mdp, draw_teacher
from understudy.lab.experiment import Bench, Experiment, Measured, Scale
from understudy.lab.findings import Claim, Effect, Findings, Panel, Table
from understudy.lab.panels import end, panel, recovered, share_of_teacher
from understudy.lab.rates import GAMMA, IMPERFECT, IMPERFECT_ESTIMATORS, rate, setting, tutor
from understudy.lab.side_by_side import softmax
from understudy.lab.verdict import difference, mean_interval, median_interval, ratio_interval, speed_up
from understudy.mdp.model import MDP
from understudy.mdp.teachers import evaluated
from understudy.methods import METHODS

CLONING = ("on-policy-distill", "entropy-regularised", "kl-regularised")
HOLDING = ("on-policy-distill+r", "v-gated")
V_REWARD = "teacher-v-reward"
SAME_UPDATE = ("task-reward", "student-critic", V_REWARD)
FALL, SIDE_SHARE, VARIANCE_MDPS, EPISODES = 0.25, 5, 20, 1000


@dataclass(frozen=True)
class Column:
    """One set of axes: how the student estimates returns, and what teacher it has.

    ``aside``: on the first fifth of the worlds.
    """

    title: str
    estimator: str
    tutor: Tutor
    aside: bool = False


COLUMNS = {
    "monte-carlo": Column("Monte-Carlo student", "monte-carlo", tutor()),
    "critic": Column("TD(1) student (learned critic)", "critic", tutor()),
    "critic 15": Column("TD(1), 15 % noise", "critic", tutor(noise=0.15)),
    "critic 25": Column("TD(1), 25 % noise", "critic", tutor(noise=0.25)),
}
ONE_STEP = {
    "one-step": Column("one-step student", "one-step", tutor(), True),
    "one-step 15": Column("one-step, 15 % noise", "one-step", tutor(noise=0.15), True),
    "one-step 25": Column("one-step, 25 % noise", "one-step", tutor(noise=0.25), True),
}
OTHER_NOISE = {
    "states": Column(
        "wrong for ever in 25 % of states", "critic", replace(tutor(noise=0.25), noise_in="states", floor=1e-4), True
    ),
    "valued": Column(
        "25 % noise, values of the noisy policy", "critic", replace(tutor(noise=0.25), values_of="policy"), True
    ),
    "sharp": Column("best teacher, 25 % noise", "critic", replace(tutor(noise=0.25), kind="optimal"), True),
}
ALL = COLUMNS | ONE_STEP | OTHER_NOISE
NOISY = {"": ("critic 15", "critic 25"), "'": ("one-step 15", "one-step 25")}
"""The noisy columns of each kind of student, by the mark on its claims' numbers."""
STUDENTS = {"": "TD(1) student", "'": "one-step student"}

Found = Mapping[tuple[str, str], Measured]
"""By column and method."""


def curve(key: str, method: str, scale: Scale) -> Curve:
    column = ALL[key]
    one = setting(METHODS[method], column.estimator, rate(method, estimator=column.estimator))
    if not METHODS[method].reward:  # nothing to estimate: the same student in every column
        one = replace(one, baseline=False, lam=1.0)
    return Curve(
        f"{column.title}: {method}",
        one,
        tutor=column.tutor,
        mdps=max(2, scale.mdps // SIDE_SHARE) if column.aside else None,
    )


def fall(one: Measured) -> np.ndarray:
    """``[n]``: the return at the mean curve's peak less the last one."""
    returns = one.metrics["return"].astype(np.float64)
    found: np.ndarray = returns[:, returns.mean(0).argmax()] - returns[:, -1]
    return found


def fall_effect(found: Found, key: str, method: str, falls: bool) -> Effect:
    above, below = (FALL, np.inf) if falls else (-np.inf, FALL)
    return mean_interval(fall(found[key, method])).effect(f"{ALL[key].title}: {method}, peak - end", above, below)


def speed_claim(found: Found) -> Claim:
    """Claim 9, without noise."""
    effects = []
    for key in ("monte-carlo", "critic"):
        cloning = found[key, "on-policy-distill"]
        goal = share_of_teacher(cloning, 0.95)
        for other in (V_REWARD, "task-reward"):
            slow, quick = (one.metrics["return"] for one in (found[key, other], cloning))
            name = f"{ALL[key].title}: iterations of {other} / of on-policy-distill"
            effects.append(speed_up(slow, quick, cloning.iterations, goal).effect(name, above=1.0))
        title = ALL[key].title
        effects.append(ratio_interval(*recovered(cloning)).effect(f"{title}: on-policy-distill recovers", above=0.95))
        effects.append(
            ratio_interval(*recovered(found[key, V_REWARD])).effect(f"{title}: {V_REWARD} recovers", above=0.95)
        )
    return Claim(
        "9a",
        "Without noise cloning is fastest and reaches the teacher; V-reward gets there later",
        "Fig. 5, first two columns: cloning is fastest and reaches the teacher's return, V-reward reaches it later.",
        "Counted are the iterations to 95 % of the way from the uniform policy's return to the teacher's; recovered "
        "is the share of that way at the end.",
        tuple(effects),
    )


def falling_claim(found: Found, mark: str = "") -> Claim:
    effects = [fall_effect(found, key, method, True) for key in NOISY[mark] for method in CLONING]
    effects += [
        mean_interval(end(found[key, "on-policy-distill"])).effect(f"{ALL[key].title}: on-policy-distill ends at")
        for key in NOISY[mark]
    ]
    effects += [
        mean_interval(fall(found[key, "on-policy-distill"])).effect(
            f"tried: {ALL[key].title}: on-policy-distill, peak - end"
        )
        for key in OTHER_NOISE
    ]
    return Claim(
        f"9b{mark}",
        f"With noise, rows that only copy peak early and then fall, {STUDENTS[mark]}",
        "Fig. 5: with 15 % and 25 % noise pure cloning peaks early and then falls, at 25 % to about 3.5 and 2 of 7.5.",
        f"A fall is read as more than {FALL} of return from the peak of the mean curve to its end. A table that copies "
        "probabilities moves from uniform straight to the teacher's, noise and all: there is no better "
        "policy on the way that it would leave again, and it ends at the noisy teacher's own return.",
        tuple(effects),
        "Noise mixed into the probabilities (shown), a fixed quarter of states where the teacher takes one wrong "
        "action for ever, and noise on the best possible teacher; Monte-Carlo, critic and one-step students.",
    )


def holding_claim(found: Found, mark: str = "") -> Claim:
    effects = [fall_effect(found, key, method, False) for key in NOISY[mark] for method in HOLDING]
    for key in NOISY[mark]:
        for method in HOLDING:
            lead = difference(end(found[key, method]), found[key, method].facts["teacher-return"])
            effects.append(lead.effect(f"{ALL[key].title}: {method}, last return - noisy teacher's", above=0.0))
    return Claim(
        f"9c{mark}",
        f"With noise, +R and the V-gate hold, {STUDENTS[mark]}",
        "Fig. 5: with noise the rows with the task reward, +R and V-gate, hold.",
        f"Holding is read as losing less than {FALL} from the peak, and ending above the noisy teacher.",
        tuple(effects),
    )


def top_claim(found: Found, mark: str = "") -> Claim:
    effects = []
    for key in NOISY[mark]:
        mine = end(found[key, V_REWARD])
        for method in IMPERFECT:
            if method != V_REWARD:
                lead = difference(mine, end(found[key, method]))
                effects.append(lead.effect(f"{ALL[key].title}: last return, {V_REWARD} - {method}", above=0.0))
    return Claim(
        f"9d{mark}",
        f"With noise, V-reward ends on top, {STUDENTS[mark]}",
        "Fig. 5: with noise the row that is rewarded by the teacher's values ends on top.",
        "V-reward, the baseline and TD + V_student have the same expected update: what separates them is variance, "
        "bias of a one-step form, and the learning rate. So a lead of V-reward over these two is about the estimate, "
        "and a lead over the copying rows is about what they minimise.",
        tuple(effects),
        "The values are those of the teacher without noise; with the noisy policy's own values, and with one-step "
        "students, see the figures.",
    )


def variances(bench: Bench) -> dict[tuple[str, str], np.ndarray]:
    """Of one episode's update ``[n]``, by student and row: Monte-Carlo, student values exact and held fixed."""
    worlds = range(min(VARIANCE_MDPS, bench.scale.mdps))
    found: dict[tuple[str, str], list[float]] = {}
    for index, _ in zip(worlds, bench.track(worlds, "variances"), strict=True):
        mdp = draw_mdp(Ground(), bench.scale.seed, index)
        teacher = draw_teacher(tutor(noise=0.25), mdp, bench.scale.seed, index, GAMMA)
        students = {"uniform student": np.zeros(mdp.rewards.shape), "student like the teacher": np.log(teacher.policy)}
        for name, logits in students.items():
            for method in SAME_UPDATE:
                one = replace(setting(METHODS[method], "monte-carlo", 0.0), value_rate=0.0, discounted_visits=True)
                values = values_of(mdp, logits)
                sample = sampled_update(mdp, teacher, one, logits, EPISODES, bench.scale.seed + index, values)
                found.setdefault((name, method), []).append(sample.variance)
    return {key: np.array(numbers) for key, numbers in found.items()}


def values_of(mdp: MDP, logits: np.ndarray) -> np.ndarray:
    return evaluated(mdp, softmax(logits), GAMMA).values


def variance_claim(found: Mapping[tuple[str, str], np.ndarray]) -> Claim:
    effects = []
    for student in ("uniform student", "student like the teacher"):
        for method in SAME_UPDATE[1:]:
            ratio = found[student, method] / found[student, "task-reward"]
            name = f"{student}: variance of {method} / of task-reward"
            effects.append(median_interval(ratio).effect(name, below=1.0))
    return Claim(
        "9e",
        "Rows with the baseline's expected update have less variance",
        "The paper presents V-reward and the student's critic as update rules of their own.",
        "Measured is the variance of one episode's update, summed over entries; the median over worlds. The teacher's "
        "value is a baseline: good where the student is about as good as the teacher, not far from it.",
        tuple(effects),
    )


def variance_table(found: Mapping[tuple[str, str], np.ndarray]) -> Table:
    rows: list[list[str | float]] = [
        [student, method, float(f"{np.median(numbers):.3g}")] for (student, method), numbers in found.items()
    ]
    return Table("Variance of one episode's update, median over worlds", ["student", "row", "variance"], rows)


def panels(found: Found) -> tuple[Panel, ...]:
    figures = {
        "As in the paper": COLUMNS,
        "One-step students (a fifth of the worlds)": ONE_STEP,
        "Other kinds of noise and of values (a fifth of the worlds)": OTHER_NOISE,
    }
    return tuple(
        panel(column.title, {method: found[key, method] for method in IMPERFECT}, row=row, figure=figure, x_log=True)
        for row, (figure, columns) in enumerate(figures.items())
        for key, column in columns.items()
    )


def run(bench: Bench) -> Findings:
    """Every row in every column."""
    curves = {(key, method): curve(key, method, bench.scale) for key in ALL for method in IMPERFECT}
    trained = bench.train(list(curves.values()))
    found = {key: trained[one.name] for key, one in curves.items()}
    spread = variances(bench)
    claims = (
        speed_claim(found),
        *(claim(found, mark) for mark in NOISY for claim in (falling_claim, holding_claim, top_claim)),
        variance_claim(spread),
    )
    rates = {f"{method}, {key}": rate(method, estimator=key) for key in IMPERFECT_ESTIMATORS for method in IMPERFECT}
    settings = {
        "learning rates": rates,
        "gamma": GAMMA,
        "teacher": asdict(tutor()),
        "noise": {k: asdict(c.tutor) for k, c in ALL.items()},
    }
    return Findings(
        "imperfect-teacher",
        "An imperfect teacher",
        SUMMARY,
        claims,
        (*panels(found), variance_table(spread)),
        settings,
        NOTES,
    )


SUMMARY = (
    "Nine rows learn from a teacher that is right, and from one that takes a random action in 15 % or 25 % of steps. "
    "Some only copy it; some copy it and are paid the task reward (+R), or copy it only where its value is higher than "
    "their own (v-gated); some use nothing of it but its values (V-reward, TD + V_teacher); two use nothing at all."
)
NOTES = (
    (
        "What the paper calls TD(1) is not certain. Here it is a learned critic subtracted from the whole return "
        "(GAE with lambda 1); the one-step form, lambda 0, is the second figure."
    ),
    (
        "How the paper's noise acts is not certain either. Here it is mixed into the teacher's probabilities: (1 - "
        "share) times its own, plus share / 4. The third figure shows the other reading, a fixed share of states where "
        "it always takes one wrong action."
    ),
    (
        "The student's own values, which the gate and TD + V_student read, are a table that starts at 0 and is learned "
        "along each episode, by TD with the lambda of its critic (1 for a Monte-Carlo student), at the rate 0.1."
    ),
    (
        "The teacher's values are exact, with gamma 0.99, and those of the teacher without noise, unless a title says "
        "otherwise."
    ),
    (
        "Learning rates were chosen by one rule for every row and kind of student, without noise: of nine from "
        "0.0003 to 3 the smallest whose mean return over a short training, on worlds of another seed, is within "
        "0.1 of the best. `python -m understudy.lab.rates` repeats the choice. A row keeps its rate when noise is "
        "added."
    ),
)

IMPERFECT_TEACHER = Experiment("imperfect-teacher", "Fig. 5", "nine rows, and a teacher that is wrong at times", run)
