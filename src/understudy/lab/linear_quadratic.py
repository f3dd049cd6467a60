"""Does the table hold for continuous actions? Linear-quadratic control with Gaussian policies, in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from understudy.lab.effects import every, mean_of, median_of, short, told
from understudy.lab.experiment import Bench, Experiment
from understudy.lab.findings import Claim, Findings, Panel, Series, Table
from understudy.lab.linear_gaussian import (
    Linear,
    LinearQuadratic,
    asymmetry,
    divergence,
    field,
    improved,
    is_finite,
    jacobian,
    random_problems,
    random_students,
    returns,
    riccati,
    teachers,
    unflat,
)
from understudy.lab.linear_gaussian_samples import sampled_update
from understudy.methods import METHODS, with_divergence
from understudy.methods.method import Method

# (name, gamma, whether visits are discounted)
WAYS = (
    ("gamma = 1", 1.0, True),
    ("gamma = 0.9, discounted visits", 0.9, True),
    ("gamma = 0.9, undiscounted visits", 0.9, False),
)
ROWS = {name: row for name, row in METHODS.items() if name != "v-gated"}
EQUAL = (
    ("entropy-regularised", "exp-entropy-regularised"),
    ("teacher-v-reward", "task-reward"),
    ("student-critic", "task-reward"),
)
# Of rows that are equal in expectation one is followed; the entropies are rewards here, so that a copy is sought.
FOLLOWED = (
    "teacher-distill",
    "on-policy-distill",
    "n-distill",
    "entropy-regularised",
    "kl-regularised",
    "task-reward",
    "teacher-critic",
    "on-policy-distill+r",
    "n-distill+r",
    "entropy-regularised+r",
)
TEACHERS = ("optimal", "weak", "harmful")
START_DEVIATION = -0.5
FIELD, NO_FIELD = 1e-9, 0.01
RATE = 0.05
FEWEST_ITERATIONS = 200


def columns(bench: Bench, problem: LinearQuadratic) -> dict[tuple[str, str], np.ndarray]:
    """Asymmetry ``[N]`` of every row in each of the three ways."""
    generator = torch.Generator().manual_seed(bench.scale.seed)
    student, teacher = random_students(problem, generator), teachers(problem, generator)["weak"]
    cases = [(way, row) for way in WAYS for row in ROWS.values()]
    found = {}
    for ((name, gamma, discounted), row), _ in zip(cases, bench.track(cases, "Jacobians"), strict=True):
        update = field(row, replace(problem, gamma=gamma), teacher, discounted)
        found[name, row.name] = asymmetry(jacobian(update, student)).numpy()
    return found


def inequality(problem: LinearQuadratic, seed: int) -> np.ndarray:
    """Greatest difference between the updates of rows that are equal in expectation, relative, in each problem."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = random_students(problem, generator), teachers(problem, generator)["weak"]
    worst = []
    for pair in EQUAL:
        one, other = (field(METHODS[name], problem, teacher)(student) for name in pair)
        worst.append(((one - other).abs().amax(1) / other.abs().amax(1)).numpy())
    return np.max(worst, 0)


def scores(problem: LinearQuadratic, policy: Linear, best: Tensor) -> Tensor:
    """``[N]``: the return without action noise, 0 for doing nothing and 1 for the ``best`` gain."""
    still = torch.full_like(policy.log_std, -20.0)
    own, idle, top = (returns(problem, Linear(gain, still)) for gain in (policy.gain, 0 * best, best))
    return (own - idle) / (top - idle)


def descend(
    row: Method, problem: LinearQuadratic, teacher: Linear, iterations: int, points: int
) -> tuple[list[int], dict[str, np.ndarray]]:
    """Follow the exact update by Adam from the student that does nothing; what is measured ``[points, N]``.

    Adam turns each component's scale, not where the update is 0. A step after which returns would be infinite is not
    taken.
    """
    actions = problem.push.shape[-1]
    nothing = Linear(torch.zeros_like(teacher.gain), torch.full_like(teacher.log_std, START_DEVIATION))
    theta = nothing.flat.clone().requires_grad_()
    adam = torch.optim.Adam([theta], lr=RATE)
    update = field(row, problem, teacher)
    best = riccati(problem)
    at, measured = sorted({round(x) - 1 for x in np.geomspace(1, iterations + 1, points)}), []
    for iteration in range(iterations + 1):
        if iteration in at:
            measured.append(_measured(problem, teacher, unflat(theta.detach(), actions), best))
        adam.param_groups[0]["lr"] = RATE * (1 - iteration / (iterations + 1))
        before = theta.detach().clone()
        theta.grad = update(before)
        adam.step()
        fine = is_finite(problem, unflat(theta.detach(), actions), margin=0.95)
        theta.data = torch.where(fine[:, None], theta.detach(), before)
    return at, {name: np.array([one[name] for one in measured]) for name in measured[0]}


