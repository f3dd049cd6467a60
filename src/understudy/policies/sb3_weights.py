"""Networks rebuilt from the names and shapes in a state dict; what is left over shows a policy of another kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium import spaces
from torch import Tensor, nn

from understudy.errors import TeacherError
from understudy.policies.sb3_observation import Combined, Extractor, Flat, NatureCnn, flat

PLAIN_ACTIVATIONS = (
    *("CELU", "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid", "Mish"),
    *("ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh", "Tanhshrink"),
)
CONVOLUTIONS = ((0, 8, 4), (2, 4, 2), (4, 3, 1))  # NatureCNN: index, kernel, stride


class NotStandard(TeacherError):
    """A policy that only its author's own code can rebuild."""


class Weights:
    """A state dict that remembers what was used of it."""

    def __init__(self, tensors: Mapping[str, Tensor], path: Path) -> None:
        self.tensors, self.path = tensors, path
        self.used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def any(self, prefix: str) -> bool:
        return any(name.startswith(prefix) for name in self.tensors)

    def take(self, name: str) -> Tensor:
        if name not in self.tensors:
            held = ", ".join(list(self.tensors)[:4])
            raise TeacherError(
                f"{self.path}: policy.pth has no {name} (it holds {held} ...); its parts don't belong together."
            )
        self.used.add(name)
        return self.tensors[name].clone()

    def linear(self, prefix: str, inputs: int) -> nn.Linear:
        """The layer ``prefix.weight``, checked to take ``inputs`` numbers."""
        weight = self.take(f"{prefix}.weight")
        if weight.dim() != 2 or weight.shape[1] != inputs:
            raise self._misfit(f"{prefix}.weight", weight, f"takes {inputs} numbers")
        bias = self.take(f"{prefix}.bias") if f"{prefix}.bias" in self else None
        if bias is not None and bias.shape != weight.shape[:1]:
            raise self._misfit(f"{prefix}.bias", bias, f"has {weight.shape[0]} outputs")
        layer = nn.Linear(inputs, weight.shape[0], bias=bias is not None)
        layer.weight = nn.Parameter(weight)
        if bias is not None:
            layer.bias = nn.Parameter(bias)
        return layer

    def mlp(self, prefix: str, inputs: int, activation: type[nn.Module], *, ends_linear: bool) -> nn.Sequential:
        """``prefix.0``, ``prefix.2``, ... with activations between, and after the last unless ``ends_linear``."""
        pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.weight")
        indices = sorted(int(found[1]) for name in self.tensors if (found := pattern.fullmatch(name)))
        if indices != list(range(0, 2 * len(indices), 2)):
            raise NotStandard(
                f"{self.path}: the layers {prefix} are numbered {indices}, unlike those of SB3's networks."
            )
        layers: list[nn.Module] = []
        for index in indices:
            layer = self.linear(f"{prefix}.{index}", inputs)
            layers += [layer, activation()]
            inputs = layer.out_features
        return nn.Sequential(*layers[:-1] if ends_linear else layers)

    def extractor(self, prefix: str, space: gymnasium.Space[Any]) -> Extractor:
        """The feature extractor under ``prefix``: flattening, NatureCNN, or both side by side for a Dict."""
        if isinstance(space, spaces.Dict):
            return Combined([self._leaf(f"{prefix}.extractors.{key}", part) for key, part in space.items()])
        return self._leaf(prefix, space)

    def _leaf(self, prefix: str, space: gymnasium.Space[Any]) -> Flat | NatureCnn:
        return self._nature(prefix, space) if self.any(f"{prefix}.cnn.") else flat(space)

    def _nature(self, prefix: str, space: gymnasium.Space[Any]) -> NatureCnn:
        channels, *extent = space.shape or ()
        layers: list[nn.Module] = []
        for index, kernel, stride in CONVOLUTIONS:
            name = f"{prefix}.cnn.{index}"
            weight = self.take(f"{name}.weight")
            if tuple(weight.shape[1:]) != (channels, kernel, kernel):
                raise self._misfit(f"{name}.weight", weight, f"is NatureCNN's [..., {channels}, {kernel}, {kernel}]")
            layer = nn.Conv2d(channels, weight.shape[0], kernel, stride)
            layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(self.take(f"{name}.bias"))
            layers += [layer, nn.ReLU()]
            channels, extent = weight.shape[0], [(side - kernel) // stride + 1 for side in extent]
        return NatureCnn(nn.Sequential(*layers), self.linear(f"{prefix}.linear.0", channels * extent[0] * extent[1]))

    def refuse_leftovers(self, expected: tuple[str, ...]) -> None:
        """An error if anything was not used, but for names that begin as ``expected``."""
        left = [name for name in self.tensors if name not in self.used and not name.startswith(expected)]
        if left:
            raise NotStandard(
                f"{self.path}: policy.pth holds {', '.join(left[:3])}, which SB3's own policies don't have."
            )

    def _misfit(self, name: str, tensor: Tensor, should: str) -> TeacherError:
        return TeacherError(
            f"{self.path}: {name} has the shape {tuple(tensor.shape)}, but by the zip's description it {should}; "
            "weights and description don't belong together. Save the agent again."
        )


def outputs(network: nn.Module, inputs: int) -> int:
    """How many numbers a stack of layers answers with; ``inputs`` if it has none."""
    return (widths(network) or [inputs])[-1]


def widths(network: nn.Module) -> list[int]:
    """The sizes of all linear layers."""
    return [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)]


def activation(text: Any, default: type[nn.Module], path: Path) -> type[nn.Module]:
    """``<class 'torch.nn.modules.activation.ReLU'>`` as a class; only PyTorch's own, without weights."""
    if text is None:
        return default
    found = re.fullmatch(r"<class 'torch\.nn\.modules\.\w+\.(\w+)'>", str(text))
    if not found or found[1] not in PLAIN_ACTIVATIONS:
        raise NotStandard(f"{path}: its activation_fn is {text}, which is not one of {', '.join(PLAIN_ACTIVATIONS)}.")
    kind: type[nn.Module] = getattr(nn, found[1])
    return kind
