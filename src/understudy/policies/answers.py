"""What a teacher from outside answers to a batch of observations, read as an action distribution.

Modules, ONNX files and functions answer in one of these forms, N observations at a time:

================ ============================================================================================
action space     answer
================ ============================================================================================
Discrete(n)      ``[N, n]`` logits, or probabilities where every row sums to 1; whole numbers ``[N]``: actions
MultiDiscrete    ``[N, sum(nvec)]`` logits or probabilities of every part in turn; whole numbers ``[N, K]``
MultiBinary(n)   ``[N, n]`` logits, or probabilities where all lie in [0, 1]; zeros and ones: actions
Box, A numbers   ``[N, A]`` actions in the environment's units; ``[N, 2A]`` means and log-deviations; a tuple
                 ``(mean, std)``
any              a dict that names its parts: ``logits``, ``probabilities``, ``q``, ``action``, ``mean`` with
                 ``std`` or ``log_std``, and ``value``; a ``torch.distributions`` object; a tuple
                 ``(any of these, value [N])``, also with log-probabilities third, as SB3's forward has it
================ ============================================================================================

A bare array is read once, from a batch of sampled observations, and held to that reading ever after. Name the
parts where it matters: only ``q`` says that numbers are action values (they get a sharpening temperature, and
their maximum is the state's value).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, distributions

from understudy.errors import ConfigurationError, TeacherError, nearest
from understudy.math.distributions import Family
from understudy.policies.families import family_of

DEFAULT_STD = 0.1
"""Standard deviation given to bare continuous actions, as a fraction of half the action range."""

NAMES = ("logits", "probabilities", "q", "action", "mean", "std", "log_std", "value")
ALIASES = {"actions": "action", "probs": "probabilities", "q_values": "q", "values": "value"}
BARE = "answer"
"""The name of an array that came without one."""

Parts = dict[str, Tensor]


@dataclass(frozen=True)
class Form:
    """How one teacher's answers are read: decided on the first batch, demanded of every later one."""

    family: Family
    action_space: gymnasium.Space[Any]
    std: float | None = None
    names: frozenset[str] = frozenset()
    bare: str = ""
    """What an unnamed array means, one of READERS."""
    full_support: bool = True

    @classmethod
    def decide(cls, answer: Any, count: int, action_space: gymnasium.Space[Any], std: float | None = None) -> Form:
        """The form of the answer to the first ``count`` observations."""
        if std is not None and not std > 0:
            raise ConfigurationError(f"std must be positive, got {std:g}")
        form = cls(family_of(action_space), action_space, std)
        parts = form._take_apart(answer, count)
        bare = _meaning(parts[BARE], form.family) if BARE in parts else ""
        form = dataclasses.replace(form, names=frozenset(parts), bare=bare)
        if std is not None and not (form.family.continuous and form.reading == "mean" and not form._spread):
            raise ConfigurationError(f"std is for bare continuous actions; this teacher answers {form}")
        flat, _ = dataclasses.replace(form, full_support=False).read(answer, count)
        full_support = (form.reading != "action") and not bool(torch.isinf(flat).any())
        return dataclasses.replace(form, full_support=full_support)

    @property
    def reading(self) -> str:
        """Which of READERS the policy part of an answer is for; continuous actions are means."""
        name = self.bare or next(iter(self.names - {"value", "std", "log_std"}))
        return "mean" if self.family.continuous and name == "action" else name

    @property
    def has_value(self) -> bool:
        return "value" in self.names or self.reading == "q"

    @property
    def _spread(self) -> frozenset[str]:
        return self.names & {"std", "log_std"}

    def read(self, answer: Any, count: int) -> tuple[Tensor, Tensor | None]:
        """Flat parameters ``[N, P]`` and values ``[N]``, or None, of an answer to N observations."""
        parts = self._take_apart(answer, count)
        if frozenset(parts) != self.names:
            raise TeacherError(f"expected {self} as at first, got {_names(parts)}")
        flat = READERS[self.reading](self, parts)
        value = parts.get("value")
        if self.reading == "q" and value is None:
            value = flat.max(-1).values
        if bool(torch.isnan(flat).any()):
            raise TeacherError("the answer has entries that are not a number (NaN)")
        return flat, None if value is None else value.reshape(count)

    def choice(self, parts: Parts) -> Tensor:
        """The part from which the actions are chosen, as ``[N, width]``."""
        x = next(iter(v for k, v in parts.items() if k not in ("value", "std", "log_std")))
        width = self._widths[self.reading]
        x = x.flatten(1) if x.ndim > 1 else x[:, None]
        if x.shape[1] != width:
            raise TeacherError(
                f"{self.reading} for {self.action_space} must be {width} numbers an observation, got {x.shape[1]}"
            )
        return x

    @property
    def _widths(self) -> dict[str, int]:
        total = sum(self.family.sizes)
        choices = len(self.family.sizes)
        actions = total if self.family.kind == "bernoulli" else choices
        return {"action": actions, "flat": 2 * total} | dict.fromkeys(("logits", "probabilities", "q", "mean"), total)

    def _take_apart(self, answer: Any, count: int) -> Parts:
        parts = _named(answer, self.family, self.names)
        names = frozenset(parts)
        known = POLICY_PARTS[self.family.kind] | {BARE}
        if len(names & known) != 1 or names - known - {"value", "std", "log_std"}:
            wanted = ", ".join(sorted(known - {BARE}))
            raise TeacherError(f"expected one of {wanted} for {self.action_space}, got {_names(parts)}")
        if names & {"std", "log_std"} and ("mean" not in names or {"std", "log_std"} <= names):
            raise TeacherError(f"expected mean with std or with log_std, got {_names(parts)}")
        for name, part in parts.items():
            if name not in ("std", "log_std") and (part.ndim == 0 or len(part) != count):
                raise TeacherError(
                    f"{count} observations must give {count} rows, but {name} has shape {list(part.shape)}"
                )
        if "value" in parts and parts["value"].numel() != count:
            shape = list(parts["value"].shape)
            raise TeacherError(f"value must be one number for each observation, [{count}], got {shape}")
        return parts

    def __str__(self) -> str:
        spread = [*sorted(self._spread), *(["value"] if "value" in self.names else [])]
        words = {"flat": "means with log-deviations", "mean": "actions" if not self._spread else "mean"}
        return " and ".join([words.get(self.reading, self.reading), *spread])


