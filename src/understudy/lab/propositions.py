"""Propositions 1 to 4, by exact updates, and the variance of rows whose expected update is the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from understudy.engines.exact.problem import problem
from understudy.lab.draw import Stream, sequence
from understudy.lab.effects import every, mean_of, median_of, short, told
from understudy.lab.experiment import Bench, Experiment
from understudy.lab.findings import Claim, Effect, Findings, Panel, Series, Table
from understudy.lab.side_by_side import SideBySide, joined, softmax
from understudy.lab.update_variance import EPISODES, variance_claim, variance_table, variances
from understudy.mdp.families import random_mdp
from understudy.mdp.grid import GridOdds, grid
from understudy.mdp.model import MDP
from understudy.mdp.solve import optimal as best_values
from understudy.mdp.teachers import Teacher, adversarial, evaluated, noisy, optimal, soften
from understudy.methods import METHODS
from understudy.methods.surrogate import pseudo_reward

STATES, ACTIONS, END = 8, 3, 0.1
GRID, GRID_END, GRID_ODDS = 6, 0.05, GridOdds(plus_ten=0.05, plus_five=0.03, minus_ten=0.05, minus_five=0.03)
MOST_MDPS = 60
RATE = 1.0
SHORTFALL = 0.01
LOWEST_SHOWN = -2.0

Families = dict[str, SideBySide]


def families(count: int, seed: int) -> Families:
    """``count`` random MDPs, and half as many small grid worlds."""
    draw = [np.random.default_rng([seed, index]) for index in range(count)]
    randoms = tuple(random_mdp(STATES, ACTIONS, END, generator) for generator in draw)
    grids = tuple(grid(generator, GRID, GRID_ODDS, end=GRID_END).mdp for generator in draw[: max(1, count // 2)])
    return {"random MDPs": SideBySide(randoms), "grid worlds": SideBySide(grids)}


def careless(mdp: MDP) -> Teacher:
    """A teacher that knows nothing: a random softmax table, always the same for the same MDP."""
    generator = np.random.default_rng([mdp.states, int(abs(mdp.rewards).sum() * 1e6)])
    return evaluated(mdp, softmax(2 * generator.standard_normal(mdp.rewards.shape)))


TEACHERS: dict[str, Callable[[MDP], Teacher]] = {
    "25 % noise": lambda mdp: noisy(optimal(mdp), 0.25, mdp),
    "random": careless,
    "adversarial": lambda mdp: noisy(adversarial(mdp), 0.05, mdp),
}


def copying(bench: Bench, worlds: Families, iterations: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Prop. 1: KL(teacher‖student) ``[points, N, 2]``: a step of the teacher's, and in the worst state it reaches."""
    found = {}
    for (name, side), _ in zip(worlds.items(), bench.track(list(worlds), "Prop. 1"), strict=True):
        teacher = joined(side.mdps, lambda mdp: optimal(mdp, temperature=0.2))
        visits = side.visits(teacher)
        measure = _divergences(side, teacher, visits)
        logits = beginning(side, bench.scale.seed)
        row = METHODS["on-policy-distill"]
        found[name] = side.descend(row, teacher, logits, 0.5, iterations, measure, bench.scale.points)
    return found


