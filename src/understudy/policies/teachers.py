"""Open a teacher by what names it: a path, ``scheme:path``, ``module:function``, or an object in memory.

======== ================================================= =========================================
scheme   opens                                             assumed for
======== ================================================= =========================================
sb3      an agent of Stable-Baselines3 or sb3-contrib      ``*.zip``
student  one of Understudy's students                      a run folder, or its ``student/``
gated    students and a gate that picks one of them        a stage's ``gated/``
torch    a TorchScript file; with trust a pickled module   ``*.pt``, ``*.pth``, ``*.ts``
onnx     an ONNX file                                      ``*.onnx``
function ``module:function`` or ``file.py:function``       a colon after a module or a ``.py`` file
hf       an agent in a repository of the Hugging Face Hub  ``hf://owner/name[@revision][/file]``
ensemble several of these, separated by commas             a comma
======== ================================================= =========================================
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium

from understudy.errors import ConfigurationError, TeacherError, nearest
from understudy.policies.ensemble import Ensemble
from understudy.policies.hub import fetch
from understudy.policies.hub_names import SITE, hub_part
from understudy.policies.policy import Policy
from understudy.policies.student_file import runs_within, unfinished
from understudy.policies.tempered import Q_TEMPERATURE, Tempered, check_temperature

OPENERS = {
    "sb3": "understudy.policies.open_sb3:load",
    "student": "understudy.policies.student_file:load_student",
    "gated": "understudy.policies.gated:load_gated",
    "torch": "understudy.policies.open_torch:load",
    "onnx": "understudy.policies.open_onnx:load",
    "function": "understudy.policies.open_function:load",
}
SUFFIXES = {".zip": "sb3", ".onnx": "onnx", ".pt": "torch", ".pth": "torch", ".ts": "torch"}
SCHEMES = (*OPENERS, "hf", "ensemble")
FORMS = "an SB3 *.zip, a run folder, *.onnx, *.pt, hf://owner/name, module:function, or several separated by commas"

Options = dict[str, Any]


def open_teacher(
    uri: Any,
    *,
    observation_space: gymnasium.Space[Any] | None = None,
    action_space: gymnasium.Space[Any] | None = None,
    vecnormalize: str | Path | None = None,
    trust: bool = False,
    temperature: float | None = None,
    std: float | None = None,
) -> Policy:
    """The policy that ``uri`` names, frozen.

    uri: text or path as above; a callable, an ``nn.Module`` or a policy; or a list of these, for an ensemble.
    observation_space, action_space: needed by modules, ONNX files and functions, which do not know theirs.
    vecnormalize: statistics of an SB3 agent, where they don't lie beside it. trust: allow files that hold code.
    temperature: T of p^(1/T); by default 0.01 for teachers that answer action values, else 1. In an ensemble each
    member has it. std: deviation of continuous actions that come without one, as a fraction of half their range.

    Raises TeacherError (the file), SpaceError, ConfigurationError (an option) or MissingExtra.
    """
    if temperature is not None:
        check_temperature(temperature)
    options: Options = {
        "observation_space": observation_space,
        "action_space": action_space,
        "vecnormalize": vecnormalize,
        "trust": trust,
        "std": std,
    }
    members = members_of(uri)
    if members is not None:
        return Ensemble([open_teacher(member, temperature=temperature, **options) for member in members])
    policy = _single(uri, options)
    scores = getattr(policy, "scores", False)
    if temperature is None:
        temperature = Q_TEMPERATURE if scores else 1.0
    return policy if temperature == 1 and not scores else Tempered(policy, temperature)


def _single(uri: Any, options: Options) -> Policy:
    """By name or by kind of object."""
    if not isinstance(uri, (str, os.PathLike)):
        return _call("understudy.policies.open_function:of_object", "object", uri, options)
    scheme, path = deduce(os.fspath(uri))
    return _call(OPENERS[scheme], scheme, path, options)


def _call(home: str, scheme: str, path: Any, options: Options) -> Policy:
    """Call an opener with those options that it takes; an option it cannot use is an error, not ignored."""
    module, _, name = home.partition(":")
    opener: Callable[..., Policy] = getattr(importlib.import_module(module), name)
    takes = inspect.signature(opener).parameters
    for option in ("vecnormalize", "std"):
        if options[option] is not None and option not in takes:
            raise ConfigurationError(f"{option} is of no use to the teacher {path} ({scheme}); leave it out")
    return opener(path, **{key: value for key, value in options.items() if key in takes})


def members_of(uri: Any) -> list[Any] | None:
    """The members of an ensemble, or None."""
    if isinstance(uri, (list, tuple)):
        return list(uri)
    if not isinstance(uri, str):
        return None
    named = uri.startswith("ensemble:")
    text = uri.removeprefix("ensemble:")
    if not named and ("," not in text or _exists(text)):
        return None
    members = [part.strip() for part in text.split(",")]
    if not all(members):
        raise TeacherError(f"{uri!r} has an empty place; write ensemble:first.zip,second.zip")
    return members


def _exists(text: str) -> bool:
    return Path(text).expanduser().exists() or Path(text.partition(":")[2] or text).expanduser().exists()


def deduce(uri: str) -> tuple[str, str]:
    """Scheme and path of a teacher's name; TeacherError with the fix where there is neither."""
    if not uri.strip():
        raise TeacherError(f"the teacher has an empty name; name {FORMS}")
    remote = hub_part(uri)
    if remote is not None:
        return _from_hub(uri, remote)
    path = Path(uri).expanduser()
    if path.exists():
        return _scheme_of(path), str(path)
    head, colon, rest = uri.partition(":")
    if colon and head in OPENERS:
        return head, rest if head == "function" else str(_existing(Path(rest).expanduser()))
    home = uri.rpartition(":")[0]
    if len(home) > 1:
        if home.endswith(".py") or _is_module(home):
            return "function", uri
        _refuse_scheme(uri, home)
    return _scheme_of(_existing(path)), str(path)


