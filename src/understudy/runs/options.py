"""When each option of a distillation is read; one that nothing would read is refused, not ignored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from understudy.methods import QMethod, Row
from understudy.methods.method import COSTS, Need
from understudy.policies.spec import parse
from understudy.runs.fields import fields_of

Used = Callable[[Row, str], bool]
"""Of the row as the catalogue has it, and the kind of estimator."""


@dataclass(frozen=True)
class Use:
    """``when``: the same in words, after "is for"."""

    used: Used
    when: str


def _learns_a_value(row: Row, kind: str) -> bool:
    return (bool(row.reward) and kind != "returns") or Need.STUDENT_VALUE in row.needs


def _has_cross_entropy(row: Row, kind: str) -> bool:
    names = (*COSTS, "teacher-log-prob")
    return any(part.atom in names and part.atom != "gated-cross-entropy" for part in row.parts)


REWARD = Use(lambda row, kind: bool(row.reward), "rows with a reward term")
PPO = Use(lambda row, kind: bool(row.reward) and kind == "ppo", "rows with a reward term under --estimator ppo")
CRITIC = Use(_learns_a_value, "rows with a reward term under --estimator gae or ppo")
BASELINE = Use(lambda row, kind: bool(row.reward) and kind != "returns", CRITIC.when)
BATCHES = Use(
    lambda row, kind: not row.reward or kind != "returns",
    "all but --estimator returns, which takes whole episodes at once",
)
STORE = Use(lambda row, kind: not row.reward, "rows without a reward term")
CHARGES = Use(lambda row, kind: row.charges, "rows whose reward charges a cost")
ACTION_VALUES = Use(lambda row, kind: isinstance(row, QMethod), "rows of action values (q-*, dqn*)")
TARGETS = Use(
    lambda row, kind: isinstance(row, QMethod) and row.learns_by_td, "rows with a temporal-difference error (dqn*)"
)
EXPECTATION = Use(lambda row, kind: not isinstance(row, QMethod), "rows of Eq. 1")
ENTROPIES = Use(_has_cross_entropy, "rows with a cross-entropy or the teacher's log-probability")

# Not gamma: the student carries it, whatever its row.
USES = {
    "estimator": REWARD,
    "gae_lambda": CRITIC,
    "critic_view": CRITIC,
    "clip": PPO,
    "epochs": PPO,
    "normalise_advantages": REWARD,
    "value_clip": BASELINE,
    "target_kl": PPO,
    "entropy_bonus": EXPECTATION,
    "batch_size": BATCHES,
    "collect": BATCHES,
    "updates": STORE,
    "store": STORE,
    "remedy": CHARGES,
    "divergence": ENTROPIES,
    "expected_reward": EXPECTATION,
    "epsilon": ACTION_VALUES,
    "prefill": ACTION_VALUES,
    "frames": ACTION_VALUES,
    "light_checkpoints": ACTION_VALUES,
    "n_step": TARGETS,
    "target_update": TARGETS,
    "targets": TARGETS,
    "td_error": TARGETS,
}


PLAYED = (
    "control",
    "epsilon",
    "prefill",
    "copies",
    "vector",
    "collect",
    "store",
    "curve_episodes",
    "evaluation_episodes",
    "critic_view",
    "tensorboard",
)
"""Options of play while training, which there is none of with recorded data."""
OF_ENV = ("wrap", "env_args", "final_episodes", "target", "report")
OF_TEACHER = ("vecnormalize", "teacher_temperature", "teacher_view")
OF_DATA = ("held_out", "patience")


def chosen_estimator(estimator: str) -> str:
    """What ``auto`` stands for."""
    return "ppo" if estimator == "auto" else estimator


def unused(config: Any, row: Row) -> list[str]:
    """A line for each option of a DistillConfig that was given and that this row would not read."""
    kind = chosen_estimator(config.estimator)
    own: type = type(config)
    given = [name for name in USES if getattr(config, name) != fields_of(own)[name].default]
    if config.divergence == "cross-entropy":
        given.remove("divergence")  # says what holds anyway
    idle = [name for name in given if not USES[name].used(row, kind)]
    how = f"{row.name} with --estimator {kind}" if row.reward else row.name
    return [f"--{name.replace('_', '-')} is for {USES[name].when}, of no use to {how}. Leave it out." for name in idle]


def misfits_of_data(config: Any, row: Row) -> list[str]:
    """A line for each option, and for the row or the student, that recorded data cannot serve; without data, for each
    that is for them alone."""
    given = _given(config)
    if not config.data:
        return [f"{_spelt(name)} is for recorded data (--data). Leave it out." for name in OF_DATA if name in given]
    found = [
        f"{_spelt(name)} is of no use with --data, where nobody plays while learning. Leave it out."
        for name in PLAYED
        if name in given
    ]
    for names, part in ((OF_ENV, "env"), (OF_TEACHER, "teacher")):
        what = "an environment (--env)" if part == "env" else "a teacher"
        found += [
            f"{_spelt(name)} is for {what}, of which there is none. Leave it out, or name one."
            for name in names
            if name in given and not getattr(config, part)
        ]
    if row.reward:
        found.append(
            f"{row.name} has a reward term, which the student earns by acting, and recorded data hold what others did. "
            "Use --method on-policy-distill, whose loss reads states alone"
        )
    if parse(config.student).recurrent:
        found.append(
            f"--data with a student that has a memory ({config.student}): what it remembers in a recorded state "
            "changes as it learns. Use mlp, cnn or linear"
        )
    return found


def _given(config: Any) -> set[str]:
    own: type = type(config)
    return {name for name, entry in fields_of(own).items() if getattr(config, name) != entry.default}


def _spelt(name: str) -> str:
    return f"--{name.replace('_', '-')}"
