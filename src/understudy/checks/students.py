"""Whether a student's run still says the truth: of this teacher, in this environment, with this file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

import numpy as np
import torch

from understudy.checks.finding import Finding, failed, ok, skipped, warning
from understudy.checks.known import path_of
from understudy.checks.patient import COPIES, Patient
from understudy.checks.patient import episodes as played
from understudy.checks.playing import SHORT
from understudy.engines.objective import unroll
from understudy.envs.rollout import Episodes
from understudy.envs.wrappers import check_spaces, words
from understudy.errors import RunError, SpaceError
from understudy.math.divergences import kl
from understudy.policies.network import VectorInput
from understudy.policies.policy import tensors
from understudy.runs.found_again import changed_code
from understudy.runs.judge import final_seeds
from understudy.runs.places import same_code
from understudy.runs.sources import sha256

AGREE = 1e-3
"""By which share of its size a return may differ from the one that was recorded."""
MORE = 3.0
"""Times the recorded divergence, which other states alone can explain."""
FAR, FAR_SHARE = 10.0, 0.05


Look = Callable[[Patient], Finding]


def of_its_spaces(look: Look) -> Look:
    """The check, skipped where the student cannot see what is shown here, or do what is done."""

    @wraps(look)
    def looked(patient: Patient) -> Finding:
        student, here = patient.run.student, patient.simulator
        seen = patient.run.views.student.space(here.observation_space)
        try:
            check_spaces(student.observation_space, student.action_space, seen, here.action_space)
        except SpaceError:
            own = f"{words(student.observation_space)}, does {words(student.action_space)}"
            return skipped(f"the student cannot play here: it sees {own}")
        return look(patient)

    return looked


def same_teacher(patient: Patient) -> Finding:
    """By the hash of its file."""
    facts = patient.run.folder.provenance.get("teacher") or {}
    kept, name = facts.get("sha256"), facts.get("uri", patient.run.config.teacher)
    path = path_of(patient.given) if isinstance(patient.given, str) else None
    if not kept or path is None:
        return skipped(f"the run keeps no hash of {name}, or this teacher has no file of its own")
    if sha256(path) == kept:
        return ok(f"{path.name} is the file that the run was made from")
    return failed(
        f"{path} is not the teacher of {patient.run.folder.path}, which was {name}",
        f"name that one, or distil this one anew: understudy distill {patient.given} --env {patient.name}",
    )


def same_setting(patient: Patient) -> Finding:
    """The student's wrappers, environment and views are those of this examination."""
    run, facts = patient.run, patient.run.student.facts
    code, config = run.folder.provenance.get("code") or {}, run.folder.config  # by the names that the run began with
    env, wraps = facts.get("env") or "", tuple(facts.get("wrappers", ()))
    here = patient.config.env if isinstance(patient.env, str) else env
    files = [*code.get("wrap", ()), *({} for _ in wraps)]
    wrapped = len(wraps) == len(patient.wrappers) and all(map(same_code, wraps, patient.wrappers, files))
    pairs = [
        ("wrappers", "--wrap", wraps, patient.wrappers, wrapped),
        ("environment", "--env", env, here, same_code(env, here, code.get("env") or {})),
        ("view", "--student-view", view := facts.get("view", ""), config.student_view, view == config.student_view),
        ("arguments", "--env-args", args := config.env_args, given := patient.config.env_args, args == given),
    ]
    wrong = [f"{what} {was!r}, here {now!r} ({option})" for what, option, was, now, same in pairs if not same]
    if wrong:
        return failed(
            f"the student was made with {'; '.join(wrong)}", "give the run's own: what it saw is what it knows"
        )
    changed = changed_code(run.folder, replace(run.config, env=here))
    if changed:
        return warning(changed, "put the old file back, or distil this student anew")
    own = facts.get("wrappers") or "no wrappers"
    return ok(f"{patient.config.env}, {own}, view {facts.get('view') or 'everything'}: as in the run")


