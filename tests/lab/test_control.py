"""Fig. 3: verdicts on curves made by hand, and a small run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import rising

from understudy.lab.control import (
    ORDER,
    TEMPERATURES,
    Found,
    Sizes,
    curve,
    per_world,
    return_claim,
    run,
    sharpness_claim,
    speed_claim,
    visits_claim,
    window_claim,
)
from understudy.lab.experiment import Scale
from understudy.lab.sweep import Sweep

SIZES = Sizes(slow=0.1, chosen=1.0)
OWN = {"student": {"student": 0.5}, "teacher": {"teacher": 0.5, "uniform": 2.0}, "uniform": {"uniform": 0.5}}


def as_claimed(student: float = 20, teacher: float = 60, uniform: float = 90) -> Found:
    """The paper's order, all differences smaller where the teacher is soft."""
    times = {"student": student, "teacher": teacher, "uniform": uniform, "mixture:0.5": 40.0}
    return {
        (who, temperature, size): rising(time * (1 - temperature if who != "student" else 1), kl=OWN.get(who))
        for who, time in times.items()
        for temperature in TEMPERATURES
        for size in SIZES.both
    }


def swapped() -> Found:
    """Teacher and student have changed places."""
    names = {"student": "teacher", "teacher": "student"}
    return {(names.get(who, who), *rest): one for (who, *rest), one in as_claimed().items()}  # type: ignore[misc]


def test_what_the_paper_claims_is_found_where_it_is_so() -> None:
    found = as_claimed()
    assert speed_claim(found, SIZES).outcome == "reproduced"
    assert visits_claim(found, SIZES.slow).outcome == "reproduced"
    assert return_claim(found, SIZES.slow).outcome == "reproduced"
    assert sharpness_claim(found, SIZES.slow).outcome == "reproduced"


def test_it_is_not_found_where_the_teacher_acts_better() -> None:
    found = swapped()
    held = [effect for effect in speed_claim(found, SIZES).effects if "iterations of" in effect.name]
    assert not any(effect.holds for effect in held)
    assert visits_claim(found, SIZES.slow).outcome == "partly"  # uniform still wins at home
    assert return_claim(found, SIZES.slow).outcome == "partly"  # and is still last
    assert sharpness_claim(found, SIZES.slow).outcome == "not reproduced"


@pytest.mark.parametrize(("teacher", "outcome"), [(60, "reproduced"), (24, "partly"), (20.0001, "partly")])
def test_three_times_means_from_one_and_a_half_to_six(teacher: float, outcome: str) -> None:
    claim = speed_claim(as_claimed(teacher=teacher), SIZES)
    assert claim.outcome == outcome
    ratio = claim.effects[0]
    assert ratio.value == pytest.approx(teacher / 20, rel=0.02)
    assert ratio.holds is (1.5 < teacher / 20 < 6)


def test_a_uniform_control_that_is_not_last_is_told() -> None:
    claim = return_claim(as_claimed(uniform=40), SIZES.slow)
    assert [effect.holds for effect in claim.effects] == [True, True, False] * 3


def test_a_world_where_only_one_arrives_counts_as_never() -> None:
    quick, slow = rising(20), rising(20, end=5.0)
    assert per_world(quick, slow).value == np.inf
    assert per_world(slow, quick).value == 0
    assert per_world(quick, rising(40)).value == pytest.approx(2.0)


def test_a_window_s_claim_can_hold_and_fail() -> None:
    good = {"student": rising(20), "teacher": rising(20, end=8.0), "uniform": rising(20, end=7.0)}
    assert window_claim(good).outcome == "reproduced"
    assert window_claim({**good, "student": good["uniform"]}).outcome == "not reproduced"


def test_the_slow_rate_does_the_same_in_a_run_of_any_length() -> None:
    assert Sizes.of(30_000).slow == pytest.approx(0.01)
    assert Sizes.of(3_000).slow * 3_000 == pytest.approx(Sizes.of(30_000).slow * 30_000)


def test_a_small_run_draws_every_control_at_every_temperature(tmp_path: Path) -> None:
    findings = run(Sweep(Scale(2, 40, 0, 4), tmp_path))
    assert [claim.number for claim in findings.claims] == ["5", "6", "6a", "6b", "6c"]
    assert len(findings.figures) == 2 * 3 * 4 + 1
    assert [one.label for one in findings.figures[0].series] == [f"{who}-driven" for who in ORDER]  # type: ignore[union-attr]
    names = {curve(who, one, size).name for who in ORDER for one in TEMPERATURES for size in (0.1, 1.0)}
    assert len(names) == 24
