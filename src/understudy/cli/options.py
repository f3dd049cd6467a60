"""Words of the command line to a configuration: tyro reads them, and what is wrong is said in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import MISSING, Field, field, make_dataclass
from io import StringIO
from typing import Annotated, Any

from understudy.errors import ConfigurationError, nearest


def taken(option: str, words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take ``--option VALUE`` out of the words, and answer the value (None where it is not there) and the rest."""
    rest: list[str] = []
    found: str | None = None
    remaining = iter(words)
    for word in remaining:
        name, equals, value = word.partition("=")
        if name != option:
            rest.append(word)
            continue
        found = value if equals else next(remaining, None)
        if not found:
            raise ConfigurationError(f"{option} needs {EXAMPLES[option]}")
    return found, rest


def parse(
    kind: type, groups: dict[str, str], words: Sequence[str], command: str, summary: str, defaults: dict[str, Any]
) -> dict[str, Any]:
    """The options of ``kind`` by tyro, under the headings of ``groups``; ``defaults`` stand in for its own."""
    import tyro

    from understudy.runs.fields import fields_of

    words, switched = _switches(kind, words)
    defaults = defaults | switched
    names = (*fields_of(kind), *_MORE.get(command, {}))
    for word in words:
        _check_known(word, names, command)
    parts = [
        (group or "main", make_dataclass(group or "main", fields, namespace={"__doc__": title}))
        for group, title in groups.items()
        if (fields := _fields(kind, group, defaults) + ([] if group else _more(command)))
    ]
    options = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
    with _boxes_as_lines(command):
        found: Any = tyro.cli(
            make_dataclass(command, parts),
            prog=f"understudy {command}",
            description=summary,
            args=words,
            config=options,
        )
    values = {name: value for group, _ in parts for name, value in vars(getattr(found, group)).items()}
    return {name: value for name, value in values.items() if name in fields_of(kind)}


def _switches(kind: type, words: Sequence[str]) -> tuple[list[str], dict[str, bool]]:
    """Take ``--flag`` and ``--no-flag`` out of the words: the last counts, and saying what holds anyway is harmless."""
    from understudy.runs.fields import hints_of

    flags = {name.replace("_", "-"): name for name, hint in hints_of(kind).items() if hint is bool}
    rest: list[str] = []
    found: dict[str, bool] = {}
    for word in words:
        name = word.removeprefix("--").replace("_", "-")
        off = name not in flags and name.startswith("no-")
        name = name.removeprefix("no-") if off else name
        if word.startswith("--") and name in flags:
            found[flags[name]] = not off
        else:
            rest.append(word)
    return rest, found


def _check_known(word: str, names: Iterable[str], command: str) -> None:
    """Unknown options are refused before tyro's own, longer refusal."""
    option = word.partition("=")[0].replace("_", "-")
    known = [f"--{name.replace('_', '-')}" for name in names] + ["--help"]
    if option.startswith("--") and len(option) > 2 and option not in known and not option.startswith("--tyro-"):
        raise ConfigurationError(
            f"unknown option {option}.{nearest(option, known)} `understudy {command} --help` lists them."
        )


@contextmanager
def _boxes_as_lines(command: str) -> Iterator[None]:
    """tyro frames its refusals; here all are one line."""
    said = StringIO()
    try:
        with redirect_stderr(said):
            yield
    except SystemExit as stop:
        if not stop.code:
            raise
        message = _unboxed(said.getvalue())
        raise ConfigurationError(f"{message.rstrip('.')}. See `understudy {command} --help`.") from None


def _unboxed(text: str) -> str:
    """What stands in a frame, or under a title where the terminal has no frames, up to the next rule."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    framed = any(line.startswith("╭") for line in lines)
    inner = [line.strip(" │") for line in lines if not line.startswith(("╭", "╰"))]
    parts = " ".join("\0" if re.fullmatch("[-─]{4,}", line) else line for line in inner).split("\0")
    return " ".join((parts[0] if framed or len(parts) < 2 else parts[1]).split())


def checked(kind: Any, values: dict[str, Any]) -> Any:
    """A configuration; what is wrong is said with the names that options have here."""
    from understudy.runs.fields import fields_of

    try:
        return kind.of(values)
    except ConfigurationError as error:
        names = "|".join(name for name, entry in fields_of(kind).items() if not entry.metadata["positional"])
        text = re.sub(
            rf"^(  - )?({names})(?= must | is |: )",
            lambda found: f"{found[1] or ''}--{found[2].replace('_', '-')}",
            str(error),
            flags=re.MULTILINE,
        )
        raise ConfigurationError(text) from None


_MORE = {
    "distill": {
        "config": ("FILE", "A run's config.toml: its values are defaults, the command line wins."),
        "resume": ("DIR", "Go on with the run in DIR, which was stopped; takes no other option."),
        "task": ("[NAME=]TEACHER@ENV", "One of several tasks of one student, instead of TEACHER and --env; repeat."),
        "heads": ("own|one", "Of several tasks: a last layer for each, or one for all. Default: own."),
        "mix": ("sum|turns", "Update by the sum of all tasks' losses, or by one task after the other. Default: sum."),
    }
}
EXAMPLES = {
    "--config": "a file: --config run.toml",
    "--resume": "a run folder: --resume runs/NAME",
    "--task": "a teacher and its environment: --task dqn.zip@CartPole-v1",
    "--heads": "own or one: --heads own",
    "--mix": "sum or turns: --mix sum",
}


def _more(command: str) -> list[Any]:
    """Rows of the help for options that are taken out of the words before they are parsed."""
    import tyro

    rows = _MORE.get(command, {}).items()
    return [
        (
            name,
            Annotated[str | None, tyro.conf.arg(help=text, metavar=metavar, help_behavior_hint="")],
            field(default=None),
        )
        for name, (metavar, text) in rows
    ]


_METAVARS = {str: "TEXT", int: "N", float: "X"}


def _fields(kind: type, group: str, defaults: dict[str, Any]) -> list[Any]:
    from understudy.runs.fields import fields_of, hints_of

    entries = [entry for entry in fields_of(kind).values() if entry.metadata["group"] == group]
    return [_field(entry, hints_of(kind)[entry.name], defaults) for entry in entries]


def _field(entry: Field[Any], hint: Any, defaults: dict[str, Any]) -> Any:
    import tyro

    conf: Any = tyro.conf
    default = defaults.get(entry.name, entry.default)
    first, *others = getattr(hint, "__args__", (hint,))
    metavar = _METAVARS.get(first if type(None) in others else hint)
    words: dict[str, Any] = {"help": entry.metadata["help"], "metavar": metavar}
    if default is False or default in (None, "", ()):
        words["help_behavior_hint"] = ""
    if entry.metadata["positional"]:
        hint, words["metavar"] = conf.Positional[hint], entry.name.upper()
    elif hint == tuple[str, ...]:
        hint, words["metavar"] = conf.UseAppendAction[hint], "TEXT"
    hint = Annotated[hint, conf.arg(**words)]
    return (entry.name, hint) if default is MISSING else (entry.name, hint, field(default=default))
