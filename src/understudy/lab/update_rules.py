"""Fig. 4: four ways of using the teacher's probabilities, from 4 actions to 4000; and what they end up copying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from understudy.engines.tabular.train import sampled_update
from understudy.lab.copying import copies, copying_claim, copying_table
from understudy.lab.curve import Curve, Ground, Tutor
from understudy.lab.draw import draw_mdp, draw_teacher
from understudy.lab.experiment import Bench, Experiment, Measured, Scale
from understudy.lab.findings import Claim, Figure, Findings, Panel, Table
from understudy.lab.panels import end, mean_return, panel, recovered
from understudy.lab.rates import GAMMA, OWN_STEP, RULES, rate, setting, tutor
from understudy.lab.verdict import difference, median_interval, ratio_interval
from understudy.methods import METHODS

ACTIONS = (4, 40, 400, 4000)
MANY = (400, 4000)
COMMON = 0.003
SOFT = Tutor("optimal", temperature=0.1)
FLOOR = 1e-4
EPISODES = {4: 2000, 40: 500, 400: 100, 4000: 20}
VARIANCE_MDPS = 10

STUDENTS = {"monte-carlo": "Monte-Carlo student", "one-step": "one-step student", OWN_STEP: "own-step rewards"}
CHARGED = "Ending an episode early spares a student the charge of its further steps: see the notes."
UNCHARGED = "With own-step rewards nothing is earned by ending an episode."
ENDING = {student: UNCHARGED if one == OWN_STEP else CHARGED for one, student in STUDENTS.items()}
NUMBERS = {"Monte-Carlo student": "7{}", "one-step student": "7{}'", "own-step rewards": "7{}''"}

Found = Mapping[tuple[str, int], Measured]
Variances = dict[tuple[str, int], np.ndarray]


def worlds_for(actions: int, scale: Scale) -> int:
    """Fewer worlds where actions are many."""
    share = {4: 1, 40: 4, 400: 20, 4000: 100}[actions]
    return min(scale.mdps, max(2, scale.mdps // share))


def curve(method: str, actions: int, estimator: str, scale: Scale) -> Curve:
    one = setting(METHODS[method], estimator, rate(method, actions, estimator))
    if not METHODS[method].reward:  # nothing to estimate
        one = replace(one, baseline=False, lam=1.0)
    return Curve(
        f"{method}, {actions} actions, {estimator}",
        one,
        Ground(actions=actions),
        tutor(),
        mdps=worlds_for(actions, scale),
    )


def common(method: str) -> Curve:
    """Four actions, one small rate for all rows."""
    one = setting(METHODS[method], "monte-carlo", COMMON)
    return Curve(f"{method}, rate {COMMON:g}", one, tutor=tutor())


def soft(method: str, floor: float = 0.0) -> Curve:
    """Four actions, one small rate, and the best teacher in place of the learned one."""
    one = setting(METHODS[method], "monte-carlo", COMMON)
    return Curve(f"{method}, best teacher, rate {COMMON:g}, floor {floor:g}", one, tutor=replace(SOFT, floor=floor))


def floored(method: str) -> Curve:
    """The same with a teacher that gives every action some probability worth the name."""
    return soft(method, FLOOR)


def first_claim(
    number: str, found: Mapping[str, Measured], where: str, tried: str = "", remark: str = CHARGED
) -> Claim:
    """That entropy-regularised is the fastest."""
    mine = mean_return(found["entropy-regularised"])
    effects = tuple(
        difference(mine, mean_return(found[other])).effect(f"mean return, entropy-regularised - {other}", above=0.0)
        for other in RULES
        if other != "entropy-regularised"
    )
    return Claim(
        number,
        f"At 4 actions entropy-regularised is the fastest of all, {where}",
        "Fig. 4: with 4 actions entropy-regularised is the fastest of all.",
        f"Compared is the mean return over the whole training. {remark}",
        effects,
        tried,
    )


def failing_claim(found: Found, student: str) -> Claim:
    effects = []
    for actions in MANY:
        one = found["entropy-regularised", actions]
        change = difference(end(one), one.facts["uniform-return"])
        effects.append(change.effect(f"{actions} actions: last return - return at the start", below=0.0))
    return Claim(
        NUMBERS[student].format("b"),
        f"From 400 actions on entropy-regularised fails, {student}",
        "Fig. 4: from 400 actions on, entropy-regularised falls below where it began.",
        "The gradient is estimated from the actions that were tried; among hundreds of them the teacher's is rarely "
        f"one. {ENDING[student]}",
        tuple(effects),
    )


def steady_claim(found: Found, student: str) -> Claim:
    effects = []
    for actions in ACTIONS:
        one, other = (found[name, actions] for name in ("exp-entropy-regularised", "on-policy-distill"))
        share = ratio_interval(*recovered(one, other))
        name = f"{actions} actions: gain of exp-entropy-regularised / of on-policy-distill"
        effects.append(share.effect(name, above=0.9))
    return Claim(
        NUMBERS[student].format("c"),
        f"Exp-entropy-regularised stays with on-policy-distill throughout, {student}",
        "Fig. 4: taking the expectation over actions exactly, exp-entropy-regularised stays with on-policy-distill "
        "from 4 to 4000 actions.",
        "The gain is the last return above that of the uniform policy where all began; staying with is read as at "
        "least nine tenths. In expectation its update is that of entropy-regularised, and so is what it minimises. "
        f"{ENDING[student]}",
        tuple(effects),
    )


def baseline_claim(found: Found, student: str) -> Claim:
    effects = []
    for actions in MANY:
        one, other = (found[name, actions] for name in ("task-reward", "on-policy-distill"))
        share = ratio_interval(*recovered(one, other))
        effects.append(share.effect(f"{actions} actions: gain of the baseline / of on-policy-distill", below=0.2))
    return Claim(
        NUMBERS[student].format("d"),
        f"The baseline hardly moves from 400 actions on, {student}",
        "Fig. 4: policy gradient on the task reward alone hardly moves from 400 actions on.",
        "Hardly is read as less than a fifth of what on-policy-distill gains. In our worlds action k moves in "
        "direction k mod 4: a quarter of all actions is right, so the task alone grows harder by the size of the "
        "table only.",
        tuple(effects),
    )


def variances(bench: Bench) -> Variances:
    """Of one episode's update at the uniform student: ``[n]`` by row and number of actions."""
    jobs = [
        (actions, index) for actions in ACTIONS for index in range(min(VARIANCE_MDPS, worlds_for(actions, bench.scale)))
    ]
    found: dict[tuple[str, int], list[float]] = {(method, actions): [] for method in RULES for actions in ACTIONS}
    for (actions, index), _ in zip(jobs, bench.track(jobs, "variances"), strict=True):
        mdp = draw_mdp(Ground(actions=actions), bench.scale.seed, index)
        teacher = draw_teacher(tutor(), mdp, bench.scale.seed, index, GAMMA)
        for method in RULES:
            one = setting(METHODS[method], "monte-carlo", 0.0)
            logits = np.zeros((mdp.observations, actions))
            sample = sampled_update(mdp, teacher, one, logits, EPISODES[actions], bench.scale.seed + index)
            found[method, actions].append(sample.variance)
    return {key: np.array(numbers) for key, numbers in found.items()}


