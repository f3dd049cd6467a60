"""The experiment's Jacobians against enumeration of trajectories, and its verdicts against rows put in wrong places."""

import sys
from pathlib import Path

import numpy as np
import pytest
from small_bench import bench, effect

sys.path.insert(0, str(Path(__file__).parents[1] / "proof"))

import enumerated

from understudy.engines import exact
from understudy.lab import gradient_fields
from understudy.lab.gradient_fields import DISCOUNTED, EQUAL, FORMS, GRADIENT_FIELDS, UNDISCOUNTED, case
from understudy.methods import METHODS


def test_every_row_of_the_catalogue_is_measured():
    assert set(METHODS) <= set(FORMS)


def test_a_case_is_drawn_from_its_number_alone():
    one, again, other = case(0, 3), case(0, 3), case(0, 4)
    assert np.array_equal(one.mdp.rewards, again.mdp.rewards)
    assert np.array_equal(one.logits, again.logits)
    assert not np.array_equal(one.teacher, other.teacher)


@pytest.mark.parametrize("way", [DISCOUNTED, UNDISCOUNTED], ids=lambda way: way.name)
@pytest.mark.parametrize("name", ["on-policy-distill+r", "n-distill", "task-reward", "teacher-v-reward-printed"])
def test_what_is_measured_is_what_enumerating_every_trajectory_gives(name, way):
    """The same quantity by differences of an enumeration, in the norm of this experiment."""
    world, theta = enumerated.problem(5, way.gamma)

    def direction(x):
        return enumerated.direction(world, (name, "cross-entropy"), x, way.discounted_visits)

    jacobian = enumerated.by_differences(direction, theta).reshape(theta.size, theta.size)
    expected = np.abs(jacobian - jacobian.T).max() / np.abs(jacobian).max()
    found = exact.asymmetry(
        FORMS[name], world.mdp, world.teacher, theta, gamma=way.gamma, discounted_visits=way.discounted_visits
    )
    assert found == pytest.approx(expected, abs=1e-7)


def test_the_experiment_reproduces_the_column():
    findings = GRADIENT_FIELDS.run(bench(mdps=6, iterations=0))
    assert {claim.number: claim.outcome for claim in findings.claims} == dict.fromkeys(
        ("1", "2", "A", "B"), "reproduced"
    )
    assert effect(findings, "A", "task-reward, undiscounted").low > 1e-4
    table = next(figure for figure in findings.figures if figure.kind == "table")
    assert [row[0] for row in table.rows] == list(FORMS)


def test_a_row_that_is_no_gradient_turns_theorem_2_down(monkeypatch):
    monkeypatch.setattr(gradient_fields, "CORRECTED", ("n-distill", "on-policy-distill"))
    findings = GRADIENT_FIELDS.run(bench(mdps=2, iterations=0))
    assert effect(findings, "2", "corrected rows").holds is False
    assert next(claim for claim in findings.claims if claim.number == "2").outcome == "partly"


def test_a_pair_that_is_not_equal_is_told(monkeypatch):
    monkeypatch.setattr(gradient_fields, "EQUAL", (*EQUAL, ("n-distill", "on-policy-distill", "not so")))
    findings = GRADIENT_FIELDS.run(bench(mdps=2, iterations=0))
    assert findings.claims[-1].outcome == "not reproduced"