def _measured(problem: LinearQuadratic, teacher: Linear, student: Linear, best: Tensor) -> dict[str, np.ndarray]:
    aim = improved(problem, teacher)
    size = aim.abs().amax((1, 2))
    found = {
        "score": scores(problem, student, best),
        "kl": divergence(problem, teacher, student),
        "deviation": torch.exp(student.log_std - teacher.log_std).amax(1),
        "from-improved": (student.gain - aim).abs().amax((1, 2)) / size,
        "from-teacher": (student.gain - teacher.gain).abs().amax((1, 2)) / size,
    }
    return {name: numbers.numpy() for name, numbers in found.items()}


Ends = dict[tuple[str, str], tuple[list[int], dict[str, np.ndarray]]]


def ends(bench: Bench, problem: LinearQuadratic, iterations: int) -> Ends:
    """Every followed row with every teacher; all teachers side by side, because problems are."""
    generator = torch.Generator().manual_seed(bench.scale.seed + 1)
    kinds = teachers(problem, generator)
    count = len(problem.drift)
    three = problem.repeated(len(kinds))
    together = Linear(*(torch.cat([getattr(one, part) for one in kinds.values()]) for part in ("gain", "log_std")))
    found: Ends = {}
    for name, _ in zip(FOLLOWED, bench.track(FOLLOWED, "descents"), strict=True):
        row = with_divergence(METHODS[name], "kl") if name.startswith("n-distill") else METHODS[name]
        at, measured = descend(row, three, together, iterations, min(bench.scale.points, 25))
        for k, kind in enumerate(kinds):
            own = slice(k * count, (k + 1) * count)
            found[kind, name] = at, {key: numbers[:, own] for key, numbers in measured.items()}
    return found


def sampled_errors(bench: Bench, episodes: int) -> np.ndarray:
    """Deviations of the deep engine's sampled update from the closed form, in standard errors, for every row."""
    problem = replace(random_problems(1, bench.scale.seed), gamma=0.9)
    generator = torch.Generator().manual_seed(bench.scale.seed)
    student, teacher = random_students(problem, generator), teachers(problem, generator)["weak"]
    found = []
    for (number, row), _ in zip(enumerate(ROWS.values()), bench.track(list(ROWS), "samples"), strict=True):
        mean, error = sampled_update(row, problem, teacher, student, episodes, seed=bench.scale.seed + number)
        found.append((mean - field(row, problem, teacher, discounted=False)(student)[0].numpy()) / error)
    return np.concatenate(found)


