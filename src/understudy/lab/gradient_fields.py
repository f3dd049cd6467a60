"""The table's column: which rows' expected update is the gradient of anything, on random MDPs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.engines import exact
from understudy.lab.effects import every, median_of, short, told
from understudy.lab.experiment import Bench, Experiment
from understudy.lab.findings import Claim, Findings, Panel, Series, Table
from understudy.mdp.families import random_mdp
from understudy.mdp.model import MDP
from understudy.methods import METHODS, with_divergence, with_expected_reward
from understudy.methods.method import Method

STATES, ACTIONS, END = 5, 3, 0.2
MOST_MDPS = 200
FIELD, NO_FIELD = 1e-9, 0.05


@dataclass(frozen=True)
class Way:
    """One panel: a discount, and whether the visits are discounted as well."""

    name: str
    gamma: float
    discounted_visits: bool = True


PLAIN = Way("gamma = 1", 1.0)
DISCOUNTED = Way("gamma = 0.9, discounted visits", 0.9)
UNDISCOUNTED = Way("gamma = 0.9, undiscounted visits", 0.9, discounted_visits=False)
WAYS = (PLAIN, DISCOUNTED, UNDISCOUNTED)


def forms() -> dict[str, Method]:
    """Every row, and where it differs its KL form and its form with the expected next reward."""
    found = dict(METHODS)
    for name, row in METHODS.items():
        kl = with_divergence(row, "kl")
        if kl != row:
            found[f"{name} (kl)"] = kl
        if any(part.later and part.atom == "teacher-log-prob" for part in row.reward):
            found[f"{name} (expected)"] = with_expected_reward(row)
            found[f"{name} (kl, expected)"] = with_expected_reward(kl)
    return found


FORMS = forms()
# Each pair has the same expected update; the reason stands beside it.
EQUAL = (
    ("entropy-regularised", "exp-entropy-regularised", "the inner expectation is only taken exactly"),
    ("entropy-regularised+r", "exp-entropy-regularised+r", "the same"),
    ("exp-entropy-regularised", "exp-entropy-regularised (expected)", "the next action's expectation is taken exactly"),
    ("entropy-regularised (kl)", "kl-regularised", "two names for one row"),
    ("kl-regularised", "exp-entropy-regularised (kl)", "the inner expectation is only taken exactly"),
    ("teacher-v-reward", "task-reward", "the teacher's values telescope to a baseline"),
    ("student-critic", "task-reward", "with the exact V_S, one step and the whole return agree in expectation"),
    ("on-policy-distill", "on-policy-distill (kl)", "the two losses differ by the teacher's entropy, a constant"),
    ("teacher-distill", "teacher-distill (kl)", "the same"),
)
Columns = dict[tuple[str, str], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A random MDP with a random teacher, and a random student's logits."""

    mdp: MDP
    teacher: np.ndarray
    logits: np.ndarray


def case(seed: int, index: int) -> Case:
    generator = np.random.default_rng([seed, index])
    mdp = random_mdp(STATES, ACTIONS, END, generator)
    weight = np.exp(1.5 * generator.standard_normal((STATES, ACTIONS)))
    return Case(mdp, weight / weight.sum(-1, keepdims=True), 0.7 * generator.standard_normal((STATES, ACTIONS)))


def asymmetries(one: Case) -> Columns:
    """Of every form in every way, for one MDP."""
    return {
        (way.name, name): np.array(
            exact.asymmetry(
                row, one.mdp, one.teacher, one.logits, gamma=way.gamma, discounted_visits=way.discounted_visits
            )
        )
        for way in WAYS
        for name, row in FORMS.items()
    }


def differences(one: Case) -> np.ndarray:
    """``[len(EQUAL)]``: greatest difference between the updates of a pair, relative to the update, with gamma 0.9."""
    found = []
    for first, second, _ in EQUAL:
        a, b = (exact.update(FORMS[name], one.mdp, one.teacher, one.logits, gamma=0.9) for name in (first, second))
        found.append(float((a - b).abs().max() / b.abs().max()))
    return np.array(found)