def _from_hub(uri: str, remote: str) -> tuple[str, str]:
    """Scheme and local copy of ``hf://...`` or ``SCHEME:hf://...``."""
    scheme = uri.removesuffix(remote).rstrip(":")
    if scheme and (scheme not in OPENERS or scheme == "function"):
        raise TeacherError(f"{uri!r}: {scheme!r} cannot stand before a name on the Hub; write {remote}")
    path = fetch(remote)
    return scheme or _scheme_of(path), str(path)


def _is_module(home: str) -> bool:
    """Whether a dotted name, or a name that Python can import from here."""
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", home):
        return False
    local = Path(home.replace(".", "/"))
    if "." in home or local.is_dir() or local.with_suffix(".py").exists():
        return True
    return importlib.util.find_spec(home) is not None


def _refuse_scheme(uri: str, home: str) -> None:
    head = uri.partition(":")[0]
    if len(head) == 1:  # a Windows drive
        return
    page = f"{SITE}/"
    if uri.startswith(page):
        raise TeacherError(f"{uri!r} is a page: name the repository, as in hf://{uri.removeprefix(page)}")
    raise TeacherError(
        f"{uri!r}: {head!r} is neither a scheme ({', '.join(SCHEMES)}) nor a Python module."
        f"{nearest(head, SCHEMES)} Name {FORMS}; download remote files first"
    )


def _existing(path: Path) -> Path:
    """The path, if something is there."""
    if path.exists():
        return path
    if not path.parent.is_dir():
        raise TeacherError(f"there is no teacher {path}: the folder {path.parent} does not exist")
    siblings = sorted(entry.name for entry in path.parent.iterdir() if not entry.name.startswith("."))
    same_stem = [name for name in siblings if Path(name).stem == path.name and Path(name).suffix in SUFFIXES]
    hint = (
        f" Did you mean {same_stem[0]!r}?" if same_stem else nearest(path.name, siblings, 0.8)
    )  # suffixes are alike anyway
    raise TeacherError(f"there is no teacher {path}.{hint} Name {FORMS}")


def _scheme_of(path: Path) -> str:
    if path.is_dir():
        return _folder_scheme(path)
    if path.suffix == ".py":
        raise TeacherError(f"{path} is a Python file: name the function in it, as in {path}:act")
    if path.suffix == ".safetensors":
        raise TeacherError(f"{path} is part of a student: name its folder, {path.parent}")
    scheme = SUFFIXES.get(path.suffix.lower())
    if scheme is None:
        kind = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise TeacherError(
            f"{path} has {kind}, which says nothing of what it is. Say it, as in sb3:{path} "
            f"(schemes: {', '.join(SCHEMES)})"
        )
    return scheme


def _folder_scheme(path: Path) -> str:
    if (path / "student" / "config.json").exists() or (path / "config.json").exists():
        return "student"
    if (path / "gated.json").exists():
        return "gated"
    if (path / "config.toml").exists():
        raise TeacherError(unfinished(path))
    held = runs_within(path)
    if held:
        raise TeacherError(f"the folder {path} is no run but holds some: name one of them, such as {held[0]}")
    inside = sorted(entry.name for entry in path.iterdir() if entry.suffix in SUFFIXES)
    hint = f" It holds {', '.join(inside[:3])}: name that file, as in {path / inside[0]}." if inside else ""
    raise TeacherError(f"the folder {path} is no run: it has no student/config.json.{hint}")
