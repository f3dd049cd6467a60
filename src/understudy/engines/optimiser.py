"""Adam on one flat vector: every parameter is a view of it, so a step is six calls and not dozens a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

BETAS, EPSILON = (0.9, 0.999), 1e-8
MANY = 1 << 17  # parameters, beyond which one kernel is faster than six calls


class FlatAdam:
    """Adam (Kingma & Ba 2015) for small networks, with gradient clipping and an average of the weights.

    PyTorch's own spends several times the arithmetic on bookkeeping at these sizes; a test compares the two.
    ``clip``: largest norm of the gradient, 0: none. ``average`` (0: off) is the decay of an exponential moving average
    of all parameters, whose noise is far lower than theirs at a constant learning rate; :meth:`swap` puts it in the
    parameters' place and back.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], learning_rate: float, clip: float = 0.0, average: float = 0.0
    ) -> None:
        self.parameters = [p for p in parameters if p.requires_grad]
        self.learning_rate, self.clip, self.average, self.count = learning_rate, clip, average, 0
        self.flat = torch.cat([p.detach().reshape(-1) for p in self.parameters])
        self.grad, self.mean = torch.zeros_like(self.flat), self.flat.clone()
        self.first, self.second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.room = torch.empty_like(self.flat)  # for roots: a new vector a step costs more than they do
        self.stride: Tensor | None = None
        self._tie()

    def _tie(self) -> None:
        """Make each parameter and its gradient a view of the flat vectors."""
        at = 0
        for parameter in self.parameters:
            end = at + parameter.numel()
            parameter.data = self.flat[at:end].view_as(parameter)
            parameter.grad = self.grad[at:end].view_as(parameter)
            at = end

    def step(self, loss: Tensor) -> None:
        """One update down the gradient of ``loss``."""
        self.grad.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            if self.clip:
                self.grad.mul_((self.clip / (self.grad.norm() + 1e-6)).clamp(max=1.0))
            self._adam()
            if self.average:
                # a plain mean until the window is full
                self.mean.lerp_(self.flat, max(1 - self.average, 1 / self.count))

    def _adam(self) -> None:
        self.count += 1
        if len(self.flat) > MANY and self.stride is None and self.flat.device.type == "cpu":
            self._fused()
            return
        beta, gamma = BETAS
        self.first.lerp_(self.grad, 1 - beta)
        self.second.mul_(gamma).addcmul_(self.grad, self.grad, value=1 - gamma)
        scale = (1 - gamma**self.count) ** 0.5
        step = -self.learning_rate * scale / (1 - beta**self.count)
        direction = self.first if self.stride is None else self.first * self.stride
        root = torch.sqrt(self.second, out=self.room).add_(EPSILON * scale)
        self.flat.addcdiv_(direction, root, value=step)

    def _fused(self) -> None:
        """The same by PyTorch's own kernel, which goes over the memory once."""
        steps = torch.tensor(self.count - 1.0)  # it counts by itself
        adam(
            [self.flat], [self.grad], [self.first], [self.second], [], [steps],
            fused=True, amsgrad=False, beta1=BETAS[0], beta2=BETAS[1], lr=self.learning_rate, weight_decay=0.0,
            eps=EPSILON, maximize=False,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """What steps change besides the parameters, which are their modules' to keep."""
        state = {name: getattr(self, name) for name in ("mean", "first", "second", "count")}
        return state if self.stride is None else state | {"stride": self.stride}

    def restore(self, state: dict[str, Any]) -> None:
        for name in ("mean", "first", "second"):
            getattr(self, name).copy_(state[name])
        self.stride = state["stride"].to(self.flat.device) if "stride" in state else None
        self.count = state["count"]

    def rescale(self, parameter: Tensor, factor: Tensor) -> None:
        """Follow a change of units: from now on the parameter's gradients are ``factor`` times what they were."""
        part = self._part(parameter)
        self.first[part].view_as(parameter).mul_(factor)
        self.second[part].view_as(parameter).mul_(factor.square())

    def stretch(self, parameter: Tensor, factor: float) -> None:
        """Let a parameter take steps ``factor`` times as long: as if it were that many times a smaller one."""
        self.stride = torch.ones_like(self.flat) if self.stride is None else self.stride
        self.stride[self._part(parameter)] = factor

    def _part(self, parameter: Tensor) -> slice:
        at = sum(p.numel() for p in self.parameters[: [p is parameter for p in self.parameters].index(True)])
        return slice(at, at + parameter.numel())

    def moved(self) -> None:
        """Begin the average anew from the parameters, which were set by hand."""
        self.mean.copy_(self.flat)

    def on_both(self, change: Callable[[], None]) -> None:
        """Apply a change of the parameters to them and to their average."""
        change()
        if self.average:
            self.swap()
            change()
            self.swap()

    def swap(self) -> None:
        """Exchange the parameters and their average; a second call changes back."""
        if self.average:
            with torch.no_grad():
                current = self.flat.clone()
                self.flat.copy_(self.mean)
                self.mean.copy_(current)
