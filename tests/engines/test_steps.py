"""The operators of Eq. 1 on windows, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from understudy.engines.steps import Answers, StoredSteps, WindowSteps, window_steps
from understudy.envs.rollout import Episodes, Window
from understudy.math.distributions import Family
from understudy.math.heads import Heads

NAN = math.nan


def window(valid=True):
    """Three steps of two copies: one ends after its second, the other is cut short by the window."""
    step = np.zeros((3, 2), bool)
    terminated, start, played = step.copy(), step.copy(), ~step
    terminated[1, 0] = True
    start[0], start[2, 0] = True, True
    if not valid:
        played[2, 0] = start[2, 0] = False
    beyond = np.array([[2, 1]] if not valid else [[2, 0], [2, 1]])
    empty = Episodes(np.zeros(0), np.zeros(0, int), np.zeros(0, bool))
    return Window(
        np.zeros((3, 2, 1), np.float32), np.zeros((3, 2), np.int64), np.ones((3, 2), np.float32), terminated, step,
        start, played, beyond, np.zeros((len(beyond), 1), np.float32), np.zeros(len(beyond), bool), empty,
    )  # fmt: skip


def steps(valid=True, whole=False) -> WindowSteps:
    heads = Heads(Family("categorical", (2,))(torch.zeros(3, 2, 2)))
    return window_steps(window(valid), heads, heads, gamma=0.5, whole_episodes=whole)


X = torch.tensor([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])


def test_returns_to_go_stop_at_the_ends_of_episodes():
    assert steps().to_go(X, 1.0).tolist() == [[2.0, 30.0], [2.0, 40.0], [4.0, 40.0]]
    assert steps().to_go(X, 0.5).tolist() == [[1.5, 17.5], [2.0, 30.0], [4.0, 40.0]]
    assert torch.equal(steps().to_go(X, 0.0), X)


def test_what_comes_next_is_nothing_after_an_end_and_what_lies_beyond_a_cut():
    found = steps().next(X, torch.tensor([100.0, 1000.0]))
    assert found.tolist() == [[1.0, 10.0], [0.0, 20.0], [50.0, 500.0]]
    assert steps().next(X, None)[2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kind", ["categorical", "multi-categorical", "bernoulli", "gaussian", "squashed-gaussian"])
def test_held_steps_have_the_same_numbers_and_let_no_gradient_through(kind):
    family = Family(kind, (2,))
    flat = torch.randn(3, 2, family.parameters, requires_grad=True)
    heads = Heads(family(flat), flat.sum(-1))
    live = replace(steps(), student=heads, teacher=heads, beyond=Answers(heads, heads))
    for side in (live.held.student, live.held.teacher, live.held.beyond.student, live.held.beyond.teacher):
        assert torch.equal(side.policy.entropy(), heads.policy.entropy())
        assert torch.equal(side.value, heads.value)
        assert not side.policy.entropy().requires_grad
        assert not side.value.requires_grad
    assert heads.policy.entropy().requires_grad
    assert heads.value.requires_grad


def test_the_mean_is_over_steps_or_over_episodes():
    assert steps().expect(X).item() == pytest.approx(77 / 6)
    assert steps(whole=True).expect(X).item() == pytest.approx(77 / 2)


@pytest.mark.parametrize("junk", [NAN, math.inf])
def test_where_nothing_was_played_nothing_counts_whatever_stands_there(junk):
    x = X.clone()
    x[2, 0] = junk
    played = steps(valid=False)
    assert played.expect(x).item() == pytest.approx(73 / 5)
    assert played.to_go(x, 1.0)[:2].tolist() == [[2.0, 30.0], [2.0, 40.0]]


def test_stored_steps_average_over_what_is_valid():
    heads = Heads(Family("categorical", (2,))(torch.zeros(3, 2, 2)))
    valid = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    batch = StoredSteps(heads, heads, X, X, valid)
    assert batch.expect(X).item() == pytest.approx(73 / 5)
    assert StoredSteps(heads, heads, X, X).expect(X).item() == pytest.approx(77 / 6)
    nothing = StoredSteps(heads, heads, X, X, torch.zeros(3, 2))
    assert nothing.expect(X).item() == 0