POLICY_PARTS: dict[str, frozenset[str]] = {
    "categorical": frozenset({"logits", "probabilities", "q", "action"}),
    "multi-categorical": frozenset({"logits", "probabilities", "action"}),
    "bernoulli": frozenset({"logits", "probabilities", "action"}),
    "gaussian": frozenset({"mean", "action"}),
}


def _names(parts: Parts) -> str:
    words = [f"an array {list(v.shape)}" if k == BARE else f"{k} {list(v.shape)}" for k, v in parts.items()]
    return " and ".join(words) or "nothing"


def _named(answer: Any, family: Family, expected: frozenset[str]) -> Parts:
    """The parts of an answer by name; ``expected`` are the names found at first, empty before."""
    if isinstance(answer, distributions.Distribution):
        return _of_distribution(answer)
    if isinstance(answer, Mapping):
        return _of_mapping(answer)
    if isinstance(answer, (tuple, list)) and answer:
        if all(isinstance(part, distributions.Categorical) for part in answer):
            return {"logits": torch.cat([part.logits.detach() for part in answer], -1)}
        if isinstance(answer, tuple):
            return _of_tuple(answer, family, expected)
    return {BARE: _tensor(answer)}


def _of_mapping(answer: Mapping[Any, Any]) -> Parts:
    named = {ALIASES.get(str(key), str(key)): value for key, value in answer.items() if value is not None}
    unknown = [name for name in named if name not in NAMES]
    if unknown:
        hint = nearest(unknown[0], NAMES)
        raise TeacherError(f"unknown part {unknown[0]!r}.{hint} The parts are {', '.join(NAMES)}")
    return {name: _tensor(value) for name, value in named.items()}


def _of_tuple(answer: tuple[Any, ...], family: Family, expected: frozenset[str]) -> Parts:
    """(policy) or (policy, value) or (mean, std) or (policy, value, log-probability)."""
    parts = _named(answer[0], family, expected)
    rest = [_tensor(part) for part in answer[1:] if part is not None]
    if not rest:
        return parts
    if len(rest) > 2 or "value" in parts:
        raise TeacherError(f"expected (policy, value), got a tuple of {len(answer)} parts")
    if len(rest) == 1 and (expected == {"mean", "std"} or _is_std(rest[0], parts, family, expected)):
        return {"mean": parts[BARE], "std": rest[0]}
    return {**parts, "value": rest[0]}


def _is_std(second: Tensor, parts: Parts, family: Family, expected: frozenset[str]) -> bool:
    """Whether the second of two arrays holds deviations: as many as there are actions, for each or for all rows."""
    bare = parts.get(BARE)
    if not family.continuous or bare is None or "value" in expected:
        return False
    if family.sizes == (1,) and second.shape == bare.shape:
        raise TeacherError(
            f"two arrays of shape {list(second.shape)} for one continuous action: is the second a deviation or "
            "a value? Name them: {'mean': ..., 'std': ...} or {'mean': ..., 'value': ...}"
        )
    return second.shape == bare.shape or (second.shape == bare.shape[1:] and family.sizes != (1,))


def _of_distribution(answer: distributions.Distribution) -> Parts:
    while isinstance(answer, distributions.Independent):
        answer = answer.base_dist
    if isinstance(answer, (distributions.Categorical, distributions.OneHotCategorical, distributions.Bernoulli)):
        return {"logits": answer.logits.detach()}
    if isinstance(answer, distributions.Normal):
        return {"mean": answer.mean.detach(), "std": answer.stddev.detach()}
    raise TeacherError(
        f"a distribution must be Categorical, Bernoulli, Normal or Independent(Normal), got {type(answer).__name__}"
    )


def _tensor(part: Any) -> Tensor:
    try:
        tensor = part.detach() if isinstance(part, Tensor) else torch.as_tensor(np.asarray(part))
    except (TypeError, ValueError, RuntimeError):
        raise TeacherError(f"expected numbers, got {type(part).__name__}") from None
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor


