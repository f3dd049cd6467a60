"""Whether spaces, bounds and numbers are what the teacher was made for: what it sees, and what it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from understudy.checks.finding import Finding, failed, ok, skipped, warning
from understudy.checks.patient import Patient
from understudy.checks.suspects import moments, normaliser_of
from understudy.envs.wrappers import words

FAR = 10.0
"""Deviations from a normaliser's mean that clip most of them: VecNormalize's default."""
FAR_SHARE = 0.05
OUTSIDE_SHARE = 0.1
ALL_BUT = 0.9
IDLE_RANGE = 0.02
NAMED = 6


def spaces_match(patient: Patient) -> Finding:
    """Kinds and shapes, without which nothing else can be looked at."""
    seen = patient.view.space(patient.simulator.observation_space)
    if patient.mended:
        fix = f"They match with {patient.mended}, which the checks below use"
        return failed(f"{misfit(patient.notes[0])}. {fix}", patient.mended)
    text = f"sees {words(seen)}, does {words(patient.simulator.action_space)}"
    added = [one for one in patient.wrappers if one not in patient.config.wrap]
    if added:
        text += f"; {', '.join(added)} added, as it needs"
    return _bounds(patient, text)


def misfit(error: str) -> str:
    """What an error of opening says is wrong, without the advice that it ends with."""
    return error.partition(". Name the environment")[0].partition(". It is called")[0]


def _bounds(patient: Patient, text: str) -> Finding:
    """Actions are clipped to the environment's bounds: where the teacher's were others, it acted in other units."""
    here, own = patient.simulator.action_space, patient.teacher.action_space
    if not isinstance(here, spaces.Box) or not isinstance(own, spaces.Box):
        return ok(text)
    if np.allclose(own.low.ravel(), here.low.ravel()) and np.allclose(own.high.ravel(), here.high.ravel()):
        return ok(text)
    unit = np.allclose(own.low, -1) and np.allclose(own.high, 1)
    fix = "--wrap rescale-action" if unit else "rescale actions where the environment is made, as in training"
    return warning(
        f"the teacher was trained to act within {words(own)}, the environment takes {words(here)}: its actions are in "
        "other units",
        f"{fix}; if the bounds alone were changed, there is nothing to do",
    )


@dataclass(frozen=True)
class Columns:
    """What the teacher sees in one part of its observations, ``[M, D]`` where it goes and ``[K, D]`` anywhere."""

    visited: np.ndarray
    anywhere: np.ndarray
    low: np.ndarray
    high: np.ndarray
    name: str


def columns_of(patient: Patient) -> list[Columns]:
    """The parts made of real numbers; pictures are left to the eye."""
    space = patient.view.space(patient.simulator.observation_space)
    windows = patient.window, patient.wandering
    visited, strayed = (patient.view(window.observation) for window in windows)
    parts = dict(space.items()) if isinstance(space, spaces.Dict) else {"": space}
    found = []
    for key, part in parts.items():
        if not isinstance(part, spaces.Box) or part.dtype.kind != "f":
            continue
        arrays = [one[key] if isinstance(one, dict) else one for one in (visited, strayed)]
        rows = [
            array[window.valid].reshape(-1, int(np.prod(part.shape)))
            for array, window in zip(arrays, windows, strict=True)
        ]
        found.append(Columns(rows[0], np.concatenate(rows), part.low.ravel(), part.high.ravel(), key))
    return found


def observations(patient: Patient) -> Finding:
    """Numbers that never vary, leave their bounds, or lie where the teacher's normaliser has never been."""
    columns = columns_of(patient)
    if not columns:
        return skipped("no observation of real numbers; pictures and choices are not looked at")
    far = _far(patient, columns[0]) if len(columns) == 1 else None
    if far is not None:
        return far
    constant = [f"{part.name}{i}" for part in columns for i in np.flatnonzero(np.ptp(part.anywhere, axis=0) == 0)]
    if constant:
        return warning(
            f"never varied in {len(columns[0].anywhere):,} steps: {_listed('number', constant)} of what it sees",
            "a sensor may be dead: look at what the environment shows. If all is well, --student-view leaves them out",
        )
    outside = [f"{part.name}{i}" for part in columns for i in np.flatnonzero(_outside(part) > OUTSIDE_SHARE)]
    if outside:
        return warning(
            f"often outside of the bounds that the observation space declares: {_listed('number', outside)}",
            "declare the bounds as they are; nothing is clipped, so that teacher and student are not harmed",
        )
    size = sum(part.anywhere.shape[1] for part in columns)
    known = "" if normaliser_of(patient.teacher) is None else ", and lie where its normaliser knows them"
    return ok(f"all {size} numbers are finite and vary{known}")


