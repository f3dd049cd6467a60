"""What a policy meets and earns in a finite MDP, as tables."""

from __future__ import annotations

import torch
from torch import Tensor

from understudy.engines.exact.problem import probabilities
from understudy.engines.exact.steps import SolvedChain, moves_of
from understudy.engines.exact.students import Numbers
from understudy.mdp.model import MDP


def visits(mdp: MDP, policy: Numbers, gamma: float = 1.0) -> Tensor:
    """``[S]``: actions expected in each state during one episode of ``policy [S, A]``, weighed by gamma^(t-1)."""
    return SolvedChain(mdp, probabilities(mdp, policy, "policy"), gamma).visits()


def values(mdp: MDP, policy: Numbers, gamma: float = 1.0, per_step: Numbers | None = None) -> Tensor:
    """``[S]``: the expected (discounted) sum to the end of the episode, of ``per_step [S, A]`` or the task reward."""
    table = probabilities(mdp, policy, "policy")
    earned = moves_of(mdp).rewards if per_step is None else torch.as_tensor(per_step, dtype=torch.float64)
    return SolvedChain(mdp, table, gamma).values((table * earned).sum(-1))
