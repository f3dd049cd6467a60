"""A gate fitted after a stage: which of the stages so far a state is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import torch
from torch import Tensor
from torch.nn import functional as F

from understudy.engines.optimiser import FlatAdam
from understudy.engines.reservoir import Reservoir, at
from understudy.policies.network import Network, seeded
from understudy.policies.policy import TensorObservation
from understudy.policies.spec import parse

SPEC = "mlp:32"
HELD_OUT = 0.2
UPDATES, BATCH, RATE = 600, 256, 3e-3


def fit_gate(
    stored: Mapping[str, Reservoir], space: gymnasium.Space[Any], *, seed: int, device: str = "cpu"
) -> tuple[Network, dict[str, Any]]:
    """A classifier of states by stage, and how often it is right on states that it was not fitted to.

    As many states of each stage are used, and a fifth of them are held out.
    """
    generator = torch.Generator().manual_seed(seed)
    each = min(len(one) for one in stored.values())
    held = max(1, round(HELD_OUT * each))
    seen, rows = [one.seen() for one in stored.values()], []
    for one in stored.values():
        rows.append(torch.randperm(len(one), generator=generator)[:each])
    labels = torch.arange(len(rows)).repeat_interleave(each - held).to(device)
    known = _joined([at(part, chosen[held:], device) for part, chosen in zip(seen, rows, strict=True)])
    gate = seeded(seed, Network, space, parse(SPEC), len(rows)).to(device)
    gate.fit_inputs(known)
    optimiser = FlatAdam(gate.parameters(), RATE)
    for _ in range(UPDATES):
        batch = torch.randint(len(labels), (BATCH,), generator=generator)
        optimiser.step(F.cross_entropy(gate(at(known, batch, device))[0], labels[batch.to(device)]))
    gate.requires_grad_(False)
    right = {
        name: _share(gate, at(part, chosen[:held], device), number)
        for number, (name, part, chosen) in enumerate(zip(stored, seen, rows, strict=True))
    }
    return gate, {"accuracy": sum(right.values()) / len(right), "by_stage": right, "held_out": held * len(right)}


def _share(gate: Network, seen: TensorObservation, label: int) -> float:
    """Of states of one stage, how many are told as such."""
    return float((gate(seen)[0].argmax(-1) == label).float().mean())


def _joined(parts: list[Any]) -> TensorObservation:
    """Observations ``[M, ...]`` one behind the other."""
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
