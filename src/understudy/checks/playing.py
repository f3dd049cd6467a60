"""How episodes end, and whether the same seed plays the same episode."""

from __future__ import annotations

import numpy as np

from understudy.checks.finding import Finding, ok, warning
from understudy.checks.patient import Patient
from understudy.engines.actor import UniformActor
from understudy.envs.of_gym import make
from understudy.envs.rollout import Episodes, Rollout, Window
from understudy.envs.simulator import Simulator
from understudy.methods import METHODS
from understudy.policies.policy import Observation
from understudy.runs.option_texts import parse_env_args, parse_remedy

REPEATED_STEPS = 100
SHORT = 0.5
"""A student whose episodes are shorter than this share of its teacher's may have learned to end them."""


def endings(patient: Patient) -> Finding:
    """The termination trap: whether ending early is possible, whether the chosen row would pay for it, and remedies."""
    teacher, random = patient.teacher_episodes, patient.random_episodes
    text = f"{_ends(teacher, 'its episodes')} end by termination, {_ends(random, 'random ones')}"
    if not (teacher.terminated.any() or random.terminated.any()):
        return ok(f"{text}: no student can learn to end them")
    row, remedied = patient.row, False
    if patient.config.student is not None and not patient.config.method:
        remedied = parse_remedy(patient.run.config.remedy)[0] != "none"
    if not row.charges or remedied:
        return ok(f"{text}; {row.name} {'has its remedy' if row.charges else 'does not charge for steps'}")
    pays, says = _pay(patient)
    if not row.charges_every_step and pays:
        return ok(f"{text}; {row.name} charges every step, and {says}")
    better = f", or {row.name}+r, for {says}" if pays and f"{row.name}+r" in METHODS else ""
    return warning(
        f"{text}; {row.name} charges every step{'' if pays else f', and {says}'}, so that a student may learn to end "
        "its episodes (the termination trap)",
        f"--remedy absorbing or --remedy credit:0{better}; on-policy-distill is safe",
    )


def _ends(played: Episodes, whose: str) -> str:
    return f"{played.terminated.mean():.0%} of {whose} ({played.lengths.mean():.0f} steps)"


def _pay(patient: Patient) -> tuple[bool, str]:
    """Whether the task pays for staying: its mean reward a step, ends aside."""
    window = patient.window
    going = window.reward[window.valid & ~window.terminated]
    mean = float(going.mean())
    return mean > 0, f"the task {'pays' if mean > 0 else 'itself charges'} {abs(mean):.2g} a step on average"


def reproducible(patient: Patient) -> Finding:
    """The same seeds and actions: twice in the same environment, once in a new one."""
    first = _recorded(patient, patient.simulator, None)
    again = {"when played again": _recorded(patient, patient.simulator, first)}
    if isinstance(patient.env, str) or callable(patient.env):
        other = make(
            patient.env,
            patient.simulator.copies,
            wrappers=patient.wrappers,
            env_kwargs=parse_env_args(patient.config.env_args),
        )
        try:
            again["in a new copy"] = _recorded(patient, other, first)
        finally:
            other.close()
    for when, window in again.items():
        step = _first_difference(first, window)
        if step is not None:
            return warning(
                f"the same seeds and actions lead elsewhere {when}, from step {step} on",
                "draw all chance from self.np_random, which reset(seed=...) seeds, and keep nothing from one episode "
                "to the next. As it is, a resumed run begins new episodes, and equal seeds are not equal episodes",
            )
    return ok(f"{first.valid.sum():,} steps are the same {' and '.join(again)}")


class _Repeating:
    """Plays the actions of a window again."""

    def __init__(self, window: Window) -> None:
        self.actions, self.time = window.action, 0

    def __call__(self, observation: Observation, start: np.ndarray) -> np.ndarray:
        self.time += 1
        return self.actions[self.time - 1]


def _recorded(patient: Patient, simulator: Simulator, first: Window | None) -> Window:
    uniform = UniformActor(patient.actions, np.random.default_rng(11))
    actor = uniform if first is None else _Repeating(first)
    return Rollout(simulator, patient.actions, patient.config.seed).collect(actor, REPEATED_STEPS)


def _first_difference(one: Window, other: Window) -> int | None:
    """The earliest step at which anything differs."""
    parts = [(one.reward, other.reward), (one.terminated, other.terminated), (one.truncated, other.truncated)]
    if isinstance(one.observation, dict) and isinstance(other.observation, dict):
        parts += [(one.observation[key], other.observation[key]) for key in one.observation]
    else:
        parts.append((one.observation, other.observation))  # type: ignore[arg-type]
    differs = [(a != b).reshape(len(a), -1).any(1) for a, b in parts]
    steps = np.flatnonzero(np.any(differs, axis=0))
    return int(steps[0]) if len(steps) else None
