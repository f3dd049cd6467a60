"""What of a run may be shown to everybody: its facts without the paths and the machine of whoever made it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path, PureWindowsPath
from typing import Any

from understudy.errors import RunError
from understudy.policies.hub_names import hub_part, pinned
from understudy.policies.teachers import members_of
from understudy.runs.config import DistillConfig
from understudy.runs.fields import toml_text
from understudy.runs.files import json_text
from understudy.runs.folder import RunFolder
from understudy.runs.option_texts import parse_env_args

FACTS = ("understudy", "python", "packages", "seeds", "resolved")
FILE_FACTS = ("sha256", "file", "revision")
END = r"(?![\w.-])"  # of a folder's name
FILE = r"(?:(?i:file):(?://[^/\\]*)?)?"
ROOTED = FILE + r"(?:/(?!\s|$)|~\w*[/\\]|\.\.?[/\\]|[A-Za-z]:[/\\]|\\\\)"
PATH = re.compile(ROOTED)  # how a text begins that is one
IN_TEXT = re.compile(
    rf"(?P<address>(?!(?i:file):)\b[A-Za-z][\w+.-]+://\S*)|(?<![\w.])(?P<rooted>{ROOTED}.*)"
    r"|(?P<relative>[\w.~+@%-]+(?:[/\\][\w.~+@%-]+)+)",
    re.DOTALL,
)
"""Where a path may stand in a text. A rooted one goes on to its end, for folders' names may hold anything."""
NAMED = ("env", "method", "student_view", "teacher_view", "critic_view", "data")
"""Options that may name code, a row in a file, or data."""


class Publication:
    """The facts of a finished run, ready for other people's eyes."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.facts = folder, folder.provenance
        self.private = sorted(_private(folder, self.facts), key=len, reverse=True)

    @property
    def teacher(self) -> str:
        """The teacher's name without folders; on the Hub at the commit that was used."""
        given, facts = self.folder.config.teacher, self.facts.get("teacher") or {}
        names = members_of(given)
        if names is None:
            return public_teacher(given, facts)
        members = facts.get("members") or [{}] * len(names)
        return ",".join(public_teacher(name, one) for name, one in zip(names, members, strict=True))

    def config(self) -> dict[str, Any]:
        """How to do it again, by the keys of config.toml. Whoever does it decides anew what to trust."""
        config = self.folder.config
        shown = {
            "teacher": self.teacher,
            "vecnormalize": config.vecnormalize and PureWindowsPath(config.vecnormalize).name,
            "out": None,
            "trust": False,
            "wrap": tuple(map(public_name, config.wrap)),
            "env_args": public_args(config.env_args),
            "data": config.data and _shortened(config.data),
        }
        named = {key: public_name(value) for key in NAMED if (value := getattr(config, key)) is not None}
        return vars(config) | named | shown

    def config_toml(self) -> str:
        """config.toml, as :meth:`DistillConfig.to_toml` writes it."""
        values, lines = self.config(), []
        for line in self.folder.config.to_toml().splitlines():
            key, equals, _ = line.partition(" = ")
            if not equals or values[key] is not None:
                lines.append(f"{key} = {toml_text(values[key])}" if equals else line)
        return self.text("\n".join(lines) + "\n")

    def rows(self) -> Path | None:
        """The file that holds the method, where it is no row of the catalogue."""
        found = re.fullmatch(r"(.+\.toml)(:.*)?", self.folder.config.method or "")
        return Path(found[1]).expanduser() if found else None

    def result(self) -> str:
        """result.json."""
        facts = asdict(self.folder.result)
        facts |= {"teacher": self.teacher, "env": public_name(facts["env"]), "path": ""}
        return self.text(json_text(facts))

    def provenance(self) -> str:
        """provenance.json: versions, seeds and hashes."""
        teacher = self.facts.get("teacher") or {}
        known = {key: self.facts[key] for key in FACTS if key in self.facts}
        known["teacher"] = {"uri": self.teacher, **_hashes(teacher)}
        if "members" in teacher:
            known["teacher"]["members"] = [_hashes(one) for one in teacher["members"]]
        known["vecnormalize"] = _hashes(self.facts.get("vecnormalize") or {}) or None
        known["env"] = public_name(self.folder.config.env)
        return self.text(json_text(_bare(known)))

    def student(self) -> str:
        """The student's config.json."""
        config = json.loads((self.folder.student / "config.json").read_text(encoding="utf-8"))
        facts = config["facts"]
        for key in ("env", "view"):
            facts[key] = public_name(facts.get(key) or "")
        facts["wrappers"] = [public_name(one) for one in facts.get("wrappers") or ()]
        return self.text(json_text(config))

    def metadata(self, facts: Mapping[str, str]) -> dict[str, str]:
        """What an exported file tells of itself."""
        shown = {
            "env": public_name(facts["env"]),
            "env_args": public_args(facts["env_args"]),
            "wrappers": json.dumps([public_name(one) for one in json.loads(facts["wrappers"])]),
            "view": public_name(facts["view"]),
        }
        return {key: self.text(value) for key, value in {**facts, **shown}.items()}

    def text(self, text: str) -> str:
        """Without the folders of whoever made the run."""
        for place in self.private:
            text = re.sub(rf"{re.escape(place)}(/|{END})", "", text)
        return text

    def check(self, folder: Path) -> None:
        """RunError where a file of ``folder``, whatever its kind, still names a private folder."""
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            content = file.read_bytes()
            for place in self.private:
                if re.search(rb"%b%b" % (re.escape(place.encode()), END.encode()), content):
                    raise RunError(
                        f"{file.relative_to(folder)} would tell everybody of the folder {place}, so nothing was made. "
                        "Leave that file out if you can (--no-onnx, --no-video), and report this"
                    )


