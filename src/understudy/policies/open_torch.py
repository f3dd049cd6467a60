"""PyTorch modules as teachers: an ``nn.Module`` object, a TorchScript file, or (trusted) a pickled module.

A TorchScript file holds a program of its own, which PyTorch runs in its interpreter: no Python code of the file is
executed, but take such files from people you know all the same. A pickled module is Python code: only with ``trust``.
"""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import gymnasium
import torch
from torch import Tensor, nn

from understudy.errors import TeacherError
from understudy.policies.outside import OutsidePolicy, open_source
from understudy.policies.policy import TensorObservation

ModuleT = TypeVar("ModuleT", bound=nn.Module)


@dataclass(frozen=True)
class Module:
    """A frozen module in evaluation mode, called with tensors on its own device."""

    module: nn.Module
    description: str
    device: torch.device | str

    def __call__(self, batch: TensorObservation) -> Any:
        if isinstance(batch, dict):
            return self.module({key: part.to(self.device) for key, part in batch.items()})
        return self.module(batch.to(self.device))

    @property
    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())

    def to(self, device: torch.device | str) -> Module:
        return Module(self.module.to(device), self.description, device)


def load(
    path: str | Path,
    *,
    observation_space: gymnasium.Space[Any] | None = None,
    action_space: gymnasium.Space[Any] | None = None,
    std: float | None = None,
    trust: bool = False,
) -> OutsidePolicy:
    """A TorchScript file, or with ``trust`` a pickled module, as a policy; see answers.py for what it may answer."""
    path = Path(path)
    module = _script(path) if _is_script(path) else _pickled(path, trust)
    source = Module(_frozen(module), f"torch module {path.name}", _device(module))
    return open_source(source, observation_space, action_space, std)


def of_module(
    module: nn.Module,
    *,
    observation_space: gymnasium.Space[Any] | None = None,
    action_space: gymnasium.Space[Any] | None = None,
    std: float | None = None,
) -> OutsidePolicy:
    """A copy of a module, frozen as it is now: training the original does not move the teacher."""
    source = Module(frozen_copy(module), f"torch module {type(module).__name__}", _device(module))
    return open_source(source, observation_space, action_space, std)


def frozen_copy(module: ModuleT) -> ModuleT:
    """The module itself where nothing in it learns, else a copy that never will."""
    if not module.training and not any(parameter.requires_grad for parameter in module.parameters()):
        return module
    try:
        return _frozen(copy.deepcopy(module))
    except (RuntimeError, TypeError, AttributeError) as error:
        name = type(module).__name__
        raise TeacherError(f"the module {name} cannot be copied ({error}); pass a function that calls it") from None


def _frozen(module: ModuleT) -> ModuleT:
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def _device(module: nn.Module) -> torch.device:
    tensor: Tensor | None = next(iter([*module.parameters(), *module.buffers()]), None)
    return torch.device("cpu") if tensor is None else tensor.device


def _is_script(path: Path) -> bool:
    """Whether a zip has TorchScript's constants; ``torch.save`` writes none."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise TeacherError(f"{path} is damaged ({error}); save or download it again") from None


def _script(path: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TeacherError(f"{path} is a damaged TorchScript file ({reason}); save or download it again") from None


def _pickled(path: Path, trust: bool) -> nn.Module:
    found = _read_pickle(path, trust)
    if isinstance(found, nn.Module):
        return found
    if isinstance(found, dict):
        raise TeacherError(
            f"{path} holds weights without their network. Build the network in a Python file, load the weights into "
            "it and name that as the teacher: teacher.py:network. Or save it with torch.jit.script(network).save(...)"
        )
    raise TeacherError(f"{path} holds a {type(found).__name__}, not a module; save a TorchScript module instead")


def _read_pickle(path: Path, trust: bool) -> Any:
    """What ``torch.save`` wrote: only tensors and plain data, unless the file is trusted."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about other pickle protocols: it is refused or read
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not trust:
            raise TeacherError(_refusal(path, error)) from None
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, AttributeError) as error:
        raise TeacherError(f"{path} is not a PyTorch file, or is truncated ({_first_line(error)})") from None
    here = str(Path.cwd())
    sys.path.insert(0, here)  # pickles name their classes by module, most often one beside the user
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise TeacherError(f"{path} cannot be unpickled: {type(error).__name__}: {_first_line(error)}") from error
    finally:
        sys.path.remove(here)


def _refusal(path: Path, error: Exception) -> str:
    text = str(error)
    named = text.partition("GLOBAL ")[2].split(" ", 1)[0]
    wants = f" It asks for {named}." if named else ""
    return (
        f"{path} is not plain weights: reading it could run code, so nothing was run.{wants} "
        "Save the module with torch.jit.script(module).save(...), or add --trust if you know who made the file"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