def run(bench: Bench) -> Findings:
    """Measure all forms on all MDPs."""
    count = min(bench.scale.mdps, MOST_MDPS)
    columns, unequal = [], []
    for index, _ in enumerate(bench.track(range(count), "Jacobians")):
        one = case(bench.scale.seed, index)
        columns.append(asymmetries(one))
        unequal.append(differences(one))
    table = {key: np.array([column[key] for column in columns]) for key in columns[0]}
    gaps = np.array(unequal)
    return Findings(
        "gradient-fields",
        "Which updates are gradients of anything",
        SUMMARY,
        (theorem_1(table), theorem_2(table), discounting(table), equal_in_expectation(gaps)),
        (*(panel(table, way) for way in WAYS), column_table(table), equal_table(gaps)),
        {"MDPs": count, "states": STATES, "actions": ACTIONS, "end": END, "seed": bench.scale.seed},
        NOTES,
    )


SUMMARY = (
    "A learning rule that follows the gradient of some objective goes downhill and must come to rest; a rule that "
    "does not may go round for ever. A rule is a gradient exactly if its Jacobian, the table of how each component "
    "of the update changes with each parameter, is symmetric. Here the Jacobian of each row's expected update is "
    "computed exactly on random MDPs, and its asymmetry measured: the greatest |J - J^T| over the greatest |J|; 0 "
    "for a gradient."
)
NOTES = (
    (
        "v-gated is symmetric in the MDPs in which its gate is shut everywhere, because the student's values are above "
        "the teacher's in every state: it is then task-reward. Where a gate is open it is not."
    ),
    (
        "Teachers and students are random softmax tables. The teacher's values are exact for its own policy, and V_S "
        "is the student's exact value, which moves with the student."
    ),
    (
        "Without discounted visits means what deep reinforcement learning does: returns are discounted, but late "
        "steps of an episode count as much as early ones."
    ),
)

NO_FIELDS = ("on-policy-distill", "on-policy-distill+r")
CORRECTED = ("n-distill", "n-distill+r", "n-distill (kl)", "n-distill+r (kl)")
OTHER_FIELDS = tuple(name for name, row in FORMS.items() if row.gradient and name not in CORRECTED)


def theorem_1(table: Columns) -> Claim:
    effects = []
    for name in NO_FIELDS:
        found = table[PLAIN.name, name]
        effects += [
            median_of(f"{name}: median asymmetry", found, above=NO_FIELD),
            every(f"{name}: least to greatest", found, above=FIELD),
        ]
    return Claim(
        "1",
        "Theorem 1: on-policy distillation is not a gradient",
        "With and without the task reward, the update of on-policy-distill is not a gradient field.",
        told(
            effects,
            "The Jacobian is asymmetric in every MDP, by far more than rounding: minimising nothing, the update has no "
            "guarantee to settle. How it can go round is shown by the experiment cycle.",
        ),
        tuple(effects),
    )


def theorem_2(table: Columns) -> Claim:
    def joined(names: tuple[str, ...]) -> np.ndarray:
        return np.concatenate([table[PLAIN.name, name] for name in names])

    effects = (
        every("corrected rows (n-distill, with and without R)", joined(CORRECTED), below=FIELD),
        every("all other rows that the table calls gradients", joined(OTHER_FIELDS), below=FIELD),
        every("teacher-v-reward, V_T twice (telescopes)", table[PLAIN.name, "teacher-v-reward"], below=FIELD),
        median_of(
            "teacher-v-reward as printed in Table 1", table[PLAIN.name, "teacher-v-reward-printed"], above=NO_FIELD
        ),
    )
    return Claim(
        "2",
        "Theorem 2: the correction makes it a gradient",
        "With the next state's loss as a penalty, any loss of the current state becomes the gradient of the expected "
        "sum of losses along the student's own path.",
        told(
            effects,
            "The corrected rows are symmetric to rounding. So are all others that the table calls gradients. Of the "
            "two teacher-V rewards in the paper only the one of its section 4, V_T(s') - V_T(s), is; Table 1 prints "
            "V_T(s') - V_S(s), which is not: a misprint, we believe.",
        ),
        effects,
    )


