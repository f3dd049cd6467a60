"""From raw observations to the features that an agent's networks see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from understudy.errors import SpaceError
from understudy.policies.normaliser import Normaliser


def is_byte_image(space: gymnasium.Space[Any]) -> bool:
    """What SB3 takes for an image: three dimensions of bytes from 0 to 255."""
    return (
        isinstance(space, spaces.Box)
        and len(space.shape) == 3
        and space.dtype == np.uint8
        and bool(np.all(space.low == 0) and np.all(space.high == 255))
    )


class Prepare(nn.Module):
    """One observation: pictures turned channel-first, then normalised, scaled and one-hot, as SB3 does it.

    Box and MultiBinary ``[..., *shape]`` keep their shape; Discrete ``[...]`` and MultiDiscrete ``[..., K]`` become
    ``[..., number of classes]``. Like SB3, a Discrete observation is taken to start at 0.
    """

    def __init__(
        self,
        space: gymnasium.Space[Any],
        normaliser: Normaliser | None = None,
        scale_images: bool = True,
        one_hot: bool = True,
    ) -> None:
        super().__init__()
        self.shape = tuple(space.shape or ())
        self.classes = _classes(space) if one_hot else ()
        self.normaliser = normaliser
        self.divisor = 255.0 if scale_images and is_byte_image(space) else 1.0
        channels_last = (*self.shape[1:], self.shape[0]) if len(self.shape) == 3 else None
        self.channels_last = channels_last if channels_last != self.shape else None

    def forward(self, x: Tensor) -> Tensor:
        if self.classes:
            return self._one_hot(x.long())
        if len(self.shape) == 3 and tuple(x.shape[-3:]) == self.channels_last:
            x = x.movedim(-1, -3)
        if tuple(x.shape[x.dim() - len(self.shape) :]) != self.shape:
            raise SpaceError(f"the teacher takes observations [..., {self.shape}], got {tuple(x.shape)}")
        x = x.to(torch.float32) if self.normaliser is None else self.normaliser(x)
        return x if self.divisor == 1.0 else x / self.divisor

    def _one_hot(self, x: Tensor) -> Tensor:
        if not self.shape:
            return F.one_hot(x, self.classes[0]).to(torch.float32)
        parts = [F.one_hot(x[..., k], n) for k, n in enumerate(self.classes)]
        return torch.cat(parts, -1).to(torch.float32)


class PrepareDict(nn.Module):
    """Each key of a Dict observation by its own :class:`Prepare`; other keys are ignored."""

    def __init__(self, parts: Mapping[str, Prepare]) -> None:
        super().__init__()
        self.keys = tuple(parts)
        self.parts = nn.ModuleList(parts.values())

    def forward(self, observation: Mapping[str, Tensor]) -> list[Tensor]:
        if not isinstance(observation, Mapping):
            raise SpaceError(f"the teacher takes a dict of observations with keys {', '.join(self.keys)}")
        missing = [key for key in self.keys if key not in observation]
        if missing:
            raise SpaceError(f"the teacher needs the observation keys {missing}, got {sorted(observation)}")
        return [part(observation[key]) for key, part in zip(self.keys, self.parts, strict=True)]


def prepare(
    space: gymnasium.Space[Any], normalisers: Mapping[str, Normaliser], scale_images: bool, one_hot: bool = True
) -> Prepare | PrepareDict:
    """The first stage for a whole space; ``normalisers`` go by key, the only one of a plain space by ``""``."""
    if isinstance(space, spaces.Dict):
        parts = {key: Prepare(part, normalisers.get(key), scale_images, one_hot) for key, part in space.items()}
        return PrepareDict(parts)
    return Prepare(space, normalisers.get(""), scale_images, one_hot)


class Flat(nn.Module):
    """Flattens the last ``dims`` dimensions into ``size`` features."""

    def __init__(self, dims: int, size: int) -> None:
        super().__init__()
        self.dims, self.size = dims, size

    def forward(self, x: Tensor) -> Tensor:
        if self.dims == 1:
            return x
        return x.flatten(-self.dims) if self.dims else x[..., None]


def flat(space: gymnasium.Space[Any]) -> Flat:
    """Flattens what :class:`Prepare` makes of ``space``."""
    classes = _classes(space)
    return Flat(1, sum(classes)) if classes else Flat(len(space.shape or ()), int(np.prod(space.shape or ())))


class NatureCnn(nn.Module):
    """The three convolutions and one layer of Mnih et al. 2015 on ``[..., C, H, W]``."""

    def __init__(self, convolutions: nn.Sequential, linear: nn.Linear) -> None:
        super().__init__()
        self.convolutions, self.linear = convolutions, linear
        self.size = linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        lead = x.shape[:-3]
        hidden = self.convolutions(x.reshape(-1, *x.shape[-3:])).flatten(1)
        return torch.relu(self.linear(hidden)).reshape(*lead, self.size)


class Combined(nn.Module):
    """The features of every key, side by side in the stored order of the keys."""

    def __init__(self, parts: list[Flat | NatureCnn]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.size = sum(part.size for part in parts)

    def forward(self, xs: list[Tensor]) -> Tensor:
        return torch.cat([part(x) for part, x in zip(self.parts, xs, strict=True)], -1)


Extractor = Flat | NatureCnn | Combined


def _classes(space: gymnasium.Space[Any]) -> tuple[int, ...]:
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    return tuple(int(n) for n in space.nvec) if isinstance(space, spaces.MultiDiscrete) else ()


def accepts(space: gymnasium.Space[Any], other: gymnasium.Space[Any]) -> bool:
    """Whether observations of ``other`` can be given to an agent trained on ``space``; bounds don't matter."""
    if isinstance(space, spaces.Dict):
        return isinstance(other, spaces.Dict) and all(
            key in other.spaces and accepts(part, other.spaces[key]) for key, part in space.items()
        )
    if type(space) is not type(other):
        return False
    if _classes(space):
        return _classes(space) == _classes(other)
    here, there = tuple(space.shape or ()), tuple(other.shape or ())
    return here == there or (len(here) == 3 and there == (*here[1:], here[0]))
