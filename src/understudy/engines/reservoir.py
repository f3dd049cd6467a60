"""Stored states of earlier stages: a uniform sample of everything that was ever offered, with an anchor's answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.engines.objective import observation_columns, observation_of
from understudy.engines.store import Columns
from understudy.envs.rollout import Window
from understudy.envs.views import EVERYTHING, View
from understudy.errors import ConfigurationError, SpaceError
from understudy.policies.policy import Observation, Policy, TensorObservation, tensors

OBSERVATION, ANSWER = "observation", "flat"
ASKED = 1024  # observations in one question to a policy


class Reservoir:
    """Rows of columns ``[M, ...]``, each row ever offered with the same probability (Vitter 1985, Algorithm R).

    Observations are as the environment shows them, before any view and any normaliser: ``observation``, or
    ``observation/KEY`` for the parts of a Dict. ``flat [M, P]`` are the parameters of a policy's distributions there,
    once :meth:`label` has asked it.
    """

    def __init__(self, capacity: int, generator: np.random.Generator) -> None:
        if capacity < 1:
            raise ConfigurationError(f"a store of states holds at least 1, got {capacity}")
        self.capacity, self.generator = capacity, generator
        self.columns: Columns = {}
        self.offered = 0

    def __len__(self) -> int:
        return min(self.offered, self.capacity)

    @property
    def labelled(self) -> bool:
        """Whether a policy's answers are stored."""
        return ANSWER in self.columns

    def offer(self, columns: Columns) -> None:
        """Take the rows ``[B, ...]`` into the sample, at the price of others once it is full."""
        count = len(next(iter(columns.values())))
        if self.columns and (self.columns.keys() != columns.keys() or self._shapes(columns) != self._shapes()):
            raise SpaceError(
                f"stored states are {_told(self._shapes())}, but {_told(self._shapes(columns))} are offered; keep one "
                "store for each environment"
            )
        order = np.arange(self.offered, self.offered + count)
        # the row of number i goes to a place in 0..i, and is forgotten where there is no such place
        place = np.where(order < self.capacity, order, self.generator.integers(order + 1))
        kept = np.flatnonzero(place < self.capacity)
        _, last = np.unique(place[kept][::-1], return_index=True)  # of several for one place the last stays
        kept = kept[::-1][last]
        self.offered += count
        self._grow(columns)
        to, of = torch.from_numpy(place[kept]), torch.from_numpy(kept)
        for name, rows in columns.items():
            self.columns[name][to] = rows.detach()[of.to(rows.device)].to("cpu", self.columns[name].dtype)

    def _grow(self, columns: Columns) -> None:
        before = dict(self.columns)
        held = len(next(iter(before.values()))) if before else 0
        if held >= len(self):
            return
        room = min(self.capacity, max(len(self), 2 * held))
        for name, rows in columns.items():
            grown = torch.zeros((room, *rows.shape[1:]), dtype=rows.dtype)
            if before:
                grown[:held] = before[name]
            self.columns[name] = grown

    def _shapes(self, columns: Columns | None = None) -> dict[str, tuple[int, ...]]:
        return {name: tuple(rows.shape[1:]) for name, rows in (columns or self.columns).items()}

    def watch(self, window: Window) -> None:
        """Offer all observations of a window."""
        seen = tensors(window.observation)
        valid = torch.as_tensor(window.valid)
        self.offer({name: rows[valid] for name, rows in observation_columns(OBSERVATION, seen).items()})

    def rows(self) -> Columns:
        """What is stored, ``[M, ...]``."""
        return {name: column[: len(self)] for name, column in self.columns.items()}

    def seen(self, view: View = EVERYTHING) -> TensorObservation:
        """The stored observations ``[M, ...]`` as a view shows them."""
        stored = observation_of(OBSERVATION, self.rows())
        if not view.text:
            return stored
        plain: Observation = {k: v.numpy() for k, v in stored.items()} if isinstance(stored, dict) else stored.numpy()
        return tensors(view(plain))

    @torch.no_grad()
    def answers(self, policy: Policy, view: View = EVERYTHING, device: torch.device | str = "cpu") -> Tensor:
        """What a policy answers at every stored state, ``[M, P]``."""
        if policy.memory_size:
            raise ConfigurationError(
                f"{policy.description} has a memory: what it answers to a stored state depends on what it saw before "
                "it, which is not stored. Anchor it on visited states"
            )
        if not len(self):
            raise ConfigurationError("no state was stored yet; offer some before asking for answers")
        seen = self.seen(view)
        parts = [slice(begin, begin + ASKED) for begin in range(0, len(self), ASKED)]
        return torch.cat([policy(at(seen, part, device))[0].policy.flat.cpu() for part in parts])

    def label(self, policy: Policy, view: View = EVERYTHING, device: torch.device | str = "cpu") -> None:
        """Store the policy's answers, in place of any earlier ones."""
        self.columns = self.rows() | {ANSWER: self.answers(policy, view, device)}

    def state(self) -> dict[str, Any]:
        generator = self.generator.bit_generator.state
        return {"capacity": self.capacity, "offered": self.offered, "generator": generator, "columns": self.rows()}

    def restore(self, state: dict[str, Any]) -> None:
        self.capacity, self.offered = state["capacity"], state["offered"]
        self.generator.bit_generator.state = state["generator"]
        self.columns = {name: rows.clone() for name, rows in state["columns"].items()}


def at(seen: TensorObservation, rows: Any, device: torch.device | str) -> TensorObservation:
    """Some rows of observations, on a device."""
    return {k: v[rows].to(device) for k, v in seen.items()} if isinstance(seen, dict) else seen[rows].to(device)


def merged(reservoirs: Sequence[Reservoir], capacity: int, generator: np.random.Generator) -> Reservoir:
    """One sample of all that was offered to several, each row with the same probability.

    Where a reservoir had more offers than places, the sample is no larger than it: it could not give its share.
    """
    capacity = min([capacity, *(one.capacity for one in reservoirs if one.offered > one.capacity)])
    found = Reservoir(capacity, generator)
    if not any(len(one) for one in reservoirs):
        raise ConfigurationError("no state was stored yet; there is nothing to merge")
    offers = [one.offered for one in reservoirs]
    shares = generator.multivariate_hypergeometric(offers, min(capacity, sum(offers)))
    for one, share in zip(reservoirs, shares.tolist(), strict=True):
        if not share:
            continue
        chosen = torch.from_numpy(generator.permutation(len(one))[:share])
        found.offer({name: rows[chosen] for name, rows in one.rows().items()})
    found.offered = sum(offers)
    return found


def _told(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
