"""Unpickling that runs nothing: arrays come through, known classes become plain records, all else is refused."""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

import numpy as np

from understudy.errors import TeacherError

INERT = ("gym", "gymnasium", "shimmy", "stable_baselines3", "sb3_contrib", "torch", "numpy.random")
"""Packages whose classes and functions are replaced by records; nothing of them is imported or called."""

_SCALARS = (
    "bool_",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
)


class Record:
    """Stands in for an object of a library: the arguments that made it and its state, without behaviour."""

    module: ClassVar[str] = ""
    name: ClassVar[str] = ""
    args: tuple[Any, ...]
    state: dict[str, Any]

    def __new__(cls, *args: Any, **_: Any) -> Record:
        record = super().__new__(cls)
        record.args, record.state = args, {}
        return record

    def __init__(self, *_: Any, **__: Any) -> None:
        """Whatever a pickle passes was kept by ``__new__``."""

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.state.update(part)

    def append(self, item: Any) -> None:
        """A pickle may fill a container through this; the content of unknown containers is not needed."""

    def extend(self, items: Any) -> None:
        """As ``append``."""

    def __setitem__(self, key: Any, value: Any) -> None:
        self.state[str(key)] = value


@cache
def _record_class(module: str, name: str) -> type[Record]:
    return type(name, (Record,), {"module": module, "name": name})


class _Function:
    """A function that a pickle may call but not alter."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it would alter a function")


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """What ``_codecs.encode`` does for bytes in old pickles, and no other codec."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


def _allowed() -> dict[tuple[str, str], Callable[..., Any]]:
    """NumPy's own rebuilding functions under their old and new addresses, and plain containers."""
    rebuild: dict[str, Any] = {
        "multiarray._reconstruct": np.empty(0).__reduce__()[0],
        "multiarray.scalar": np.float64(0).__reduce__()[0],
        "numeric._frombuffer": np.empty(1).__reduce_ex__(5)[0],
    }
    found: dict[tuple[str, str], Callable[..., Any]] = {}
    for address, function in rebuild.items():
        module, name = address.split(".")
        for core in ("numpy.core", "numpy._core"):
            found[f"{core}.{module}", name] = _Function(function)
    found |= {("numpy", name): getattr(np, name) for name in (*_SCALARS, "ndarray", "dtype")}
    kinds = (set, frozenset, dict, list, tuple, slice, complex)
    found |= {(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in kinds}
    found |= {("collections", "OrderedDict"): collections.OrderedDict, ("collections", "deque"): collections.deque}
    found["_codecs", "encode"] = _Function(_latin1)
    return found


ALLOWED = _allowed()


class Forbidden(pickle.UnpicklingError):
    """A pickle asks for something outside the lists."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, lenient: bool) -> None:
        super().__init__(io.BytesIO(data))
        self.lenient = lenient

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if self.lenient or any(module == root or module.startswith(f"{root}.") for root in INERT):
            return _record_class(module, name)
        raise Forbidden(f"{module}.{name}")


def read_pickle(data: bytes, source: str, *, lenient: bool = False) -> Any:
    """The plain data in a pickle; ``source`` names it in errors.

    ``lenient`` turns unknown names into inert records too, for files that mention classes of the user's own.
    """
    try:
        return _Unpickler(data, lenient).load()
    except Forbidden as error:
        raise TeacherError(
            f"{source} asks for {error}, which is not plain data and could run code. Nothing was run. If the file "
            "comes from somewhere you trust and only holds classes of your own, pass --trust; otherwise delete it."
        ) from None
    except Exception as error:
        raise TeacherError(
            f"{source} cannot be read ({type(error).__name__}: {error}): it is truncated or not what its name says. "
            "Copy or save it again."
        ) from error