def discounting(table: Columns) -> Claim:
    def joined(way: Way, students: bool) -> np.ndarray:
        names = [name for name, row in FORMS.items() if row.gradient and row.control.is_student == students]
        return np.concatenate([table[way.name, name] for name in names])

    plain = table[UNDISCOUNTED.name, "task-reward"]
    effects = (
        every("gradient rows, discounted visits, student acting", joined(DISCOUNTED, True), below=FIELD),
        every("teacher-distill, any visits", joined(UNDISCOUNTED, False), below=FIELD),
        median_of("on-policy-distill, discounted visits", table[DISCOUNTED.name, "on-policy-distill"], above=NO_FIELD),
        every("task-reward, undiscounted visits", plain, above=FIELD),
        every("gradient rows, undiscounted visits, student acting", joined(UNDISCOUNTED, True), above=FIELD),
        median_of(
            "undiscounted visits: asymmetry of on-policy-distill / of task-reward",
            table[UNDISCOUNTED.name, "on-policy-distill"] / plain,
        ),
    )
    return Claim(
        "A",
        "Does the column hold with discounting?",
        "Open: the theory has gamma = 1, the experiments 0.99.",
        told(
            effects,
            "Yes, if the visits are discounted as well: step t counts gamma^(t-1). If they are not, as in every deep "
            "implementation, no row with the student acting is a gradient, not even plain policy gradient on the task "
            f"reward. On-policy-distill's asymmetry is then {effects[-1].value:.2g} times as large as that one's "
            "(median).",
        ),
        effects,
    )


def equal_in_expectation(gaps: np.ndarray) -> Claim:
    effects = (every("greatest relative difference within a pair", gaps.reshape(-1), below=FIELD),)
    return Claim(
        "B",
        "Rows with one and the same expected update",
        "Table 1 lists them as different methods; sections 3 and 4 say of some that they are the same in expectation.",
        told(
            effects,
            "The pairs listed below have equal expected updates, to rounding. What the paper's figures show to be "
            "different about them is therefore the variance of the sampled update, or one-step forms with inexact "
            "values; the experiment propositions measures the variances.",
        ),
        effects,
    )


CAPTION = "Asymmetries from the least to the greatest MDP; of a gradient nothing is left but rounding."


def panel(table: Columns, way: Way) -> Panel:
    """One line a row of the catalogue: its asymmetries, from the least to the greatest MDP."""
    share = np.linspace(0, 1, 11)
    series = tuple(
        Series(name, short(share), short(np.quantile(np.maximum(table[way.name, name], 1e-18), share)),
               dashed=not row.gradient)
        for name, row in METHODS.items()
    )  # fmt: skip
    return Panel(way.name, "share of MDPs", "relative asymmetry", series, y_log=True, figure=CAPTION)


def column_table(table: Columns) -> Table:
    rows = []
    for name, row in FORMS.items():
        said = {True: "yes", False: "no", None: "depends"}[row.gradient]
        cells = [(np.median(table[way.name, name]), table[way.name, name].max()) for way in WAYS]
        rows.append([name, said, *(f"{median:.1e} / {most:.1e}" for median, most in cells)])
    return Table(
        "Relative asymmetry of the Jacobian: median / greatest", ["row", "gradient?", *(way.name for way in WAYS)], rows
    )


def equal_table(gaps: np.ndarray) -> Table:
    rows = [[a, b, why, f"{gap:.1e}"] for (a, b, why), gap in zip(EQUAL, gaps.max(0), strict=True)]
    return Table("Equal in expectation (gamma = 0.9)", ["row", "and", "because", "greatest relative difference"], rows)


GRADIENT_FIELDS = Experiment("gradient-fields", "Table 1", "which rows are gradients of anything", run)
