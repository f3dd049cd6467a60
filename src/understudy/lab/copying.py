"""What a divergence copies: H(student‖teacher) the teacher's best action, H(teacher‖student) all its probabilities."""

from __future__ import annotations

import numpy as np

from understudy.engines.tabular.pack import pack
from understudy.engines.tabular.train import train
from understudy.lab.curve import Ground, Tutor
from understudy.lab.draw import draw_mdp, draw_teacher, training_seeds
from understudy.lab.experiment import Bench
from understudy.lab.findings import Claim, Table
from understudy.lab.rates import GAMMA, setting
from understudy.lab.side_by_side import softmax
from understudy.lab.verdict import difference, mean_interval
from understudy.mdp.model import MDP
from understudy.mdp.solve import Chain
from understudy.methods import METHODS, Part, with_divergence
from understudy.methods.method import Method

REVERSE = Method(
    "reverse cross-entropy", METHODS["on-policy-distill"].control, loss=(Part(1, "reverse-cross-entropy"),)
)
LOSSES = {
    "H(student‖teacher)": REVERSE,
    "KL(student‖teacher)": with_divergence(REVERSE, "kl"),
    "H(teacher‖student)": METHODS["on-policy-distill"],
    "KL(teacher‖student)": with_divergence(METHODS["on-policy-distill"], "kl"),
}
TUTOR = Tutor(temperature=1.0, floor=1e-4)
RATE, MOST_MDPS, GROUP = 0.1, 100, 10
TIE = 1e-6
MEASURES = ("entropy", "probability of the teacher's best action")

Copies = dict[str, np.ndarray]
"""``[n, 2]`` by loss, and of the ``teacher`` under its own visits: the two MEASURES, weighed by visits."""


def copies(bench: Bench) -> Copies:
    """Students trained with each loss alone, and what their policies are like where they go."""
    scale = bench.scale
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ("teacher", *LOSSES)}
    firsts = range(0, min(scale.mdps, MOST_MDPS), GROUP)
    for first, _ in zip(firsts, bench.track(firsts, "what is copied"), strict=True):
        indices = range(first, min(first + GROUP, scale.mdps, MOST_MDPS))
        mdps = [draw_mdp(Ground(), scale.seed, index) for index in indices]
        teachers = [draw_teacher(TUTOR, mdp, scale.seed, k, GAMMA) for mdp, k in zip(mdps, indices, strict=True)]
        packed, seeds = pack(mdps, teachers), training_seeds(scale.seed, indices)
        for name, method in LOSSES.items():
            one = setting(method, "monte-carlo", RATE)
            logits = train(packed, one, scale.iterations, np.array([], dtype=np.int64), seeds).logits
            for mdp, teacher, theta in zip(mdps, teachers, logits, strict=True):
                found[name].append(_measures(mdp, teacher.policy, softmax(theta)))
        found["teacher"] += [_measures(mdp, one.policy, one.policy) for mdp, one in zip(mdps, teachers, strict=True)]
    return {name: np.array(numbers) for name, numbers in found.items()}


def _measures(mdp: MDP, teacher: np.ndarray, policy: np.ndarray) -> tuple[float, float]:
    visits = Chain(mdp, policy).visits()
    share = visits / visits.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(policy > 0, policy * np.log(policy), 0.0).sum(-1)
    best = (policy * (teacher >= teacher.max(-1, keepdims=True) - TIE)).sum(-1)
    return float(share @ entropy), float(share @ best)


def copying_claim(found: Copies) -> Claim:
    """Claim 8."""
    teacher, effects = found["teacher"], []
    mode = found["H(student‖teacher)"]
    effects.append(
        mean_interval(mode[:, 1]).effect("H(student‖teacher): probability of the teacher's best action", above=0.9)
    )
    effects.append(
        difference(mode[:, 0], teacher[:, 0]).effect("H(student‖teacher): entropy - the teacher's", below=0.0)
    )
    for name in list(LOSSES)[1:]:
        change = difference(found[name][:, 0], teacher[:, 0])
        effects.append(change.effect(f"{name}: entropy - the teacher's", above=-0.1, below=0.1))
    return Claim(
        "8",
        "H(student‖teacher) ends at the teacher's best action, H(teacher‖student) copies",
        "Minimising H(student‖teacher) puts all probability on the teacher's best action; H(teacher‖student), and "
        "both KL divergences, are least for a copy.",
        f"Each loss alone, without a reward, with a soft teacher (temperature {TUTOR.temperature:g}), on up to "
        f"{MOST_MDPS} worlds at the rate {RATE:g}; measured in the states where the finished policy goes. A copy "
        "is read as an entropy within 0.1 nats of the teacher's.",
        tuple(effects),
    )


def copying_table(found: Copies) -> Table:
    rows: list[list[str | float]] = [
        [name, *(round(float(x), 3) for x in numbers.mean(0))] for name, numbers in found.items()
    ]
    return Table("What a finished policy is like where it goes, mean over worlds", ["loss", *MEASURES], rows)
