"""The store of windows: what is kept, what makes room, and how minibatches come out of it."""

import pytest
import torch

from understudy.engines.store import GATHERED, Store
from understudy.errors import ConfigurationError


def numbers(first, count, length=1):
    """Windows whose every entry is the window's number, with a memory that is ten times it."""
    x = torch.arange(first, first + count, dtype=torch.float32)
    return {"x": x[:, None, None].expand(count, length, 2).clone(), "memory": 10 * x[:, None].expand(count, 3).clone()}


def held(store):
    return sorted(store.columns["x"][: len(store), 0, 0].tolist())


def test_it_keeps_everything_until_it_is_full_and_then_the_newest():
    store = Store(10, 1, "cpu")
    for first in range(0, 8, 4):
        store.add(numbers(first, 4))
    assert (len(store), held(store)) == (8, [*range(8)])
    store.add(numbers(8, 4))
    assert (len(store), held(store)) == (10, [*range(2, 12)])
    for first in range(12, 60, 4):
        store.add(numbers(first, 4))
        assert held(store) == [*range(first - 6, first + 4)]


def test_all_columns_of_a_row_stay_together_as_it_wraps_around():
    store = Store(7, 1, "cpu")
    for first in range(0, 30, 3):
        store.add(numbers(first, 3))
    assert torch.equal(store.columns["memory"][:, 0], 10 * store.columns["x"][:, 0, 0])


def test_it_takes_memory_as_it_grows():
    store = Store(1_000_000, 1, "cpu")
    rooms = []
    for first in range(0, 6000, 500):
        store.add(numbers(first, 500))
        rooms.append(len(store.columns["x"]))
    assert held(store) == [*range(6000)]
    assert rooms[0] <= 1024
    assert rooms[-1] < 20_000


def test_a_collection_that_is_larger_than_the_store_is_refused():
    store = Store(10, 1, "cpu")
    with pytest.raises(ConfigurationError, match=r"holds 10 steps, fewer than one collection of 11; raise --store"):
        store.add(numbers(0, 11))


def test_its_capacity_is_told_in_steps_whatever_the_length_of_a_window():
    store = Store(40, 4, "cpu")
    store.add(numbers(0, 8, 4))
    store.add(numbers(8, 8, 4))
    assert held(store) == [*range(6, 16)]


def test_draws_are_of_what_is_there():
    store = Store(100, 1, "cpu")
    store.add(numbers(5, 20))
    drawn = [batch["x"] for batch in store.draws(30, 16, torch.Generator().manual_seed(0))]
    assert {tuple(x.shape) for x in drawn} == {(16, 2)}
    assert len(drawn) == 30
    assert set(torch.cat(drawn)[:, 0].tolist()) == set(range(5, 25))


def test_large_minibatches_are_gathered_one_by_one_and_none_is_lost():
    store = Store(100, 1, "cpu")
    store.add(numbers(0, 100))
    drawn = list(store.draws(3, GATHERED, torch.Generator().manual_seed(0)))
    assert [len(batch["x"]) for batch in drawn] == [GATHERED] * 3


def test_windows_come_out_time_first_with_the_memory_before_them():
    store = Store(100, 3, "cpu")
    windows = numbers(0, 6, 3)
    windows["x"][..., 1] = torch.arange(3.0)
    store.add(windows)
    for batch in (next(store.draws(1, 4, torch.Generator().manual_seed(0))), store.take(torch.tensor([5, 1, 1, 0]))):
        assert batch["x"].shape == (3, 4, 2)
        assert torch.equal(batch["x"][..., 1], torch.arange(3.0)[:, None].expand(3, 4))
        assert torch.equal(batch["memory"][:, 0], 10 * batch["x"][0, :, 0])
    assert batch["x"][0, :, 0].tolist() == [5, 1, 1, 0]


@pytest.mark.parametrize("batch", [1, 7, 32, 1000])
def test_a_pass_covers_every_window_once(batch):
    store = Store(200, 1, "cpu")
    store.add(numbers(0, 100))
    pieces = store.passes(batch, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(pieces).tolist()) == [*range(100)]
    assert max(map(len, pieces)) < 2 * min(batch, 100)


def test_cleared_it_holds_nothing_old():
    store = Store(100, 1, "cpu")
    store.add(numbers(0, 50))
    store.clear()
    store.add(numbers(50, 10))
    assert held(store) == [*range(50, 60)]


def test_the_same_generator_draws_the_same():
    store = Store(100, 1, "cpu")
    store.add(numbers(0, 50))
    one, two = (list(store.draws(4, 8, torch.Generator().manual_seed(3))) for _ in range(2))
    assert all(torch.equal(a["x"], b["x"]) for a, b in zip(one, two, strict=True))
