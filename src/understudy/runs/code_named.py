"""What a folder from anywhere says of itself that opening would run as code: found in the texts, touching nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from understudy.envs.wrappers import WRAPPERS
from understudy.policies.teachers import OPENERS, members_of

READERS = {*OPENERS, "hf"} - {"function"}
"""Schemes of teachers that are read, or run only with trust."""


def in_env(env: Any) -> list[str]:
    """``module:function`` and ``module:Name-v0``, which import the module, behind ``vector:`` too."""
    if not isinstance(env, str):
        return []
    scheme, _, rest = env.partition(":")
    return [env] if ":" in (rest if scheme in ("envpool", "vector") else env) else []


def in_wrappers(names: Iterable[str]) -> list[str]:
    """What is no wrapper of ours."""
    return [name for name in names if ":" in name and name.partition(":")[0] not in WRAPPERS]


def in_views(views: Iterable[str]) -> list[str]:
    """What is neither entries nor keys."""
    return [view for view in views if ":" in view and not view.startswith("key:")]


def in_teacher(uri: str) -> list[str]:
    """Functions, among the members of an ensemble too."""
    members = members_of(uri)
    texts = [str(member) for member in ([uri] if members is None else members)]
    return [one for one in texts if is_function(one)]


def is_function(name: str) -> bool:
    """Whether a name means something in a module or a file of code, and not a file that is read."""
    return ":" in name and name.partition(":")[0] not in READERS and not Path(name).exists()
