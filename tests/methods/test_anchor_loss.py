"""The anchor as a loss: KL and its gradient against numbers by hand and against PyTorch's own divergences."""

import math

import pytest
import torch
from torch import distributions as theirs

import understudy.math.distributions as mine
from understudy.errors import ConfigurationError, SpaceError
from understudy.methods.anchor_loss import anchor_loss, divergence


def leaf(numbers):
    return torch.tensor(numbers, dtype=torch.float64, requires_grad=True)


def test_the_forward_kl_of_two_actions_and_its_gradient_by_hand():
    """Anchor (3/4, 1/4), student (1/2, 1/2): KL = 3/4 log 3/2 + 1/4 log 1/2; its gradient in the logits is q - p."""
    logits = leaf([[0.0, 0.0]])
    anchor = theirs.Categorical(probs=torch.tensor([[0.75, 0.25]], dtype=torch.float64))
    loss = anchor_loss(theirs.Categorical(logits=logits), anchor)
    assert loss.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-12)
    loss.backward()
    assert logits.grad[0].tolist() == pytest.approx([-0.25, 0.25], abs=1e-12)


def test_the_reverse_kl_of_two_actions_and_its_gradient_by_hand():
    """KL(q‖p) with q = (1/2, 1/2): its gradient in logit a is q_a (log q_a / p_a - KL), so -+ log(3) / 4."""
    logits = leaf([[0.0, 0.0]])
    anchor = theirs.Categorical(probs=torch.tensor([[0.75, 0.25]], dtype=torch.float64))
    loss = anchor_loss(theirs.Categorical(logits=logits), anchor, direction="reverse")
    assert loss.item() == pytest.approx(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25), abs=1e-12)
    loss.backward()
    assert logits.grad[0].tolist() == pytest.approx([-math.log(3) / 4, math.log(3) / 4], abs=1e-12)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_kl_of_two_gaussians_and_its_gradient_by_hand(direction):
    """log(s2/s1) + (s1^2 + d^2) / (2 s2^2) - 1/2 an axis, with d the difference of means; the gradient by hand."""
    mean, log_std = leaf([[1.0, 0.0]]), leaf([[0.5, -0.5]])
    anchor = theirs.Independent(theirs.Normal(torch.zeros(1, 2).double(), torch.tensor([[2.0, 0.5]]).double()), 1)
    loss = anchor_loss(theirs.Independent(theirs.Normal(mean, log_std.exp()), 1), anchor, direction)
    total, by_mean, by_log_std = 0.0, [], []
    for m, log_s, held in ((1.0, 0.5, 2.0), (0.0, -0.5, 0.5)):
        s = math.exp(log_s)
        if direction == "forward":
            total += math.log(s / held) + (held**2 + m**2) / (2 * s**2) - 0.5
            by_mean.append(m / s**2)
            by_log_std.append(1 - (held**2 + m**2) / s**2)
        else:
            total += math.log(held / s) + (s**2 + m**2) / (2 * held**2) - 0.5
            by_mean.append(m / held**2)
            by_log_std.append(s**2 / held**2 - 1)
    assert loss.item() == pytest.approx(total, abs=1e-12)
    loss.backward()
    assert mean.grad[0].tolist() == pytest.approx(by_mean, abs=1e-12)
    assert log_std.grad[0].tolist() == pytest.approx(by_log_std, abs=1e-12)


def drawn(kind, seed):
    torch.manual_seed(seed)
    a, b = torch.randn(5, 3, dtype=torch.float64), torch.rand(5, 3, dtype=torch.float64) + 0.2
    normal = theirs.Normal(a, b)
    return {
        "categorical": (theirs.Categorical(logits=a), None),
        "one-hot": (theirs.OneHotCategorical(logits=a), None),
        "coins": (theirs.Independent(theirs.Bernoulli(logits=a), 1), None),
        "bare coins": (theirs.Bernoulli(logits=a), 1),
        "independent": (theirs.Independent(normal, 1), None),
        "nested": (theirs.Independent(theirs.Independent(normal, 0), 1), None),
        "bare normal": (normal, 1),
        "scalars": (theirs.Independent(theirs.Normal(a[:, 0], b[:, 0]), 0), None),
        "multivariate": (theirs.MultivariateNormal(a, torch.diag_embed(b)), None),
        "squashed": (theirs.TransformedDistribution(normal, [theirs.TanhTransform()]), 1),
    }[kind]


KINDS = ("categorical", "one-hot", "coins", "bare coins", "independent", "nested", "bare normal", "scalars")


