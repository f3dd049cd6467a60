"""Networks from spaces: inputs by hand, memories against PyTorch's own cells."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from understudy.engines.optimiser import FlatAdam
from understudy.errors import SpaceError
from understudy.policies.network import Network, Standardiser, VectorInput, count, is_image, seeded, value_spec
from understudy.policies.policy import tensors
from understudy.policies.spec import parse

FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)
LAST, FIRST = spaces.Box(0, 255, (12, 14, 3), np.uint8), spaces.Box(0, 255, (3, 12, 14), np.uint8)
LARGE = spaces.Box(0, 255, (84, 84, 4), np.uint8)
SPACES = {
    "flat": FLAT,
    "matrix": spaces.Box(-1, 1, (2, 3), np.float64),
    "scalar": spaces.Box(-1, 1, (), np.float32),
    "bytes": spaces.Box(0, 255, (5,), np.uint8),
    "discrete": spaces.Discrete(5, start=2),
    "multi-discrete": spaces.MultiDiscrete([2, 3]),
    "multi-binary": spaces.MultiBinary(4),
    "picture, channels last": LAST,
    "picture, channels first": FIRST,
    "large picture": LARGE,
    "dict": spaces.Dict({"picture": LAST, "flat": FLAT, "number": spaces.Discrete(3)}),
}
SPECS = ["linear", "mlp:8", "mlp:8,8:silu:layernorm", "cnn:small", "cnn:nature", "gru:8", "lstm:8"]


def samples(space, *lead, seed=0):
    """``[*lead, ...]``, as an environment gives them."""
    space.seed(seed)
    drawn = [space.sample() for _ in range(int(np.prod(lead)))]
    if isinstance(space, spaces.Dict):
        return {k: np.stack([d[k] for d in drawn]).reshape(*lead, *space[k].shape) for k in space}
    return np.stack(drawn).reshape(*lead, *space.shape)


def fits(spec, space):
    """Convolutions need a picture, and nature's a large one."""
    parts = space.values() if isinstance(space, spaces.Dict) else [space]
    pictures = [part for part in parts if is_image(part)]
    if spec == "cnn:nature":
        return space is LARGE
    return bool(pictures) or spec != "cnn:small"


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", SPACES)
def test_every_description_is_built_on_every_space_that_it_fits(name, spec):
    space = SPACES[name]
    if not fits(spec, space):
        with pytest.raises(SpaceError, match=r"mlp:64,64"):
            Network(space, parse(spec), 3)
        return
    network = seeded(0, Network, space, parse(spec), 3)
    network.fit_inputs(tensors(samples(space, 20)))
    window = tensors(samples(space, 2, 5))
    out, memory = network(window)
    assert out.shape == (2, 5, 3)
    assert torch.isfinite(out).all()
    assert (memory is None) == (network.memory_size == 0)
    if not network.memory_size:
        one = {k: v[1, 2] for k, v in window.items()} if isinstance(window, dict) else window[1, 2]
        torch.testing.assert_close(network(one)[0], out[1, 2], atol=1e-5, rtol=1e-4)
    out.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_both_layouts_of_a_picture_are_seen_alike():
    last, first = (seeded(0, Network, space, parse("cnn:small"), 3) for space in (LAST, FIRST))
    first.load_state_dict(last.state_dict())
    picture = torch.tensor(samples(LAST, 4))
    torch.testing.assert_close(last(picture)[0], first(picture.permute(0, 3, 1, 2))[0])


@pytest.mark.parametrize("shape", [(10, 10, 4), (9, 11, 2), (12, 14, 3), (8, 8, 1)])
def test_every_cell_of_a_board_is_seen(shape):
    network = seeded(0, Network, spaces.Box(0, 1, shape, np.float32), parse("cnn:small"), 3)
    board = torch.rand(8, *shape, requires_grad=True)
    network(board)[0].square().sum().backward()
    assert board.grad is not None
    assert bool((board.grad.abs().sum(0) > 0).all())


def test_bytes_of_a_picture_are_divided_by_255():
    network = seeded(0, Network, LAST, parse("cnn:small"), 3)
    unit = seeded(0, Network, spaces.Box(0, 1, (12, 14, 3), np.float32), parse("cnn:small"), 3)
    picture = torch.tensor(samples(LAST, 4))
    torch.testing.assert_close(network(picture)[0], unit(picture / 255)[0])


def test_numbers_without_order_are_one_hot():
    assert VectorInput(SPACES["discrete"])(torch.tensor([2, 6])).tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    assert VectorInput(SPACES["multi-discrete"])(torch.tensor([[1, 0]])).tolist() == [[0, 1, 1, 0, 0]]
    assert VectorInput(SPACES["multi-binary"])(torch.tensor([[1, 0, 1, 1]])).tolist() == [[1, 0, 1, 1]]
    shifted = spaces.MultiDiscrete([2, 3], start=[5, 1])
    assert VectorInput(shifted)(torch.tensor([[6, 1]])).tolist() == [[0, 1, 1, 0, 0]]