def variance_claim(found: Variances) -> Claim:
    effects = []
    for actions in ACTIONS:
        ratio = found["entropy-regularised", actions] / found["exp-entropy-regularised", actions]
        name = f"{actions} actions: variance of entropy-regularised / of exp-entropy-regularised"
        effects.append(median_interval(ratio).effect(name, above=1.0))
    return Claim(
        "7e",
        "The two entropy rows have one expected update, and differ in variance",
        "The paper explains the failure by the variance of the estimate.",
        "Measured is the variance of one episode's update, summed over all entries, for the uniform student; the "
        "median over worlds. That the expected updates are equal is checked exactly by the experiment propositions.",
        tuple(effects),
    )


def variance_table(found: Variances) -> Table:
    rows: list[list[str | float]] = []
    for method in RULES:
        rows.append([method, *(float(f"{np.median(found[method, actions]):.3g}") for actions in ACTIONS)])
    return Table(
        "Variance of one episode's update at the uniform student, median over worlds",
        ["row", *(f"{actions} actions" for actions in ACTIONS)],
        rows,
    )


def run(bench: Bench) -> Findings:
    """All sizes at chosen rates, for two kinds of student; four actions at one rate; variances; what is copied."""
    keys = [(method, actions, one) for one in STUDENTS for actions in ACTIONS for method in RULES]
    plain = {key: curve(*key, bench.scale) for key in keys}
    aside = [{method: make(method) for method in RULES} for make in (common, soft, floored)]
    unique = {one.name: one for one in (*plain.values(), *(one for curves in aside for one in curves.values()))}
    trained = bench.train(list(unique.values()))
    found = {key: trained[one.name] for key, one in plain.items()}
    others = [{method: trained[one.name] for method, one in curves.items()} for curves in aside]
    spread, copied = variances(bench), copies(bench)
    claims: list[Claim] = []
    figures: list[Panel] = []
    for row, (estimator, student) in enumerate(STUDENTS.items()):
        mine = {(method, actions): one for (method, actions, which), one in found.items() if which == estimator}
        claims += student_claims(mine, student)
        figures += size_panels(mine, student, row)
    claims += [
        first_claim("7.1", others[0], f"all at the rate {COMMON:g}"),
        first_claim("7.2", others[1], f"all at the rate {COMMON:g}, with the best possible teacher"),
        first_claim("7.3", others[2], f"the same with no action below the probability {FLOOR:g}"),
        variance_claim(spread),
        copying_claim(copied),
    ]
    tables = (variance_table(spread), copying_table(copied))
    shown: tuple[Figure, ...] = (*figures, *four_panels(others), *tables)
    return Findings(
        "update-rules",
        "Update rules from 4 to 4000 actions",
        SUMMARY,
        tuple(claims),
        shown,
        settings(bench.scale),
        NOTES,
    )


