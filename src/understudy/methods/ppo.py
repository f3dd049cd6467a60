"""The options of PPO as data (Schulman et al. 2017), by Stable-Baselines3's names; nothing heavy is imported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from understudy.errors import ConfigurationError, nearest
from understudy.methods.schedule import Weight, extremes, parse


@dataclass(frozen=True)
class PPO:
    """A user's options, by Stable-Baselines3's names and with its defaults where it has them.

    ``n_steps`` of each copy make a round. ``final_learning_rate``: reached in a straight line at the end of the
    budget; None: constant. ``clip_range`` and ``ent_coef``: a number, or ``linear:START:END[:UNTIL]``.
    ``clip_range_vf``: in the unit of the returns; None: off. ``target_kl``: a round's passes end where the approximate
    KL exceeds 1.5 times this; None: never. ``max_grad_norm``: joint over policy and critic; 0: none.

    ``scale_values``: a new critic learns in units of its targets' running moments (PopArt). ``standardise``: networks
    that have not learned before standardise their inputs by the first round's, for observations far from 1.
    """

    n_steps: int = 2048
    batch_size: int = 64
    n_epochs: int = 10
    learning_rate: float = 3e-4
    final_learning_rate: float | None = None
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: Weight | str = 0.2
    clip_range_vf: float | None = None
    normalize_advantage: bool = True
    ent_coef: Weight | str = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = None
    scale_values: bool = False
    standardise: bool = False

    def __post_init__(self) -> None:
        for name in SCHEDULED:
            object.__setattr__(self, name, parse(getattr(self, name)))
        unlike = _unlike(self)
        if unlike:
            raise ConfigurationError("; ".join(unlike))
        wrong = [
            f"{field.name} must be {RANGES[field.name]}, got {value}"
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
            and field.name in RANGES
            and not all(WITHIN[RANGES[field.name]](end) for end in extremes(value))
        ]
        if wrong:
            raise ConfigurationError("; ".join(wrong))
        assert not isinstance(self.clip_range, str)
        if not extremes(self.clip_range)[0] > 0:
            raise ConfigurationError(f"clip_range must begin above 0, got {self.clip_range}")


WITHIN = {
    "at least 1": lambda x: x >= 1,
    "above 0": lambda x: 0 < x < math.inf,
    "0 or more": lambda x: 0 <= x < math.inf,
    "in [0, 1]": lambda x: 0 <= x <= 1,
}
RANGES = {
    "n_steps": "at least 1",
    "batch_size": "at least 1",
    "n_epochs": "at least 1",
    "learning_rate": "above 0",
    "final_learning_rate": "0 or more",
    "gamma": "in [0, 1]",
    "gae_lambda": "in [0, 1]",
    "clip_range": "0 or more",
    "clip_range_vf": "above 0",
    "ent_coef": "0 or more",
    "vf_coef": "above 0",
    "max_grad_norm": "0 or more",
    "target_kl": "above 0",
}
SCHEDULED = ("clip_range", "ent_coef")


def _unlike(options: PPO) -> list[str]:
    """What is of another type than its default, as texts in a file are."""
    found = []
    for field in fields(options):
        value, optional = getattr(options, field.name), field.default is None
        kind = float if optional else type(field.default)
        if field.name in SCHEDULED or (optional and value is None):
            continue
        number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        if not (isinstance(value, bool) if kind is bool else number):
            found.append(f"{field.name} must be {KINDS[kind]}, got {value!r}")
    return found


KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


def option_problems(values: Any) -> list[str]:
    """What is wrong with a table of such options."""
    if not isinstance(values, Mapping):
        return [f"ppo is a table, got {values!r}"]
    known = {entry.name for entry in fields(PPO)}
    unknown = [f"ppo: unknown option {name!r}.{nearest(name, known)}" for name in values if name not in known]
    try:
        PPO(**{name: value for name, value in values.items() if name in known})
    except ConfigurationError as error:
        return [*unknown, f"ppo: {error}"]
    return unknown
