"""The files that a run is made of: where they lie, and hashes of what they hold."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from understudy.errors import UnderstudyError
from understudy.policies import sb3_vecnormalize
from understudy.policies.hub import located
from understudy.policies.hub_names import hub_part
from understudy.policies.teachers import deduce, members_of
from understudy.runs.code_named import in_env, in_views, in_wrappers, is_function
from understudy.runs.config import DistillConfig

OBJECT = "<object of type"
STATISTICS = "'s statistics"


def sources(config: DistillConfig, teacher: Any) -> dict[str, Any]:
    """The files of the teacher and of its statistics."""
    members = members_of(teacher)
    agent: dict[str, Any] = _agent(teacher) if members is None else {"uri": uri_of(teacher), "sha256": None}
    statistics = agent.pop("vecnormalize", None)
    if members is not None:
        agent["members"] = [_agent(member) for member in members]
    return {"teacher": agent, "vecnormalize": file_facts(config.vecnormalize) if config.vecnormalize else statistics}


def code(config: DistillConfig, env: Any = None) -> dict[str, Any]:
    """The files of what the configuration names in code, and of a row's, by their options; ``env``: an object."""
    named = {
        "env": [] if env is not None or re.search(r"-v\d+$", config.env) else in_env(config.env),
        "method": [config.row_name] if ".toml" in config.row_name else [],
        **{view: in_views([getattr(config, view)]) for view in ("student_view", "teacher_view", "critic_view")},
    }
    found: dict[str, Any] = {option: file_facts(texts[0]) for option, texts in named.items() if texts}
    if in_wrappers(config.wrap):
        found["wrap"] = [file_facts(text) if in_wrappers([text]) else {"uri": text} for text in config.wrap]
    return found


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Which files hold something else ``now``, and which statistics have come or gone; none where a file is not found.

    Both are plain data as in provenance.json.
    """
    old, new = dict(_contents(before)), dict(_contents(now))
    found = []
    for what in old | new:
        both, owner = what in old and what in new, what.removesuffix(STATISTICS)
        beside = owner != what and owner in old and owner in new
        if beside if not both else old[what]["sha256"] != new[what]["sha256"]:
            found.append(f"the contents of {what}, {(new.get(what) or old[what])['uri']}")
    return found


def _contents(facts: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What each file is to the run, and its facts."""
    agent, statistics = facts.get("teacher") or {}, facts.get("vecnormalize") or {}
    found = [("the teacher", agent), (f"the teacher{STATISTICS}", statistics)]
    for place, one in enumerate(agent.get("members") or [], 1):
        found += [(f"member {place}", one), (f"member {place}{STATISTICS}", one.get("vecnormalize") or {})]
    for option, one in (facts.get("code") or {}).items():
        found += [(option, one)] if option != "wrap" else [(f"wrap {k}", part) for k, part in enumerate(one, 1)]
    return ((what, one) for what, one in found if one.get("sha256"))


def is_name(thing: Any) -> bool:
    return isinstance(thing, str | os.PathLike)


def uri_of(thing: Any) -> str:
    """The name as given, or of what kind an object is."""
    if isinstance(thing, list | tuple):
        return ",".join(uri_of(one) for one in thing)
    return os.fspath(thing) if is_name(thing) else f"{OBJECT} {type(thing).__name__}>"


def was_object(uri: Any) -> bool:
    """Whether what stands in provenance.json for a name was made in Python."""
    return isinstance(uri, str) and OBJECT in uri


def _agent(thing: Any) -> dict[str, Any]:
    """The facts of one teacher's file, and of the statistics that are found beside an agent of SB3."""
    if not is_name(thing):
        return {"uri": uri_of(thing), "sha256": None}
    facts = file_facts(os.fspath(thing))
    try:
        scheme, path = deduce(os.fspath(thing))
    except UnderstudyError:
        return facts
    found = sb3_vecnormalize.find(Path(path)) if scheme == "sb3" else None
    return facts if found is None else facts | {"vecnormalize": file_facts(str(found))}


def file_facts(uri: str) -> dict[str, Any]:
    """The name as given and, where it names files or something in one, their SHA-256."""
    remote = hub_part(uri)
    if remote is not None:
        return {"uri": uri, **_hub_facts(remote)}
    home = uri.removeprefix("function:").rpartition(":")[0]
    places = (home, _module_file(home)) if is_function(uri) else (uri, uri.partition(":")[2])
    paths = (Path(place).expanduser() for place in places if place)
    found = next((path for path in paths if path.is_file() or (path.is_dir() and not is_function(uri))), None)
    if found is None:
        return {"uri": uri, "sha256": None}
    return {"uri": uri, "path": str(found.resolve()), "sha256": sha256(found)}


def _module_file(name: str) -> str | None:
    """Of a module, imported or not. Nothing is imported to find it."""
    imported: str | None = getattr(sys.modules.get(name), "__file__", None)
    words, places = name.split("."), [str(Path.cwd()), *sys.path]
    if imported is not None or not all(word.isidentifier() for word in words):
        return imported
    origin = None
    for count in range(1, len(words) + 1):
        spec = PathFinder.find_spec(".".join(words[:count]), places)
        if spec is None:
            return None
        places, origin = list(spec.submodule_search_locations or ()), spec.origin
    return origin


def _hub_facts(remote: str) -> dict[str, Any]:
    """Of a name on the Hub: its copy in the cache, and which file at which commit that is."""
    try:
        found = located(remote)
    except UnderstudyError:
        return {"sha256": None}
    facts = {"path": str(found.path), "file": found.file, "revision": found.commit}
    return facts | {"sha256": sha256(found.path)}


def sha256(path: Path) -> str:
    """Of a file's bytes, or of the names and bytes of a student folder's files, in order."""
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(path.read_bytes())
        return digest.hexdigest()
    inner = path / "student" if (path / "student").is_dir() else path
    for file in sorted(inner.iterdir()):
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
