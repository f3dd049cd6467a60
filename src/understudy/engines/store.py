"""The one store of steps: columns of windows ``[capacity, L, ...]``; L = 1 for feed-forward students."""

from __future__ import annotations

import torch
from torch import Tensor

from understudy.errors import ConfigurationError

Columns = dict[str, Tensor]


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

    def take(self, rows: Tensor) -> Columns:
        """Windows by number, time first: ``[L, B, ...]``, the memory ``[B, M]``."""
        picked = {name: column.index_select(0, rows) for name, column in self.columns.items()}
        if self.length == 1:
            return {k: v if k == "memory" else v.transpose(0, 1) for k, v in picked.items()}
        return {k: v if k == "memory" else v.transpose(0, 1).contiguous() for k, v in picked.items()}

    def draw(self, batch: int, generator: torch.Generator) -> Columns:
        """``batch`` windows at random, with replacement."""
        rows = torch.randint(self.size, (batch,), generator=generator)
        return self.take(rows.to(self.device))

    def passes(self, batch: int, generator: torch.Generator) -> list[Tensor]:
        """One pass over all windows in random order, as numbers in pieces of about ``batch``."""
        order = torch.randperm(self.size, generator=generator).to(self.device)
        return list(order.chunk(max(1, self.size // max(1, batch))))