@pytest.mark.parametrize("kind", [*KINDS, "multivariate", "squashed"])
def test_it_is_pytorchs_own_divergence_for_every_kind(kind):
    (student, dims), (anchor, _) = drawn(kind, 0), drawn(kind, 1)
    for direction, pair in (("forward", (anchor, student)), ("reverse", (student, anchor))):
        if kind == "squashed":
            pair = [one.base_dist for one in pair]
        expected = theirs.kl_divergence(*pair)
        expected = expected.sum(-1) if dims else expected
        assert anchor_loss(student, anchor, direction).item() == pytest.approx(expected.mean().item(), abs=1e-10)


def test_a_list_of_categoricals_is_one_action_of_parts():
    students, anchors = ([drawn("categorical", s)[0] for s in seeds] for seeds in ((0, 1), (2, 3)))
    expected = sum(theirs.kl_divergence(p, q) for p, q in zip(anchors, students, strict=True)).mean()
    assert anchor_loss(students, anchors).item() == pytest.approx(expected.item(), abs=1e-12)


@pytest.mark.parametrize("family", ["categorical", "multi-categorical", "bernoulli", "gaussian", "squashed-gaussian"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_understudys_own_distributions_are_taken_and_no_gradient_flows_into_the_anchor(family, direction):
    kind = mine.Family(family, (2, 3) if family == "multi-categorical" else (3,))
    flats = torch.randn(2, 4, kind.parameters, dtype=torch.float64).requires_grad_()
    student, anchor = flats.unbind()
    loss = anchor_loss(kind(student), kind(anchor), direction)
    assert loss.item() == pytest.approx(divergence(direction, kind(anchor), kind(student)).mean().item())
    loss.backward()
    assert flats.grad[0].abs().sum() > 0
    assert flats.grad[1].abs().sum() == 0


def test_a_kl_between_sampled_log_probabilities_has_another_gradient():
    """The difference of log-probabilities of the student's own samples has the right mean and, as a loss, a gradient
    whose mean is nothing."""
    torch.manual_seed(0)
    logits = torch.zeros(100_000, 2, dtype=torch.float64, requires_grad=True)
    student, anchor = theirs.Categorical(logits=logits), theirs.Categorical(torch.tensor([0.75, 0.25]).double())
    action = student.sample()
    sampled = (student.log_prob(action) - anchor.log_prob(action)).mean()
    analytic = anchor_loss(student, theirs.Categorical(anchor.probs.expand(100_000, 2)), "reverse")
    assert sampled.item() == pytest.approx(analytic.item(), abs=0.01)
    wrong, right = (torch.autograd.grad(loss, logits, retain_graph=True)[0].sum(0) for loss in (sampled, analytic))
    assert wrong.tolist() == pytest.approx([0, 0], abs=0.01)
    assert right.tolist() == pytest.approx([-math.log(3) / 4, math.log(3) / 4])


def kind_at(*states):
    return theirs.Categorical(torch.ones(*states, 2))


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ((drawn("categorical", 0)[0], drawn("independent", 0)[0]), "one family, got Gaussian.*and Categorical"),
        ((theirs.Beta(torch.ones(2), torch.ones(2)), theirs.Beta(torch.ones(2), torch.ones(2))), "a Beta: give a"),
        ((theirs.Normal(torch.zeros(3), torch.ones(3)),) * 2, r"Independent\(distribution, 0\) for the first"),
        ((theirs.MultivariateNormal(torch.zeros(1, 2), torch.ones(2, 2) + torch.eye(2)),) * 2, "this one is full"),
        ((theirs.Independent(theirs.Categorical(torch.ones(4, 2)), 1),) * 2, "Independent of a Categorical"),
        (([], []), "for a list: give a"),
        ((torch.zeros(4, 2),) * 2, r"for a Tensor.*that Understudy opened, agent\(states\)\[0\]\.policy"),
        ((kind_at(4), kind_at(4, 1)), r"the anchor answers at \[4, 1\] states, the student at \[4\]: give both"),
        ((kind_at(4), kind_at(1)), r"the anchor answers at \[1\] states, the student at \[4\]: give both"),
    ],
)
def test_distributions_without_a_known_distance_are_refused(pair, message):
    with pytest.raises(SpaceError, match=message):
        anchor_loss(*pair)


def test_a_direction_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match=r"forward, reverse, got 'forwards'\. Did you mean 'forward'"):
        anchor_loss(drawn("categorical", 0)[0], drawn("categorical", 1)[0], "forwards")
