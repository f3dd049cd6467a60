"""Frozen observation statistics that belong to a policy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


class Normaliser(nn.Module):
    """clip((x - mean) / sqrt(variance + epsilon), -clip, clip) over ``[..., *shape]``, in float32.

    The mean is kept as a float32 and its remainder: features that hardly vary are magnified up to
    1 / sqrt(epsilon) times, and rounding their mean would show.
    """

    mean: Tensor
    remainder: Tensor
    scale: Tensor

    def __init__(self, mean: np.ndarray, variance: np.ndarray, *, clip: float = 10.0, epsilon: float = 1e-8) -> None:
        super().__init__()
        mean, variance = np.asarray(mean, np.float64), np.asarray(variance, np.float64)
        if mean.shape != variance.shape:
            raise ValueError(f"mean has shape {mean.shape} but the variance {variance.shape}")
        if not (np.isfinite(mean).all() and np.isfinite(variance).all() and (variance >= 0).all()):
            raise ValueError("means and variances must be finite, and variances not negative")
        if not clip > 0:
            raise ValueError(f"clip must be positive, got {clip}")
        self.clip = float(clip)
        rounded = mean.astype(np.float32)
        self.register_buffer("mean", torch.from_numpy(rounded))
        self.register_buffer("remainder", torch.from_numpy((mean - rounded).astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy((1 / np.sqrt(variance + epsilon)).astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        shifted = x.to(torch.float32) - self.mean - self.remainder
        return (shifted * self.scale).clamp(-self.clip, self.clip)