def _outside(part: Columns) -> np.ndarray:
    slack = 1e-5 * np.maximum(1, np.abs(part.anywhere))
    return ((part.anywhere < part.low - slack) | (part.anywhere > part.high + slack)).mean(0)


def _far(patient: Patient, part: Columns) -> Finding | None:
    """Where the teacher goes, in units of its own normaliser."""
    known = normaliser_of(patient.teacher)
    if known is None:
        return None
    mean, std = (one.ravel() for one in moments(known))
    share = (np.abs((part.visited - mean) / std) >= min(FAR, known.clip)).mean(0)
    worst = np.flatnonzero(share > FAR_SHARE)
    if not len(worst):
        return None
    which = _listed("number", [f"{i} ({share[i]:.0%} of steps)" for i in worst])
    return warning(
        f"clipped, for {min(FAR, known.clip):g} deviations or more from what its normaliser knows: {which}",
        "the statistics are another agent's, or the environment differs from training's: other units, another order, "
        "or normalised already. See the check 'return'",
    )


def _listed(noun: str, names: list[str]) -> str:
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return f"{noun if len(names) == 1 else noun + 's'} {shown}"


def actions(patient: Patient) -> Finding:
    """Which actions it takes, and how many of them the environment would clip."""
    family, space = patient.teacher.family, patient.simulator.action_space
    flat = patient.flat.numpy()
    if not family.continuous:
        return _choices(family.mode(flat), family.sizes if family.kind != "bernoulli" else (2,) * family.sizes[0])
    assert isinstance(space, spaces.Box)
    low, high = space.low.ravel(), space.high.ravel()
    if not (np.isfinite(low) & np.isfinite(high)).all():
        return ok("its actions have no bounds on both sides")
    raw = family.mode(flat)
    squashed = family.kind == "squashed-gaussian"
    done = np.tanh(raw) * (high / 2 - low / 2) + (low / 2 + high / 2) if squashed else raw
    reach = high / 2 - low / 2
    at = ((done <= low + 1e-3 * reach) | (done >= high - 1e-3 * reach)).mean(0)
    outside = ((done < low) | (done > high)).mean()
    used = np.ptp(np.clip(done, low, high), axis=0) / (2 * reach)
    drawn = "" if squashed else f", {outside:.0%} of its means lie beyond and are clipped"
    text = f"{at.mean():.0%} of its actions lie at a bound{drawn}"
    if (at > ALL_BUT).all():
        return warning(text, "actions may be in other units: try --wrap rescale-action; a bang-bang policy is fine")
    if (used < IDLE_RANGE).all():
        return warning(
            f"its actions use {used.max():.1%} of their range at most",
            "actions may be in other units than the environment's: try --wrap rescale-action",
        )
    return ok(text)


def _choices(taken: np.ndarray, sizes: tuple[int, ...]) -> Finding:
    columns = taken.reshape(len(taken), -1)
    counts = [np.bincount(columns[:, k].astype(int), minlength=n) / len(columns) for k, n in enumerate(sizes)]
    if all((count > 0).sum() == 1 for count in counts):
        return warning(
            "it takes one and the same action wherever it goes",
            "look at what it sees: such a teacher is blind here. See the check 'return'",
        )
    used = f"{sum(int((count > 0).sum()) for count in counts)} of {sum(sizes)}"
    shares = f": {', '.join(f'{share:.0%}' for share in counts[0])}" if len(counts) == 1 and sizes[0] <= 8 else ""
    return ok(f"takes {used} actions{shares}")
