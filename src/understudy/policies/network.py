"""Networks built from spaces: observation in, a row of numbers (and a memory) out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from understudy.errors import SpaceError
from understudy.policies.policy import TensorObservation
from understudy.policies.spec import Spec

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
}
# (channels, kernel, stride) of each convolution: Mnih et al. 2015, and one for boards and other small pictures.
CONVOLUTIONS = {"nature": ((32, 8, 4), (64, 4, 2), (64, 3, 1)), "small": ((16, 3, 1), (32, 3, 2))}


class Standardiser(nn.Module):
    """(x - mean) / std; fixed while an update runs, and saved with the weights.

    Nothing is clipped: what the first states of a run call far away is common in its later ones.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, x: Tensor) -> None:
        """Take mean and deviation from ``x [M, D]``; features that hardly vary are only shifted."""
        std = x.std(0, correction=0)
        self.mean.copy_(x.mean(0))
        self.scale.copy_(torch.where(std > 1e-4, 1 / std.clamp(min=1e-4), 1.0))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) * self.scale


class VectorInput(nn.Module):
    """Flat features of one space without pictures: Box standardised, Discrete and MultiDiscrete one-hot."""

    def __init__(self, space: gymnasium.Space[Any]) -> None:
        super().__init__()
        self.dims = len(space.shape or ())
        self.classes: tuple[int, ...] = ()
        self.firsts: tuple[int, ...] = ()
        if isinstance(space, spaces.Discrete):
            self.classes, self.firsts = (int(space.n),), (int(space.start),)
        elif isinstance(space, spaces.MultiDiscrete):
            self.classes, self.firsts = (tuple(int(n) for n in x.ravel()) for x in (space.nvec, space.start))
        self.size = sum(self.classes) or math.prod(space.shape or ())
        self.standardise = Standardiser(self.size) if isinstance(space, spaces.Box) else None

    def raw(self, x: Tensor) -> Tensor:
        """``[..., *shape]`` to ``[..., D]``, before standardising."""
        if self.classes:
            parts = x[..., None] if self.dims == 0 else x.flatten(-self.dims)
            sizes = zip(self.firsts, self.classes, strict=True)
            hot = [F.one_hot(parts[..., k].long() - first, n) for k, (first, n) in enumerate(sizes)]
            return torch.cat(hot, -1).float()
        return (x[..., None] if self.dims == 0 else x.flatten(-self.dims)).float()

    def forward(self, x: Tensor) -> Tensor:
        x = self.raw(x)
        return x if self.standardise is None else self.standardise(x)