def _meaning(x: Tensor, family: Family) -> str:
    """What a bare array means, from its shape and its numbers."""
    x = x.flatten(1) if x.ndim > 1 else x[:, None]
    width, total = x.shape[1], sum(family.sizes)
    if family.continuous:
        return "flat" if width == 2 * total else "mean"
    if family.kind == "bernoulli":
        return "action" if _whole(x) and _in_unit(x) else "probabilities" if _in_unit(x) else "logits"
    if width == len(family.sizes) and width != total and _whole(x):
        return "action"
    if width == total and _in_unit(x) and all(_sums_to_one(piece) for piece in torch.split(x, list(family.sizes), -1)):
        return "probabilities"
    return "logits"


def _whole(x: Tensor) -> bool:
    return not x.is_floating_point() or bool((x == x.round()).all())


def _in_unit(x: Tensor) -> bool:
    return bool(((x >= 0) & (x <= 1 + 1e-5)).all())


def _sums_to_one(x: Tensor) -> bool:
    return bool(((x.float().sum(-1) - 1).abs() < 1e-3).all())


def _read_logits(form: Form, parts: Parts) -> Tensor:
    return form.choice(parts).float()


def _read_probabilities(form: Form, parts: Parts) -> Tensor:
    """Logarithms; zeros that only underflow left are kept finite where the first batch had none."""
    p = form.choice(parts).float()
    sizes = (1,) * p.shape[1] if form.family.kind == "bernoulli" else form.family.sizes
    sums = form.family.kind == "bernoulli" or all(_sums_to_one(piece) for piece in torch.split(p, list(sizes), -1))
    if not (_in_unit(p) and sums):
        raise TeacherError(
            "expected probabilities: numbers in [0, 1] with rows that sum to 1, got numbers from "
            f"{p.min():g} to {p.max():g} and a row sum of {p.sum(-1).max():g}. "
            "Return {'logits': ...} where they are logits"
        )
    if form.family.kind == "bernoulli":
        return _coin(p)
    return (p.clamp_min(torch.finfo(p.dtype).tiny) if form.full_support else p).log()


def _coin(p: Tensor) -> Tensor:
    """Logits of coins; at most 36.8, as an infinite one has no log-probability for its own side."""
    return torch.logit(p.double(), eps=1e-16).float()


def _read_actions(form: Form, parts: Parts) -> Tensor:
    """All mass on the action: logits 0 there and -inf elsewhere."""
    x = form.choice(parts)
    if form.family.kind == "bernoulli":
        if not (_whole(x) and _in_unit(x)):
            raise TeacherError(f"expected actions of zeros and ones for {form.action_space}")
        return _coin(x.float())
    sizes = torch.tensor(form.family.sizes, device=x.device)
    first = torch.as_tensor(np.ravel(getattr(form.action_space, "start", 0)), device=x.device)
    index = x - first
    if not _whole(x) or bool(((index < 0) | (index >= sizes)).any()):
        raise TeacherError(
            f"expected actions of {form.action_space}, got numbers from {x.min().item():g} to {x.max().item():g}"
        )
    flat = torch.full((len(x), int(sizes.sum())), -torch.inf, device=x.device)
    return flat.scatter(1, index.long() + sizes.cumsum(0) - sizes, 0.0)


def _read_mean(form: Form, parts: Parts) -> Tensor:
    mean = form.choice(parts).float()
    if "log_std" in parts:
        log_std = _spread_over(mean, parts["log_std"])
    elif "std" in parts:
        std = _spread_over(mean, parts["std"])
        if not bool((std > 0).all()):
            raise TeacherError(f"std must be positive, got {std.min():g}; name it log_std if it is a logarithm")
        log_std = std.log()
    else:
        fraction = DEFAULT_STD if form.std is None else form.std
        log_std = torch.log(fraction * half_range(form.action_space).to(mean.device)).expand_as(mean)
    return torch.cat([mean, log_std], -1)


def _spread_over(mean: Tensor, spread: Tensor) -> Tensor:
    """Deviations for every mean ``[N, A]``, given for each, for each action or once."""
    rows = spread.float().flatten(1) if spread.ndim > 1 else spread.float()
    try:
        return rows.broadcast_to(mean.shape)
    except RuntimeError:
        raise TeacherError(
            f"means of shape {list(mean.shape)} need deviations of that shape, got {list(spread.shape)}"
        ) from None


def half_range(space: gymnasium.Space[Any]) -> Tensor:
    """Half the range of every action of a Box, ``[A]``; 1 where it is unbounded."""
    assert isinstance(space, spaces.Box)
    half = (space.high.astype(np.float64) - space.low.astype(np.float64)).ravel() / 2
    return torch.as_tensor(np.where(np.isfinite(half) & (half > 0), half, 1.0), dtype=torch.float32)


READERS: dict[str, Callable[[Form, Parts], Tensor]] = {
    "logits": _read_logits,
    "q": _read_logits,
    "flat": _read_logits,
    "probabilities": _read_probabilities,
    "action": _read_actions,
    "mean": _read_mean,
}
