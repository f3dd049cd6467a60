"""Compiled functions: the one file that imports Numba, which comes with the extra ``lab``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from understudy.errors import ConfigurationError

Function = Callable[..., Any]


def compiled(function: Function) -> Function:
    """The function compiled at its first call, cached on disk, and releasing the GIL.

    Division by zero follows IEEE 754, as in NumPy. Without Numba the module still imports, and a call raises
    ConfigurationError.
    """
    return _compiled(function)


def kernel(function: Function, inline: bool = False) -> Function:
    """As :func:`compiled`, for inner loops that allocate no array: references to arrays are not counted.

    Counting is an atomic instruction for every array that is passed or read from a tuple, ten times the work itself
    in a loop of small functions. ``inline``: into its callers, so that a constant argument becomes a constant.
    """
    return _compiled(function, _nrt=False, inline="always" if inline else "never")


def _compiled(function: Function, **options: Any) -> Function:
    try:
        import numba
    except ImportError:
        return _missing(function)
    found: Function = numba.njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    return found


def _missing(function: Function) -> Function:
    @wraps(function)
    def refuse(*_: Any, **__: Any) -> Any:
        raise ConfigurationError(
            f"{function.__name__} is compiled by Numba, which is not installed. Use pip install 'understudy[lab]'"
        )

    return refuse
