"""Fig. 5: verdicts on curves made by hand, a fall that is measured, and a small run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import rising

from understudy.lab.experiment import Measured, Scale
from understudy.lab.imperfect_teacher import (
    ALL,
    CLONING,
    FALL,
    HOLDING,
    SAME_UPDATE,
    Found,
    curve,
    fall,
    falling_claim,
    holding_claim,
    run,
    speed_claim,
    top_claim,
    variance_claim,
)
from understudy.lab.rates import IMPERFECT
from understudy.lab.sweep import Sweep


def noisy(one: Measured, teacher: float) -> Measured:
    return Measured(
        one.iterations, one.metrics, {**one.facts, "teacher-return": np.full(len(one.facts["uniform-return"]), teacher)}
    )


def as_claimed() -> Found:
    clean = {method: rising(50) for method in IMPERFECT} | {"on-policy-distill": rising(10)}
    with_noise = (
        {method: rising(50, end=7.0) for method in IMPERFECT}
        | {method: rising(20, end=7.0, fall=3.0) for method in CLONING}
        | {method: rising(30, end=7.0) for method in HOLDING}
        | {"teacher-v-reward": rising(80, end=7.5)}
    )
    found = {(key, method): one for key in ALL for method, one in clean.items()}
    noise = {(key, m): noisy(one, 5.0) for key in ("critic 15", "critic 25") for m, one in with_noise.items()}
    return found | noise


def changed(method: str, one: Measured) -> Found:
    return as_claimed() | {(key, method): noisy(one, 5.0) for key in ("critic 15", "critic 25")}


def test_what_the_paper_claims_is_found_where_it_is_so() -> None:
    claims = [claim(as_claimed()) for claim in (speed_claim, falling_claim, holding_claim, top_claim)]
    assert [claim.outcome for claim in claims] == ["reproduced"] * 4


def test_it_is_not_found_in_curves_that_neither_rise_fast_nor_fall_nor_hold() -> None:
    level = {key: noisy(rising(50), 11.0) for key in as_claimed()}
    assert falling_claim(level).outcome == "not reproduced"
    assert top_claim(level).outcome == "not reproduced"
    assert [e.holds for e in speed_claim(level).effects] == [False, False, False, False] * 2
    falling = {key: noisy(rising(20, fall=3.0), 11.0) for key in level}
    assert holding_claim(falling).outcome == "not reproduced"


@pytest.mark.parametrize("method", CLONING)
def test_a_cloning_row_that_does_not_fall_is_told(method: str) -> None:
    assert falling_claim(changed(method, rising(20, end=7.0))).outcome == "partly"


@pytest.mark.parametrize("method", HOLDING)
def test_a_row_that_does_not_hold_is_told(method: str) -> None:
    assert holding_claim(changed(method, rising(20, end=7.0, fall=3.0))).outcome == "partly"


def test_a_row_that_ends_as_high_as_v_reward_is_told() -> None:
    claim = top_claim(changed("task-reward", rising(20, end=7.5)))
    assert [e.name for e in claim.effects if not e.holds] == [
        f"TD(1), {share} % noise: last return, teacher-v-reward - task-reward" for share in (15, 25)
    ]


def test_a_fall_is_from_the_mean_curve_s_peak_to_the_end() -> None:
    assert fall(rising(20, fall=3.0)) == pytest.approx(np.full(12, 3.0))
    assert fall(rising(20, end=7.0)) == pytest.approx(0.0)
    assert 0 < FALL < 3


def test_variances_can_hold_and_fail() -> None:
    small, large = np.full(9, 1.0), np.full(9, 2.0)
    students = ("uniform student", "student like the teacher")
    less = {(one, m): large if m == "task-reward" else small for one in students for m in SAME_UPDATE}
    more = {key: small + large - value for key, value in less.items()}
    assert variance_claim(less).outcome == "reproduced"
    assert variance_claim(more).outcome == "not reproduced"


def test_a_row_without_a_reward_is_one_student_in_all_columns_with_one_teacher() -> None:
    scale = Scale(100)
    settings = {curve(key, "on-policy-distill", scale).setting for key in ALL}
    assert len(settings) == 1
    assert len({curve(key, "task-reward", scale).setting for key in ALL}) == 3
    assert {curve(key, "task-reward", scale).mdps for key in ALL} == {None, 20}


def test_a_small_run_draws_every_row_in_every_column(tmp_path: Path) -> None:
    findings = run(Sweep(Scale(2, 30, 0, 3), tmp_path))
    assert [claim.number for claim in findings.claims] == ["9a", "9b", "9c", "9d", "9b'", "9c'", "9d'", "9e"]
    panels = [one for one in findings.figures if one.kind == "curves"]
    assert len(panels) == len(ALL) == 10
    assert [one.label for one in panels[0].series] == [*IMPERFECT, "teacher"]  # type: ignore[union-attr]
