"""Spaces as old and new files hold them."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from understudy.errors import TeacherError
from understudy.policies.sb3_observation import accepts
from understudy.policies.sb3_pickle import Record, _record_class, read_pickle
from understudy.policies.sb3_spaces import space_of

SPACES = [
    spaces.Box(-1, 1, (2, 3)),
    spaces.Box(np.array([-np.inf, 0]), np.array([1, np.inf]), dtype=np.float64),
    spaces.Box(0, 255, (3, 8, 8), np.uint8),
    spaces.Discrete(4),
    spaces.Discrete(4, start=2),
    spaces.MultiDiscrete([2, 5]),
    spaces.MultiBinary(3),
    spaces.MultiBinary([2, 3]),
    spaces.Dict(OrderedDict([("z", spaces.Box(0, 1, (2,))), ("a", spaces.Discrete(3))])),
]


def old(name: str, **state: Any) -> Record:
    """A record of gym's class, as its pickle leaves it."""
    record = _record_class(f"gym.spaces.{name.lower()}", name)()
    record.__setstate__(state)
    return record


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_space_comes_back_as_it_was(space: spaces.Space, protocol: int) -> None:
    space.seed(1)  # a generator goes into the pickle
    found = space_of(read_pickle(pickle.dumps(space, protocol), "x"), "x")
    assert found == space
    assert found.dtype == space.dtype
    if isinstance(space, spaces.Dict):
        assert list(found) == ["z", "a"]


def test_spaces_of_gym_become_those_of_gymnasium() -> None:
    low, high = np.array([-1, -2], np.float32), np.array([1, np.inf], np.float32)
    for shape in ("shape", "_shape"):
        box = old("Box", dtype=np.dtype("float32"), low=low, high=high, **{shape: (2,)})
        assert space_of(box, "x") == spaces.Box(low, high)
    assert space_of(old("Discrete", n=3, shape=(), dtype=np.dtype("int64")), "x") == spaces.Discrete(3)
    assert space_of(old("MultiDiscrete", nvec=np.array([2, 3])), "x") == spaces.MultiDiscrete([2, 3])
    assert space_of(old("MultiBinary", n=4), "x") == spaces.MultiBinary(4)
    both = old("Dict", spaces=OrderedDict(b=old("Discrete", n=3), a=old("MultiBinary", n=4)))
    assert list(space_of(both, "x").spaces) == ["b", "a"]


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (old("Tuple", spaces=()), "gym.spaces.tuple.Tuple"),
        (old("Discrete"), "incomplete"),
        (old("Box", dtype=np.dtype("float32"), low=np.zeros(2), high=np.ones(3), shape=(2,)), "incomplete"),
        ([1, 2], "list"),
    ],
)
def test_a_thing_that_is_no_space_is_refused_with_its_kind(thing: Any, message: str) -> None:
    with pytest.raises(TeacherError, match=rf"the file.*{message}"):
        space_of(thing, "the file")


def test_shapes_decide_what_an_agent_accepts_and_bounds_do_not() -> None:
    assert accepts(spaces.Box(-1, 1, (3,)), spaces.Box(-5, 5, (3,), np.float64))
    assert accepts(spaces.Box(0, 255, (3, 8, 9), np.uint8), spaces.Box(0, 255, (8, 9, 3), np.uint8))
    assert not accepts(spaces.Box(0, 255, (3, 8, 9), np.uint8), spaces.Box(0, 255, (9, 8, 3), np.uint8))
    assert not accepts(spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (4,)))
    assert not accepts(spaces.Discrete(3), spaces.Discrete(4))
    assert not accepts(spaces.Dict(a=spaces.Discrete(3)), spaces.Dict(b=spaces.Discrete(3)))
    assert accepts(spaces.Dict(a=spaces.Discrete(3)), spaces.Dict(a=spaces.Discrete(3), b=spaces.Discrete(3)))
