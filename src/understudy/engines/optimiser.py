"""Adam on one flat vector: every parameter is a view of it, so a step is one call and not one a layer."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class FlatAdam:
    """Adam (Kingma & Ba 2015) for small networks, with gradient clipping and an average of the weights.

    ``average`` (0: off) is the decay of an exponential moving average of all parameters, whose noise is far lower
    than theirs at a constant learning rate; :meth:`swap` puts it in the parameters' place and back.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], learning_rate: float, clip: float = 0.0, average: float = 0.0
    ) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.clip, self.average, self.count = clip, average, 0
        self.flat = nn.Parameter(torch.cat([p.detach().reshape(-1) for p in self.parameters]))
        self.flat.grad = torch.zeros_like(self.flat)
        self.mean = self.flat.detach().clone()
        self._tie(self.flat.detach(), self.flat.grad)
        fused = self.flat.device.type in ("cpu", "cuda")
        self.adam = torch.optim.Adam([self.flat], lr=learning_rate, fused=fused)

    def _tie(self, values: Tensor, grads: Tensor) -> None:
        """Make each parameter and its gradient a view of the flat vectors."""
        at = 0
        for parameter in self.parameters:
            end = at + parameter.numel()
            parameter.data = values[at:end].view_as(parameter)
            parameter.grad = grads[at:end].view_as(parameter)
            at = end

    def step(self, loss: Tensor) -> None:
        """One update down the gradient of ``loss``."""
        grad = self.flat.grad
        assert grad is not None
        grad.zero_()
        loss.backward()
        if self.clip:
            grad.mul_((self.clip / (grad.norm() + 1e-6)).clamp(max=1.0))
        self.adam.step()
        self.count += 1
        if self.average:
            weight = max(1 - self.average, 1 / self.count)  # a plain mean until the window is full
            self.mean.lerp_(self.flat.detach(), weight)

    def set_learning_rate(self, learning_rate: float) -> None:
        self.adam.param_groups[0]["lr"] = learning_rate

    def swap(self) -> None:
        """Exchange the parameters and their average; a second call changes back."""
        if self.average:
            with torch.no_grad():
                current = self.flat.detach().clone()
                self.flat.copy_(self.mean)
                self.mean.copy_(current)
