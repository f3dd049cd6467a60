"""Where a file lies now that was named when a run began: where the name leads, or where it led then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from understudy.errors import RunError
from understudy.policies.hub_names import pinned
from understudy.runs.code_named import is_function
from understudy.runs.sources import file_facts


def place(name: str, facts: Mapping[str, Any], whose: str, other: str) -> str:
    """``name``, or the same with the path that provenance.json remembers, whichever leads to the same contents.

    ``facts``: of the file as it was. ``whose``: what it is, for messages; ``other``: what to do instead.
    """
    if not facts.get("sha256") or not facts.get("path"):
        return name
    name = pinned(name, facts.get("revision"))
    now = file_facts(name)
    if now["sha256"] == facts["sha256"]:
        return name
    before = file_facts(facts["path"])
    if before["sha256"] == facts["sha256"]:
        return _from_anywhere(name, before["path"], whose)
    there = next((one["path"] for one in (now, before) if one["sha256"]), None)
    if there is None:
        raise RunError(f"{whose}, {name}, is no longer there (it was {facts['path']}). Put it back, or {other}")
    raise RunError(f"{there} is not {whose} any more: its contents have changed. Put the old file back, or {other}")


def likely(name: str, facts: Mapping[str, Any]) -> str:
    """As :func:`place`, where the contents may have changed too, and a file that is gone is for others to miss.

    Where nothing has the old contents, the old place counts before whatever the name leads to from here.
    """
    try:
        return place(name, facts, "", "")
    except RunError:
        there = Path(facts["path"]).is_file() or file_facts(name)["sha256"] is None
        return moved(name, facts["path"]) if there else name


def same_code(name: str, other: str, facts: Mapping[str, Any]) -> bool:
    """Whether ``other`` means what ``name`` does: word for word, in a file of that name elsewhere, or in one of the
    same contents. ``facts``: of the file of ``name``, as it was."""
    (home, _, what), (there, _, meant) = name.rpartition(":"), other.rpartition(":")
    alike = bool(home) and what == meant and Path(home).name == Path(there).name
    kept = facts.get("sha256")
    return name == other or alike or bool(kept and what == meant and file_facts(other)["sha256"] == kept)


def _from_anywhere(name: str, path: str, whose: str) -> str:
    found = moved(name, path)
    if found == name and is_function(name):
        home = name.removeprefix("function:").rpartition(":")[0]
        folder = Path(path).parents[home.count(".") + (Path(path).name == "__init__.py")]
        raise RunError(f"{whose}, {name}, is not found from here: its module lay in {folder}. Go on from that folder")
    return found


def moved(name: str, path: str) -> str:
    """A name such as ``sb3:agent.zip`` or ``agents.py:make`` with the whole path in place of its own; a module without
    a package is named by its file. The name itself where it has no such place."""
    scheme = "function:" if name.startswith("function:") else ""
    home, _, what = name.removeprefix(scheme).rpartition(":")
    if home == Path(path).stem and Path(path).suffix == ".py":
        return f"{scheme}{path}:{what}"
    parts = (name, name.partition(":")[2], home)
    own = next((part for part in parts if part and Path(part).name == Path(path).name), None)
    return name if own is None else name.replace(own, path)
