"""Fig. 7: the counts of cells are held against the odds, and the pictures are of the worlds that are trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from understudy.lab.curve import Ground
from understudy.lab.draw import draw_mdp
from understudy.lab.experiment import Scale
from understudy.lab.findings import Picture
from understudy.lab.sweep import Sweep
from understudy.lab.worlds import PRINTED, counts, draw, odds_claim, picture, run, teacher_claim
from understudy.mdp.families import GridOdds, grid

SEEDS = range(60)


def test_the_world_in_a_picture_is_the_one_that_curves_train_on() -> None:
    for index in range(3):
        assert (draw(5, index).mdp.rewards == draw_mdp(Ground(), 5, index).rewards).all()
        assert (draw(5, index).mdp.terminal == draw_mdp(Ground(), 5, index).terminal).all()


def test_the_printed_world_s_counts_are_likely_under_the_configured_odds() -> None:
    odds = GridOdds()
    shares = {"#": odds.wall, "-1": odds.minus_one, "+10": odds.plus_ten, "+5": odds.plus_five}
    for kind, share in {**shares, "-10": odds.minus_ten, "-5": odds.minus_five}.items():
        assert abs(PRINTED[kind] - 399 * share) < 2 * np.sqrt(399 * share * (1 - share))


@pytest.mark.parametrize(
    ("odds", "outcome"),
    [(GridOdds(), "reproduced"), (GridOdds(wall=0.2), "partly"), (GridOdds(0, 0, 0, 0, 0, 0), "not reproduced")],
)
def test_other_odds_than_the_configured_ones_are_seen(odds: GridOdds, outcome: str) -> None:
    worlds = [grid(np.random.default_rng(seed), odds=odds) for seed in SEEDS]
    assert odds_claim(counts(worlds)).outcome == outcome


def test_a_teacher_no_better_than_chance_is_told() -> None:
    low, high = np.zeros(9), np.ones(9)
    assert teacher_claim({"teacher": high, "uniform": low, "best possible": 2 * high}).outcome == "reproduced"
    assert teacher_claim({"teacher": low, "uniform": low, "best possible": high}).outcome == "partly"


def test_a_run_shows_worlds_with_probabilities_and_the_best_return_is_the_greatest(tmp_path: Path) -> None:
    findings = run(Sweep(Scale(3, 10, 0, 2), tmp_path))
    shown = [one for one in findings.figures if isinstance(one, Picture)]
    assert len(shown) == 3
    assert np.allclose(np.array(picture(0, 0).policy).sum(-1), 1, atol=2e-3)
    assert sum(cell == "S" for row in shown[0].cells for cell in row) == 1
    table = {row[0]: row[1:] for row in findings.figures[-1].rows}  # type: ignore[union-attr]
    assert all(b >= t for b, t in zip(table["best possible"], table["teacher"], strict=True))
