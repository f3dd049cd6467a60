"""Options that the chosen row would ignore are refused, and those that it reads are not."""

from __future__ import annotations

from typing import Any

import pytest

from understudy.errors import ConfigurationError
from understudy.methods import METHODS
from understudy.runs.config import DistillConfig
from understudy.runs.options import USES

GIVEN: dict[str, Any] = {
    "estimator": "gae", "gae_lambda": 0.5, "critic_view": "0", "clip": 0.1, "epochs": 3,
    "normalise_advantages": True, "value_clip": 1.0, "target_kl": 0.1, "batch_size": 64,
    "collect": 64, "updates": 3, "store": 99, "remedy": "credit:0.5", "divergence": "kl",
}  # fmt: skip
PPOS = ("normalise_advantages", "value_clip", "target_kl")
ELSEWHERE = {
    "expected_reward", "entropy_bonus", "epsilon", "prefill", "frames", "light_checkpoints", "n_step", "target_update",
    "targets", "td_error",
}  # fmt: skip
"""Tried with the rows of action values, in test_q_runs."""


def refused(**options: Any) -> list[str]:
    """The options that are named in the refusal."""
    try:
        DistillConfig.of({"teacher": "t.zip", "env": "CartPole-v1"} | options)
    except ConfigurationError as error:
        return [name for name in GIVEN if f"--{name.replace('_', '-')} is for" in str(error)]
    return []


def test_every_option_of_the_table_is_tried_here() -> None:
    assert set(GIVEN) | ELSEWHERE == set(USES)


@pytest.mark.parametrize(
    ("fixed", "idle"),
    [
        ({}, "estimator gae_lambda critic_view clip epochs normalise_advantages value_clip target_kl remedy"),
        (
            {"method": "teacher-distill"},
            "estimator gae_lambda critic_view clip epochs normalise_advantages value_clip target_kl remedy",
        ),
        ({"method": "n-distill", "estimator": "ppo"}, "updates store"),
        ({"method": "n-distill", "estimator": "gae"}, "clip epochs target_kl updates store"),
        (
            {"method": "n-distill", "estimator": "returns"},
            "gae_lambda critic_view clip epochs value_clip target_kl batch_size collect updates store",
        ),
        ({"method": "task-reward"}, "updates store remedy divergence"),
        (
            {"method": "v-gated", "estimator": "returns"},
            "clip epochs value_clip target_kl batch_size collect updates store remedy divergence",
        ),
    ],
)
def test_what_a_row_ignores_is_refused_all_at_once(fixed: dict[str, Any], idle: str) -> None:
    free = {"estimator": "ppo"} if fixed.get("method") in ("task-reward",) else {}
    assert refused(**GIVEN | free | fixed) == idle.split()


@pytest.mark.parametrize("method", METHODS)
def test_each_option_alone_is_refused_or_read(method: str) -> None:
    reward = bool(METHODS[method].reward)
    for name in ("estimator", "gae_lambda", "critic_view", "clip", "epochs", *PPOS):
        assert refused(method=method, **{name: GIVEN[name]}) == ([] if reward else [name])
    for name in ("updates", "store"):
        assert refused(method=method, **{name: GIVEN[name]}) == ([name] if reward else [])
    assert refused(method=method, gamma=0.5, collect=64, batch_size=64, learning_rate=0.1) == []


def test_saying_what_holds_anyway_is_no_mistake() -> None:
    assert refused(method="task-reward", divergence="cross-entropy", remedy="none", estimator="auto") == []
