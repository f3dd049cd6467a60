"""Learning rates of the sampled experiments, all chosen by one rule; ``python -m understudy.lab.rates`` chooses anew.

The paper names none. The rule: of ``GRID``, the smallest rate whose mean return over the whole of a short training (the
area under the learning curve) is within ``TOLERANCE`` of the greatest, on worlds that no experiment uses, with the
teacher without noise. Where several serve alike, a small rate is the one whose curve is not noise.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from understudy.engines.tabular.setting import Setting
from understudy.errors import ConfigurationError, nearest
from understudy.lab.curve import Curve, Ground, Tutor
from understudy.lab.experiment import Measured, Scale
from understudy.lab.verdict import area
from understudy.methods import METHODS
from understudy.methods.method import Method, with_credit

GAMMA = 0.99
GRID = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
TOLERANCE = 0.1
SEED = 20_190_206
ESTIMATORS = {
    "monte-carlo": Setting(METHODS["task-reward"], gamma=GAMMA),
    "critic": Setting(METHODS["task-reward"], gamma=GAMMA, baseline=True, lam=1.0),
    "one-step": Setting(METHODS["task-reward"], gamma=GAMMA, baseline=True, lam=0.0),
    "own-step": Setting(METHODS["task-reward"], gamma=GAMMA),
}
"""How an action's return is estimated: summed to the end; minus a learned critic; one step, then the critic; or summed,
but what distils counts for the action of its own step alone."""
OWN_STEP = "own-step"

IMPERFECT = (
    "task-reward",
    "on-policy-distill",
    "on-policy-distill+r",
    "v-gated",
    "entropy-regularised",
    "kl-regularised",
    "student-critic",
    "teacher-critic",
    "teacher-v-reward",
)
IMPERFECT_ESTIMATORS = ("monte-carlo", "critic", "one-step")
RULES = ("on-policy-distill", "entropy-regularised", "exp-entropy-regularised", "task-reward")
RULE_ESTIMATORS = ("monte-carlo", "one-step", OWN_STEP)
SIZES = {4: (40, 10_000), 40: (20, 10_000), 400: (6, 6_000), 4000: (2, 3_000)}
"""By the number of actions: worlds and iterations that the choice is made on."""


@dataclass(frozen=True)
class Key:
    """What has a rate of its own."""

    method: str
    actions: int = 4
    estimator: str = "monte-carlo"


# fmt: off
RATES: dict[Key, float] = {
    Key("task-reward", 4, "monte-carlo"): 0.01,
    Key("on-policy-distill", 4, "monte-carlo"): 0.3,
    Key("on-policy-distill+r", 4, "monte-carlo"): 0.03,
    Key("v-gated", 4, "monte-carlo"): 0.03,
    Key("entropy-regularised", 4, "monte-carlo"): 0.003,
    Key("kl-regularised", 4, "monte-carlo"): 0.003,
    Key("student-critic", 4, "monte-carlo"): 0.01,
    Key("teacher-critic", 4, "monte-carlo"): 0.01,
    Key("teacher-v-reward", 4, "monte-carlo"): 0.03,
    Key("exp-entropy-regularised", 4, "monte-carlo"): 0.001,
    Key("task-reward", 4, "critic"): 0.03,
    Key("on-policy-distill+r", 4, "critic"): 0.03,
    Key("v-gated", 4, "critic"): 0.03,
    Key("entropy-regularised", 4, "critic"): 0.001,
    Key("kl-regularised", 4, "critic"): 0.003,
    Key("student-critic", 4, "critic"): 0.03,
    Key("teacher-critic", 4, "critic"): 0.1,
    Key("teacher-v-reward", 4, "critic"): 0.1,
    Key("task-reward", 4, "one-step"): 0.03,
    Key("on-policy-distill+r", 4, "one-step"): 0.1,
    Key("v-gated", 4, "one-step"): 0.1,
    Key("entropy-regularised", 4, "one-step"): 0.01,
    Key("kl-regularised", 4, "one-step"): 0.003,
    Key("student-critic", 4, "one-step"): 0.03,
    Key("teacher-critic", 4, "one-step"): 0.1,
    Key("teacher-v-reward", 4, "one-step"): 0.1,
    Key("exp-entropy-regularised", 4, "one-step"): 0.01,
    Key("on-policy-distill", 40, "monte-carlo"): 0.3,
    Key("entropy-regularised", 40, "monte-carlo"): 0.01,
    Key("exp-entropy-regularised", 40, "monte-carlo"): 0.3,
    Key("task-reward", 40, "monte-carlo"): 0.1,
    Key("entropy-regularised", 40, "one-step"): 0.03,
    Key("exp-entropy-regularised", 40, "one-step"): 3,
    Key("task-reward", 40, "one-step"): 1,
    Key("on-policy-distill", 400, "monte-carlo"): 1,
    Key("entropy-regularised", 400, "monte-carlo"): 0.03,
    Key("exp-entropy-regularised", 400, "monte-carlo"): 1,
    Key("task-reward", 400, "monte-carlo"): 3,
    Key("entropy-regularised", 400, "one-step"): 0.1,
    Key("exp-entropy-regularised", 400, "one-step"): 3,
    Key("task-reward", 400, "one-step"): 3,
    Key("on-policy-distill", 4000, "monte-carlo"): 1,
    Key("entropy-regularised", 4000, "monte-carlo"): 0.1,
    Key("exp-entropy-regularised", 4000, "monte-carlo"): 1,
    Key("task-reward", 4000, "monte-carlo"): 1,
    Key("entropy-regularised", 4000, "one-step"): 0.0003,
    Key("exp-entropy-regularised", 4000, "one-step"): 3,
    Key("task-reward", 4000, "one-step"): 3,
    Key("entropy-regularised", 4, "own-step"): 0.03,
    Key("exp-entropy-regularised", 4, "own-step"): 0.01,
    Key("entropy-regularised", 40, "own-step"): 0.1,
    Key("exp-entropy-regularised", 40, "own-step"): 3,
    Key("entropy-regularised", 400, "own-step"): 0.1,
    Key("exp-entropy-regularised", 400, "own-step"): 3,
    Key("entropy-regularised", 4000, "own-step"): 0.3,
    Key("exp-entropy-regularised", 4000, "own-step"): 1,
}
# fmt: on


def rate(method: str, actions: int = 4, estimator: str = "monte-carlo") -> float:
    """The chosen rate. A row without a reward has one for all estimators."""
    key = key_of(method, actions, estimator)
    if key not in RATES:
        raise ConfigurationError(f"no learning rate was chosen for {key}; add it to keys() in lab/rates.py and run it")
    return RATES[key]


def key_of(method: str, actions: int, estimator: str) -> Key:
    """Estimators that make no difference to a row share its Monte-Carlo rate."""
    row = METHODS[method]
    same = not row.reward or (estimator == OWN_STEP and with_credit(row, 0.0) == row)
    return Key(method, actions, "monte-carlo" if same else estimator)


def setting(method: Method, estimator: str, learning_rate: float, gamma: float = GAMMA) -> Setting:
    """A student that learns so."""
    method = with_credit(method, 0.0) if estimator == OWN_STEP else method
    return replace(ESTIMATORS[estimator], method=method, learning_rate=learning_rate, gamma=gamma)


def tutor(temperature: float = 0.1, noise: float = 0.0) -> Tutor:
    """The paper's teacher; its values are those without noise. Above temperature 0 no action is excluded."""
    return Tutor(temperature=temperature, noise=noise, values_of="noiseless")


