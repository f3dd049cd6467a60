"""The last stage of each agent: features ``[..., F]`` to flat parameters ``[..., P]`` and values ``[...]``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SAC_LOG_STD = (-20.0, 2.0)
SDE_EPSILON = 1e-6


class FixedStd(nn.Module):
    """Means from a network, one learned log standard deviation for each action."""

    log_std: Tensor

    def __init__(self, mean: nn.Module, log_std: Tensor) -> None:
        super().__init__()
        self.mean = mean
        self.log_std = nn.Parameter(log_std)

    def forward(self, features: Tensor) -> Tensor:
        mean = self.mean(features)
        return torch.cat([mean, self.log_std.expand_as(mean)], -1)


class LearnedStd(nn.Module):
    """Means and log standard deviations from one latent layer, as SAC and TQC have it."""

    def __init__(self, latent: nn.Module, mean: nn.Module, log_std: nn.Module) -> None:
        super().__init__()
        self.latent, self.mean, self.log_std = latent, mean, log_std

    def forward(self, features: Tensor) -> Tensor:
        latent = self.latent(features)
        return torch.cat([self.mean(latent), self.log_std(latent).clamp(*SAC_LOG_STD)], -1)


class StateDependentStd(nn.Module):
    """gSDE (Raffin et al. 2021): std^2 = latent^2 @ weight_std^2 + 1e-6.

    While it acted, the agent kept one draw of the noise matrix for several steps; here each step is drawn anew,
    from the same marginal distribution.
    """

    variance: Tensor

    def __init__(self, latent: nn.Module, mean: nn.Module, log_std: Tensor, actions: int, expln: bool) -> None:
        super().__init__()
        self.latent, self.mean = latent, mean
        self.log_std = nn.Parameter(log_std)
        std = _expln(log_std) if expln else log_std.exp()
        self.register_buffer("variance", std.square().expand(-1, actions).contiguous())

    def forward(self, features: Tensor) -> Tensor:
        latent = self.latent(features)
        variance = latent.square() @ self.variance
        return torch.cat([self.mean(latent), 0.5 * torch.log(variance + SDE_EPSILON)], -1)


def _expln(log_std: Tensor) -> Tensor:
    """exp below 0, and growing as a logarithm above."""
    above = torch.log1p(log_std.clamp(min=0) + SDE_EPSILON) + 1
    return torch.where(log_std <= 0, log_std.exp(), above)


class Deterministic(nn.Module):
    """Actions in the environment's units, ``low + (a + 1) / 2 (high - low)`` of a in (-1, 1), or clipped; and a std.

    ``std`` is a fraction of half the action range, or a plain number where the range is infinite.
    """

    low: Tensor
    high: Tensor
    log_std: Tensor

    def __init__(self, network: nn.Module, low: Tensor, high: Tensor, std: float, squashed: bool) -> None:
        super().__init__()
        self.network, self.squashed = network, squashed
        half = (high - low) / 2
        self.register_buffer("low", low)
        self.register_buffer("high", high)
        self.register_buffer("log_std", torch.log(std * torch.where(half.isfinite(), half, 1.0)))

    def forward(self, features: Tensor) -> Tensor:
        action = self.network(features)
        if self.squashed:
            mean = self.low + 0.5 * (torch.tanh(action) + 1) * (self.high - self.low)
        else:
            mean = torch.maximum(torch.minimum(action, self.high), self.low)
        return torch.cat([mean, self.log_std.expand_as(mean)], -1)


class QuantileMean(nn.Module):
    """Action values: the mean over the quantiles ``[..., quantiles * actions]``."""

    def __init__(self, network: nn.Module, actions: int) -> None:
        super().__init__()
        self.network, self.actions = network, actions

    def forward(self, features: Tensor) -> Tensor:
        return self.network(features).unflatten(-1, (-1, self.actions)).mean(-2)


class StateValue(nn.Module):
    """The value head of PPO, A2C and TRPO."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor, flat: Tensor) -> Tensor:
        return self.network(features)[..., 0]


class GreedyValue(nn.Module):
    """max_a Q(s, a), from flat parameters that are action values."""

    def forward(self, features: Tensor, flat: Tensor) -> Tensor:
        return flat.amax(-1)


class Critics(nn.Module):
    """Q(s, a) of actions in (-1, 1): the least of several networks, or the mean of their quantiles."""

    def __init__(self, networks: list[nn.Module], quantiles: bool) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.quantiles = quantiles

    def forward(self, features: Tensor, action: Tensor) -> Tensor:
        pair = torch.cat([features, action], -1)
        answers = torch.stack([network(pair) for network in self.networks], -1)
        return answers.mean((-2, -1)) if self.quantiles else answers.amin(-1)[..., 0]


class ExpectedValue(nn.Module):
    """E_pi Q(s, a) under a squashed Gaussian, for SAC and TQC, by ``POINTS`` fixed points of the policy's noise.

    The entropy bonus of the present step is left out; the Q they learned still pays it for later steps. SAC takes
    the least of its critics at each point (as its targets do), TQC the mean over critics and quantiles.
    """

    POINTS = 32
    noise: Tensor

    def __init__(self, critics: Critics, actions: int) -> None:
        super().__init__()
        self.critics = critics
        self.register_buffer("noise", stratified_noise(self.POINTS, actions))

    def forward(self, features: Tensor, flat: Tensor) -> Tensor:
        mean, log_std = flat.chunk(2, -1)
        noise = self.noise.view(self.POINTS, *(1,) * (mean.dim() - 1), -1)
        action = torch.tanh(mean + log_std.exp() * noise)
        return self.critics(features.expand(self.POINTS, *features.shape), action).mean(0)


class ChosenValue(nn.Module):
    """Q(s, pi(s)) for TD3 (the lesser of its two critics, as in its targets) and DDPG."""

    low: Tensor
    high: Tensor

    def __init__(self, critics: Critics, low: Tensor, high: Tensor) -> None:
        super().__init__()
        self.critics = critics
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def forward(self, features: Tensor, flat: Tensor) -> Tensor:
        mean = flat.chunk(2, -1)[0]
        return self.critics(features, 2 * (mean - self.low) / (self.high - self.low) - 1)


def stratified_noise(points: int, dimensions: int) -> Tensor:
    """Standard normal points ``[points, dimensions]``: in each dimension the middles of equally likely intervals.

    Their mean is 0 and their variance 1 in each. A Sobol sequence, always the same, orders them.
    """
    engine = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=0)  # type: ignore[no-untyped-call]
    sobol = engine.draw(points, dtype=torch.float64)
    middles = torch.special.ndtri((torch.arange(points, dtype=torch.float64) + 0.5) / points)
    middles /= middles.square().mean().sqrt()
    return middles[sobol.argsort(0).argsort(0)].to(torch.float32)
