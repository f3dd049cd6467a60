"""Estimators: what they refuse, and what stands for the score function."""

import math

import pytest
import torch

from understudy.engines.estimator import Estimator
from understudy.engines.steps import StoredSteps
from understudy.errors import ConfigurationError
from understudy.math.distributions import Family
from understudy.math.heads import Heads
from understudy.methods import CONTROLS, METHODS, mixture, with_control
from understudy.methods.schedule import parse

FAMILY = Family("categorical", (3,))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "pppo"}, "estimator is one of returns, gae, ppo, got 'pppo'. Did you mean 'ppo'?"),
        ({"lam": 1.5}, r"gae_lambda must lie in [0, 1], got 1.5"),
        ({"clip": 0.0}, "clip > 0"),
        ({"epochs": 0}, "epochs >= 1"),
        ({"clip": parse("linear:0:0.2")}, "clip > 0"),
        ({"value_clip": 0.0}, "value_clip must be above 0, or left out, got 0.0"),
        ({"target_kl": float("nan")}, "target_kl must be above 0, or left out, got nan"),
        ({"value_weight": 0.0}, "value_weight must be above 0, got 0.0"),
        ({"kind": "gae", "target_kl": 0.1}, "gae makes one. Use --estimator ppo"),
        ({"kind": "returns", "value_clip": 0.1}, "which returns has not"),
    ],
)
def test_what_it_cannot_be_is_said(options, words):
    with pytest.raises(ConfigurationError) as caught:
        Estimator(**options)
    assert words in str(caught.value)


class RewardedFromElsewhere:
    """A row that its own constructor refuses; the estimator does not rely on that."""

    reward = METHODS["n-distill"].reward
    control = mixture(0.5)


@pytest.mark.parametrize("kind", ["gae", "ppo"])
def test_a_state_baseline_is_refused_where_the_student_does_not_act(kind):
    with pytest.raises(ConfigurationError, match=r"biases the update .* mixture\(0\.5\).* Use --estimator returns"):
        Estimator(kind).check(RewardedFromElsewhere())
    Estimator("returns").check(RewardedFromElsewhere())
    Estimator(kind).check(with_control(METHODS["on-policy-distill"], CONTROLS["teacher"]))
    Estimator(kind).check(METHODS["n-distill+r"])


def steps(seed=0):
    generator = torch.Generator().manual_seed(seed)
    flat = torch.randn(40, 3, generator=generator, requires_grad=True)
    action = torch.randint(3, (40,), generator=generator)
    old = FAMILY(flat.detach()).log_prob(action)
    heads = Heads(FAMILY(flat))
    return (
        flat,
        StoredSteps(heads, heads, action, torch.zeros(40), old_log_prob=old),
        torch.randn(40, generator=generator),
    )


@pytest.mark.parametrize("kind", ["gae", "ppo"])
def test_every_score_has_the_plain_gradient_at_the_policy_that_collected(kind):
    flat, batch, advantage = steps()
    (found,) = torch.autograd.grad(Estimator(kind).score(batch, advantage).sum(), flat)
    probability = torch.softmax(flat.detach(), -1)
    chosen = torch.nn.functional.one_hot(batch.action, 3)
    torch.testing.assert_close(found, advantage[:, None] * (chosen - probability))


@pytest.mark.parametrize(
    ("shift", "advantage", "moves"),
    [(0.5, 1.0, False), (0.5, -1.0, True), (-0.5, -1.0, False), (-0.5, 1.0, True), (0.1, 1.0, True)],
)
def test_ppo_stops_where_the_ratio_has_left_its_range_for_the_better(shift, advantage, moves):
    flat = torch.tensor([[0.3, -0.2, 0.1]], requires_grad=True)
    heads, action = Heads(FAMILY(flat)), torch.tensor([1])
    old = FAMILY(flat.detach()).log_prob(action) - shift
    batch = StoredSteps(heads, heads, action, torch.zeros(1), old_log_prob=old)
    score = Estimator("ppo", clip=0.2).score(batch, torch.tensor([advantage]))
    ratio = torch.tensor(shift).exp().item()
    bound = min(max(ratio, 0.8), 1.2)
    assert score.item() == pytest.approx(min(ratio * advantage, bound * advantage), rel=1e-5)
    (found,) = torch.autograd.grad(score.sum(), flat)
    assert bool(found.abs().sum() > 0) == moves