def keys() -> list[Key]:
    """Everything that needs a rate."""
    found = [key_of(method, 4, one) for one in IMPERFECT_ESTIMATORS for method in IMPERFECT]
    found += [key_of(method, actions, one) for one in RULE_ESTIMATORS for actions in SIZES for method in RULES]
    return list(dict.fromkeys(found))


def choose(key: Key, folder: Path, smaller: int = 1) -> tuple[float, dict[float, float]]:
    """The rule's rate, and each rate's area; ``smaller``: worlds and iterations divided by it."""
    from understudy.lab.sweep import Sweep

    mdps, iterations = (max(2, size // smaller) for size in SIZES[key.actions])
    curves = [
        Curve(
            f"{one:g}",
            setting(METHODS[key.method], key.estimator, one),
            Ground(actions=key.actions),
            tutor(),
        )
        for one in GRID
    ]
    found = Sweep(Scale(mdps, iterations, SEED, 41), folder).train(curves)
    return best(found)


def best(found: dict[str, Measured]) -> tuple[float, dict[float, float]]:
    """The rule's rate, and the areas, averaged over worlds; a rate with which numbers were lost is never it."""
    areas = {float(name): float(area(one.metrics["return"], one.iterations).mean()) for name, one in found.items()}
    greatest = max(value for value in areas.values() if np.isfinite(value))
    return min(one for one, value in areas.items() if value >= greatest - TOLERANCE), areas


def lines(methods: Sequence[str] = (), smaller: int = 1) -> Iterator[str]:
    """The table's lines, as they stand in this file; ``methods``: of these rows alone."""
    with TemporaryDirectory() as folder:
        for key in keys():
            if methods and key.method not in methods:
                continue
            chosen, areas = choose(key, Path(folder), smaller)
            told = " ".join(f"{one:g}: {value:.2f}" for one, value in areas.items())
            yield f"    {key!r}: {chosen:g},  # {told}"


def parser() -> ArgumentParser:
    """The options of ``python -m understudy.lab.rates``."""
    rows = list(dict.fromkeys(key.method for key in keys()))
    made = ArgumentParser(
        "python -m understudy.lab.rates",
        description="Choose the learning rates of the sampled experiments anew, and print them as they stand in "
        f"lab/rates.py. Each of {len(keys())} lines is chosen from {len(GRID)} short trainings on up to "
        f"{SIZES[4][0]} worlds; all of them take hours.",
    )
    made.add_argument("methods", nargs="*", metavar="METHOD", help=f"only these rows, of {', '.join(rows)}")
    made.add_argument(
        "--smaller", type=int, default=1, metavar="N", help="divide worlds and iterations by N, for a first look"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table's lines as they are found."""
    made = parser()
    options = made.parse_args(arguments)
    known = {key.method for key in keys()}
    for name in options.methods:
        if name not in known:
            made.error(f"no rate is chosen for {name!r}.{nearest(name, known)} `--help` lists the rows that have one.")
    if options.smaller < 1:
        made.error(f"--smaller is a whole number from 1 on, got {options.smaller}")
    for line in lines(options.methods, options.smaller):
        print(line, flush=True)


if __name__ == "__main__":
    main()
