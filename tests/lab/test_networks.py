"""Networks as students: what is measured against the tables' own solves, and verdicts on made-up curves."""

import numpy as np
import pytest

from understudy.lab.networks import (
    ACTIONS,
    CONTROLS,
    IMPERFECT,
    NOISES,
    RULES,
    Group,
    control_claim,
    imperfect_claim,
    rules_claim,
)
from understudy.lab.small_network import NetworkSetting, train_network
from understudy.mdp.families import corridor
from understudy.mdp.solve import Chain
from understudy.mdp.teachers import Teacher, evaluated
from understudy.methods import METHODS

UPDATES, WORLDS = np.array([0, 50, 100, 200]), 6


def group(*returns: float) -> Group:
    """Every world has the same curve."""
    return Group(UPDATES, np.array([returns] * WORLDS), np.full(WORLDS, 10.0), np.zeros(WORLDS))


def test_a_network_that_copies_a_corridors_teacher_ends_at_its_return() -> None:
    mdp = corridor(7, slip=0.0, end=0.02)
    teacher = evaluated(mdp, np.tile([0.05, 0.95], (7, 1)))
    curve = train_network(
        mdp, np.eye(7), teacher, NetworkSetting(METHODS["teacher-distill"], "linear", 8, 0.05), np.array([0, 80]), 1
    )
    uniform = float(mdp.start @ Chain(mdp, np.full((7, 2), 0.5)).values(mdp.rewards))
    own = float(mdp.start @ teacher.values)
    assert abs(curve.returns[0] - uniform) < 0.3 < own - uniform
    assert curve.returns[1] == pytest.approx(own, abs=0.05)
    assert curve.divergence[1] < 0.02 < curve.divergence[0]


def test_the_divergence_of_a_teacher_that_is_certain_is_finite() -> None:
    mdp = corridor(5, end=0.05)
    certain = Teacher(np.tile([0.0, 1.0], (5, 1)), np.zeros(5))
    setting = NetworkSetting(METHODS["on-policy-distill"], "linear", 4)
    curve = train_network(mdp, np.eye(5), certain, setting, np.array([0, 40]), 0)
    assert np.isfinite(curve.divergence).all()
    assert curve.divergence[1] < curve.divergence[0]


def test_student_driven_is_first_exactly_where_it_is() -> None:
    quick, slow = group(0, 9.6, 10, 10), group(0, 3, 9.6, 10)
    names = [(name, 4, 0.0) for name in CONTROLS]
    assert control_claim(dict(zip(names, (quick, slow), strict=True))).outcome == "reproduced"
    assert control_claim(dict(zip(names, (slow, quick), strict=True))).outcome == "not reproduced"
    useless = Group(UPDATES, quick.returns, np.zeros(WORLDS), np.zeros(WORLDS))
    claim = control_claim(dict.fromkeys(names, useless))
    assert claim.outcome == "not reproduced"
    assert "nothing to compare" in claim.found


def test_a_noisy_level_curve_falls_by_nothing_on_average() -> None:
    """From the peak of its own mean it would: the highest of three noisy measurements is no end."""
    noise = np.random.default_rng(0).standard_normal((400, WORLDS, 3))
    groups = [Group(UPDATES[1:], one, np.zeros(WORLDS), np.zeros(WORLDS)) for one in noise]
    own = [(one[:, one.mean(0).argmax()] - one[:, -1]).mean() for one in noise]
    assert np.mean(own) > 0.25
    assert abs(np.mean([one.fallen.mean() for one in groups])) < 0.08  # 3 standard errors
    assert group(0, 9, 5, 3).fallen == pytest.approx(np.full(WORLDS, 6.0))


def imperfect(cloning: Group) -> dict[tuple[str, int, float], Group]:
    rows = {name: group(0, 2, 5, 8) for name in IMPERFECT} | {"teacher-v-reward": group(0, 1, 5, 9)}
    groups = {(f"{name} (critic)", 4, noise): one for name, one in rows.items() for noise in NOISES}
    groups["on-policy-distill (critic)", 4, 0.0] = group(0, 9, 10, 10)
    groups["on-policy-distill (critic)", 4, 0.25] = cloning
    return groups


def test_an_imperfect_teacher_is_judged_by_the_numbers() -> None:
    assert imperfect_claim(imperfect(group(0, 6, 5, 4))).outcome == "reproduced"
    holds = [effect.holds for effect in imperfect_claim(imperfect(group(0, 4, 6, 9.5))).effects]
    assert holds == [False, False, False, False, True]


def test_rules_are_judged_by_the_numbers() -> None:
    groups = {(name, actions, 0.0): group(0, 2, 6, 9) for name in RULES for actions in ACTIONS}
    groups["entropy-regularised", ACTIONS[0], 0.0] = group(0, 8, 9, 9)
    for actions in ACTIONS[1:]:
        groups["entropy-regularised", actions, 0.0] = group(0, -1, -2, -2)
    groups["task-reward", ACTIONS[-1], 0.0] = group(0, 0.1, 0.1, 0.2)
    assert rules_claim(groups).outcome == "reproduced"
    groups["entropy-regularised", ACTIONS[-1], 0.0] = group(0, 8, 9, 9)
    assert rules_claim(groups).outcome == "partly"
