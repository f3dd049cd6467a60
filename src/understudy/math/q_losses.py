"""How far a student's action values are from a teacher's: four losses (R15; METHODS of distilled Q-networks).

Each takes the action values of student and teacher ``[..., A]`` and a temperature, and answers ``[...]``; gradients
flow to the student only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def mse(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Σ_a (Q_S − Q_T)²: the values themselves."""
    return (student - teacher.detach()).square().sum(-1)


def kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL(softmax(Q_T/τ) ‖ softmax(Q_S)), R15: a small τ sharpens; the student's numbers are logits."""
    target = F.log_softmax(teacher.detach() / temperature, -1)
    # an action that the teacher never takes has no part in it, and 0 * -inf would be no number
    ratio = (target - F.log_softmax(student, -1)).masked_fill(target.isneginf(), 0.0)
    return (target.exp() * ratio).sum(-1)


def ce(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """H(softmax(Q_T/τ) ‖ softmax(Q_S/τ)), Hinton et al. 2015: both sides at τ, on the teacher's scale."""
    return -(F.softmax(teacher.detach() / temperature, -1) * F.log_softmax(student / temperature, -1)).sum(-1)


def nll(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """−log softmax(Q_S)[argmax Q_T]: the teacher's greedy action as a label; of equal ones the first."""
    label = teacher.detach().argmax(-1, keepdim=True)
    return -F.log_softmax(student, -1).gather(-1, label)[..., 0]


Q_LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"mse": mse, "kl": kl, "ce": ce, "nll": nll}


def gaps(values: Tensor) -> Tensor:
    """By how much the best action value exceeds the second best, ``[..., A]`` to ``[...]``; 0 for one action."""
    if values.shape[-1] < 2:
        return torch.zeros(values.shape[:-1], dtype=values.dtype, device=values.device)
    best = values.topk(2, -1).values
    return best[..., 0] - best[..., 1]
