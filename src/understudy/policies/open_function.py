"""Functions as teachers: ``package.module:function`` or ``path/file.py:function``, or a callable object.

It is called with NumPy arrays, whole batches ``[N, ...]`` of float32 (a dict of them for Dict spaces), and answers
in one of the forms of answers.py. The name may also be a module's ``nn.Module`` or policy, or a function without
arguments that builds one.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

from understudy.errors import TeacherError, nearest
from understudy.policies.open_torch import frozen_copy, of_module
from understudy.policies.outside import open_source
from understudy.policies.policy import Policy, TensorObservation


@dataclass(frozen=True)
class Function:
    """A Python callable from arrays to answers."""

    function: Callable[..., Any]
    description: str
    parameter_count: int = 0

    def __call__(self, batch: TensorObservation) -> Any:
        if isinstance(batch, dict):
            return self.function({key: _array(part) for key, part in batch.items()})
        return self.function(_array(batch))

    def to(self, device: torch.device | str) -> Function:
        return self


def _array(part: torch.Tensor) -> np.ndarray:
    return part.detach().cpu().numpy()


def load(
    path: str | Path,
    *,
    observation_space: gymnasium.Space[Any] | None = None,
    action_space: gymnasium.Space[Any] | None = None,
    std: float | None = None,
) -> Policy:
    """The teacher that ``module:name`` or ``file.py:name`` names."""
    return of_object(named(path), str(path), observation_space=observation_space, action_space=action_space, std=std)


def named(path: str | Path) -> Any:
    """What ``module:name`` or ``file.py:name`` names."""
    home, colon, name = str(path).rpartition(":")
    if not colon or not home or not name:
        raise TeacherError(f"expected module:function or file.py:function, got {str(path)!r}")
    return _attribute(_module(home), name, home)


def of_object(
    found: Any,
    name: str = "",
    *,
    observation_space: gymnasium.Space[Any] | None = None,
    action_space: gymnasium.Space[Any] | None = None,
    std: float | None = None,
) -> Policy:
    """A policy, a module or a callable as a policy; ``name`` is what messages call it."""
    name = name or getattr(found, "__qualname__", type(found).__name__)
    if callable(found) and not is_policy(found) and not isinstance(found, (nn.Module, type)) and _takes_nothing(found):
        found = found()
    if is_policy(found):
        policy: Any = frozen_copy(found) if isinstance(found, nn.Module) else found
        return policy
    options: dict[str, Any] = {"observation_space": observation_space, "action_space": action_space, "std": std}
    if isinstance(found, nn.Module):
        return of_module(found, **options)
    if not callable(found) or isinstance(found, type):
        kind = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise TeacherError(f"{name} is {kind}, not a function, a module object or a policy")
    return open_source(Function(found, f"function {name}"), **options)


def is_policy(thing: Any) -> bool:
    """Whether it is one of Understudy's own policies, by what it offers."""
    return not isinstance(thing, type) and all(
        hasattr(thing, name) for name in ("family", "memory_size", "has_value", "full_support")
    )


def _takes_nothing(function: Callable[..., Any]) -> bool:
    try:
        return not inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _module(home: str) -> ModuleType:
    if home.endswith(".py") or "/" in home or "\\" in home:
        return _from_file(Path(home).expanduser())
    with_here = str(Path.cwd())
    sys.path.insert(0, with_here)  # an installed command does not look in the current folder
    try:
        return importlib.import_module(home)
    except ModuleNotFoundError as error:
        if error.name is None or not (home == error.name or home.startswith(error.name + ".")):
            raise TeacherError(f"importing {home} failed: {error}; install it, or mend the import") from error
        raise TeacherError(
            f"there is no module {error.name!r} to import {home} from; run from its folder, "
            "or give the file, as in path/file.py:function"
        ) from None
    except Exception as error:
        raise TeacherError(f"importing {home} failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(with_here)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        siblings = [entry.name for entry in path.parent.glob("*.py")] if path.parent.is_dir() else []
        raise TeacherError(f"there is no file {path}.{nearest(path.name, siblings)}")
    name = f"understudy_teacher_{path.stem}_{abs(hash(path.resolve())):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TeacherError(f"{path} is not a Python file; name one, as in path/file.py:function")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up there
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # as when it is run: its neighbours can be imported
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise TeacherError(f"running {path} failed: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    return module


def _attribute(module: ModuleType, name: str, home: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [word for word in vars(found) if not word.startswith("_")] if hasattr(found, "__dict__") else []
            raise TeacherError(f"{home} has no {part!r}.{nearest(part, known)}")
        found = getattr(found, part)
    return found