def test_only_ppo_uses_a_step_more_than_once():
    assert [Estimator(kind, epochs=7).passes for kind in ("returns", "gae", "ppo")] == [1, 1, 7]
    assert [Estimator(kind).has_critic for kind in ("returns", "gae", "ppo")] == [False, True, True]


@pytest.mark.parametrize("option", [{"normalise": True}, {"value_clip": 1.0}, {"target_kl": 0.1}])
def test_what_needs_advantages_is_refused_where_there_are_none(option):
    with pytest.raises(ConfigurationError, match=f"{next(iter(option))} does nothing: on-policy-distill has no reward"):
        Estimator(**option).check(METHODS["on-policy-distill"])
    Estimator(**option).check(METHODS["task-reward"])


def test_the_clipped_gradient_on_two_actions_by_hand():
    """With p = (3/4, 1/4), old probability 1/2 of each: ratios 1.5 and 0.5, and range 0.8 to 1.2.

    An advantage of 2 for the first action and -1 for the second has both ratios clipped, and no gradient. Turned round,
    both score ratio times advantage: d(r A) = r A d log p, with d log p / d logits = onehot - p.
    """
    logits = torch.tensor([[3.0, 1.0], [3.0, 1.0]], dtype=torch.float64).log().requires_grad_()
    family = Family("categorical", (2,))
    heads, action = Heads(family(logits)), torch.tensor([0, 1])
    batch = StoredSteps(heads, heads, action, torch.zeros(2), old_log_prob=torch.tensor([0.5, 0.5]).double().log())
    advantage = torch.tensor([2.0, -1.0], dtype=torch.float64)
    scores = Estimator().score(batch, advantage)
    torch.testing.assert_close(scores, torch.tensor([1.2 * 2, -0.8], dtype=torch.float64))
    assert not torch.autograd.grad(scores.sum(), logits, retain_graph=True)[0].any()
    turned = Estimator().score(batch, -advantage)
    torch.testing.assert_close(turned, torch.tensor([-3.0, 0.5], dtype=torch.float64))
    (found,) = torch.autograd.grad(turned.sum(), logits)
    expected = torch.tensor([[-3.0 * 0.25, 3.0 * 0.25], [0.5 * -0.75, 0.5 * 0.75]], dtype=torch.float64)
    torch.testing.assert_close(found, expected)


def test_advantages_are_normalised_over_the_steps_that_were_played():
    advantage = torch.tensor([[1.0, 3.0], [5.0, 1e9]])
    valid = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    found = Estimator(normalise=True).scaled(advantage, valid)[valid > 0]
    torch.testing.assert_close(found, torch.tensor([-1.0, 0.0, 1.0]))
    assert Estimator().scaled(advantage, valid) is advantage
    one = torch.tensor([7.0])
    assert Estimator(normalise=True).scaled(one, None) is one  # a single step has no deviation


def test_a_round_is_over_when_the_policy_strayed_beyond_its_target():
    """Old (1/2, 1/2), new (3/4, 1/4), each action once: the mean of r - 1 - log r for r = 1.5 and 0.5."""
    family = Family("categorical", (2,))
    logits = torch.tensor([[3.0, 1.0], [3.0, 1.0]]).log().requires_grad_()
    heads = Heads(family(logits))
    batch = StoredSteps(heads, heads, torch.tensor([0, 1]), torch.zeros(2), old_log_prob=torch.tensor([0.5, 0.5]).log())
    drift = ((0.5 - math.log(1.5)) + (-0.5 - math.log(0.5))) / 2
    assert Estimator(target_kl=drift / 1.5 * 0.99).strayed(batch)
    assert not Estimator(target_kl=drift / 1.5 * 1.01).strayed(batch)
    assert not Estimator().strayed(batch)
    score = Estimator().score(batch, torch.tensor([-1.0, -1.0])).sum()
    assert torch.autograd.grad(score, logits)[0].any()  # to have looked leaves the gradient alone


def test_the_clip_range_follows_its_schedule():
    falling = Estimator(clip=parse("linear:0.2:0"))
    assert falling.at(0.25).clip == pytest.approx(0.15)
    assert 0 < falling.at(1.0).clip < 1e-5
    assert Estimator().at(0.7) == Estimator()