def run(bench: Bench) -> Findings:
    """The column, the end points, and the closed form against samples."""
    count = min(max(bench.scale.mdps, 10), 200)
    followed = min(max(bench.scale.mdps // 10, 10), 40)
    iterations = min(max(bench.scale.iterations // 15, FEWEST_ITERATIONS), 2000)
    episodes = min(max(bench.scale.iterations, 3000), 30_000)
    table = columns(bench, random_problems(count, bench.scale.seed))
    unequal = inequality(random_problems(count, bench.scale.seed), bench.scale.seed)
    found = ends(bench, random_problems(followed, bench.scale.seed + 1), iterations)
    errors = sampled_errors(bench, episodes)
    return Findings(
        "linear-quadratic",
        "Continuous actions: linear-quadratic control",
        "The paper proves its theorems for finite action sets. Here actions are real numbers: a linear system with "
        "quadratic costs, Gaussian policies whose mean is linear in the state and whose deviation is learned, and "
        "episodes that end after each step with probability 0.1. Every expectation has a closed form, so that each "
        "row's update and its Jacobian are exact.",
        (column_claim(table, unequal), copy_claim(found), improvement_claim(found), sampled_claim(errors)),
        (*column_panels(table), column_table(table), *end_panels(found), end_table(found)),
        {
            "problems": count,
            "problems followed": followed,
            "iterations": iterations,
            "episodes sampled a row": episodes,
            "states": 2,
            "actions": 1,
            "seed": bench.scale.seed,
        },
        NOTES,
    )


NOTES = (
    (
        "The gate of v-gated is open in one part of the state space and shut in the rest, so that its update has no "
        "closed form; it is left out."
    ),
    (
        "Rows that are equal in expectation end at the same point, so one of each is followed: "
        "exp-entropy-regularised is entropy-regularised here, teacher-v-reward and student-critic are task-reward. "
        "n-distill is followed in its KL form; as episodes end by themselves, at a rate that no action changes, the "
        "cross-entropy form has the same update."
    ),
    (
        "The score is a policy's return when it acts by its mean: 0 is doing nothing, 1 the best linear controller "
        "(Riccati). A harmful teacher pushes the wrong way and scores below 0."
    ),
)


def column_claim(table: dict[tuple[str, str], np.ndarray], unequal: np.ndarray) -> Claim:
    first, second, third = (way for way, *_ in WAYS)
    fields = [name for name, row in ROWS.items() if row.gradient]
    on_policy = ("on-policy-distill", "on-policy-distill+r", "teacher-v-reward-printed", "teacher-critic")
    acting = [name for name in fields if ROWS[name].control.is_student]
    effects = (
        every("field rows, gamma = 1", np.concatenate([table[first, name] for name in fields]), below=FIELD),
        every("field rows, gamma = 0.9, discounted", np.concatenate([table[second, n] for n in fields]), below=FIELD),
        *(median_of(f"{name}, gamma = 1", table[first, name], above=NO_FIELD) for name in on_policy),
        every(
            "field rows, gamma = 0.9, undiscounted, student acting",
            np.concatenate([table[third, name] for name in acting]),
            above=FIELD,
        ),
        every("difference between rows that are equal in expectation", unequal, below=1e-9),
    )
    return Claim(
        "L1",
        "The gradient-field column is the same for continuous actions",
        "Open: the paper treats finite action sets. From the proofs one expects the same column.",
        told(
            effects,
            "Rows that are gradient fields on finite MDPs are so here, to rounding, with gamma = 1 and with discounted "
            "visits; on-policy-distill, with and without the task reward, the printed teacher-V row and teacher-critic "
            "are not. Without discounted visits no row with the student acting is. The pairs that are equal in "
            "expectation on finite MDPs are equal here.",
        ),
        effects,
    )


COPIES = ("teacher-distill", "on-policy-distill", "n-distill", "kl-regularised")


def _last(found: Ends, name: str, metric: str, kinds: tuple[str, ...] = TEACHERS) -> np.ndarray:
    return np.concatenate([found[kind, name][1][metric][-1] for kind in kinds])


def copy_claim(found: Ends) -> Claim:
    effects = [mean_of(f"{name}: KL(teacher‖student) a step", _last(found, name, "kl"), below=0.01) for name in COPIES]
    own = "entropy-regularised"
    effects += [
        median_of(f"{own}: distance of its gain from the teacher's", _last(found, own, "from-teacher"), below=0.05),
        median_of(f"{own}: deviation against the teacher's", _last(found, own, "deviation"), below=0.5),
    ]
    return Claim(
        "L2",
        "Which rows copy a Gaussian teacher, and which end at its mode",
        "Open for continuous actions. On finite MDPs: H(π‖πθ) and both KL forms copy, H(πθ‖π) ends at the teacher's "
        "most probable action (claim 8).",
        told(
            effects,
            "Whatever the teacher is worth, teacher-distill, on-policy-distill, n-distill and kl-regularised end as "
            "its copy. entropy-regularised (and exp-entropy-regularised, its equal) ends at the teacher's mean with "
            f"{effects[-1].value:.2g} times its deviation, on the way to the mode.",
        ),
        tuple(effects),
    )


def improvement_claim(found: Ends) -> Claim:
    bad = ("weak", "harmful")

    def over_teacher(name: str) -> np.ndarray:
        copied = _last(found, "teacher-distill", "score", bad)
        return _last(found, name, "score", bad) - copied

    effects = (
        median_of("on-policy-distill above the imperfect teacher's copy", over_teacher("on-policy-distill")),
        median_of("n-distill+r above it", over_teacher("n-distill+r"), above=0.0),
        median_of("on-policy-distill+r above it", over_teacher("on-policy-distill+r"), above=0.0),
        median_of("entropy-regularised+r above it", over_teacher("entropy-regularised+r"), above=0.0),
        median_of("teacher-critic above it", over_teacher("teacher-critic"), above=0.0),
        median_of(
            "teacher-critic: distance from one step of policy improvement",
            _last(found, "teacher-critic", "from-improved", bad),
            below=0.05,
        ),
        median_of("task-reward: score", _last(found, "task-reward", "score", bad), above=0.98),
    )
    return Claim(
        "L3",
        "With an imperfect teacher: cloning stops at the teacher, rewards do better",
        "Open for continuous actions. On finite MDPs: +R, V-reward and TD + V_teacher end above a poor teacher.",
        told(
            effects,
            "With the task reward added the student ends above the teacher's copy. teacher-critic ends at one step of "
            "policy improvement on the teacher, computed separately by Riccati's formula. task-reward, and "
            "teacher-v-reward with the same update, ends near the optimum, 1.",
        ),
        effects,
    )


def sampled_claim(errors: np.ndarray) -> Claim:
    effects = (
        mean_of("mean square deviation, in standard errors (1.1 expected)", errors**2, above=0.4, below=2.0),
        every("greatest deviation, in standard errors", np.abs(errors), below=5.5),
    )
    return Claim(
        "L4",
        "The closed form agrees with sampled episodes",
        "Not in the paper: a check of the method.",
        told(
            effects,
            "The deep engine's text of Eq. 1 on sampled episodes gives the closed form's update, within its standard "
            "errors, for every row.",
        ),
        effects,
    )


CAPTION = "Asymmetries from the least to the greatest problem; of a gradient nothing is left but rounding."


def column_panels(table: dict[tuple[str, str], np.ndarray]) -> tuple[Panel, ...]:
    """One panel a way: each row's asymmetries in order, from the least to the greatest problem."""
    panels = []
    for way, *_ in WAYS:
        series = []
        for name in ROWS:
            share = np.linspace(0, 1, 11)
            spread = np.quantile(np.maximum(table[way, name], 1e-18), share)
            series.append(Series(name, short(share), short(spread), dashed=not ROWS[name].gradient))
        panels.append(Panel(way, "share of problems", "relative asymmetry", tuple(series), y_log=True, figure=CAPTION))
    return tuple(panels)


def column_table(table: dict[tuple[str, str], np.ndarray]) -> Table:
    rows = []
    for name, row in ROWS.items():
        said = {True: "yes", False: "no", None: "depends"}[row.gradient]
        rows.append([name, said, *(f"{np.median(table[w, name]):.1e} / {table[w, name].max():.1e}" for w, *_ in WAYS)])
    heads = ["row", "field on finite MDPs", *(way for way, *_ in WAYS)]
    return Table("Relative asymmetry of the Jacobian, median / greatest", heads, rows)


def _band(label: str, at: list[int], numbers: np.ndarray) -> Series:
    low, middle, high = np.quantile(numbers, (0.25, 0.5, 0.75), axis=1)
    return Series(label, [1 + x for x in at], short(middle), short(low), short(high))


def end_panels(found: Ends) -> tuple[Panel, ...]:
    panels = []
    for kind in TEACHERS:
        series = [_band(name, at, m["score"]) for (k, name), (at, m) in found.items() if k == kind]
        title = f"{kind} teacher: score"
        panels.append(Panel(title, "iterations + 1", "score (median, quartiles)", tuple(series), row=1, x_log=True))
    for kind in TEACHERS:
        kept = [(name, at, np.maximum(m["kl"], 1e-8)) for (k, name), (at, m) in found.items() if k == kind]
        series = [_band(name, at, numbers) for name, at, numbers in kept]
        labels = f"{kind} teacher: KL", "iterations + 1", "KL(teacher‖student), quartiles"
        panels.append(Panel(*labels, tuple(series), row=2, x_log=True, y_log=True))
    return tuple(panels)


def end_table(found: Ends) -> Table:
    rows = []
    for name in FOLLOWED:
        cells = [f"{np.median(_last(found, name, 'score', (kind,))):.3f}" for kind in TEACHERS]
        cells += [f"{np.median(_last(found, name, 'kl', (kind,))):.2g}" for kind in TEACHERS]
        rows.append([name, *cells])
    heads = ["row", *(f"score, {kind}" for kind in TEACHERS), *(f"KL, {kind}" for kind in TEACHERS)]
    return Table("Where each row ends (medians)", heads, rows)


LINEAR_QUADRATIC = Experiment("linear-quadratic", "ours", "the table for continuous actions, in closed form", run)
