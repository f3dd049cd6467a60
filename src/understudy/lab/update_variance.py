"""How much one episode's update varies, in rows whose expected update is the same."""

from __future__ import annotations

import math

import numpy as np

from understudy.engines import exact
from understudy.engines.tabular.setting import Setting
from understudy.engines.tabular.train import sampled_update
from understudy.lab.draw import Stream, number, sequence
from understudy.lab.effects import every, median_of, told
from understudy.lab.experiment import Bench
from understudy.lab.findings import Claim, Table
from understudy.lab.side_by_side import SideBySide, softmax
from understudy.mdp.model import MDP
from understudy.mdp.teachers import Teacher, noisy, optimal
from understudy.methods import METHODS, with_expected_reward

# (row, the row that it is compared with): the same expected update, another variance.
PAIRS = (
    ("exp-entropy-regularised", "entropy-regularised"),
    ("exp-entropy-regularised (expected)", "entropy-regularised"),
    ("teacher-v-reward", "task-reward"),
    ("student-critic", "task-reward"),
)
ROWS = {**METHODS, "exp-entropy-regularised (expected)": with_expected_reward(METHODS["exp-entropy-regularised"])}
EPISODES, MOST_MDPS = 2000, 40


Spread = dict[tuple[str, str], np.ndarray]
STUDENTS = ("random student", "student near the teacher")


def variances(bench: Bench, side: SideBySide) -> tuple[Spread, np.ndarray]:
    """Variance of one episode's update ``[N]``, by student and row; and the greatest gap of exact updates in a pair."""
    names = sorted({name for pair in PAIRS for name in pair})
    found: dict[tuple[str, str], list[float]] = {(kind, name): [] for kind in STUDENTS for name in names}
    gaps = []
    for index, _ in enumerate(bench.track(side.mdps[:MOST_MDPS], "variances")):
        mdp, seed = side.mdps[index], bench.scale.seed
        generator = np.random.default_rng(sequence(seed, index, Stream.TRAINING))  # not the one that drew the world
        teacher = noisy(optimal(mdp, temperature=0.1), 0.25, mdp)
        near = np.log(teacher.policy) + 0.3 * generator.standard_normal(mdp.rewards.shape)
        for kind, logits in zip(STUDENTS, (generator.standard_normal(mdp.rewards.shape), near), strict=True):
            updates = {name: exact.update(ROWS[name], mdp, teacher.policy, logits).numpy() for name in names}
            gaps.append([np.abs(updates[a] - updates[b]).max() / np.abs(updates[b]).max() for a, b in PAIRS])
            for name in names:
                found[kind, name].append(_variance(name, mdp, teacher, logits, number(seed, index, Stream.NOISE)))
    return {key: np.array(numbers) for key, numbers in found.items()}, np.array(gaps)


def _variance(name: str, mdp: MDP, teacher: Teacher, logits: np.ndarray, seed: int) -> float:
    values = exact.values(mdp, softmax(logits)).numpy()  # exact, and held there by a value rate of 0
    return sampled_update(mdp, teacher, Setting(ROWS[name], value_rate=0.0), logits, EPISODES, seed, values).variance


def variance_claim(spread: Spread, gaps: np.ndarray) -> Claim:
    effects = [every("greatest relative difference of expected updates", gaps.reshape(-1), below=1e-9)]
    for kind in STUDENTS:
        for a, b in PAIRS:
            expected = a != "teacher-v-reward" or kind == STUDENTS[1]
            ratio = spread[kind, a] / spread[kind, b]
            effects.append(median_of(f"{kind}: variance of {a} / {b}", ratio, below=1.0 if expected else math.inf))
    return Claim(
        "B2",
        "Equal in expectation, different in variance",
        "Exp-entropy-regularised is introduced as a lower-variance form; V-reward and the critics as other methods.",
        told(effects, _in_words(spread)),
        tuple(effects),
    )


def _in_words(spread: Spread) -> str:
    far, near = (float(np.median(spread[kind, "teacher-v-reward"] / spread[kind, "task-reward"])) for kind in STUDENTS)
    return (
        "The expected updates agree to rounding. One episode's update varies less where an expectation is taken "
        "exactly (exp-entropy-regularised), and where the return is cut off by the student's own exact value. The "
        f"teacher's value acts as a baseline: with it the variance is {near:.2g} times the task reward's for a student "
        f"near its teacher, and {far:.2g} times for a random one (medians)."
    )


def variance_table(spread: Spread) -> Table:
    rows: list[list[str | float]] = []
    for kind in STUDENTS:
        for a, b in PAIRS:
            ratio = spread[kind, a] / spread[kind, b]
            rows.append([kind, a, b, *(round(float(x), 4) for x in (np.median(ratio), ratio.min(), ratio.max()))])
    heads = ["student", "row", "compared with", "median ratio", "least", "greatest"]
    return Table("Variance of one episode's update", heads, rows)
