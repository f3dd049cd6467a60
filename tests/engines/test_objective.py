"""A row with its estimator: what is stored of a window, and what the termination remedies charge."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.estimator import Estimator
from understudy.engines.objective import (
    ABSORBING_MARGIN,
    Remedy,
    columns_needed,
    observation_columns,
    observation_of,
    unroll,
)
from understudy.envs.views import ObservationViews, parse_view
from understudy.errors import ConfigurationError
from understudy.methods import METHODS, with_credit

COSTS = np.array([[-1.0, -2.0], [-3.0, -6.0]])
PLAYED = np.array([[True, True], [True, False]])
ENDED = np.array([[False, True], [True, False]])


def test_the_absorbing_remedy_charges_the_mean_cost_for_ever_at_each_termination():
    charge = (2.0 + ABSORBING_MARGIN) / (1 - 0.9)
    found = Remedy("absorbing").apply(COSTS, COSTS, ENDED, PLAYED, 0.9)
    np.testing.assert_allclose(found, [[-1, -2 - charge], [-3 - charge, -6]])


@pytest.mark.parametrize(
    ("kind", "ended", "discount"),
    [("none", ENDED, 0.9), ("absorbing", ENDED, 0.0), ("absorbing", ~PLAYED & False, 0.9)],
)
def test_nothing_is_charged_without_a_remedy_or_a_termination_or_where_only_one_step_counts(kind, ended, discount):
    assert np.array_equal(Remedy(kind).apply(COSTS, COSTS, ended, PLAYED, discount), COSTS)


def test_the_remedy_never_pays_for_an_end():
    found = Remedy("absorbing").apply(-COSTS, -COSTS, ENDED, PLAYED, 0.9)
    assert np.array_equal(found, -COSTS)


def test_a_charge_for_ever_needs_a_discount():
    with pytest.raises(ConfigurationError, match="--gamma below 1"):
        Remedy("absorbing").check(METHODS["n-distill"], 1.0)
    Remedy("absorbing").check(METHODS["n-distill"], 0.99)
    Remedy("none").check(METHODS["n-distill"], 1.0)


def test_an_unknown_remedy_is_refused():
    with pytest.raises(ConfigurationError, match="none, absorbing or credit:NUMBER"):
        Remedy("absorb")


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("credit", [0.0, 0.3, 1.0])
def test_a_credit_scales_that_of_every_reward_part_but_the_task_reward(name, credit):
    row = METHODS[name]
    found = with_credit(row, credit)
    for before, after in zip(row.reward, found.reward, strict=True):
        assert after.credit == (before.credit if before.atom == "task-reward" else credit * before.credit)
    assert found.loss == row.loss
    changed = found.reward != row.reward
    assert (found.gradient, found.objective) == ((None, "none exists") if changed else (row.gradient, row.objective))
    assert not (credit == 0 and found.charges_every_step)


def test_the_critic_has_a_column_for_each_credit_and_one_for_the_task():
    counts = {name: columns_needed(METHODS[name], Estimator("ppo")) for name in METHODS}
    assert counts["on-policy-distill"] == 0
    assert counts["n-distill+r"] == counts["task-reward"] == 1
    assert counts["v-gated"] == counts["student-critic"] == 2
    assert columns_needed(with_credit(METHODS["n-distill+r"], 0.5), Estimator("gae")) == 2
    assert columns_needed(METHODS["n-distill"], Estimator("returns")) == 0
    assert columns_needed(METHODS["v-gated"], Estimator("returns")) == 1


def test_a_dict_of_observations_goes_into_columns_and_comes_back():
    seen = {"a": torch.ones(2), "b/c": torch.zeros(3)}
    columns = observation_columns("observation", seen) | {"observationless": torch.ones(1)}
    back = observation_of("observation", columns)
    assert {key: value.tolist() for key, value in back.items()} == {"a": [1, 1], "b/c": [0, 0, 0]}
    assert observation_of("critic", observation_columns("critic", torch.ones(4))).tolist() == [1] * 4


@pytest.mark.parametrize("spec", ["gru:6", "lstm:6"])
@pytest.mark.parametrize("length", [3, 8])
def test_stored_sequences_give_what_unbroken_play_gave(learner, inputs, spec, length):
    """Every step is stored once, with the memory that it had when it was played, over windows and ends."""
    joined = learner(spec=spec, length=length)
    objective, windows = joined.objective, [joined.source.collect(0.0) for _ in range(3)]
    assert sum(int(window.start.sum()) for window in windows) > 8
    whole = [np.concatenate([getattr(w, part) for w in windows]) for part in ("observation", "start")]
    with torch.no_grad():
        played = unroll(joined.student, torch.tensor(whole[0]), None, torch.tensor(whole[1]))[0].policy.flat
    expected = {tuple(x.tolist()): flat for x, flat in zip(whole[0].reshape(-1, 4), played.reshape(-1, 3), strict=True)}
    found = 0
    for window in windows:
        columns, _ = objective.prepare(window)
        with torch.no_grad():
            seen = inputs(joined, columns)
            flat = joined.student.flat(seen.transpose(0, 1), columns["memory"])[0].transpose(0, 1)
        for x, mine, valid in zip(seen.flatten(0, 1), flat.flatten(0, 1), columns["valid"].flatten(), strict=True):
            if valid:
                torch.testing.assert_close(mine, expected[tuple(x.tolist())], atol=1e-5, rtol=1e-5)
                found += 1
    assert found == len(expected) == whole[1].size


def test_steps_that_nobody_played_are_not_stored(learner):
    joined = learner(method="n-distill", kind="returns")
    window = joined.source.collect(0.0)
    assert not window.valid.all()
    columns, _ = joined.objective.prepare(window)
    assert {len(column) for column in columns.values()} == {window.valid.sum()}


def test_the_tail_beyond_a_time_limit_is_the_critics_or_is_counted_as_dropped(learner):
    joined = learner(method="n-distill", kind="returns")
    window = joined.source.collect(0.0)
    assert joined.objective.prepare(window)[1]["dropped_tails"] == 0
    cut = type(window)(**{**vars(window), "terminated": window.terminated & False, "truncated": window.terminated})
    ends = np.argwhere(cut.truncated)
    cut = type(window)(
        **{
            **vars(cut),
            "beyond_index": ends,
            "beyond_observation": np.zeros((len(ends), 4), np.float32),
            "beyond_truncated": np.ones(len(ends), bool),
        }
    )
    assert joined.objective.prepare(cut)[1]["dropped_tails"] == len(ends) == 4


def test_the_charge_reaches_the_advantage(learner):
    """Terminations are worth less with the remedy, and by the same amount for every one of them."""
    plain, remedied = (learner(method="n-distill", kind="returns", remedy=kind) for kind in ("none", "absorbing"))
    window = plain.source.collect(0.0)
    before, after = (one.objective.prepare(window)[0]["advantage"][:, 0] for one in (plain, remedied))
    last = torch.tensor(window.terminated[window.valid])
    charges = (before - after)[last]
    assert charges.min() > 0
    torch.testing.assert_close(charges, charges[:1].expand_as(charges))
    assert ((before - after)[~last] < charges[0]).all()


def test_the_teacher_may_see_what_the_student_does_not(learner, inputs):
    joined = learner(
        views=ObservationViews(parse_view("0,1"), parse_view("2,3"), parse_view("1,2,3")), method="n-distill"
    )
    columns, _ = joined.objective.prepare(window := joined.source.collect(0.0))
    whole = torch.tensor(window.observation).reshape(-1, 1, 4)
    assert torch.equal(inputs(joined, columns), whole[..., :2])
    assert torch.equal(columns["critic"], whole[..., 1:])
    torch.testing.assert_close(columns["teacher"], joined.objective.teacher(whole[..., 2:])[0].policy.flat.detach())


def test_a_dict_is_stored_key_by_key(learner):
    space = spaces.Dict({"a": spaces.Box(-1, 1, (2,), np.float32), "b": spaces.Discrete(3)})
    columns, _ = (joined := learner(space)).objective.prepare(joined.source.collect(0.0))
    assert {"observation/a", "observation/b"} <= set(columns)
