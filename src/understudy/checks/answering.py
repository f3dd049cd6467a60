"""What the teacher answers: the same to the same question, and something that can be learned from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from understudy.checks.finding import Finding, failed, ok, warning
from understudy.checks.patient import Patient
from understudy.engines.objective import unroll
from understudy.math.distributions import Family
from understudy.math.divergences import kl
from understudy.policies.policy import TensorObservation
from understudy.policies.tempered import tempered

ASKED = 32
"""Steps at which it is asked in several ways."""
NOISE = 1e-3
"""Nats that rounding may cost, where a batch is added up in another order."""
UNIFORM, CERTAIN = 0.95, 1e-3
"""Shares of the largest entropy above and below which a teacher says hardly anything."""
NARROW, WIDE = 1e-3, 3.0
"""Deviations, as shares of half the action range."""


@torch.no_grad()
def answers(patient: Patient) -> Finding:
    """KL(teacher‖teacher) by the way that training takes, with the same states asked again in other company."""
    seen, start = patient.seen(patient.window.observation), torch.as_tensor(patient.window.start)
    family, first = patient.teacher.family, patient.heads.policy.flat[:ASKED]
    seen, start = _rows(seen, slice(ASKED)), start[:ASKED]
    copies = start.shape[1]
    asked: dict[str, Callable[[], Tensor]] = {
        "asked again": lambda: unroll(patient.teacher, seen, None, start)[0].policy.flat,
        "one at a time": lambda: torch.cat(
            [_asked(patient, _copies(seen, slice(k, k + 1)), start[:, k : k + 1]) for k in range(copies)], 1
        ),
        "in another order": lambda: _asked(patient, _copies(seen, torch.arange(copies).flip(0)), start.flip(1)).flip(1),
    }
    if patient.teacher.memory_size:
        asked["over a whole window at once"] = lambda: patient.teacher(seen, None, start)[0].policy.flat
    worst = 0.0
    for how, ask in asked.items():
        found = _divergence(family, first, ask())
        if not found <= NOISE:
            return failed(
                f"KL(teacher‖teacher) is {found:.3g} and not 0: it answers otherwise {how}",
                "its answer must depend on the observation alone: put networks in evaluation mode (no dropout, no "
                "batch statistics), answer probabilities or the deterministic action, draw nothing",
            )
        worst = max(worst, found)
    return ok(f"KL(teacher‖teacher) is at most {worst:.1g}, {', '.join(asked)}")


def _asked(patient: Patient, seen: TensorObservation, start: Tensor) -> Tensor:
    return unroll(patient.teacher, seen, None, start)[0].policy.flat


def _rows(seen: TensorObservation, which: slice) -> TensorObservation:
    return {key: part[which] for key, part in seen.items()} if isinstance(seen, dict) else seen[which]


def _copies(seen: TensorObservation, which: slice | Tensor) -> TensorObservation:
    return {key: part[:, which] for key, part in seen.items()} if isinstance(seen, dict) else seen[:, which]


def _divergence(family: Family, one: Tensor, other: Tensor) -> float:
    return float(kl(family(one.double()), family(other.double())).abs().max())


def certainty(patient: Patient) -> Finding:
    """Neither uniform, which teaches nothing, nor so certain that all but one action are impossible."""
    if not patient.teacher.full_support:
        return ok("answers actions alone: rows that need a full-support teacher are closed to it")
    return _spread(patient) if patient.teacher.family.continuous else _entropy(patient)


def _entropy(patient: Patient) -> Finding:
    family, flat = patient.teacher.family, patient.flat
    sizes = (2,) * family.sizes[0] if family.kind == "bernoulli" else family.sizes
    most = float(np.log(sizes).sum())
    share = float(family(flat).entropy().mean()) / most
    text = f"its entropy is {share:.2g} of the uniform policy's, {share * most:.3g} of {most:.3g} nats"
    if CERTAIN <= share <= UNIFORM:
        return ok(text)
    now = getattr(patient.teacher, "temperature", None) or 1.0  # a student without one answers as it is
    better = now * _temperature(family, flat, most)
    if share > UNIFORM:
        return warning(f"{text}: all actions are nearly alike to it", f"--teacher-temperature {better:.2g} sharpens it")
    return warning(
        f"{text}: the actions it does not take are all but impossible, so that nothing is learned of them and "
        "rows that read log π are extreme",
        f"--teacher-temperature {better:.2g} softens it; the best actions stay the same",
    )


def _temperature(family: Family, flat: Tensor, most: float, share: float = 0.2) -> float:
    """T at which the mean entropy is this share of the uniform policy's, to two digits."""
    low, high = -12.0, 12.0
    for _ in range(40):
        middle = (low + high) / 2
        entropy = family(tempered(flat, family, float(np.exp(middle)))).entropy().mean()
        low, high = (low, middle) if float(entropy) > share * most else (middle, high)
    return float(np.exp(low))


def _spread(patient: Patient) -> Finding:
    family, space = patient.teacher.family, patient.simulator.action_space
    assert isinstance(space, spaces.Box)
    half = (space.high / 2 - space.low / 2).ravel()
    scale = np.ones_like(half) if family.kind == "squashed-gaussian" else np.where(np.isfinite(half), half, 1.0)
    std = family(patient.flat).flat[:, family.sizes[0] :].clamp(-20, 4).exp().numpy() / scale
    typical = np.exp(np.log(std).mean(0))
    text = f"its deviation is {typical.min():.2g}" + (f" to {typical.max():.2g}" if len(typical) > 1 else "")
    text += " before the tanh" if family.kind == "squashed-gaussian" else " of half the action range"
    if typical.min() < NARROW:
        fix = (0.1 / float(typical.min())) ** 2
        return warning(
            f"{text}: a divergence from so narrow a distribution is all about rounding",
            f"--teacher-temperature {fix:.2g} widens it; means stay the same",
        )
    if typical.max() > WIDE:
        fix = (0.5 / float(typical.max())) ** 2
        return warning(
            f"{text}: what it draws has little to do with its mean",
            f"--teacher-temperature {fix:.2g} narrows it; means stay the same",
        )
    return ok(text)