def student_claims(found: Found, student: str) -> list[Claim]:
    """Claim 7, of one kind of student."""
    at_four = {method: found[method, 4] for method in RULES}
    return [
        first_claim(
            NUMBERS[student].format("a"), at_four, f"each at its chosen rate, {student}", TRIED, ENDING[student]
        ),
        failing_claim(found, student),
        steady_claim(found, student),
        baseline_claim(found, student),
    ]


def size_panels(found: Found, student: str, row: int) -> list[Panel]:
    figure = f"{student[0].upper()}{student[1:]}, each row at its chosen rate"
    return [panel(f"{n} actions", {m: found[m, n] for m in RULES}, row=row, figure=figure, x_log=True) for n in ACTIONS]


def four_panels(found: Sequence[Mapping[str, Measured]]) -> list[Panel]:
    figure = f"4 actions, one rate for all rows: {COMMON:g} (Monte-Carlo student)"
    titles = ("Q-learning teacher", "best possible teacher", f"best possible, none below {FLOOR:g}")
    return [
        panel(title, one, row=len(STUDENTS), figure=figure, x_log=True)
        for title, one in zip(titles, found, strict=True)
    ]


def settings(scale: Scale) -> dict[str, object]:
    return {
        "worlds by number of actions": {str(actions): worlds_for(actions, scale) for actions in ACTIONS},
        "learning rates": {
            f"{method}, {actions} actions, {one}": rate(method, actions, one)
            for one in STUDENTS
            for actions in ACTIONS
            for method in RULES
        },
        "gamma": GAMMA,
        "teacher": asdict(tutor()),
    }


TRIED = (
    "Monte-Carlo and one-step students, and rewards that count for their own step alone; one small rate for all rows "
    "(7.1); a teacher without states that it never saw (7.2); the same where no action is very unlikely (7.3): all are "
    "on this page."
)
SUMMARY = (
    "The student acts, and its teacher's probabilities are used in four ways: as a target to copy "
    "(on-policy-distill), as a reward log π(a) for the actions tried (entropy-regularised), as the same reward "
    "with the expectation over the current action taken exactly (exp-entropy-regularised), or not at all "
    "(task-reward, the baseline: plain policy gradient). The more actions there are, the less a single tried one "
    "tells."
)
NOTES = (
    (
        "Action k moves in direction k mod 4: with more actions the worlds stay the same and the tables grow. Fewer "
        "worlds are run where actions are many; the settings say how many."
    ),
    (
        "Learning rates were chosen by one rule for every row, number of actions and kind of student: of nine from "
        "0.0003 to 3 the smallest whose mean return over a short training, on worlds of another seed, is within 0.1 of "
        "the best. `python -m understudy.lab.rates` repeats the choice, and prints what each rate gave."
    ),
    (
        "A one-step student subtracts a learned critic from its reward of one step and the next state's value "
        "(GAE with lambda 0). The critic begins at 0, which no charged episode can reach: what was not tried "
        "looks good."
    ),
    (
        "The reward log π(a) of the entropy rows is a large number, so that at equal rates it moves the student "
        "furthest; but it is charged at every step, and a student can also avoid the charge by ending the episode: "
        "wherever the teacher is unsure, or was never trained, a cell that ends the episode with a loss is as good as "
        "one that ends it with a prize."
    ),
    (
        "With own-step rewards log π(a) counts for the action that it is paid for and for no earlier one (credit 0). "
        "Then nothing is earned by ending an episode, and the two entropy rows no longer have one expected update "
        "with the rows of the paper's table: it is a form that the paper does not name, tried because the first two "
        "did not give its picture."
    ),
    (
        "The teacher is Q-learning (30,000 steps), softmax at temperature 0.1: no action is excluded, but many "
        "are as unlikely as one in 1e40, and log π of them is -100. Claims 7.2 and 7.3 differ in nothing but a "
        "floor under these probabilities: the dearer a step aside, the less it pays to end the episode by one."
    ),
)

UPDATE_RULES = Experiment("update-rules", "Fig. 4", "four update rules, from 4 to 4000 actions", run)