def test_a_standardiser_shifts_and_scales_but_never_magnifies_what_hardly_varies():
    standardise = Standardiser(3)
    standardise.fit(torch.tensor([[1.0, 5.0, 7.0], [3.0, 5.0, 7.00001]]))
    found = standardise(torch.tensor([[4.0, 6.0, 8.0], [1.0, 4.0, 7.0]]))
    expected = torch.tensor([[2.0, 1.0, 1.0], [-1.0, -1.0, 0.0]])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert set(standardise.state_dict()) == {"mean", "scale"}
    assert not list(standardise.parameters())


def by_hand(network, x, start):
    """PyTorch's own cell, step by step and copy by copy, from zeros wherever an episode starts."""
    memory, width = network.memory, network.spec.widths[0]
    lstm = isinstance(memory, nn.LSTM)
    cell = (nn.LSTMCell if lstm else nn.GRUCell)(memory.input_size, width)
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in memory.state_dict().items()})
    features = network.features(x)
    out = torch.zeros(*x.shape[:2], network.layers[-1].out_features)
    for n in range(x.shape[1]):
        h, c = torch.zeros(1, width), torch.zeros(1, width)
        for t in range(x.shape[0]):
            if start[t, n]:
                h, c = torch.zeros(1, width), torch.zeros(1, width)
            h, c = cell(features[t, n][None], (h, c)) if lstm else (cell(features[t, n][None], h), c)
            out[t, n] = network.layers(h)[0]
    return out


@pytest.fixture(params=["gru:6", "lstm:6"])
def recurrent(request):
    network = seeded(3, Network, FLAT, parse(request.param), 3)
    x = torch.randn(9, 4, 4, generator=torch.Generator().manual_seed(0))
    start = torch.rand(9, 4, generator=torch.Generator().manual_seed(1)) < 0.25
    return network, x, start


def test_a_window_is_unrolled_as_pytorchs_cell_would(recurrent):
    network, x, start = recurrent
    assert start.any()
    with torch.no_grad():
        torch.testing.assert_close(network(x, None, start)[0], by_hand(network, x, start), atol=1e-6, rtol=1e-5)
        none = torch.zeros_like(start)
        torch.testing.assert_close(network(x)[0], by_hand(network, x, none), atol=1e-6, rtol=1e-5)


def test_a_whole_window_is_the_same_as_step_by_step_with_the_memory_carried(recurrent):
    network, x, start = recurrent
    with torch.no_grad():
        whole, last = network(x, None, start)
        memory, steps = None, []
        for t in range(len(x)):
            out, memory = network(x[t : t + 1], memory, start[t : t + 1])
            steps.append(out)
        torch.testing.assert_close(torch.cat(steps), whole, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(memory, last, atol=1e-6, rtol=1e-5)
        first, middle = network(x[:4], None, start[:4])
        second, _ = network(x[4:], middle, start[4:])
        torch.testing.assert_close(torch.cat([first, second]), whole, atol=1e-6, rtol=1e-5)
    assert memory.shape == (4, network.memory_size)


def test_gradients_flow_back_through_time_to_the_start_of_the_episode_and_no_further(recurrent):
    network, x, _ = recurrent
    x = x.requires_grad_()
    start = torch.zeros(9, 4, dtype=torch.bool)
    start[5, 1] = True
    (grad,) = torch.autograd.grad(network(x, None, start)[0][8].sum(), x)
    assert (grad[:, [0, 2, 3]].abs().sum(-1) > 0).all()
    assert (grad[5:, 1].abs().sum(-1) > 0).all()
    assert not grad[:5, 1].any()


def test_recurrent_weights_learn(recurrent):
    network, x, start = recurrent
    before = {k: v.clone() for k, v in network.memory.state_dict().items()}
    optimiser = FlatAdam(network.parameters(), 0.01)
    assert len(optimiser.flat) == count(network.parameters())
    optimiser.step(network(x, None, start)[0].square().mean())
    for name, after in network.memory.state_dict().items():
        assert not torch.equal(after, before[name]), name


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one = seeded(5, Network, FLAT, parse("mlp:8"), 2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    two, other = (seeded(seed, Network, FLAT, parse("mlp:8"), 2) for seed in (5, 6))
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)
    assert not torch.equal(one.layers[0].weight, other.layers[0].weight)


def test_a_value_network_sees_single_observations_and_bends():
    assert [str(value_spec(parse(text))) for text in ("linear", "gru:8", "mlp:8:relu", "cnn:small")] == [
        "mlp:64,64",
        "mlp:64,64",
        "mlp:8:relu",
        "cnn:small",
    ]
