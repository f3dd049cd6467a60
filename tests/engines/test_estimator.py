"""Estimators: what they refuse, and what stands for the score function."""

import pytest
import torch

from understudy.engines.estimator import Estimator
from understudy.engines.steps import StoredSteps
from understudy.errors import ConfigurationError
from understudy.math.distributions import Family
from understudy.math.heads import Heads
from understudy.methods import CONTROLS, METHODS, mixture, with_control

FAMILY = Family("categorical", (3,))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "pppo"}, "estimator is one of returns, gae, ppo, got 'pppo'. Did you mean 'ppo'?"),
        ({"lam": 1.5}, r"gae_lambda must lie in [0, 1], got 1.5"),
        ({"clip": 0.0}, "clip > 0"),
        ({"epochs": 0}, "epochs >= 1"),
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
