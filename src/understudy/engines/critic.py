"""The estimator's critic: one value a column, in its own scale."""

from __future__ import annotations

from typing import Any

import gymnasium
import torch
from torch import Tensor, nn

from understudy.policies.network import Network, seeded
from understudy.policies.policy import TensorObservation
from understudy.policies.spec import Spec

RATE = 0.2


class Critic(nn.Module):
    """``[..., K]`` values; learned in units of each column's running mean and deviation.

    When these move, the last layer is rescaled so that no prediction changes (PopArt, van Hasselt et al. 2016).
    ``rate``: how far they move at a time; 0: they never do, and values are learned as they are.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, space: gymnasium.Space[Any], spec: Spec, columns: int, seed: int, rate: float = RATE) -> None:
        super().__init__()
        self.rate = rate
        self.network = seeded(seed, Network, space, spec, columns)
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("std", torch.ones(columns))
        self.fitted = False

    def forward(self, observation: TensorObservation) -> Tensor:
        return self.network(observation)[0] * self.std + self.mean

    def get_extra_state(self) -> bool:
        """Part of ``state_dict``."""
        return self.fitted

    def set_extra_state(self, state: bool) -> None:
        self.fitted = state

    @torch.no_grad()
    def rescale(self, targets: Tensor) -> None:
        """Move towards the moments of ``targets [M, K]``, keeping every prediction."""
        if not len(targets) or not self.rate:
            return
        rate = self.rate if self.fitted else 1.0
        mean = self.mean + rate * (targets.mean(0) - self.mean)
        std = self.std + rate * (targets.std(0, correction=0).clamp(min=1e-3) - self.std)
        last = self.network.layers[-1]
        assert isinstance(last, nn.Linear)
        last.weight.mul_((self.std / std)[:, None])
        last.bias.copy_((self.std * last.bias + self.mean - mean) / std)
        self.mean.copy_(mean)
        self.std.copy_(std)
        self.fitted = True

    def loss(
        self,
        observation: TensorObservation,
        targets: Tensor,
        valid: Tensor | None,
        old: tuple[Tensor, float] | None = None,
    ) -> Tensor:
        """Mean squared error against ``targets [L, B, K]``, in the columns' own units.

        ``old``: earlier values ``[L, B, K]`` and how far from them a prediction counts, as the values are measured: one
        that has gone farther learns nothing more (Stable-Baselines3's ``clip_range_vf``).
        """
        found = self.network(observation)[0]
        if old is not None:
            held = (old[0] - self.mean) / self.std
            far = old[1] / self.std
            found = held + torch.clamp(found - held, -far, far)
        error = (found - (targets - self.mean) / self.std).square().mean(-1)
        return error.mean() if valid is None else (error * valid).sum() / valid.sum().clamp(min=1)

    @torch.no_grad()
    def value_network(self, column: int) -> Network:
        """One column alone, as a network in the values' own unit."""
        net = self.network
        alone = seeded(0, Network, net.space, net.spec, 1)
        state = {k: v for k, v in net.state_dict().items() if v.shape == alone.state_dict()[k].shape}
        alone.load_state_dict(state, strict=False)
        last, mine = net.layers[-1], alone.layers[-1]
        assert isinstance(last, nn.Linear)
        assert isinstance(mine, nn.Linear)
        mine.weight.copy_(last.weight[column : column + 1] * self.std[column])
        mine.bias.copy_(last.bias[column : column + 1] * self.std[column] + self.mean[column])
        return alone.to(self.mean.device)
