"""Fields of a configuration that know their help, their heading and what they may be; checks and TOML for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from functools import cache
from pathlib import PurePath
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from understudy.errors import ConfigurationError, UnderstudyError, nearest

Configuration = TypeVar("Configuration")
Read = Callable[[str], Any]


def option(
    text: str,
    default: Any = MISSING,
    group: str = "",
    within: str = "",
    read: Read | None = None,
    positional: bool = False,
) -> Any:
    """A field of a dataclass: its help, its default, its heading, and what it may be.

    ``within``: an interval such as ``(0, 1]``; ``read``: what must be able to read a text; ``positional``: the
    command line takes it without a name.
    """
    words = {"help": text, "group": group, "within": within, "read": read, "positional": positional}
    return field(metadata=words) if default is MISSING else field(default=default, metadata=words)


@cache
def fields_of(kind: type) -> dict[str, Field[Any]]:
    """The fields by name."""
    return {entry.name: entry for entry in fields(kind)}


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """The type of every field."""
    return get_type_hints(kind)


def required(kind: type) -> list[str]:
    """Fields without a default."""
    return [name for name, entry in fields_of(kind).items() if entry.default is MISSING]


def refuse(found: list[str], where: str = "") -> None:
    """All problems in one error; nothing happens where there are none."""
    prefix = f"{where}: " if where else ""
    if len(found) == 1:
        raise ConfigurationError(prefix + found[0])
    if found:
        lines = [f"{prefix}{len(found)} problems in the configuration:", *(f"  - {one}" for one in found)]
        raise ConfigurationError("\n".join(lines))


def problems(kind: type, values: Mapping[str, Any]) -> list[str]:
    """What is wrong with each value on its own, one line each."""
    return [text for name, value in values.items() for text in _problems(kind, name, value)]


def _problems(kind: type, name: str, value: Any) -> list[str]:
    known = fields_of(kind)
    if name not in known:
        return [f"unknown key {name!r}.{nearest(name.replace('-', '_'), known)}"]
    hint = hints_of(kind)[name]
    wanted = _mismatch(value, hint)
    if wanted:
        return [f"{name} must be {wanted}, got {value!r}{_suggestion(value, hint)}"]
    if value is None:
        return []
    within, read = known[name].metadata["within"], known[name].metadata["read"]
    if within and not _inside(value, within):
        return [f"{name} must lie in {within}, got {value!r}"]
    return _unreadable(name, value, read) if read else []


def _unreadable(name: str, value: str, read: Read) -> list[str]:
    try:
        read(value)
    except UnderstudyError as error:
        text = str(error)
        return [text if name in text else f"{name}: {text}"]
    return []


_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _mismatch(value: Any, hint: Any) -> str:
    """What was wanted, in words, where ``value`` is not of the type; empty where it is."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        wanted = [_mismatch(value, one) for one in arguments if one is not type(None)]
        return "" if value is None or "" in wanted else wanted[0]
    if origin is Literal:
        return "" if value in arguments else f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        fits = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
        return "" if fits else "a list of texts"
    fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    return "" if fits else _WORDS[hint]


def _suggestion(value: Any, hint: Any) -> str:
    known = [str(one) for one in get_args(hint)] if get_origin(hint) is Literal else []
    found = nearest(value, known) if isinstance(value, str) else ""
    return f".{found}" if found else ""


def _inside(value: float, within: str) -> bool:
    low, high = (float(number) for number in within[1:-1].split(","))
    above = value > low or (within[0] == "[" and value == low)
    return above and (value < high or (within[-1] == "]" and value == high))


def plain(kind: type, name: str, value: Any) -> Any:
    """What files and Python callers may give besides the field's own type: whole numbers, paths, lists, tables."""
    hint = hints_of(kind).get(name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and float in (hint, *get_args(hint)):
        return float(value)
    if number and hint is str and fields_of(kind)[name].metadata["read"]:
        return repr(value)
    if isinstance(value, dict) and hint is str:
        return json.dumps(value)
    if isinstance(value, PurePath):
        return str(value)
    return tuple(value) if isinstance(value, list) else value


def settle(configuration: Any) -> None:
    """Called when a configuration is made: brings its values to the fields' types and refuses what they may not be."""
    kind: type = type(configuration)
    values = {name: plain(kind, name, getattr(configuration, name)) for name in fields_of(kind)}
    for name, value in values.items():
        object.__setattr__(configuration, name, value)
    refuse(problems(kind, values))


def build(
    kind: type[Configuration], values: Mapping[str, Any], where: str = "", needed: Sequence[str] = ()
) -> Configuration:
    """From keys and values; unknown and missing keys are problems like any other, and all are reported.

    ``needed``: fields without which these values make no sense, besides those without a default.
    """
    values = {name: plain(kind, name, value) for name, value in values.items()}
    missing = [f"{name} is missing" for name in (*required(kind), *needed) if name not in values]
    refuse(problems(kind, values) + missing, where)
    return kind(**values)


def toml_text(value: Any) -> str:
    """A text, number, truth value or list of texts as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return "[" + ", ".join(toml_text(one) for one in value) + "]"
    return repr(value)
