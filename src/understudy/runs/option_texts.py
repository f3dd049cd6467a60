"""Options that are texts with a form of their own, read."""

from __future__ import annotations

import json
import math
from typing import Any

from understudy.errors import ConfigurationError, nearest


def parse_remedy(text: str) -> tuple[str, float]:
    """``("none" | "absorbing", 1.0)`` or ``("credit", c)``: the remedy of the termination trap and its credit."""
    kind, _, number = text.partition(":")
    if kind in ("none", "absorbing") and not number:
        return kind, 1.0
    try:
        credit = float(number)
    except ValueError:
        credit = math.nan
    if kind == "credit" and 0 <= credit <= 1:
        return kind, credit
    raise ConfigurationError(
        f"remedy is none, absorbing or credit:C with C in [0, 1], got {text!r}."
        f"{nearest(kind, ('none', 'absorbing', 'credit'))}"
    )


def parse_env_args(text: str) -> dict[str, Any]:
    """The environment's keyword arguments from a JSON object."""
    try:
        found = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"env_args must be a JSON object, got {text!r} ({error})") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f'env_args must be a JSON object such as {{"gravity": -5}}, got {text!r}')
    return found


def parse_data(text: str) -> tuple[str, str]:
    """Scheme and name of a data set; a file has no scheme. Whether it is there shows when it is read."""
    scheme, _, rest = text.partition(":")
    if scheme in ("minari", "store") and rest:
        return scheme, rest
    if text.endswith(".npz"):
        return "", text
    raise ConfigurationError(
        f"data is minari:NAME, store:RUN or FILE.npz, got {text!r}.{nearest(scheme, ('minari', 'store'))}"
    )


def parse_target(text: str) -> tuple[str, float]:
    """``("hard", updates)`` or ``("soft", share)``."""
    kind, _, number = text.partition(":")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if (kind == "hard" and value >= 1 and value.is_integer()) or (kind == "soft" and 0 < value <= 1):
        return kind, value
    raise ConfigurationError(f"target_update is hard:UPDATES such as hard:250, or soft:SHARE up to 1, got {text!r}")


def parse_device(text: str) -> tuple[str, int]:
    """The kind of device and its number; whether it is there shows when it is used."""
    kind, _, number = text.partition(":")
    if kind in ("cpu", "cuda", "mps") and (not number or number.isdigit()) and not text.endswith(":"):
        return kind, int(number or 0)
    raise ConfigurationError(f"device is cpu, cuda, cuda:N or mps, got {text!r}")
