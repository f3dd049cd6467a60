"""The files that a run was begun from, found again: where they were or where they lie now, and unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from understudy.errors import RunError
from understudy.policies.teachers import members_of
from understudy.runs.config import DistillConfig
from understudy.runs.folder import RunFolder
from understudy.runs.places import likely, place
from understudy.runs.sources import changes, code, sources, was_object

CODE = {
    "method": "the method",
    "env": "the environment",
    "student_view": "the student's view",
    "teacher_view": "the teacher's view",
    "critic_view": "the critic's view",
}
"""Options that may name a file beside the teacher's, and what to call it; ``wrap`` names several."""


def found_again(folder: RunFolder, config: DistillConfig, *, teacher: Any, env: Any, other: str) -> DistillConfig:
    """The configuration with the places where its files lie now, for a run that goes on.

    ``teacher`` and ``env``: what the caller gives in their stead, or None. ``other``: how to name another teacher.
    RunError: a file is gone or has changed, or what was made in Python is not given again.
    """
    if env is None and was_object(folder.provenance.get("env")):
        raise RunError(f"{folder.path} was begun with an environment made in Python; give it again with env=...")
    config = code_found_again(folder, config, env=env, same=True)
    return config if teacher is not None else teacher_found_again(folder, config, other)


def code_found_again(folder: RunFolder, config: DistillConfig, *, env: Any, same: bool) -> DistillConfig:
    """What is named in code, and a method's file; ``same``: refuse contents that have changed."""
    facts: dict[str, Any] = folder.provenance.get("code") or {}

    def there(name: str, one: Mapping[str, Any], what: str) -> str:
        return place(name, one, f"{what} of {folder.path}", "begin a new run") if same else likely(name, one)

    own = [option for option in CODE if option in facts and (option != "env" or env is None)]
    found: dict[str, Any] = {option: there(getattr(config, option), facts[option], CODE[option]) for option in own}
    wraps = facts.get("wrap") or [{}] * len(config.wrap)
    found["wrap"] = tuple(there(name, one, "a wrapper") for name, one in zip(config.wrap, wraps, strict=True))
    return replace(config, **found)


def changed_code(folder: RunFolder, config: DistillConfig) -> str:
    """Which code is not as it was when the run began, in a sentence; empty where all is. ``config``: where it lies."""
    found = changes({"code": folder.provenance.get("code")}, {"code": code(config)})
    since = f"changed since {folder.path} was made: figures played now may differ"
    return f"{' and '.join(found)} {since}" if found else ""


def teacher_found_again(folder: RunFolder, config: DistillConfig, other: str) -> DistillConfig:
    """The teacher and its statistics, unchanged; ``other``: how to name another."""
    facts = folder.provenance
    agent = facts.get("teacher") or {}
    if was_object(agent.get("uri")):
        raise RunError(f"{folder.path} was begun with a teacher made in Python; give it again with teacher=...")
    whose = f"the teacher of {folder.path}"
    names = members_of(config.teacher)
    if names is None:
        found = place(config.teacher, agent, whose, other)
    else:
        members = agent.get("members") or [{}] * len(names)
        places = (place(name, one, whose, other) for name, one in zip(names, members, strict=True))
        found = f"ensemble:{','.join(places)}"
    statistics, own = facts.get("vecnormalize") or {}, config.vecnormalize
    if own or statistics:
        whose = f"the VecNormalize statistics of {folder.path}"
        own = place(own or statistics["uri"], statistics, whose, "begin the run anew")
    config = replace(config, teacher=found, vecnormalize=own)
    _check_statistics(folder, config)
    return config


def _check_statistics(folder: RunFolder, config: DistillConfig) -> None:
    """Those that lie beside a teacher are found by themselves, so that none may come or go."""
    now = sources(config, config.teacher)
    changed = changes({name: folder.provenance.get(name) for name in now}, now)
    if changed:
        raise RunError(f"{'; '.join(changed)}: not as when {folder.path} was begun. Put them back as they were")
