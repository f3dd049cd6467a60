"""The replay store: transitions of N copies in order, one lane of observations each, so that a next state is a row on.

A row is one observation, or the newest frame of one where observations are stacks of frames: a stack is put together
when it is read, from rows of its own episode. So the first frames of an episode's first stack are rows of their own,
from which nothing is played, and so is what was seen after a truncation. Nothing else is stored twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.engines.objective import observation_of
from understudy.engines.store import Columns, unsettled
from understudy.envs.rollout import Window
from understudy.envs.simulator import take
from understudy.errors import ConfigurationError, RunError
from understudy.policies.network import Network
from understudy.policies.policy import Observation

GOES_ON, TERMINATED, TRUNCATED, BROKEN_OFF = range(4)
"""How a row's step ended. Broken off: what came after it was never seen."""
GATHERED = 8 << 20  # bytes of observations gathered in one call; larger blocks are fetched from the system each time
YOUNG = 64  # rows of a copy, below which it may be that none has a successor yet


class Replay:
    """The last ``capacity`` rows, the same share for each copy; minibatches of n-step transitions from them.

    ``frames``: how many an observation stacks along its first axis (``last_axis``: along its last), 1 for none.
    ``n_step`` 0: states and the teacher's answers alone are drawn.
    """

    def __init__(
        self,
        capacity: int,
        copies: int,
        *,
        n_step: int = 1,
        gamma: float = 0.99,
        frames: int = 1,
        last_axis: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.room = max(capacity // copies, 2 * (n_step + frames + 1))
        self.copies, self.n_step, self.gamma, self.frames, self.last_axis = copies, n_step, gamma, frames, last_axis
        self.device = device
        self.columns: Columns = {}
        self.cursor = np.zeros(copies, np.int64)
        self.filled = np.zeros(copies, np.int64)
        self.kept = True

    def __len__(self) -> int:
        return int(self.filled.sum())

    # Writing

    def add(self, columns: Columns) -> None:
        """Add what :func:`rows_of` made of a window: rows in order of copy and time, ``copy [K]`` among them."""
        owner = columns["copy"].numpy()
        counts = np.bincount(owner, minlength=self.copies)
        if counts.max(initial=0) > self.room:
            raise ConfigurationError(
                f"the store holds {self.room * self.copies} steps, fewer than one collection; raise --store"
            )
        self._allocate(columns)
        rank = np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]
        self._close(columns["first"].numpy()[rank == 0], owner[rank == 0])
        place = torch.as_tensor(owner * self.room + (self.cursor[owner] + rank) % self.room)
        for name, held in self.columns.items():
            held[place] = columns[name]
        self.cursor = (self.cursor + counts) % self.room
        self.filled = np.minimum(self.filled + counts, self.room)

    def _allocate(self, columns: Columns) -> None:
        if self.columns:
            return
        size = self.room * self.copies
        names = [name for name in columns if name not in ("copy", "first")]
        check_memory(size * sum(columns[name][0].numel() * columns[name].element_size() for name in names))
        self.columns = {
            name: torch.zeros((size, *columns[name].shape[1:]), dtype=columns[name].dtype) for name in names
        }

    def _close(self, first: np.ndarray, owner: np.ndarray) -> None:
        """An episode that goes on no further because another begins: what followed its last step was not seen."""
        begun = owner[first & (self.filled[owner] > 0)]
        last = torch.as_tensor(begun * self.room + (self.cursor[begun] - 1) % self.room)
        open_ended = (self.columns["end"][last] == GOES_ON) & self.columns["playable"][last]
        self.columns["end"][last[open_ended]] = BROKEN_OFF

    # Reading

    def draws(self, count: int, batch: int, generator: torch.Generator) -> Iterator[Columns]:
        """``count`` minibatches of ``batch`` transitions at random, with replacement; several are gathered at once.

        None while nothing can be learned from yet, as of single steps whose next ones are not seen.
        """
        if not self._ready():
            return
        size = sum(
            c[0].numel() * c.element_size() for name, c in self.columns.items() if name.startswith("observation")
        )
        together = max(1, min(count, GATHERED // max(1, batch * size * self.frames)))
        for begin in range(0, count, together):
            number = min(together, count - begin)
            rows = self._rows(number * batch, generator)
            picked = self._transitions(rows)
            for k in range(number):
                yield {name: column[k * batch : (k + 1) * batch].to(self.device) for name, column in picked.items()}

    def _ready(self) -> bool:
        """Whether there is anything to learn from; looked up only while the store is young."""
        young = int(self.filled.max()) < min(self.room, YOUNG)
        return not young or len(self._usable(torch.arange(len(self)))) > 0

    def _rows(self, count: int, generator: torch.Generator) -> Tensor:
        """Places of rows that can be learned from, uniformly."""
        found: list[Tensor] = []
        missing = count
        for _ in range(1000):
            ages = torch.randint(int(self.filled.sum()), (missing + missing // 8 + 8,), generator=generator)
            rows = self._usable(ages)[:missing]
            found.append(rows)
            missing -= len(rows)
            if not missing:
                return torch.cat(found)
        raise RunError(
            f"the store holds {len(self)} rows, and next to none that can be learned from: episodes are shorter than "
            f"a stack of {self.frames} frames, or broken off all the time. Raise --collect"
        )

    def _usable(self, numbers: Tensor) -> Tensor:
        """Of rows by number, lane by lane from the oldest: the places of those whose neighbours are there."""
        edges = torch.as_tensor(np.concatenate([[0], np.cumsum(self.filled)]))
        lane = torch.searchsorted(edges, numbers, right=True) - 1
        age, filled = numbers - edges[lane], torch.as_tensor(self.filled)[lane]
        start = torch.as_tensor(self.cursor)[lane] - filled
        place = lane * self.room + (start + age) % self.room
        good = self.columns["playable"][place]
        good &= age >= self.frames - 1  # the frames before it may be overwritten, or never have been seen
        if self.n_step:
            good &= self._reaches(place, age, filled)
        return place[good]

    def _reaches(self, place: Tensor, age: Tensor, filled: Tensor) -> Tensor:
        """Whether the n-step transition from here ends within what was seen."""
        good, going = torch.ones_like(age, dtype=torch.bool), torch.ones_like(age, dtype=torch.bool)
        for k in range(self.n_step):
            here = self._after(place, k)
            end = torch.where(going & (age + k < filled), self.columns["end"][here].long(), BROKEN_OFF)
            good &= ~going | (end != BROKEN_OFF)
            good &= ~going | (end == TERMINATED) | (age + k + 1 < filled)
            going &= end == GOES_ON
        return good

    def _after(self, place: Tensor, steps: int | Tensor) -> Tensor:
        """Places in the same lanes, ``steps`` rows on."""
        lane = torch.div(place, self.room, rounding_mode="floor")
        return lane * self.room + (place - lane * self.room + steps) % self.room

    def _transitions(self, place: Tensor) -> Columns:
        picked = self._observations("observation", place)
        picked |= {name: self.columns[name][place] for name in ("teacher",) if name in self.columns}
        if not self.n_step:
            return picked
        total, discount = torch.zeros(len(place)), torch.ones(len(place))
        steps, terminated = torch.zeros_like(place), torch.zeros(len(place), dtype=torch.bool)
        going = torch.ones(len(place), dtype=torch.bool)
        for k in range(self.n_step):
            here = self._after(place, k)
            total += torch.where(going, discount * self.columns["reward"][here], 0.0)
            discount = torch.where(going, discount * self.gamma, discount)
            steps += going
            end = self.columns["end"][here]
            terminated |= going & (end == TERMINATED)
            going = going & (end == GOES_ON)
        picked |= {"action": self.columns["action"][place], "reward": total}
        picked["discount"] = torch.where(terminated, 0.0, discount)
        after = torch.where(terminated, place, self._after(place, steps))  # after a terminal it counts nothing
        return picked | self._observations("next", after)

    def _observations(self, name: str, place: Tensor) -> Columns:
        """Observations at these places under ``name``, stacks put together."""
        found: Columns = {}
        for key, held in self.columns.items():
            if not key.startswith("observation"):
                continue
            if self.frames == 1:
                found[name + key.removeprefix("observation")] = held.index_select(0, place)
                continue
            back = torch.arange(1 - self.frames, 1)
            rows = self._after(place[:, None], back)
            stack = held.index_select(0, rows.flatten()).view(*rows.shape, *held.shape[1:])
            found[name] = stack.movedim(1, -1) if self.last_axis else stack
        return found

    def everything(self, batch: int) -> Iterator[Columns]:
        """All that can be learned from, once and in order, ``batch`` at a time."""
        if not len(self):
            return
        for rows in torch.split(self._usable(torch.arange(len(self))), batch):
            yield {name: column.to(self.device) for name, column in self._transitions(rows).items()}

    def in_order(self) -> tuple[Columns, Tensor, Tensor, Columns]:
        """All steps that can be read whole, lane by lane in time: their columns, which of them are the last of their
        episode that is there, those of these ``[B]`` whose next observation is there, and these observations."""
        rows = self._usable(torch.arange(len(self)))
        newest = torch.zeros(self.copies * self.room, dtype=torch.bool)
        newest[torch.arange(self.copies) * self.room + torch.as_tensor((self.cursor - 1) % self.room)] = True
        picked = self._observations("observation", rows)
        picked |= {name: self.columns[name][rows] for name in ("action", "reward", "end")}
        seen = ((picked["end"] == TRUNCATED) & ~newest[rows]).nonzero()[:, 0]
        after = self._observations("observation", self._after(rows[seen], 1))
        return picked, (picked["end"] != GOES_ON) | newest[rows], seen, after

    @torch.no_grad()
    def standardise(self, network: Network) -> tuple[Tensor, Tensor] | None:
        """By what the network's standardised features ``[.., D]`` of all that is stored would be standardised again."""
        rows = torch.nonzero(self.columns["playable"])[:, 0]
        held = self._observations("observation", rows)
        seen = observation_of("observation", {name: column.to(self.device) for name, column in held.items()})
        return unsettled(network.features(seen))

    # Surviving

    def state(self) -> dict[str, Any]:
        """Everything, or with ``kept`` False that nothing was kept."""
        if not self.kept:
            return {"kept": False}
        used = int(self.filled.max(initial=0))  # a lane is filled from its beginning until it is full
        lanes = {
            name: column.view(self.copies, self.room, *column.shape[1:])[:, :used]
            for name, column in self.columns.items()
        }
        return {"kept": True, "cursor": self.cursor, "filled": self.filled, "columns": lanes}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from there; empty where nothing was kept."""
        if not state["kept"]:
            return
        self.cursor, self.filled = np.array(state["cursor"]), np.array(state["filled"])
        for name, lanes in state["columns"].items():
            whole = torch.zeros((self.copies, self.room, *lanes.shape[2:]), dtype=lanes.dtype)
            whole[:, : lanes.shape[1]] = lanes
            self.columns[name] = whole.flatten(0, 1)


def rows_of(window: Window, columns: Columns, frames: int, last_axis: bool) -> Columns:
    """A window's rows for :meth:`Replay.add`, in order of copy and time.

    ``columns``: what else each step has, ``[L, N, ...]``.
    """
    steps, copies = window.valid.shape
    if frames > 1:
        check_stacks(window, frames, last_axis)
    t, n = (axis.ravel() for axis in np.mgrid[:steps, :copies])
    own = np.flatnonzero(window.valid.ravel())
    starts = own[window.start.ravel()[own]]
    before, which = np.repeat(starts, frames - 1), np.tile(np.arange(frames - 1), len(starts))
    tail = np.flatnonzero(window.beyond_truncated)
    cut = window.beyond_index[tail]
    # in time: what was seen after an episode's last step, the frames before the next one's first, the step itself
    copy = np.concatenate([n[own], n[before], cut[:, 1]])
    time = np.concatenate([t[own], t[before] - 0.5 + which / (2 * frames), cut[:, 0] + 0.25])
    order = torch.as_tensor(np.lexsort([time, copy]))
    first = np.concatenate([window.start.ravel()[own] & (frames == 1), which == 0, np.zeros(len(tail), bool)])
    out: Columns = {"copy": torch.as_tensor(copy)[order], "first": torch.as_tensor(first)[order]}
    places = tuple(map(torch.as_tensor, (own, before, which, tail)))
    for name, parts in _frames(window, places, frames, last_axis).items():
        out[name] = torch.cat([part.to(parts[0].dtype) for part in parts])[order]
    played = {name: answers.flatten(0, 1)[places[0]] for name, answers in columns.items()}
    played |= {name: torch.as_tensor(values[own]) for name, values in _facts(window).items()}
    blank = len(before) + len(tail)
    for name, values in played.items():
        out[name] = torch.cat([values, values.new_zeros((blank, *values.shape[1:]))])[order]
    return out


def _frames(
    window: Window, places: tuple[Tensor, ...], frames: int, last_axis: bool
) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """What each kind of row holds: the newest frame of steps, the earlier ones of first steps, the last of ends."""
    own, before, which, tail = places
    after, axis = _parts(window.beyond_observation), -1 if last_axis else 1
    found = {}
    for key, seen in _parts(window.observation).items():
        flat, last = torch.as_tensor(seen).flatten(0, 1), torch.as_tensor(after[key])[tail]
        if frames > 1:
            early = flat[before].movedim(axis, 1)[torch.arange(len(before)), which]
            flat, last = flat.select(axis, -1), last.select(axis, -1)
        else:
            early = flat[:0]
        found["observation" + key] = (flat[own], early, last)
    return found


def _facts(window: Window) -> dict[str, np.ndarray]:
    """What was done and what came of it, step by step, ``[L * N, ...]``."""
    end = np.where(window.terminated, TERMINATED, np.where(window.truncated, TRUNCATED, GOES_ON))
    return {
        "action": window.action.reshape(end.size, *window.action.shape[2:]),
        "reward": window.reward.ravel(),
        "end": end.ravel().astype(np.uint8),
        "playable": np.ones(end.size, bool),
    }


def _parts(observation: Observation) -> dict[str, np.ndarray]:
    """As they are; float64 as float32, which is all that a student sees."""
    if isinstance(observation, dict):
        parts = {f"/{key}": part for key, part in observation.items()}
    else:
        parts = {"": observation}
    return {key: part.astype(np.float32) if part.dtype == np.float64 else part for key, part in parts.items()}


def stacked_frames(window: Window, last_axis: bool) -> int:
    """How many frames an observation stacks: all planes where each step's are the last one's moved by one, else 1."""
    seen = window.observation
    if isinstance(seen, dict) or seen.dtype != np.uint8 or seen.ndim != 5:
        return 1
    planes = seen.shape[-1] if last_axis else seen.shape[2]
    if not 1 < planes <= 16:
        return 1
    try:
        check_stacks(window, planes, last_axis)
    except RunError:
        return 1
    moved = np.moveaxis(seen, -1 if last_axis else 2, 0)
    return planes if (moved[0] != moved[-1]).any() else 1


def check_stacks(window: Window, frames: int, last_axis: bool) -> None:
    """RunError unless each observation is the one before, moved by a frame."""
    seen = window.observation
    assert isinstance(seen, np.ndarray)
    going = window.valid[:-1] & window.valid[1:] & ~window.start[1:]
    old, new = seen[:-1][going], seen[1:][going]
    t, n = window.beyond_index[:, 0], window.beyond_index[:, 1]
    last, beyond = seen[t, n], take(window.beyond_observation, slice(None))
    assert isinstance(beyond, np.ndarray)
    for one, other in ((old, new), (last, beyond)):
        moved = (one[..., 1:], other[..., :-1]) if last_axis else (one[:, 1:], other[:, :-1])
        if not np.array_equal(*moved):
            raise RunError(
                f"observations looked like stacks of {frames} frames, and now one is not the last one moved by a "
                "frame. Use --frames 1, which stores them whole"
            )


def memory_available() -> int | None:
    """Bytes that the machine can still give, where it says so."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            facts = dict(line.split(":", 1) for line in file)
        return 1024 * int(facts["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        try:
            return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None


def check_memory(needed: int) -> None:
    """ConfigurationError where a store would not fit."""
    available = memory_available()
    if available is not None and needed > 0.9 * available:
        raise ConfigurationError(
            f"the store would take {needed / 1e9:.1f} GB, and {available / 1e9:.1f} GB are free; lower --store"
        )