def _divergences(side: SideBySide, teacher: np.ndarray, visits: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    share = visits / visits.sum(-1, keepdims=True)

    def measure(policy: np.ndarray) -> np.ndarray:
        each = side.apart((teacher * (np.log(np.maximum(teacher, 1e-300)) - np.log(policy))).sum(-1))
        return np.stack([(share * each).sum(-1), np.where(visits > 0.1, each, 0.0).max(-1)], -1)

    return measure


def beginning(side: SideBySide, seed: int) -> np.ndarray:
    """Each student's first logits ``[N * S, A]``, from a stream that its world was not drawn from."""
    return np.concatenate(
        [
            np.random.default_rng(sequence(seed, index, Stream.TRAINING)).standard_normal(mdp.rewards.shape)
            for index, mdp in enumerate(side.mdps)
        ]
    )


Ends = dict[tuple[str, str, str], tuple[np.ndarray, np.ndarray]]
FOLLOWED = ("v-gated", "teacher-critic")


def improving(bench: Bench, worlds: Families, iterations: int) -> Ends:
    """Props. 2 and 3: (student - teacher) return ``[points, N]``, where optimal - teacher is 1."""
    found: Ends = {}
    jobs = [(name, kind, row) for name in worlds for kind in TEACHERS for row in FOLLOWED]
    for (name, kind, row), _ in zip(jobs, bench.track(jobs, "Props. 2 and 3"), strict=True):
        side = worlds[name]
        teacher = joined(side.mdps, TEACHERS[kind])
        own, top = side.returns(teacher), side.returns(joined(side.mdps, optimal))
        span = np.maximum(top - own, 1e-9)
        logits = beginning(side, bench.scale.seed)
        measure = _gain(side, own, span)
        found[name, kind, row] = side.descend(METHODS[row], teacher, logits, RATE, iterations, measure, 25)
    return found


def one_step_better(worlds: Families, found: Ends) -> np.ndarray:
    """How far teacher-critic ends from the return of one exact step of policy improvement, in the same unit."""
    short_of = []
    for name, kind, row in found:
        if row != "teacher-critic":
            continue
        side = worlds[name]
        teachers = [TEACHERS[kind](mdp) for mdp in side.mdps]
        better = [soften(_q(mdp, teacher), 0.0) for mdp, teacher in zip(side.mdps, teachers, strict=True)]
        own, top = side.returns(np.concatenate([t.policy for t in teachers])), side.returns(joined(side.mdps, optimal))
        gain = (side.returns(np.concatenate(better)) - own) / np.maximum(top - own, 1e-9)
        short_of.append(gain - found[name, kind, row][1][-1])
    return np.concatenate(short_of)


def _q(mdp: MDP, teacher: Teacher) -> np.ndarray:
    """``[S, A]``: the return of an action when the teacher acts afterwards."""
    return mdp.rewards + mdp.expected_next(teacher.values)


def _gain(side: SideBySide, own: np.ndarray, span: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda policy: (side.returns(policy) - own) / span


def advantages(side: SideBySide) -> tuple[np.ndarray, ...]:
    """Prop. 4, of every action in every state: what teacher-v-reward pays, A*, and r; with an optimal teacher."""
    found = []
    for mdp in side.mdps:
        acts = ~mdp.terminal
        values, q = best_values(mdp)
        row = METHODS["teacher-v-reward"]
        found_problem = problem(row, mdp, optimal(mdp).policy)
        logits = found_problem.parameters(np.zeros_like(mdp.rewards))
        paid = pseudo_reward(row, found_problem.steps(logits, logits), 1.0).numpy()
        found.append([table[acts].reshape(-1) for table in (paid, q - values[:, None], mdp.rewards)])
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def run(bench: Bench) -> Findings:
    """Everything but the variances is exact."""
    count = min(max(bench.scale.mdps, 10), MOST_MDPS)
    iterations = min(max(bench.scale.iterations // 15, 200), 2000)
    worlds = families(count, bench.scale.seed)
    copied = copying(bench, worlds, iterations)
    improved = improving(bench, worlds, iterations)
    paid = {name: advantages(side) for name, side in worlds.items()}
    spread, gaps = variances(bench, worlds["random MDPs"])
    return Findings(
        "propositions",
        "Propositions 1 to 4",
        SUMMARY,
        (
            proposition_1(copied),
            proposition_2(improved),
            proposition_3(improved, one_step_better(worlds, improved)),
            proposition_4(paid),
            variance_claim(spread, gaps),
        ),
        (
            *copy_panels(copied),
            *gain_panels(improved),
            advantage_panel(paid["random MDPs"]),
            gain_table(improved),
            variance_table(spread),
        ),
        {
            "random MDPs": count,
            "states": STATES,
            "actions": ACTIONS,
            "grid worlds": len(worlds["grid worlds"].mdps),
            "grid size": GRID,
            "iterations": iterations,
            "learning rate": RATE,
            "episodes a variance": EPISODES,
            "seed": bench.scale.seed,
        },
        NOTES,
    )


SUMMARY = (
    "The paper's four propositions say where rows end when updates are exact and the student is a table. Here exact "
    "updates are followed on random MDPs and small grid worlds, with teachers of every quality. Last, rows that have "
    "one and the same expected update are told apart by the variance of what an episode gives."
)
NOTES = (
    (
        "Updates are exact expectations, followed at a rate that falls linearly to a tenth; all MDPs of a family "
        "learn side by side. Returns are undiscounted; a student's gain over its teacher is given as a share of what "
        "the best policy gains over it."
    ),
    (
        "The propositions speak of the limit. A softmax student approaches a deterministic policy ever more slowly, "
        f"so that after finitely many updates a shortfall of {SHORTFALL:g} of the best possible gain is let pass."
    ),
)


def proposition_1(copied: dict[str, tuple[np.ndarray, np.ndarray]]) -> Claim:
    effects = []
    for name, (_, numbers) in copied.items():
        mean, worst = numbers[..., 0], numbers[..., 1]
        effects += [
            mean_of(f"{name}: KL a step at the start", mean[0]),
            mean_of(f"{name}: KL a step, end / start", mean[-1] / mean[0], below=0.05),
            every(f"{name}: the same in the worst state with 0.1 or more visits", worst[-1] / worst[0], below=0.05),
            every(f"{name}: change of the KL between two measurements", np.diff(mean, axis=0), below=1e-12),
        ]
    return Claim(
        "3",
        "Prop. 1: on-policy distillation copies the teacher where it goes",
        "A tabular student of on-policy-distill without reward converges on the states that the teacher reaches.",
        told(
            effects,
            "Although the update is no gradient (claim 1), each state's own divergence can only fall: the student's "
            "visits change the speed at which a state is learned, not the direction. What the teacher visits, the "
            "student visits in the end, and copies. This needs a table: with shared parameters the same row may turn "
            "for ever (claim 4).",
        ),
        tuple(effects),
    )


def _ends(found: Ends, row: str) -> dict[str, np.ndarray]:
    """By teacher, over both families."""
    return {
        kind: np.concatenate([numbers[-1] for (_, k, r), (_, numbers) in found.items() if (k, r) == (kind, row)])
        for kind in TEACHERS
    }


def _gains(found: Ends, row: str) -> tuple[Effect, ...]:
    effects = []
    for kind, ends in _ends(found, row).items():
        effects += [
            every(f"{kind} teacher: gain over it", ends, above=-SHORTFALL),
            mean_of(f"{kind} teacher: mean gain", ends, above=-SHORTFALL),
        ]
    return tuple(effects)


def proposition_2(found: Ends) -> Claim:
    effects = _gains(found, "v-gated")
    return Claim(
        "10",
        "Prop. 2: v-gated ends no worse than the teacher",
        "With exact values, imitating only where the teacher's value is above the student's, beside the task reward, "
        "ends at a policy whose value is at least the teacher's.",
        told(
            effects,
            f"No student ended below its teacher by more than {SHORTFALL:g} of what the best policy gains over it, "
            "however bad the teacher. A bad teacher is left behind as soon as the student's values have passed the "
            "teacher's, and then the task reward alone decides.",
        ),
        effects,
    )


def proposition_3(found: Ends, short_of: np.ndarray) -> Claim:
    effects = (
        *_gains(found, "teacher-critic"),
        median_of("short of one exact step of policy improvement", short_of, below=0.1),
    )
    return Claim(
        "10a",
        "Prop. 3: teacher-critic ends no worse than the teacher",
        "With one-step returns that end in the teacher's value (TD + V_T), the student ends no worse than the teacher.",
        told(
            effects,
            "The student learns the action that is best if the teacher acts afterwards, which is one step of policy "
            "improvement on the teacher: never worse, and better unless the teacher is optimal; but it goes no further "
            "than this one step.",
        ),
        effects,
    )


def proposition_4(paid: dict[str, tuple[np.ndarray, ...]]) -> Claim:
    reward, advantage, task = (np.concatenate(column) for column in zip(*paid.values(), strict=True))
    best = advantage > -1e-9
    effects = (
        every("difference between the reward paid and A*", np.abs(reward - advantage), below=1e-9),
        every("paid for best actions, size", np.abs(reward[best]), below=1e-9),
        every("paid for all other actions", reward[~best], below=-1e-9),
        mean_of("share of other actions that are paid less than r itself", reward[~best] < task[~best] - 1e-12),
    )
    return Claim(
        "11",
        "Prop. 4: with an optimal teacher V-reward pays the advantage",
        "With an optimal teacher the reward r + V_T(s') - V_T(s) is 0 in expectation for an optimal action and "
        "negative for any other.",
        told(
            effects,
            "So it is, in every state of every MDP: what is paid is the advantage A*(s, a). It is compared with 0, not "
            f"with the reward r itself: of the wrong actions {effects[-1].value:.0%} are paid less than r, the others "
            "are not.",
        ),
        effects,
    )


COPY = "KL(teacher‖student) on the states that the teacher visits; the line is the median, the band holds 95 % of MDPs."
GAIN = "The student's return from the teacher's (0) to the best (1); lines are medians, bands hold 95 % of MDPs."
PAID = "What r + V_T(s') - V_T(s) pays with an optimal teacher, from the least to the greatest, and the task reward r."


def copy_panels(copied: dict[str, tuple[np.ndarray, np.ndarray]]) -> tuple[Panel, ...]:
    panels = []
    for name, (at, numbers) in copied.items():
        shown = np.maximum(numbers, 1e-12)
        low, middle, high = np.quantile(shown[..., 0], (0.025, 0.5, 0.975), axis=1)
        series = (
            Series(
                "a step of the teacher's (median, 95 % of MDPs)",
                (at + 1).tolist(),
                short(middle),
                short(low),
                short(high),
            ),
            Series("worst visited state, worst MDP", (at + 1).tolist(), short(shown[..., 1].max(-1)), dashed=True),
        )
        panels.append(
            Panel(f"Prop. 1: {name}", "iterations + 1", "KL (nats a step)", series, x_log=True, y_log=True, figure=COPY)
        )
    return tuple(panels)


def gain_panels(found: Ends) -> tuple[Panel, ...]:
    panels = []
    for row, title in (("v-gated", "Prop. 2: v-gated"), ("teacher-critic", "Prop. 3: teacher-critic")):
        for name in sorted({family for family, *_ in found}, reverse=True):
            series = []
            for kind in TEACHERS:
                at, numbers = found[name, kind, row]
                low, middle, high = np.quantile(np.maximum(numbers, LOWEST_SHOWN), (0.025, 0.5, 0.975), axis=1)
                series.append(
                    Series(
                        f"{kind} teacher (median, 95 % of MDPs)",
                        (at + 1).tolist(),
                        short(middle),
                        short(low),
                        short(high),
                    )
                )
            series.append(Series("the teacher", [1, int(at[-1]) + 1], [0.0, 0.0], dashed=True))
            label = f"gain over the teacher (best: 1; cut at {LOWEST_SHOWN:g})"
            index = 1 if row == "v-gated" else 2
            panels.append(
                Panel(f"{title}, {name}", "iterations + 1", label, tuple(series), index, x_log=True, figure=GAIN)
            )
    return tuple(panels)


def advantage_panel(paid: tuple[np.ndarray, ...]) -> Panel:
    reward, advantage, task = paid
    best, share = advantage > -1e-9, np.linspace(0, 1, 41)
    series = [
        Series(label, short(share), short(np.quantile(numbers, share)), dashed=dashed)
        for label, numbers, dashed in (
            ("paid for best actions", reward[best], False),
            ("paid for other actions", reward[~best], False),
            ("r of other actions", task[~best], True),
        )
    ]
    return Panel(
        "Prop. 4: what V-reward pays, random MDPs",
        "share of actions",
        "expected reward",
        tuple(series),
        row=3,
        figure=PAID,
    )


def gain_table(found: Ends) -> Table:
    rows: list[list[str | float]] = []
    for (name, kind, row), (_, numbers) in found.items():
        rows.append([row, kind, name, *(round(float(x), 4) for x in (numbers[-1].min(), numbers[-1].mean()))])
    heads = ["row", "teacher", "worlds", "worst gain over the teacher", "mean gain"]
    return Table("Where students end (0: the teacher's return, 1: the best)", heads, rows)


PROPOSITIONS = Experiment("propositions", "Props. 1-4", "where rows end with exact updates, and variances", run)
