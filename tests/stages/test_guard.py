"""The check of a hand-over, on returns that are set by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from understudy.engines.learner import Learner
from understudy.engines.reinforce import new_student, reinforcing, rhythm_of
from understudy.envs.of_gym import make
from understudy.envs.rollout import Episodes
from understudy.envs.views import EVERYTHING, ObservationViews
from understudy.methods.ppo import PPO
from understudy.stages.guard import ROUNDS, SLOWER, TIMES, Guard

GOOD = np.array([90.0, 100.0, 110.0, 100.0] * 5)


class Stand:
    """Plays returns that are laid out before, one array a call."""

    def __init__(self, *rows: np.ndarray) -> None:
        self.rows = list(rows)

    def __call__(self, seeds: Sequence[int]) -> Episodes:
        returns = self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]
        return Episodes(returns, np.ones(len(returns), int), np.ones(len(returns), bool))


@pytest.fixture
def learner() -> Learner:
    simulator = make("CartPole-v1", 2)
    student = new_student(simulator.observation_space, simulator.action_space, "mlp:4:tanh", seed=0)
    views = ObservationViews(EVERYTHING, EVERYTHING, EVERYTHING)
    options = PPO(n_steps=16, learning_rate=1e-2, final_learning_rate=1e-3)
    return reinforcing(options, simulator, student, views, budget=1000, seed=0)


def guarded(learner: Learner, *rows: np.ndarray) -> Guard:
    guard = Guard(learner, Stand(GOOD, *rows), range(20))
    guard.begin()
    return guard


def weights(learner: Learner) -> dict[str, Any]:
    return {k: v.clone() for k, v in learner.student.state_dict().items()}


def test_a_return_that_is_lost_brings_the_policy_and_its_critic_back(learner: Learner) -> None:
    guard = guarded(learner, GOOD - 60)
    before = weights(learner)
    critic = {k: v.clone() for k, v in learner.modules["critic"].state_dict().items() if hasattr(v, "clone")}
    learner.step()
    assert not torch.equal(weights(learner)["network.layers.0.weight"], before["network.layers.0.weight"])
    text = guard.look()
    assert "fell from 100.0 to 40.0" in text
    assert all(torch.equal(weights(learner)[name], before[name]) for name in before)
    assert all(torch.equal(learner.modules["critic"].state_dict()[name], critic[name]) for name in critic)
    assert not learner.optimiser.first.any()
    assert learner.rhythm.learning_rate == pytest.approx(1e-2 * SLOWER)
    assert learner.rhythm.final_learning_rate == pytest.approx(1e-3 * SLOWER)


@pytest.mark.parametrize(
    "now",
    [
        GOOD - 1,  # below in every episode, but within what the return is known to
        GOOD + np.array([-200.0, 190.0] * 10),  # another in every episode, and no worse on average than by chance
        GOOD + 5,
    ],
)
def test_a_return_that_is_no_lower_than_chance_leaves_is_let_go_on(learner: Learner, now: np.ndarray) -> None:
    guard = guarded(learner, now)
    learner.step()
    after = weights(learner)
    assert guard.look() == ""
    assert all(torch.equal(weights(learner)[name], after[name]) for name in after)
    assert guard.returns_to == 0


def test_a_better_policy_becomes_the_one_to_go_back_to(learner: Learner) -> None:
    guard = guarded(learner, GOOD + 50, GOOD + 10)
    learner.step()
    better = weights(learner)
    assert guard.look() == ""
    learner.step()
    assert "fell from 150.0 to 110.0" in guard.look()
    assert all(torch.equal(weights(learner)[name], better[name]) for name in better)


def test_it_looks_after_few_rounds_and_then_no_more(learner: Learner) -> None:
    stand = Stand(GOOD, GOOD, GOOD, GOOD, GOOD, GOOD - 90)
    guard = Guard(learner, stand, range(20))
    guard.begin()
    looked = []
    for number in range(1, 12):
        if guard.watching:
            left = len(stand.rows)
            guard.look()
            looked += [number] * (left - len(stand.rows))
    assert looked == list(ROUNDS)
    assert not guard.watching


def test_it_gives_up_after_some_times_and_says_so(learner: Learner) -> None:
    guard = guarded(learner, GOOD - 60)
    texts = [guard.look() for _ in range(TIMES + 1)]
    assert all("is back" in text for text in texts[:-1])
    assert "once more" in texts[-1]
    assert not guard.watching
    assert learner.rhythm.learning_rate == pytest.approx(1e-2 * SLOWER**TIMES)


def test_it_goes_on_from_its_state(learner: Learner) -> None:
    guard = guarded(learner, GOOD - 60)
    guard.look()
    state = guard.state()
    learner.rhythm = rhythm_of(PPO(n_steps=16, learning_rate=1e-2, final_learning_rate=1e-3), 2, False)
    again = Guard(learner, Stand(GOOD), range(20))
    again.restore(state)
    assert learner.rhythm.learning_rate == pytest.approx(1e-2 * SLOWER)
    assert (again.round, again.returns_to) == (guard.round, 1)
    assert np.array_equal(again.before, GOOD)
