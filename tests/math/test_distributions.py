"""Each family against torch.distributions, and its sampler against its own probabilities."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import distributions as td

from understudy.math.distributions import Family

FAMILIES = [
    Family("categorical", (4,)),
    Family("multi-categorical", (3, 2, 4)),
    Family("bernoulli", (3,)),
    Family("gaussian", (3,)),
    Family("squashed-gaussian", (2,)),
]
NATURAL = [family for family in FAMILIES if family.kind != "squashed-gaussian"]


def flats(family, rows=50, seed=0, scale=1.5):
    generator = torch.Generator().manual_seed(seed)
    flat = scale * torch.randn(rows, family.parameters, generator=generator, dtype=torch.float64)
    if family.continuous:
        flat[:, family.sizes[0] :] *= 0.5
    return flat


def references(family, flat):
    """torch.distributions' own, one a part; their results are summed."""
    if family.kind == "categorical":
        return [td.Categorical(logits=flat)]
    if family.kind == "multi-categorical":
        return [td.Categorical(logits=piece) for piece in flat.split(family.sizes, -1)]
    if family.kind == "bernoulli":
        return [td.Independent(td.Bernoulli(logits=flat), 1)]
    mean, log_std = flat.chunk(2, -1)
    return [td.Independent(td.Normal(mean, log_std.exp()), 1)]


def parts_of(family, action):
    return action.unbind(-1) if family.kind == "multi-categorical" else [action]


@pytest.mark.parametrize("family", NATURAL, ids=str)
def test_log_prob_is_torchs(family):
    flat = flats(family)
    theirs = references(family, flat)
    samples = [reference.sample() for reference in theirs]
    action = torch.stack(samples, -1) if family.kind == "multi-categorical" else samples[0]
    expected = sum(r.log_prob(part) for r, part in zip(theirs, parts_of(family, action), strict=True))
    torch.testing.assert_close(family(flat).log_prob(action), expected)


@pytest.mark.parametrize("family", NATURAL, ids=str)
def test_entropy_is_torchs(family):
    flat = flats(family)
    torch.testing.assert_close(family(flat).entropy(), sum(r.entropy() for r in references(family, flat)))


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_the_mode_has_the_greatest_probability_before_squashing(family):
    flat = flats(family)
    mode = family(flat).mode()
    np.testing.assert_array_equal(family.mode(flat.numpy()), mode)
    unsquashed = Family("gaussian", family.sizes) if family.kind == "squashed-gaussian" else family
    drawn = unsquashed(flat[None].expand(200, -1, -1))
    samples = np.stack([unsquashed.sample(flat.numpy(), np.random.default_rng(k)) for k in range(200)])
    assert (unsquashed(flat).log_prob(mode) >= drawn.log_prob(torch.as_tensor(samples)) - 1e-12).all()


def test_a_squashed_gaussian_has_the_density_of_a_transformed_one():
    family = FAMILIES[-1]
    flat = flats(family)
    mean, log_std = flat.chunk(2, -1)
    theirs = td.TransformedDistribution(td.Normal(mean, log_std.exp()), [td.TanhTransform(cache_size=1)])
    squashed = theirs.rsample()
    raw = theirs.transforms[0].inv(squashed)
    torch.testing.assert_close(family(flat).log_prob(raw), theirs.log_prob(squashed).sum(-1))


def test_a_squashed_density_stays_finite_far_beyond_where_tanh_is_one():
    family = Family("squashed-gaussian", (1,))
    density = family(torch.tensor([[30.0, 0.0]])).log_prob(torch.tensor([[30.0]]))
    exact = -0.5 * math.log(2 * math.pi) - 2 * (math.log(2) - 30.0)
    assert density.item() == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (1.5, -1.0), (-3.0, 0.5), (0.3, 1.0), (0.0, -3.0)])