@of_its_spaces
def normaliser_kept(patient: Patient) -> Finding:
    """The student's own statistics are in its file, and fit what is seen."""
    student = patient.run.student
    entries = [one for one in student.network.inputs if isinstance(one, VectorInput) and one.standardise is not None]
    if not entries or len(student.network.inputs) != len(entries):
        return skipped("pictures and choices are not standardised")
    seen = patient.run.views.student(patient.window.observation)
    parts = [seen[key] for key in student.network.keys] if isinstance(seen, dict) else [seen]
    shares = []
    for entry, part in zip(entries, parts, strict=True):
        assert entry.standardise is not None
        if bool((entry.standardise.mean == 0).all() and (entry.standardise.scale == 1).all()):
            return failed(
                "its file holds no statistics: observations reach the network as they are",
                "the file is not as `distill` left it; distil again, or restore model.safetensors",
            )
        z = entry(tensors(part[patient.window.valid])).abs()
        shares.append(float((z > FAR).float().mean(0).max()))
    if max(shares) > FAR_SHARE:
        return warning(
            f"its statistics are in the file, but a number that it sees lies {FAR:g} deviations away in "
            f"{max(shares):.0%} of steps",
            "the environment shows something else than in training: compare its version, wrappers and units",
        )
    return ok("its statistics are in the file, and fit what the environment shows")


@of_its_spaces
def same_return(patient: Patient) -> Finding:
    """On the run's own seeds, episode by episode where the run kept them."""
    run, result = patient.run, patient.run.folder.result
    try:
        kept: Episodes | None = run.folder.episodes()["student"]
    except (RunError, KeyError):
        kept = None
    count = min(result.episodes or patient.config.episodes, patient.config.episodes if kept is not None else 10**9)
    simulator = run.simulator(min(COPIES, count))
    try:
        now = played(simulator, run.actions(simulator), run.actor("student", simulator), final_seeds(count)).returns
    finally:
        simulator.close()
    if kept is None:
        return _same_mean(now, result.student_return, f"result.json says {result.student_return:.1f}")
    then = kept.returns[:count]
    same = np.isclose(now, then, rtol=AGREE, atol=AGREE)
    text = f"{now.mean():.1f} on the run's first {count} seeds, where it had {then.mean():.1f}"
    if same.all():
        return ok(f"returns {text}, the same in every episode")
    return _same_mean(now, float(then.mean()), f"{(~same).sum()} of {count} episodes came out otherwise then")


def _same_mean(now: np.ndarray, then: float, says: str) -> Finding:
    error = 3 * float(now.std()) * np.sqrt(2 / len(now))
    text = f"returns {now.mean():.1f} over {len(now)} episodes of the run; {says}"
    if abs(now.mean() - then) <= max(AGREE * max(1.0, abs(then)), 1e-9):
        return ok(text)
    if abs(now.mean() - then) <= error:
        return warning(f"{text}: alike, but not the same", "other versions of packages? provenance.json has the run's")
    return failed(text, "the environment or the student's file is not what it was: see the checks around this one")


@of_its_spaces
@torch.no_grad()
def agreement(patient: Patient) -> Finding:
    """How far it is from its teacher where that one goes, beside what the run recorded."""
    run, window = patient.run, patient.window
    start, valid = torch.as_tensor(window.start), torch.as_tensor(window.valid)
    flat = unroll(run.student, tensors(run.views.student(window.observation)), None, start)[0].policy.flat[valid]
    family = run.student.family
    now = float(kl(family(patient.flat), family(flat)).mean())
    same = np.isclose(family.mode(patient.flat.numpy()), family.mode(flat.numpy()), atol=0.1)
    text = f"KL(teacher‖student) is {now:.3g}, {same.mean():.0%} of actions agree"
    recorded = run.folder.result.extra.get("kl_teacher")
    if not isinstance(recorded, int | float):
        return ok(f"{text}; the run recorded none")
    if now <= MORE * recorded + AGREE:
        return ok(f"{text}; the run recorded {recorded:.3g}")
    return warning(
        f"{text}, but the run recorded {recorded:.3g}",
        "another teacher, temperature or environment than in the run, or a student that was changed since",
    )


def lengths(patient: Patient) -> Finding:
    """The termination trap as it shows: a student whose episodes are far shorter than its teacher's."""
    result = patient.run.folder.result
    if result.student_length is None or result.teacher_length is None:
        return skipped("the run recorded no lengths")
    text = f"its episodes lasted {result.student_length:.0f} steps, the teacher's {result.teacher_length:.0f}"
    if result.student_length >= SHORT * result.teacher_length or result.reached:
        return ok(text)
    if patient.run.config.row().charges:
        return failed(
            f"{text}: it may have learned to end them, for {patient.run.config.row().name} charges every step",
            "distil with --remedy absorbing or --remedy credit:0, or with on-policy-distill",
        )
    return warning(f"{text}: it fails early", "it may need longer training (--steps), a larger --student, or memory")
