"""Divergences against torch.distributions, and their gradients against finite differences."""

import itertools

import pytest
import torch
from torch import distributions as td

from understudy.errors import SpaceError
from understudy.math.distributions import Family
from understudy.math.divergences import cross_entropy, kl

FAMILIES = [
    Family("categorical", (4,)),
    Family("multi-categorical", (3, 2, 4)),
    Family("bernoulli", (3,)),
    Family("gaussian", (3,)),
    Family("squashed-gaussian", (2,)),
]


def pair(family, rows=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    both = torch.randn(2, rows, family.parameters, generator=generator, dtype=torch.float64)
    if family.continuous:
        both[..., family.sizes[0] :] *= 0.5
    return both[0].requires_grad_(), both[1].requires_grad_()


def torchs_kl(family, p, q):
    if family.kind in ("categorical", "multi-categorical"):
        pieces = zip(p.split(family.sizes, -1), q.split(family.sizes, -1), strict=True)
        return sum(td.kl_divergence(td.Categorical(logits=a), td.Categorical(logits=b)) for a, b in pieces)
    if family.kind == "bernoulli":
        return td.kl_divergence(td.Bernoulli(logits=p), td.Bernoulli(logits=q)).sum(-1)
    (a, b), (c, d) = p.chunk(2, -1), q.chunk(2, -1)
    return td.kl_divergence(td.Normal(a, b.exp()), td.Normal(c, d.exp())).sum(-1)


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_kl_is_torchs_and_its_first_argument_is_what_the_expectation_is_taken_over(family):
    p, q = pair(family, rows=50)
    torch.testing.assert_close(kl(family(p), family(q)), torchs_kl(family, p, q))
    assert (kl(family(p), family(q)) - torchs_kl(family, q, p)).abs().min() > 1e-6


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_cross_entropy_is_the_entropy_and_kl_together(family):
    p, q = pair(family, rows=50)
    torch.testing.assert_close(cross_entropy(family(p), family(q)), family(p).entropy() + torchs_kl(family, p, q))


def test_a_categorical_cross_entropy_worked_out_by_hand():
    family = Family("categorical", (2,))
    p, q = (family(torch.log(torch.tensor(x, dtype=torch.float64))) for x in ([0.25, 0.75], [0.5, 0.5]))
    assert cross_entropy(p, q).item() == pytest.approx(0.6931471805599453)
    assert cross_entropy(q, p).item() == pytest.approx(0.8369882167858358)  # -(log 1/4 + log 3/4) / 2


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_a_distribution_is_no_distance_from_itself(family):
    p, _ = pair(family)
    torch.testing.assert_close(kl(family(p), family(p)), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-14)


@pytest.mark.parametrize("measure", [cross_entropy, kl], ids=lambda f: f.__name__)
@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_gradients_in_both_arguments_are_those_of_finite_differences(family, measure):
    p, q = pair(family)
    assert torch.autograd.gradcheck(lambda a, b: measure(family(a), family(b)), (p, q))


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_gradients_of_entropy_and_log_prob_are_those_of_finite_differences(family):
    p, _ = pair(family)
    action = family(p.detach()).mode()
    action = action + 0.3 if family.continuous else action
    assert torch.autograd.gradcheck(lambda a: family(a).entropy(), (p,))
    assert torch.autograd.gradcheck(lambda a: family(a).log_prob(action), (p,))


@pytest.mark.parametrize("measure", [cross_entropy, kl], ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", ["categorical", "multi-categorical", "bernoulli"])
def test_a_teacher_that_never_errs_gives_a_finite_forward_divergence_and_gradient(kind, measure):
    sizes = {"categorical": (3,), "multi-categorical": (3, 2), "bernoulli": (3,)}[kind]
    family = Family(kind, sizes)
    best = torch.tensor([1, 0, 1, 1, 0][: family.parameters], dtype=torch.float64)
    if kind == "categorical":
        best = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    if kind == "multi-categorical":
        best = torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    sure = torch.where(best == 1, torch.inf if kind == "bernoulli" else 0.0, -torch.inf).double()
    student = torch.linspace(-1, 1, family.parameters, dtype=torch.float64).requires_grad_()
    loss = measure(family(sure), family(student))
    action = {"categorical": torch.tensor(1), "multi-categorical": torch.tensor([1, 1]), "bernoulli": best}[kind]
    torch.testing.assert_close(loss, -family(student).log_prob(action))
    (gradient,) = torch.autograd.grad(loss, student)
    assert gradient.isfinite().all()


def test_actions_that_both_rule_out_give_the_divergence_and_gradient_of_the_rest():
    """As with masked actions: KL(student‖teacher) and its gradient are those of the policies without them."""
    student = torch.tensor([0.3, -torch.inf, -0.7, 1.1], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([1.0, -torch.inf, 0.2, -0.4], dtype=torch.float64)
    rest = [0, 2, 3]
    few = student.detach()[rest].requires_grad_()
    for measure in (cross_entropy, kl):
        masked = measure(Family("categorical", (4,))(student), Family("categorical", (4,))(teacher))
        without = measure(Family("categorical", (3,))(few), Family("categorical", (3,))(teacher[rest]))
        torch.testing.assert_close(masked, without)
        (one,), (other,) = torch.autograd.grad(masked, student), torch.autograd.grad(without, few)
        torch.testing.assert_close(one[rest], other)
        assert one[1] == 0


def test_the_forward_gradient_is_the_same_for_a_cross_entropy_and_a_divergence():
    for family in FAMILIES:
        p, q = pair(family)
        one, other = (torch.autograd.grad(f(family(p), family(q)).sum(), q)[0] for f in (cross_entropy, kl))
        torch.testing.assert_close(one, other)


def test_the_reverse_cross_entropy_of_squashed_gaussians_is_the_monte_carlo_estimate():
    """The slope of tanh enters here, and only here: H(student‖teacher) moves the student's entropy."""
    family = Family("squashed-gaussian", (2,))
    p, q = (x.detach()[:1] for x in pair(family))
    mean, log_std = p.chunk(2, -1)
    noise = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cost = -family(q).log_prob(mean + log_std.exp() * noise)
    error = cost.std().item() / len(cost) ** 0.5
    assert abs(cross_entropy(family(p), family(q)).item() - cost.mean().item()) < 5 * error


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(FAMILIES, 2)), ids=str)
def test_two_families_are_refused_and_both_are_named(one, other):
    p, q = one(torch.zeros(one.parameters)), other(torch.zeros(other.parameters))
    for measure in (cross_entropy, kl):
        with pytest.raises(SpaceError, match=f"{type(p).__name__} with .*{type(q).__name__} with"):
            measure(p, q)


def test_two_sizes_of_one_family_are_refused():
    three, two = Family("categorical", (3,)), Family("categorical", (2,))
    with pytest.raises(SpaceError, match="3 parameters and Categorical with 2"):
        kl(three(torch.zeros(3)), two(torch.zeros(2)))
    one, other = Family("multi-categorical", (2, 4)), Family("multi-categorical", (3, 3))
    with pytest.raises(SpaceError):
        kl(one(torch.zeros(6)), other(torch.zeros(6)))
