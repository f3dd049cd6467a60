"""All states and actions of a finite MDP as Eq. 1 reads them: the exact engine's answer to the ``Steps`` protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from understudy.math.distributions import Categorical
from understudy.math.heads import Heads
from understudy.mdp import solve
from understudy.mdp.model import MDP


@dataclass(frozen=True)
class EveryAction(Categorical):
    """Logits ``[S, 1, A]`` asked about every action at once.

    ``log_prob`` is ``[S, A]``, without a gather and so without its ``[S, A, A]`` on the way back; what is of the state
    alone is ``[S, 1]``. ``normalised`` False: the logits are log-weights, taken as they are.
    """

    normalised: bool = True

    @cached_property
    def log_probs(self) -> Tensor:
        return torch.log_softmax(self.flat, -1) if self.normalised else self.flat

    @property
    def probs(self) -> Tensor:
        return self.log_probs.exp()

    def log_prob(self, action: Tensor) -> Tensor:
        """For ``action [A]``, which holds every action in order."""
        return self.log_probs[:, 0]


@dataclass(frozen=True, eq=False)
class Moves:
    """A finite MDP as tensors: the sparse successors ``[S, M, K]`` of each move, and the move of each action."""

    next: Tensor
    probability: Tensor
    action_map: Tensor | None
    rewards: Tensor
    start: Tensor
    alive: Tensor

    def after(self, x: Tensor) -> Tensor:
        """``[S, A]``: the expectation of ``x [S]`` over the next state; 0 where the episode ends."""
        moved = (self.probability * x[self.next]).sum(-1)
        return moved if self.action_map is None else moved[:, self.action_map]

    def shares(self, policy: Tensor) -> Tensor:
        """``[S, M, K]``: how often each successor follows when ``policy [S, A]`` acts."""
        if self.action_map is not None:
            policy = policy.new_zeros(self.next.shape[:2]).index_add(1, self.action_map, policy)
        return policy[..., None] * self.probability

    def chain(self, policy: Tensor) -> Tensor:
        """``[S, S]``: probabilities of the next state when ``policy [S, A]`` acts."""
        shares = self.shares(policy).flatten(1)
        return shares.new_zeros(len(shares), len(shares)).scatter_add(1, self.next.flatten(1), shares)

    def arriving(self, x: Tensor, policy: Tensor) -> Tensor:
        """``[S]``: what of ``x [S]`` goes on to each state when ``policy [S, A]`` acts."""
        mass = x[:, None, None] * self.shares(policy)
        return torch.zeros_like(x).index_add(0, self.next.flatten(), mass.flatten())


@lru_cache(maxsize=8)
def moves_of(mdp: MDP) -> Moves:
    """The MDP as tensors, made once."""
    identity = np.array_equal(mdp.action_map, np.arange(mdp.actions))
    return Moves(
        torch.tensor(mdp.successors.next, dtype=torch.int64),
        torch.tensor(mdp.successors.probability),
        None if identity else torch.tensor(mdp.action_map),
        torch.tensor(mdp.rewards),
        torch.tensor(mdp.start),
        torch.tensor(~mdp.terminal, dtype=torch.float64),
    )


class Chain(Protocol):
    """The states' Markov chain under one policy and one discount factor, solved."""

    def visits(self) -> Tensor:
        """``[S]``: expected (discounted) visits in one episode."""
        ...

    def values(self, per_step: Tensor) -> Tensor:
        """``[S]``: expected (discounted) sum of ``per_step [S]`` from each state on."""
        ...


Chains = Callable[[MDP, Tensor, float], Chain]


class DifferentiableChain:
    """Solved once, and differentiated once, by the implicit function theorem.

    A Newton step from the solution leads nowhere, and its derivative, with the solution and the inverse held, is the
    solution's: for v = r + P v it is (I - P)^-1 (dr + dP v). No solve is left for each direction.
    """

    def __init__(self, mdp: MDP, policy: Tensor, discount: float) -> None:
        self.moves, self.policy, self.discount = moves_of(mdp), policy, discount
        chain = self.moves.chain(policy.detach())
        self.inverse = torch.linalg.inv(torch.eye(len(chain), dtype=chain.dtype) - discount * chain)

    def visits(self) -> Tensor:
        start = self.moves.start
        held = start @ self.inverse
        return held + (start + self.discount * self.moves.arriving(held, self.policy) - held) @ self.inverse

    def values(self, per_step: Tensor) -> Tensor:
        held = self.inverse @ per_step.detach()
        after = (self.policy * self.moves.after(held)).sum(-1)
        return held + self.inverse @ (per_step + self.discount * after - held)


class SolvedChain:
    """The MDP's own chain, banded where it is: fast, and without gradients."""

    def __init__(self, mdp: MDP, policy: Tensor, discount: float) -> None:
        self.chain = solve.Chain(mdp, policy.detach().numpy(), discount)

    def visits(self) -> Tensor:
        return torch.from_numpy(self.chain.visits())

    def values(self, per_step: Tensor) -> Tensor:
        return torch.from_numpy(self.chain.values(per_step.detach().numpy()))


@dataclass(frozen=True)
class ExactSteps:
    """Every state and action at once, ``[S, A]`` in float64; quantities of the state alone are ``[S, 1]``.

    ``student`` moves with the parameters that are differentiated (live); ``frozen``, ``control [S, A]``, ``visits [S]``
    and the values are functions of the parameters as they are now. No gradient is detached: see :func:`jacobian`.
    """

    mdp: MDP
    student: Heads
    frozen: Heads
    teacher: Heads
    control: Tensor
    visits: Tensor
    chain: Callable[[float], Chain]
    gamma: float
    beyond: None = None

    @property
    def action(self) -> Tensor:
        return torch.arange(self.mdp.actions)

    @property
    def reward(self) -> Tensor:
        return moves_of(self.mdp).rewards

    @property
    def held(self) -> ExactSteps:
        """The same steps read from the frozen parameters."""
        return replace(self, student=self.frozen)

    def expect(self, x: Tensor) -> Tensor:
        """Per episode: sum over s, a of visits(s) q(a|s) x(s, a)."""
        return self.visits @ self._acted(x)

    def next(self, x: Tensor, beyond: Tensor | None) -> Tensor:
        """gamma P E_q[x]; ``beyond`` is never asked for, because no episode is cut."""
        return self.gamma * moves_of(self.mdp).after(self._acted(x))

    def to_go(self, x: Tensor, credit: float) -> Tensor:
        """x + gamma credit P v, where v = E_q[x] + gamma credit E_q[P v] is a linear solve."""
        discount = self.gamma * credit
        if not discount:
            return x
        return x + discount * moves_of(self.mdp).after(self.chain(discount).values(self._acted(x)))

    def _acted(self, x: Tensor) -> Tensor:
        """``[S]``: E_q[x] where there is something to do."""
        return moves_of(self.mdp).alive * (self.control * x).sum(-1)