def test_a_squashed_entropy_is_the_monte_carlo_estimate(mean, log_std):
    family = Family("squashed-gaussian", (1,))
    distribution = family(torch.tensor([[mean, log_std]], dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    u = mean + math.exp(log_std) * torch.randn(200_000, 1, generator=generator, dtype=torch.float64)
    surprise = -distribution.log_prob(u)
    error = surprise.std().item() / math.sqrt(len(u))
    assert abs(distribution.entropy().item() - surprise.mean().item()) < 5 * error


@pytest.mark.parametrize("log_std", [-5.0, -1.0, 0.0, 0.7, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("mean", [0.0, 1.0, -4.0])
def test_a_squashed_entropy_is_the_integral(mean, log_std):
    """Against a fine midpoint rule: an error of the quadrature would be a bias of SAC's entropy."""
    std = math.exp(log_std)
    u = mean + std * np.linspace(-9, 9, 400_001)
    density = np.exp(-0.5 * ((u - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))
    slope = 2 * (math.log(2) - u - np.logaddexp(0, -2 * u))
    exact = 0.5 * math.log(2 * math.pi * math.e) + log_std + (density * slope).sum() * (u[1] - u[0])
    flat = torch.tensor([mean, log_std], dtype=torch.float64)
    assert Family("squashed-gaussian", (1,))(flat).entropy().item() == pytest.approx(exact, abs=1e-2)


def test_a_categorical_sampler_draws_its_own_probabilities():
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    n = 40_000
    drawn = Family("categorical", (4,)).sample(np.tile(logits, (n, 1)), np.random.default_rng(1))
    expected = n * np.exp(logits)
    chi_square = ((np.bincount(drawn, minlength=4) - expected) ** 2 / expected).sum()
    assert chi_square < 16.3  # 3 degrees of freedom: exceeded once in a thousand


def test_a_multi_categorical_sampler_draws_its_parts_independently():
    family = Family("multi-categorical", (2, 3))
    p, q = np.array([0.7, 0.3]), np.array([0.2, 0.3, 0.5])
    n = 40_000
    flat = np.tile(np.log(np.concatenate([p, q])).astype(np.float32), (n, 1))
    drawn = family.sample(flat, np.random.default_rng(2))
    counts = np.zeros((2, 3))
    np.add.at(counts, (drawn[:, 0], drawn[:, 1]), 1)
    expected = n * np.outer(p, q)
    assert ((counts - expected) ** 2 / expected).sum() < 20.5  # 5 degrees of freedom: once in a thousand


def test_a_bernoulli_sampler_draws_its_own_probabilities_without_overflow():
    flat = np.tile(np.array([1.0, -0.5, 200.0, -200.0], dtype=np.float32), (40_000, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = Family("bernoulli", (4,)).sample(flat, np.random.default_rng(3))
    p = 1 / (1 + np.exp(-flat[0, :2].astype(np.float64)))
    assert (np.abs(drawn.mean(0)[:2] - p) < 4 * np.sqrt(p * (1 - p) / 40_000)).all()
    assert drawn[:, 2].all()
    assert not drawn[:, 3].any()


@pytest.mark.parametrize("kind", ["gaussian", "squashed-gaussian"])
def test_a_gaussian_sampler_has_its_own_moments(kind):
    flat = np.tile(np.array([1.0, -2.0, 0.5, -1.0], dtype=np.float32), (40_000, 1))
    drawn = Family(kind, (2,)).sample(flat, np.random.default_rng(4))
    std = np.exp(flat[0, 2:])
    assert drawn.dtype == np.float32
    assert (np.abs(drawn.mean(0) - flat[0, :2]) < 4 * std / 200).all()
    np.testing.assert_allclose(drawn.std(0), std, rtol=0.02)


def test_an_impossible_action_is_never_drawn():
    logits = np.tile(np.array([-np.inf, 0.0, -np.inf], dtype=np.float32), (20_000, 1))
    assert (Family("categorical", (3,)).sample(logits, np.random.default_rng(5)) == 1).all()


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_the_same_generator_draws_the_same_actions_of_the_declared_shape(family):
    flat = flats(family).numpy().astype(np.float32)
    one, two = (family.sample(flat, np.random.default_rng(6)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (len(flat), *family.action_shape)
    assert torch.as_tensor(one).dtype == family.action_dtype


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_leading_dimensions_are_kept(family):
    flat = flats(family, rows=6)
    shaped = family(flat.reshape(2, 3, -1))
    torch.testing.assert_close(shaped.entropy().reshape(6), family(flat).entropy())
    assert shaped.mode().shape == (2, 3, *family.action_shape)


@pytest.mark.parametrize(
    ("kind", "sizes", "message"),
    [
        ("gausian", (2,), "kind must be one of .*, got 'gausian'"),
        ("gaussian", (2, 3), r"gaussian takes one size, got \(2, 3\)"),
        ("categorical", (), r"sizes must be positive, got \(\)"),
        ("categorical", (0,), r"sizes must be positive, got \(0,\)"),
    ],
)
def test_a_family_that_cannot_be_is_refused(kind, sizes, message):
    with pytest.raises(ValueError, match=message):
        Family(kind, sizes)


def test_parameters_of_another_length_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match=r"gaussian\(3\) has 6 parameters, got a tensor of shape \(5, 4\)"):
        Family("gaussian", (3,))(torch.zeros(5, 4))
