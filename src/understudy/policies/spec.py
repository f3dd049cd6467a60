"""What a student is made of, as text: ``mlp:64,64:silu:layernorm``, ``linear``, ``cnn:nature:x0.5``, ``gru:64``."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from understudy.errors import ConfigurationError, nearest

BODIES = ("linear", "mlp", "cnn", "gru", "lstm")
ACTIVATIONS = ("tanh", "relu", "silu", "gelu", "elu")
IMAGE_BODIES = ("nature", "small")
EXAMPLES = (
    "linear, mlp:64,64, mlp:32,32:silu:layernorm, cnn:nature, cnn:small:x0.5, mlp:64,64:dueling, gru:64 or lstm:64"
)


@dataclass(frozen=True)
class Spec:
    """One network body. ``widths``: hidden layers, or the memory's width; ``image``: which convolutions.

    ``scale``: of a cnn's channels and width, ``x0.5`` for half. ``dueling``: action values as a value and advantages
    (Wang et al. 2016).
    """

    body: str
    widths: tuple[int, ...] = ()
    image: str = "small"
    activation: str = "tanh"
    layernorm: bool = False
    scale: float = 1.0
    dueling: bool = False

    @property
    def recurrent(self) -> bool:
        return self.body in ("gru", "lstm")

    def __str__(self) -> str:
        if self.body == "linear":
            return "linear"
        first = self.image if self.body == "cnn" else ",".join(map(str, self.widths))
        default = "relu" if self.body == "cnn" else "tanh"
        words = [self.body, first, *([self.activation] if self.activation != default else [])]
        words += [f"x{self.scale!r}".removesuffix(".0")] if self.scale != 1 else []
        return ":".join([*words, *(["layernorm"] if self.layernorm else []), *(["dueling"] if self.dueling else [])])

    def scaled(self, channels: int) -> int:
        """So many channels of the full network, at this one's scale."""
        return max(1, round(channels * self.scale))


def parse(text: str) -> Spec:
    """Read a student's description; a ConfigurationError says what is known."""
    body, *words = text.strip().split(":")
    if body not in BODIES:
        raise ConfigurationError(f"unknown student {text!r}.{nearest(body, BODIES)} Write {EXAMPLES}.")
    spec: dict[str, Any] = {"body": body, "activation": "relu" if body == "cnn" else "tanh"}
    if body != "linear":
        if not words:
            raise ConfigurationError(f"student {text!r} lacks its size. Write {EXAMPLES}.")
        spec |= _size(body, words.pop(0), text)
    for word in words:
        if word in ("layernorm", "dueling"):
            spec[word] = True
        elif body == "cnn" and word.startswith("x"):
            spec["scale"] = _scale(word, text)
        elif word in ACTIVATIONS:
            spec["activation"] = word
        else:
            known = (*ACTIVATIONS, "layernorm", "dueling")
            raise ConfigurationError(
                f"student {text!r}: unknown word {word!r}.{nearest(word, known)} Write {EXAMPLES}."
            )
    if body == "linear" and spec.get("dueling"):
        raise ConfigurationError(f"student {text!r}: a dueling head needs a hidden layer, as in mlp:64,64:dueling")
    read = Spec(**spec)
    return read if read.scale == 1 else replace(read, widths=tuple(map(read.scaled, read.widths)))


def _scale(word: str, text: str) -> float:
    try:
        scale = float(word[1:])
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise ConfigurationError(f"student {text!r}: expected a scale above 0 such as x0.5, got {word!r}")
    return scale


def _size(body: str, word: str, text: str) -> dict[str, object]:
    if body == "cnn":
        if word not in IMAGE_BODIES:
            raise ConfigurationError(
                f"student {text!r}: a cnn is {' or '.join(IMAGE_BODIES)}.{nearest(word, IMAGE_BODIES)}"
            )
        return {"image": word, "widths": (512,) if word == "nature" else (128,)}
    try:
        widths = tuple(int(width) for width in word.split(","))
    except ValueError:
        widths = ()
    if not widths or min(widths) < 1:
        raise ConfigurationError(f"student {text!r}: expected positive layer widths such as 64,64, got {word!r}")
    if body in ("gru", "lstm") and len(widths) != 1:
        raise ConfigurationError(f"student {text!r}: a {body} has one width, such as {body}:{widths[0]}")
    return {"widths": widths}