class ImageInput(nn.Module):
    """Convolutions over a picture ``[..., H, W, C]`` or ``[..., C, H, W]``; bytes are divided by 255."""

    def __init__(self, space: spaces.Box, spec: Spec, width: int) -> None:
        super().__init__()
        self.channels_last = _channels_last(space.shape)
        channels, *extent = (space.shape[-1], *space.shape[:2]) if self.channels_last else space.shape
        self.scale = 255.0 if space.dtype == "uint8" else 1.0
        layers: list[nn.Module] = []
        for full, kernel, stride in CONVOLUTIONS[spec.image]:
            out = spec.scaled(full)
            if min(extent) < kernel:
                raise SpaceError(
                    f"cnn:{spec.image} is too deep for pictures of shape {space.shape}; use cnn:small or mlp:64,64"
                )
            # rows that no stride reaches would never be seen, such as the last one of a board; Mnih et al. leave them
            rest = [(e - kernel) % stride if spec.image == "small" else 0 for e in extent]
            layers += [nn.Conv2d(channels, out, kernel, stride, (rest[0], rest[1])), nn.ReLU()]
            channels, extent = out, [(e + 2 * r - kernel) // stride + 1 for e, r in zip(extent, rest, strict=True)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * math.prod(extent), width), nn.ReLU())
        self.size = width

    def forward(self, x: Tensor) -> Tensor:
        lead = x.shape[:-3]
        x = x.reshape(-1, *x.shape[-3:]).float() / self.scale
        return self.layers(x.permute(0, 3, 1, 2) if self.channels_last else x).reshape(*lead, -1)


class Dueling(nn.Module):
    """Action values as V + A − mean A (Wang et al. 2016), both read off one hidden layer."""

    def __init__(self, size: int, outputs: int) -> None:
        super().__init__()
        self.value, self.advantage = nn.Linear(size, 1), nn.Linear(size, outputs)

    def forward(self, x: Tensor) -> Tensor:
        advantage = self.advantage(x)
        return self.value(x) + advantage - advantage.mean(-1, keepdim=True)

    def collapsed(self) -> nn.Linear:
        """The one layer that answers the same."""
        value, advantage = self.value, self.advantage
        one = nn.Linear(value.in_features, advantage.out_features)
        with torch.no_grad():
            one.weight.copy_(value.weight + advantage.weight - advantage.weight.mean(0))
            one.bias.copy_(value.bias + advantage.bias - advantage.bias.mean())
        return one


class Encoded(NamedTuple):
    """Standardised observations ``[..., D]``: stored so, they need not be standardised at every update."""

    features: Tensor


def _channels_last(shape: tuple[int, ...]) -> bool:
    return shape[-1] < shape[0]


def is_image(space: gymnasium.Space[Any]) -> bool:
    """Three dimensions, of which two, behind or before the channels, are 8 or more."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 3:
        return False
    return min(space.shape[:2] if _channels_last(space.shape) else space.shape[1:]) >= 8


class Network(nn.Module):
    """Observations ``[..., *shape]`` to ``[..., outputs]``; recurrent bodies take ``[L, N, ...]`` and a memory."""

    def __init__(self, space: gymnasium.Space[Any], spec: Spec, outputs: int) -> None:
        super().__init__()
        self.spec = spec
        parts = dict(space.items()) if isinstance(space, spaces.Dict) else {"": space}
        if spec.body == "cnn" and not any(is_image(part) for part in parts.values()):
            raise SpaceError(f"student {spec} needs pictures, but the observation is {space}; use mlp:64,64")
        self.space, self.keys = space, list(parts)
        width = spec.widths[0] if spec.body == "cnn" else 64
        self.inputs = nn.ModuleList(
            ImageInput(part, spec, width)  # type: ignore[arg-type]
            if is_image(part) and spec.body != "linear"
            else VectorInput(part)
            for part in parts.values()
        )
        size = sum(module.size for module in self.inputs)  # type: ignore[misc]
        self.memory: nn.GRU | nn.LSTM | None = None
        widths: tuple[int, ...] = spec.widths if spec.body == "mlp" else ()
        if spec.recurrent:
            self.memory = (nn.GRU if spec.body == "gru" else nn.LSTM)(size, spec.widths[0])
            size = spec.widths[0]
        last = widths[-1] if widths else size
        self.layers = nn.Sequential(
            *_hidden(size, widths, spec), Dueling(last, outputs) if spec.dueling else nn.Linear(last, outputs)
        )

    @property
    def memory_size(self) -> int:
        """Numbers of memory a copy: the GRU's state, or the LSTM's two."""
        return 0 if self.memory is None else self.spec.widths[0] * (2 if self.spec.body == "lstm" else 1)

    def features(self, observation: TensorObservation) -> Tensor:
        if isinstance(observation, dict):
            parts: Iterable[Tensor] = [m(observation[k]) for k, m in zip(self.keys, self.inputs, strict=True)]
            return torch.cat(list(parts), -1)
        return self.inputs[0](observation)

    @property
    def last_layers(self) -> list[nn.Linear]:
        """What gives the answer: one layer, or a dueling head's two, the value's first."""
        last = self.layers[-1]
        if isinstance(last, Dueling):
            return [last.value, last.advantage]
        assert isinstance(last, nn.Linear)
        return [last]

    @property
    def first_layer(self) -> tuple[Tensor, Tensor]:
        """Weight ``[out, D]`` and bias of what reads the features."""
        first = self.layers[0] if self.memory is None else self.memory
        names = ("weight", "bias") if self.memory is None else ("weight_ih_l0", "bias_ih_l0")
        weight, bias = (first.get_parameter(name) for name in names)
        return weight, bias

    @torch.no_grad()
    def restandardise(self, mean: Tensor, scale: Tensor) -> None:
        """Standardise once more, by ``(x - mean) * scale`` of the features ``[D]`` so far."""
        at = 0
        for module in self.inputs:
            assert isinstance(module, VectorInput)
            assert module.standardise is not None
            part, at = slice(at, at + module.size), at + module.size
            module.standardise.mean += mean[part] / module.standardise.scale
            module.standardise.scale *= scale[part]

    @torch.no_grad()
    def absorb(self, mean: Tensor, scale: Tensor) -> None:
        """Turn the first layer so that restandardised features give the answers that the old ones gave."""
        weight, bias = self.first_layer
        bias.add_(weight @ mean)
        weight.div_(scale)

    def encoded(self, observation: TensorObservation) -> Encoded | None:
        """What the layers see of an observation, where all of it is standardised and nothing on the way learns."""
        return Encoded(self.features(observation)) if self.plain else None

    @property
    def plain(self) -> bool:
        """Whether all of an observation is standardised and goes to a layer."""
        return all(isinstance(module, VectorInput) and module.standardise is not None for module in self.inputs)

    def forward(
        self, observation: TensorObservation | Encoded, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        x = observation.features if isinstance(observation, Encoded) else self.features(observation)
        if self.memory is not None:
            x, memory = self._remember(x, memory, start)
        return self.layers(x), memory

    def _remember(self, x: Tensor, memory: Tensor | None, start: Tensor | None) -> tuple[Tensor, Tensor]:
        """Run the memory over ``x [L, N, D]``, from 0 wherever an episode starts; pieces between starts at once."""
        if memory is None:
            memory = x.new_zeros(x.shape[1], self.memory_size)
        cuts = [0, len(x)]
        if start is not None:
            cuts = sorted({0, len(x), *start.any(1).nonzero()[:, 0].tolist()})
        out = []
        for begin, end in itertools.pairwise(cuts):
            if start is not None:
                memory = memory * ~start[begin][:, None]
            y, memory = self._run(x[begin:end], memory)
            out.append(y)
        return torch.cat(out), memory

    def _run(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.memory, nn.LSTM):
            h, c = (part.contiguous()[None] for part in memory.chunk(2, -1))
            y, (h, c) = self.memory(x, (h, c))
            return y, torch.cat([h[0], c[0]], -1)
        assert self.memory is not None
        y, h = self.memory(x, memory[None])
        return y, h[0]

    def fit_inputs(self, observation: TensorObservation) -> None:
        """Fit every standardiser to a batch of observations, once, before learning."""
        for key, module in zip(self.keys, self.inputs, strict=True):
            if isinstance(module, VectorInput) and module.standardise is not None:
                x = observation[key] if isinstance(observation, dict) else observation
                module.standardise.fit(module.raw(x).reshape(-1, module.size))


def _hidden(size: int, widths: tuple[int, ...], spec: Spec) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(size, width), *([nn.LayerNorm(width)] if spec.layernorm else [])]
        layers.append(ACTIVATIONS[spec.activation]())
        size = width
    return layers


def count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def seeded(seed: int, build: Callable[..., Network], *arguments: Any) -> Network:
    """Build with weights that depend on ``seed`` alone; PyTorch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(*arguments)


def value_spec(spec: Spec) -> Spec:
    """The body of a value network beside a policy of this kind; a recurrent policy's values the single observation."""
    return Spec("mlp", (64, 64)) if spec.recurrent or spec.body == "linear" else replace(spec, dueling=False)
