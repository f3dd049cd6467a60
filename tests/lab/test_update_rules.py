"""Fig. 4: verdicts on curves made by hand, the table of rates and its rule, and a small run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import rising

from understudy.lab.copying import LOSSES, copies, copying_claim
from understudy.lab.experiment import Measured, Scale
from understudy.lab.rates import GRID, IMPERFECT, RATES, RULES, best, keys, rate
from understudy.lab.sweep import Sweep
from understudy.lab.update_rules import (
    ACTIONS,
    CHARGED,
    UNCHARGED,
    Found,
    baseline_claim,
    curve,
    failing_claim,
    first_claim,
    run,
    steady_claim,
    student_claims,
    variance_claim,
    worlds_for,
)

STUDENT = "Monte-Carlo student"


def as_claimed() -> Found:
    found = {(method, actions): rising(50) for method in RULES for actions in ACTIONS}
    found["entropy-regularised", 4] = rising(20)
    for actions in (400, 4000):
        found["entropy-regularised", actions] = rising(50, end=-3.0)
        found["task-reward", actions] = rising(50, end=0.5)
    return found


def at_four(found: Found) -> dict[str, Measured]:
    return {method: found[method, 4] for method in RULES}


def test_what_the_paper_claims_is_found_where_it_is_so() -> None:
    found = as_claimed()
    assert first_claim("7a", at_four(found), "here").outcome == "reproduced"
    for claim in (failing_claim, steady_claim, baseline_claim):
        assert claim(found, STUDENT).outcome == "reproduced"


def test_it_is_not_found_where_all_rows_do_the_same() -> None:
    found = {key: rising(50) for key in as_claimed()}
    assert first_claim("7a", at_four(found), "here").outcome == "not reproduced"
    assert failing_claim(found, STUDENT).outcome == "not reproduced"
    assert baseline_claim(found, STUDENT).outcome == "not reproduced"
    assert steady_claim(found, STUDENT).outcome == "reproduced"


@pytest.mark.parametrize("actions", ACTIONS)
def test_a_row_that_falls_behind_at_one_size_is_told(actions: int) -> None:
    found = as_claimed() | {("exp-entropy-regularised", actions): rising(50, end=8.0)}
    claim = steady_claim(found, STUDENT)
    assert [effect.holds for effect in claim.effects] == [size != actions for size in ACTIONS]
    assert claim.effects[ACTIONS.index(actions)].value == pytest.approx(0.8)


def test_variances_can_hold_and_fail() -> None:
    found = {(method, actions): np.full(7, 1.0) for method in RULES for actions in ACTIONS}
    more = {key: 2 * value if key[0] == "entropy-regularised" else value for key, value in found.items()}
    assert variance_claim(more).outcome == "reproduced"
    assert variance_claim(found).outcome == "not reproduced"


def test_a_copy_and_a_mode_are_told_apart() -> None:
    copy, mode = np.tile([0.8, 0.6], (9, 1)), np.tile([0.0, 1.0], (9, 1))
    names = list(LOSSES)
    as_claimed = {"teacher": copy, names[0]: mode, **dict.fromkeys(names[1:], copy)}
    assert copying_claim(as_claimed).outcome == "reproduced"
    swapped = {"teacher": copy, names[0]: copy, **dict.fromkeys(names[1:], mode)}
    assert copying_claim(swapped).outcome == "not reproduced"


def test_trained_students_copy_or_take_the_best_action_by_their_loss(tmp_path: Path) -> None:
    found = {name: one.mean(0) for name, one in copies(Sweep(Scale(3, 6000), tmp_path)).items()}
    names = list(LOSSES)
    assert found[names[0]][1] > found["teacher"][1] + 0.1
    assert found[names[0]][0] < 0.5 * found["teacher"][0]
    assert all(found[name] == pytest.approx(found["teacher"], abs=0.1) for name in names[1:])


def test_every_row_that_is_run_has_a_rate_of_the_grid() -> None:
    assert set(RATES) == set(keys())
    assert set(RATES.values()) <= set(GRID)
    assert rate("on-policy-distill", estimator="critic") == rate("on-policy-distill")
    assert {key.method for key in RATES} == {*IMPERFECT, *RULES}


def test_the_rule_takes_the_smallest_rate_of_about_the_greatest_area_and_never_one_that_lost_its_numbers() -> None:
    lost = rising(5)
    lost.metrics["return"][0, -1] = np.nan
    found = {"0.1": rising(50), "0.3": rising(20), "1": rising(19), "0.03": rising(24), "3": lost}
    chosen, areas = best(found)
    assert chosen == 0.3
    assert areas[0.3] == pytest.approx(9.0, abs=0.01)  # up to 10 within a fifth of the time
    assert areas[1.0] > areas[0.3] > areas[0.03] + 0.1
    assert best({name: one for name, one in found.items() if name != "0.3"})[0] == 1.0


def test_fewer_worlds_are_run_where_actions_are_many() -> None:
    assert [worlds_for(actions, Scale(1000)) for actions in ACTIONS] == [1000, 250, 50, 10]
    assert [worlds_for(actions, Scale(20)) for actions in ACTIONS] == [20, 5, 2, 2]


def test_a_small_run_shows_all_sizes_for_every_kind_of_student(tmp_path: Path) -> None:
    findings = run(Sweep(Scale(2, 10, 0, 3), tmp_path))
    numbers = [claim.number for claim in findings.claims]
    assert numbers == [*(f"7{one}{mark}" for mark in ("", "'", "''") for one in "abcd"), "7.1", "7.2", "7.3", "7e", "8"]
    assert len([one for one in findings.figures if one.kind == "curves"]) == 3 * 4 + 3


def test_a_remark_on_own_step_rewards_does_not_say_that_ending_an_episode_pays() -> None:
    found = as_claimed()
    for student, pays in (("one-step student", True), ("own-step rewards", False)):
        remarks = [one.found for one in student_claims(found, student)[:3]]
        assert all((CHARGED in remark) == pays and (UNCHARGED in remark) != pays for remark in remarks)


def test_own_step_rewards_count_for_the_action_that_they_are_paid_for() -> None:
    entropy = curve("entropy-regularised", 4, "own-step", Scale(20)).setting.method
    assert [part.credit for part in entropy.reward] == [0.0]
    task = curve("task-reward", 4, "own-step", Scale(20)).setting
    assert task == curve("task-reward", 4, "monte-carlo", Scale(20)).setting
