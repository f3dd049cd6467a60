"""Adam on one flat vector, against PyTorch's own."""

import copy

import pytest
import torch
from torch import nn

from understudy.engines.optimiser import MANY, FlatAdam


def network(seed=0, width=7):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, 3))


def batches(count):
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(9, 5, generator=generator), torch.randn(9, 3, generator=generator)) for _ in range(count)]


def loss(net, batch, size=1.0):
    return size * (net(batch[0]) - batch[1]).square().mean()


@pytest.mark.parametrize("clip", [0.0, 0.3])
@pytest.mark.parametrize("width", [7, 20_000])  # with few parameters and with many
def test_it_steps_like_pytorchs_adam(clip, width):
    mine, theirs = network(width=width), network(width=width)
    many = sum(p.numel() for p in mine.parameters()) > MANY
    assert many == (width == 20_000)
    flat, adam = FlatAdam(mine.parameters(), 0.02, clip), torch.optim.Adam(theirs.parameters(), 0.02)
    for k, batch in enumerate(batches(12)):
        adam.param_groups[0]["lr"] = flat.learning_rate = 0.02 / (1 + k)
        flat.step(loss(mine, batch, 3.0))
        adam.zero_grad()
        loss(theirs, batch, 3.0).backward()
        if clip:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        adam.step()
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, atol=1e-6, rtol=0)


def test_with_many_parameters_it_goes_on_from_its_state_to_the_same_bits():
    whole, part = network(width=20_000), network(width=20_000)
    one, other = FlatAdam(whole.parameters(), 0.02), FlatAdam(part.parameters(), 0.02)
    for batch in batches(6)[:3]:
        one.step(loss(whole, batch))
        other.step(loss(part, batch))
    again = network(width=20_000)
    again.load_state_dict(part.state_dict())
    third = FlatAdam(again.parameters(), 0.02)
    third.restore(other.state())
    for batch in batches(6)[3:]:
        one.step(loss(whole, batch))
        third.step(loss(again, batch))
    assert torch.equal(one.flat, third.flat)


def test_a_long_gradient_is_cut_to_the_clip_and_a_short_one_is_left():
    for size, expected in ((100.0, 0.3), (1e-3, None)):
        net = network()
        plain = copy.deepcopy(net)
        loss(plain, batches(1)[0], size).backward()
        own = torch.cat([p.grad.reshape(-1) for p in plain.parameters()]).norm()
        flat = FlatAdam(net.parameters(), 0.01, clip=0.3)
        flat.step(loss(net, batches(1)[0], size))
        torch.testing.assert_close(flat.grad.norm(), torch.tensor(expected) if expected else own, rtol=1e-4, atol=1e-7)


def test_the_average_is_plain_until_its_window_is_full_and_then_decays():
    net = network()
    flat = FlatAdam(net.parameters(), 0.1, average=0.75)
    mean, seen = None, []
    for k, batch in enumerate(batches(8), 1):
        flat.step(loss(net, batch))
        seen.append(flat.flat.clone())
        mean = torch.stack(seen).mean(0) if k <= 4 else 0.75 * mean + 0.25 * seen[-1]
        torch.testing.assert_close(flat.mean, mean, atol=1e-6, rtol=1e-5)


def test_swapping_shows_the_average_and_twice_is_identity():
    net = network()
    flat = FlatAdam(net.parameters(), 0.1, average=0.9)
    for batch in batches(5):
        flat.step(loss(net, batch))
    before, mean = [p.clone() for p in net.parameters()], flat.mean.clone()
    flat.swap()
    assert torch.equal(torch.cat([p.reshape(-1) for p in net.parameters()]), mean)
    flat.swap()
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))
    assert torch.equal(flat.mean, mean)


def test_without_an_average_swapping_changes_nothing():
    net = network()
    flat = FlatAdam(net.parameters(), 0.1)
    flat.step(loss(net, batches(1)[0]))
    before = flat.flat.clone()
    flat.swap()
    assert torch.equal(flat.flat, before)


def test_parameters_stay_views_of_the_flat_vector():
    net = network()
    flat = FlatAdam(net.parameters(), 0.1, average=0.9)
    for batch in batches(2):
        flat.step(loss(net, batch))
    net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()})
    flat.swap()
    flat.swap()
    assert torch.equal(flat.flat, torch.cat([p.detach().reshape(-1) for p in net.parameters()]))
    for p in net.parameters():
        assert p.untyped_storage().data_ptr() == flat.flat.untyped_storage().data_ptr()
        assert p.grad.untyped_storage().data_ptr() == flat.grad.untyped_storage().data_ptr()


def test_frozen_parameters_are_left_alone():
    net = network()
    net[0].weight.requires_grad_(False)
    before = net[0].weight.clone()
    flat = FlatAdam(net.parameters(), 0.1)
    flat.step(loss(net, batches(1)[0]))
    assert torch.equal(net[0].weight, before)
    assert flat.flat.numel() == 7 + 7 * 3 + 3
