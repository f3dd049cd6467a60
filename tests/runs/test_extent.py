"""How much is looked at: enough states, and never more bytes than allowed."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from understudy.runs.extent import MOST_BYTES, MOST_STATES, Extent

NUMBERS = spaces.Box(-1, 1, (4,), np.float32)
PICTURES = spaces.Box(0, 255, (84, 84, 4), np.uint8)
LONG = [400] * 3 + [40_000] * 17


@pytest.mark.parametrize(
    ("lengths", "space", "most", "expected"),
    [
        ([500] * 100, NUMBERS, 20, (8, 8)),  # 4,000 states
        ([20] * 100, NUMBERS, 20, (20, 20)),  # no more than allowed
        ([20] * 100, NUMBERS, 60, (60, 60)),
        ([1000] * 100, PICTURES, 20, (4, 4)),
        ([2000] * 100, PICTURES, 20, (2, 4)),  # 4,755 pictures fit
        ([30_000] * 100, PICTURES, 20, (1, 4)),
        (LONG, NUMBERS, 20, (3, 4)),  # the fourth would hold room for 40,000 steps of all
        ([9] * 2, NUMBERS, 2, (2, 2)),
    ],
)
def test_as_many_episodes_as_give_enough_states_and_fit(
    lengths: list[int], space: spaces.Box, most: int, expected: tuple[int, int]
) -> None:
    found = Extent.of(np.array(lengths), space, most)
    assert (found.episodes, found.wanted) == expected


@pytest.mark.parametrize("length", [1, 700, 5_000, 100_000])
@pytest.mark.parametrize(
    "space", [NUMBERS, PICTURES, spaces.Dict(a=PICTURES, b=NUMBERS), spaces.Box(0, 1, (9999, 9999, 3), np.float32)]
)
def test_what_is_kept_never_takes_more_than_is_allowed(length: int, space: spaces.Space[object]) -> None:
    found = Extent.of([length] * 50, space, 20)
    parts = space.values() if isinstance(space, spaces.Dict) else [space]
    size = sum(int(np.prod(part.shape)) * np.dtype(part.dtype).itemsize for part in parts)  # type: ignore[arg-type]
    states = found.episodes * found.steps
    assert states == 1 or (states <= MOST_STATES and states * size <= MOST_BYTES)
    assert states >= min(length, 0.8 * min(MOST_STATES, MOST_BYTES // size))