def public_name(text: str) -> str:
    """``FILE.py:function`` or ``FILE.toml:NAME`` without the file's folders; other names as they are."""
    return re.sub(r"^.*[/\\](?=[^/\\]+\.(py|toml)\b)", "", text)


def public_args(text: str) -> str:
    """The keyword arguments of an environment, JSON, without the folders of files that they name."""
    if not text:
        return text
    values = json.loads(text)
    shown = _each_text(values, _shortened)
    return text if shown == values else json.dumps(shown)


def _shortened(text: str) -> str:
    """Without the folders of the paths that stand anywhere in it; addresses stay."""
    if os.path.exists(text):  # unlike Path.exists, of any text
        return _last(text)
    return IN_TEXT.sub(lambda found: _last(found[0]) if _is_path(found) else found[0], text)


def _paths(text: str) -> list[str]:
    """What :func:`_shortened` shortens."""
    return [text] if os.path.exists(text) else [one[0] for one in IN_TEXT.finditer(text) if _is_path(one)]


def _is_path(found: re.Match[str]) -> bool:
    """Of what is not rooted, what is there now, or looks like a file that is elsewhere."""
    relative = found["relative"]
    there = relative is not None and (os.path.exists(relative) or re.search(r"[^/\\]\.[A-Za-z]\w*$", relative))
    return found["rooted"] is not None or bool(there)


def _last(path: str) -> str:
    return PureWindowsPath(path).name or path


def _bare(value: Any) -> Any:
    """Plain data in which no text is a whole path or names code in a folder."""
    return _each_text(value, lambda one: one if " " in one else _nameless(one))


def _nameless(text: str) -> str:
    return _last(text) if PATH.match(text) else public_name(text)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Plain data with every text in it changed, keys too."""
    if isinstance(value, Mapping):
        return {change(key): _each_text(part, change) for key, part in value.items()}
    if isinstance(value, list):
        return [_each_text(part, change) for part in value]
    return change(value) if isinstance(value, str) else value


def public_teacher(name: str, facts: Mapping[str, Any]) -> str:
    """A teacher's name without folders; on the Hub at the commit that ``facts``, those of its file, name."""
    if hub_part(name) is not None:
        return pinned(name, facts.get("revision"))
    head, colon, rest = public_name(name).rpartition(":")
    return f"{head}{colon}{PureWindowsPath(rest).name}"  # which takes both kinds of slashes


def _hashes(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: facts[key] for key in FILE_FACTS if facts.get(key)}


def _named(config: DistillConfig) -> list[str]:
    """Texts of the options that may be paths."""
    texts: list[str] = []

    def noted(text: str) -> str:
        texts.append(text)
        return text

    _each_text([[getattr(config, key) for key in NAMED], list(config.wrap), parse_env_args(config.env_args)], noted)
    return texts


def _code(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The facts of files that the configuration names in code."""
    code = facts.get("code") or {}
    return [*(one for option, one in code.items() if option != "wrap"), *code.get("wrap", ())]


def _private(folder: RunFolder, facts: Mapping[str, Any]) -> Iterable[str]:
    """Folders that other people need not know of: home, those of the run, of its files and of this process."""
    teacher = facts.get("teacher") or {}
    files = [teacher, *teacher.get("members", ()), facts.get("vecnormalize") or {}, *_code(facts)]
    known = [Path(one["path"]).parent for one in files if one.get("path")]
    paths = [path for text in _named(folder.config) for path in _paths(text)]
    known += [Path(os.path.abspath(os.path.expanduser(re.sub(f"^{FILE}", "", path)))).parent for path in paths]
    for place in {Path.home(), Path.cwd(), folder.path.resolve(), folder.path.resolve().parent, *known}:
        if len(place.parts) > 2 or (place == Path.home() and len(place.parts) > 1):  # containers' home may be /
            yield str(place)
