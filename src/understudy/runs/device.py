"""Whether a device is there."""

from __future__ import annotations

import torch

from understudy.errors import ConfigurationError


def available(name: str) -> str:
    """The device's name, where this machine and this PyTorch have it."""
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigurationError(f"--device {name}: this PyTorch sees no CUDA device; use --device cpu")
    _, _, number = name.partition(":")
    if number and name.startswith("cuda") and int(number) >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise ConfigurationError(f"--device {name}: CUDA devices here run from cuda:0 to cuda:{last}")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ConfigurationError("--device mps: this PyTorch sees no Apple GPU; use --device cpu")
    return name
