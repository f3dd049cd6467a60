"""Where two policies do the same and where they differ most, on states that both were asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces

from understudy.envs.actions import ActionMap
from understudy.math.distributions import Family
from understudy.math.divergences import kl
from understudy.policies.network import is_image
from understudy.policies.policy import Observation

SCATTERED = 250
MOST_ENTRIES = 64
APART, PER_EPISODE, UNLIKE = 0.05, 2, 0.5
"""Chosen states of one episode lie this share of it apart; so many are from one at most; deviations between all."""
STANDING_OUT = 4
CERTAIN = 100.0
"""Logits beyond tell no more; a teacher that is a function has infinite ones."""


@dataclass(frozen=True)
class Asked:
    """What two policies of one ``family`` answer on the same S states, flat parameters ``[S, P]``, and what was seen.

    ``observation [S, D]``: what the environment showed, D = 0 where that is pictures or too many numbers. ``episode``
    and ``step``, both ``[S]``: where the states come from; ``length [S]``: of that episode.
    """

    family: Family
    teacher: np.ndarray
    student: np.ndarray
    observation: np.ndarray
    episode: np.ndarray
    step: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        return len(self.step)

    def __add__(self, other: Asked) -> Asked:
        """The states of both, this one's first; the episodes are numbered on."""
        names = ("teacher", "student", "observation", "step", "length")
        joined = {name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names}
        episode = np.concatenate([self.episode, other.episode + self.episode.max(initial=-1) + 1])
        return Asked(self.family, episode=episode, **joined)

    @property
    def divergence(self) -> np.ndarray:
        """KL(teacher‖student) of each state, in nats."""
        teacher, student = (self.family(torch.as_tensor(flat)) for flat in (self.teacher, self.student))
        return np.asarray(kl(teacher, student).double())

    @property
    def deviations(self) -> np.ndarray:
        """``[S, D]``: how far each number seen is from its mean over all states, in standard deviations."""
        return _standardised(self.observation)

    @property
    def features(self) -> np.ndarray:
        """What tells states apart, in deviations: the numbers seen, or of pictures what both policies answer."""
        answers = np.clip(np.concatenate([self.teacher, self.student], -1), -CERTAIN, CERTAIN)
        return self.deviations if self.observation.shape[1] else _standardised(answers.astype(np.float64))


def _standardised(rows: np.ndarray) -> np.ndarray:
    spread = rows.std(0)
    return (rows - rows.mean(0)) / np.where(spread > 0, spread, 1.0)


def flattened(space: Space[Any], seen: Observation) -> np.ndarray:
    """What the environment shows as rows of numbers ``[..., D]``; D = 0 for pictures and for very many numbers."""
    lead = np.shape(next(iter(seen.values())) if isinstance(seen, dict) else seen)
    parts = dict(space.items()) if isinstance(space, spaces.Dict) else {"": space}
    lead = lead[: len(lead) - len(next(iter(parts.values())).shape or ())]
    if len(entries(space)) == 0:
        return np.zeros((*lead, 0))
    values = [seen[key] if isinstance(seen, dict) else seen for key in parts]
    return np.concatenate([np.asarray(value, np.float64).reshape(*lead, -1) for value in values], -1)


def entries(space: Space[Any]) -> tuple[str, ...]:
    """The names of what :func:`flattened` gives: numbers, after the key of a Dict."""
    parts = dict(space.items()) if isinstance(space, spaces.Dict) else {"": space}
    sizes = {key: int(np.prod(part.shape or ())) for key, part in parts.items()}
    if any(map(is_image, parts.values())) or sum(sizes.values()) > MOST_ENTRIES:
        return ()
    return tuple(f"{key}[{i}]" if key else str(i) for key, size in sizes.items() for i in range(size))


def agreement(asked: Asked, actions: ActionMap) -> dict[str, Any]:
    """How alike the deterministic actions are, as data.

    Of choices: the share of states in which all parts are the same, and for each part the counts of every choice of
    the teacher (rows) with every choice of the student. Of amounts: for each one the mean absolute difference, also
    relative to its range, the correlation, and a sample of both.
    """
    counted = {"states": len(asked), "episodes": len(np.unique(asked.episode))}
    teacher, student = (asked.family.mode(flat) for flat in (asked.teacher, asked.student))
    if asked.family.continuous:
        x, y = (actions.to_env(raw).reshape(len(asked), -1).astype(np.float64) for raw in (teacher, student))
        return {"kind": "amounts", **counted, "dimensions": _dimensions(x, y, actions)}
    parts = [raw.reshape(len(asked), -1).astype(np.int64) for raw in (teacher, student)]
    return {
        "kind": "choices",
        **counted,
        "same": float((parts[0] == parts[1]).all(-1).mean()),
        "parts": [
            {"labels": labels, "counts": _counts(parts[0][:, k], parts[1][:, k], len(labels))}
            for k, labels in enumerate(choices(asked.family, actions.action_space))
        ],
    }


