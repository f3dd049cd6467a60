"""The one store of steps: columns of windows ``[capacity, L, ...]``; L = 1 for feed-forward students."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from understudy.errors import ConfigurationError
from understudy.policies.network import Network

Columns = dict[str, Tensor]
SETTLED = 0.1  # deviations by which a column may be off before it is standardised again
MEMORY = 4 << 30  # bytes that a store takes at most, whatever its capacity
GATHERED = 16_384  # steps gathered in one call; more would only leave the cache


def unsettled(features: Tensor) -> tuple[Tensor, Tensor] | None:
    """The (mean, scale) that would bring ``[M, D]`` to mean 0 and deviation 1; None where it is all but there."""
    mean, std = features.mean(0), features.std(0, correction=0)
    if (mean.abs() < SETTLED * std).all() and ((std - 1).abs() < SETTLED).all():
        return None
    return mean, torch.where(std > 1e-4, 1 / std.clamp(min=1e-4), 1.0)


class Store:
    """Keeps windows of L steps; the oldest make room when it is full. Grows as needed up to its capacity.

    Columns are tensors ``[L, N, ...]`` per window on entry; ``memory`` ``[N, M]`` is the memory before each window.
    """

    def __init__(self, capacity: int, length: int, device: torch.device | str) -> None:
        """``capacity`` in steps; ``length`` is L."""
        self.capacity, self.length, self.device = max(1, capacity // length), length, device
        self.columns: Columns = {}
        self.size = self.cursor = 0

    def __len__(self) -> int:
        return self.size

    def clear(self) -> None:
        """Forget every window; memory stays allocated."""
        self.size = self.cursor = 0

    def add(self, columns: Columns) -> None:
        """Add a batch: ``[K, L, ...]`` for each column (``[K, M]`` for the memory)."""
        count = len(next(iter(columns.values())))
        if not self.columns:
            row = sum(rows[0].numel() * rows.element_size() for rows in columns.values())
            self.capacity = min(self.capacity, max(count, MEMORY // row))
        if count > self.capacity:
            raise ConfigurationError(
                f"the store holds {self.capacity * self.length} steps, fewer than one collection of "
                f"{count * self.length}; raise --store or lower --collect"
            )
        self._grow(columns, min(self.capacity, max(self.size, self.cursor) + count))
        first = min(count, self.capacity - self.cursor)
        for name, rows in columns.items():
            self.columns[name][self.cursor : self.cursor + first] = rows[:first]
            if first < count:
                self.columns[name][: count - first] = rows[first:]
        self.cursor = (self.cursor + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def _grow(self, columns: Columns, needed: int) -> None:
        for name, rows in columns.items():
            held = self.columns.get(name)
            if held is None or len(held) < needed:
                room = min(self.capacity, max(needed, 2 * (0 if held is None else len(held)), 1024 // self.length))
                grown = torch.zeros((room, *rows.shape[1:]), dtype=rows.dtype, device=self.device)
                if held is not None:
                    grown[: len(held)] = held
                self.columns[name] = grown

    def state(self) -> dict[str, Any]:
        held = {name: column[: self.size] for name, column in self.columns.items()}
        return {"capacity": self.capacity, "cursor": self.cursor, "size": self.size, "columns": held}

    def restore(self, state: dict[str, Any]) -> None:
        self.capacity, self.cursor, self.size = state["capacity"], state["cursor"], state["size"]
        self.columns = {name: rows.to(self.device, copy=True) for name, rows in state["columns"].items()}

    def standardise(self, network: Network) -> tuple[Tensor, Tensor] | None:
        """Bring the features ``[.., D]`` to mean 0 and deviation 1; the (mean, scale) that did it.

        None where they are so already, or where observations are stored in their place.
        """
        if "features" not in self.columns:
            return None
        change = unsettled(self.columns["features"][: self.size].flatten(0, 1))
        if change is not None:
            self.columns["features"][: self.size].sub_(change[0]).mul_(change[1])
        return change

    def take(self, rows: Tensor) -> Columns:
        """Windows by number, time first: ``[L, B, ...]``, or ``[B, ...]`` if L is 1; the memory ``[B, M]``."""
        return self._timed({name: column.index_select(0, rows) for name, column in self.columns.items()})

    def _timed(self, picked: Columns) -> Columns:
        if self.length == 1:
            return {k: v if k == "memory" else v.squeeze(1) for k, v in picked.items()}
        return {k: v if k == "memory" else v.transpose(0, 1).contiguous() for k, v in picked.items()}

    def draws(self, count: int, batch: int, generator: torch.Generator) -> Iterator[Columns]:
        """``count`` minibatches of ``batch`` windows at random, with replacement; several are gathered at once."""
        together = max(1, min(count, GATHERED // (batch * self.length)))
        for first in range(0, count, together):
            number = min(together, count - first)
            rows = torch.randint(self.size, (number * batch,), generator=generator).to(self.device)
            picked = {name: torch.split(column.index_select(0, rows), batch) for name, column in self.columns.items()}
            for k in range(number):
                yield self._timed({name: pieces[k] for name, pieces in picked.items()})

    def passes(self, batch: int, generator: torch.Generator) -> list[Tensor]:
        """One pass over all windows in random order, as numbers in pieces of about ``batch``."""
        order = torch.randperm(self.size, generator=generator).to(self.device)
        return list(order.chunk(max(1, self.size // max(1, batch))))

    def everything(self, batch: int) -> Iterator[Columns]:
        """All windows once, in order, ``batch`` at a time."""
        for rows in torch.split(torch.arange(self.size, device=self.device), batch):
            yield self.take(rows)
