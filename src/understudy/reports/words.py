"""Numbers, intervals and verdicts as a reader sees them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from understudy.lab.findings import Claim, Effect

MARKS = {"reproduced": "✔", "partly": "◐", "not reproduced": "✘"}
HELD = {True: "yes", False: "no", None: ""}


def number(value: float | str | None) -> str:
    """Three digits, thousands with commas, and no exponent where a person would not write one.

    None is what a file of JSON keeps of a number that is not finite.
    """
    if value is None:
        return "undefined"
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return f"{value:,}" if not isinstance(value, bool) else HELD[value]
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else "never" if value > 0 else "-∞"
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def interval(effect: Effect) -> str:
    """``3.1 [2.9, 3.4] times``; brackets that are no interval of 95 % say so."""
    unit = f" {effect.unit}" if effect.unit else ""
    span = f", {effect.span}" if effect.span else ""
    return f"{number(effect.value)} [{number(effect.low)}, {number(effect.high)}{span}]{unit}"


def verdict(claim: Claim) -> str:
    """The outcome with a mark that needs no colour."""
    return f"{MARKS[claim.outcome]} {claim.outcome}"


def leading(claim: Claim) -> Effect | None:
    """The effect that a table shows: the first that fails; where none does, the first that decides."""
    held = [effect for effect in claim.effects if effect.holds is not None]
    failed = [effect for effect in held if not effect.holds]
    return next(iter(failed or held or claim.effects), None)


def summarised(claim: Claim) -> str:
    """The leading effect in one line, and how many of the statements hold."""
    effect = leading(claim)
    if effect is None:
        return ""
    held = [one.holds for one in claim.effects if one.holds is not None]
    wanted = f" (claimed: {effect.wanted})" if effect.wanted else ""
    count = f"; {sum(map(bool, held))} of {len(held)} statements hold" if len(held) > 1 else ""
    return f"{effect.name}: {interval(effect)}{wanted}{count}"


def flat(prefix: str, facts: Any) -> Iterator[tuple[str, str]]:
    """Nested data as names with dots and texts."""
    if isinstance(facts, Mapping):
        for key, one in facts.items():
            yield from flat(f"{prefix}.{key}" if prefix else str(key), one)
    elif facts not in (None, ""):
        yield prefix, facts if isinstance(facts, str) else json.dumps(facts, ensure_ascii=False)