def choices(family: Family, space: Space[Any]) -> list[list[str]]:
    """What the environment calls the choices of each part: numbers, from the space's first on."""
    sizes = (2,) * family.sizes[0] if family.kind == "bernoulli" else family.sizes
    first = np.broadcast_to(np.ravel(getattr(space, "start", 0)), len(sizes))
    return [[str(int(start) + i) for i in range(size)] for start, size in zip(first, sizes, strict=True)]


def _counts(teacher: np.ndarray, student: np.ndarray, size: int) -> list[list[int]]:
    return np.bincount(teacher * size + student, minlength=size * size).reshape(size, size).tolist()


def _dimensions(teacher: np.ndarray, student: np.ndarray, actions: ActionMap) -> list[dict[str, Any]]:
    space = actions.action_space
    assert isinstance(space, spaces.Box)
    sample = np.linspace(0, len(teacher) - 1, min(SCATTERED, len(teacher))).astype(int)
    found = []
    for k, (low, high) in enumerate(zip(space.low.ravel(), space.high.ravel(), strict=True)):
        x, y = teacher[:, k], student[:, k]
        bounded = bool(np.isfinite(low) and np.isfinite(high))
        difference = float(np.abs(x - y).mean())
        varied = x.std() > 0 and y.std() > 0
        found.append(
            {
                "low": float(low) if bounded else None,
                "high": float(high) if bounded else None,
                "difference": difference,
                "relative": difference / float(high - low) if bounded else None,
                "correlation": float(np.corrcoef(x, y)[0, 1]) if varied else None,
                "teacher": x[sample].round(4).tolist(),
                "student": y[sample].round(4).tolist(),
            }
        )
    return found


def apart(asked: Asked, count: int) -> list[int]:
    """The states of the largest KL(teacher‖student), most first, chosen to differ.

    Those of one episode lie apart in time, are two at most, and look unlike all chosen before; where that leaves
    fewer than ``count``, what looks alike is taken too. States in which the two are the same are left out.
    """
    size, features = asked.divergence, asked.features
    order = [int(s) for s in np.argsort(-size, kind="stable") if size[s] > 1e-6]
    chosen: list[int] = []
    for unlike in (UNLIKE, 0.0):
        for s in order:
            if len(chosen) < count and _fits(s, chosen, asked, features, unlike):
                chosen.append(s)
    return sorted(chosen, key=order.index)


def _fits(s: int, chosen: list[int], asked: Asked, features: np.ndarray, unlike: float) -> bool:
    if s in chosen:
        return False
    same = [c for c in chosen if asked.episode[c] == asked.episode[s]]
    gap = max(5.0, APART * asked.length[s])
    if len(same) >= PER_EPISODE or any(abs(asked.step[c] - asked.step[s]) < gap for c in same):
        return False
    return all(np.sqrt(np.mean((features[c] - features[s]) ** 2)) >= unlike for c in chosen)


def described(asked: Asked, s: int, actions: ActionMap) -> dict[str, Any]:
    """State ``s`` as data: when it was, what stands out in it, and what each of the two would do.

    Choices as probabilities of each part; amounts as the action taken and the deviation before bounds apply.
    """
    deviations = asked.deviations[s]
    outstanding = np.argsort(-np.abs(deviations), kind="stable")[:STANDING_OUT]
    return {
        "divergence": float(asked.divergence[s]),
        "step": int(asked.step[s]),
        "length": int(asked.length[s]),
        "observation": asked.observation[s].tolist(),
        "standing_out": [{"entry": int(i), "deviations": float(deviations[i])} for i in outstanding],
        "teacher": _answer(asked.family, asked.teacher[s], actions),
        "student": _answer(asked.family, asked.student[s], actions),
    }


def _answer(family: Family, flat: np.ndarray, actions: ActionMap) -> dict[str, Any]:
    if family.continuous:
        taken = actions.to_env(family.mode(flat[None]))[0]
        std = np.exp(np.clip(flat[family.sizes[0] :], -20, 4))
        return {"action": np.ravel(taken).astype(float).tolist(), "std": std.astype(float).tolist()}
    if family.kind == "bernoulli":
        on = 1 / (1 + np.exp(-flat.astype(np.float64)))
        return {"parts": [[1 - p, p] for p in on.tolist()]}
    pieces = np.split(flat.astype(np.float64), np.cumsum(family.sizes)[:-1])
    weights = [np.exp(piece - piece.max()) for piece in pieces]
    return {"parts": [(weight / weight.sum()).tolist() for weight in weights]}
