"""The propositions' measurements against loops over single MDPs, and verdicts that a wrong row turns down."""

import numpy as np
import pytest
from small_bench import bench, effect

from understudy.engines import exact
from understudy.lab import propositions
from understudy.lab.effects import every, mean_of, median_of
from understudy.lab.propositions import PROPOSITIONS, TEACHERS, advantages, beginning, families
from understudy.lab.side_by_side import SideBySide, joined, softmax
from understudy.lab.update_variance import variance_claim, variances
from understudy.mdp.teachers import optimal
from understudy.methods import METHODS


@pytest.fixture(scope="module")
def worlds():
    return families(4, seed=3)


def by_iteration(mdp, policy, steps=4000):
    """Values by summing step by step: no linear solve."""
    value = np.zeros(mdp.states)
    for _ in range(steps):
        value = (policy * (mdp.rewards + (mdp.transitions @ value)[:, mdp.action_map])).sum(-1)
    return value


def test_mdps_side_by_side_have_their_own_returns_and_updates(worlds):
    for side in worlds.values():
        teacher = joined(side.mdps, TEACHERS["random"])
        for k, mdp in enumerate(side.mdps):
            own = side.apart(teacher)[k]
            assert side.returns(teacher)[k] == pytest.approx(mdp.start @ by_iteration(mdp, own), abs=1e-9)
        logits = np.random.default_rng(0).standard_normal(teacher.shape)
        whole = exact.update(METHODS["v-gated"], side.whole, teacher, logits).numpy() * len(side.mdps)
        one = exact.update(METHODS["v-gated"], side.mdps[1], side.apart(teacher)[1], side.apart(logits)[1]).numpy()
        np.testing.assert_allclose(side.apart(whole)[1], one, atol=1e-10)


def test_a_descent_of_one_step_subtracts_each_mdps_own_update(worlds):
    side = worlds["random MDPs"]
    teacher = joined(side.mdps, TEACHERS["25 % noise"])
    logits = np.zeros_like(teacher)
    at, told = side.descend(METHODS["n-distill"], teacher, logits, 0.5, 1, side.apart, 2)
    assert at.tolist() == [0, 1]
    for k, mdp in enumerate(side.mdps):
        g = exact.update(METHODS["n-distill"], mdp, side.apart(teacher)[k], side.apart(logits)[k]).numpy()
        np.testing.assert_allclose(told[1][k], softmax(-0.5 * g), atol=1e-12)


def test_no_student_begins_with_numbers_that_its_world_was_drawn_from(worlds):
    """NumPy fills seeds up with zeros: the seeds 3 and [3, 0] are one and the same."""
    for side in worlds.values():
        logits = side.apart(beginning(side, seed=3))
        for index, own in enumerate(logits):
            of_world = np.random.default_rng([3, index]).standard_normal(own.size)
            assert not np.isin(own, of_world).any()
        assert len(np.unique(logits)) == logits.size


def test_what_v_reward_pays_is_the_advantage_by_value_iteration(worlds):
    side = worlds["random MDPs"]
    paid, advantage, reward = advantages(side)
    expected = []
    for mdp in side.mdps:
        value = np.zeros(mdp.states)
        for _ in range(600):
            value = (mdp.rewards + mdp.transitions @ value).max(-1)
        expected.append((mdp.rewards + mdp.transitions @ value - value[:, None]).reshape(-1))
    np.testing.assert_allclose(paid, np.concatenate(expected), atol=1e-9)
    np.testing.assert_allclose(advantage, np.concatenate(expected), atol=1e-9)
    assert 0 < (paid >= reward).mean() < 1


def test_teachers_are_as_bad_as_they_are_called(worlds):
    for side in worlds.values():
        returns = {kind: side.returns(joined(side.mdps, teacher)) for kind, teacher in TEACHERS.items()}
        best = side.returns(joined(side.mdps, optimal))
        assert (returns["adversarial"] < returns["25 % noise"]).all()
        assert (returns["25 % noise"] < best).all()


def test_the_experiment_reproduces_the_propositions():
    findings = PROPOSITIONS.run(bench(mdps=10, iterations=3000))
    outcomes = {claim.number: claim.outcome for claim in findings.claims}
    assert outcomes == dict.fromkeys(("3", "10", "10a", "11", "B2"), "reproduced")
    assert effect(findings, "11", "paid for all other").high < 0


def test_a_row_that_clones_is_not_said_to_end_above_its_teacher(monkeypatch):
    """teacher-distill with a sign turned: it flees from the teacher, and loses."""
    side = families(2, seed=1)
    fleeing = METHODS["entropy-regularised"]
    monkeypatch.setattr(propositions, "METHODS", {**METHODS, "v-gated": fleeing, "teacher-critic": fleeing})
    monkeypatch.setattr(propositions, "TEACHERS", {"adversarial": TEACHERS["adversarial"]})
    found = propositions.improving(bench(mdps=2, iterations=0), side, 60)
    assert propositions.proposition_2(found).outcome != "reproduced"


def test_variances_are_those_of_independent_episodes(worlds, monkeypatch):
    monkeypatch.setattr("understudy.lab.update_variance.EPISODES", 500)
    side = SideBySide(worlds["random MDPs"].mdps[:2])
    spread, gaps = variances(bench(mdps=2, iterations=0), side)
    assert gaps.max() < 1e-9
    assert all((numbers > 0).all() for numbers in spread.values())
    same = {key: np.ones(2) for key in spread}
    assert variance_claim(same, gaps).outcome == "partly"


def test_effects_hold_exactly_if_their_interval_is_within_bounds():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert every("x", values, above=0.5).holds is True
    assert every("x", values, above=1.5).holds is False
    assert every("x", values).span == "least to greatest"
    found = mean_of("x", values, below=10)
    assert found.value == 3.0
    assert 1 < found.low < 3 < found.high < 5
    assert found.wanted == "below 10"
    assert mean_of("x", values).holds is None
    assert median_of("x", values, above=0, below=6).wanted == "within 0 to 6"
    assert mean_of("x", values, above=2.9).holds is False
