"""Compiled functions: the one file that imports Numba, which comes with the extra ``lab``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from understudy.errors import ConfigurationError

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function compiled at its first call, cached on disk, and releasing the GIL.

    Division by zero follows IEEE 754, as in NumPy. Without Numba the module still imports, and a call raises
    ConfigurationError.
    """
    try:
        import numba
    except ImportError:
        return cast(Function, _missing(function))
    return cast(Function, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def _missing(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def refuse(*_: Any, **__: Any) -> Any:
        raise ConfigurationError(
            f"{function.__name__} is compiled by Numba, which is not installed. Use pip install 'understudy[lab]'"
        )

    return refuse
