"""The command line. Nothing heavy is imported before a command needs it: help answers at once."""

from __future__ import annotations

import os
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import MISSING, Field, dataclass, field, make_dataclass
from io import StringIO
from typing import Annotated, Any

import understudy
from understudy.errors import ConfigurationError, UnderstudyError, nearest

USAGE_ERROR = 2
INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    """``run`` takes the words after the command's name and answers the exit code."""

    summary: str
    run: Callable[[Sequence[str]], int]


def distill(words: Sequence[str]) -> int:
    """Parse over the file's values, train, print five lines."""
    from understudy.runs.config import GROUPS, DistillConfig, read_toml

    file, words = _config_file(words)
    defaults = read_toml(file) if file else {}
    if any(word.startswith("--wrap") for word in words):
        defaults.pop("wrap", None)
    values = _parse(DistillConfig, GROUPS, words, "distill", defaults)
    config = _checked(DistillConfig, values)
    from understudy.runs.console import open_console
    from understudy.runs.execute import distill as execute

    print(execute(config, console=open_console(config.quiet)).summary())
    return 0


def _config_file(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Take ``--config FILE`` out of the words: its values are the defaults of the others."""
    rest: list[str] = []
    found: str | None = None
    remaining = iter(words)
    for word in remaining:
        name, equals, value = word.partition("=")
        if name != "--config":
            rest.append(word)
            continue
        found = value if equals else next(remaining, None)
        if not found:
            raise ConfigurationError("--config needs a file: --config run.toml")
    return found, rest


def evaluate(words: Sequence[str]) -> int:
    """Play episodes; a table for people, one JSON object with ``--json``."""
    from understudy.runs.config import EVALUATE_GROUPS, EvaluateConfig

    config = _checked(EvaluateConfig, _parse(EvaluateConfig, EVALUATE_GROUPS, words, "evaluate", {}))
    from understudy.runs.evaluation import evaluate as execute

    found = execute(config, note=lambda text: print(text, file=sys.stderr))
    print(found.to_json() if config.json else found.summary(), end="" if config.json else "\n")
    return 0


def methods(words: Sequence[str]) -> int:
    """The catalogue as a table, or with ``--json`` as a list."""
    import json

    from understudy.methods import METHODS

    unknown = [word for word in words if word not in ("--json", "-h", "--help")]
    if unknown:
        raise ConfigurationError(f"methods takes only --json, got {unknown[0]!r}.{nearest(unknown[0], ['--json'])}")
    if "-h" in words or "--help" in words:
        print(f"usage: understudy methods [--json]\n\n{COMMANDS['methods'].summary}")
    elif "--json" in words:
        print(json.dumps([_row(method) for method in METHODS.values()], indent=2, ensure_ascii=False))
    else:
        _table([_row(method) for method in METHODS.values()])
    return 0


def _row(method: Any) -> dict[str, Any]:
    from understudy.methods import term_text

    return {
        "name": method.name,
        "control": str(method.control),
        "loss": term_text(method.loss),
        "reward": term_text(method.reward),
        "gradient": method.gradient,
        "charges_every_step": method.charges_every_step,
        "needs": sorted(need.name.lower().replace("_", "-") for need in method.needs),
        "objective": method.objective,
        "source": method.source,
    }


_GRADIENT = {True: "yes", False: "no", None: "depends"}
_NEEDS = {"teacher-value": "V_T", "student-value": "V_S", "task-reward": "r", "full-support": "π > 0"}
_LEGEND = (
    "π: teacher, πθ: student, ′: one step later, H(p‖q) = −E_p log q. "
    "Needs: V_T and V_S the values of teacher and student, r the task reward, π > 0 a teacher that gives every "
    "action some probability; every row with a reward needs the student to act. Trap: the reward can only cost, at "
    "every step, so that ending episodes early pays (see --remedy)."
)
_TITLES = ("name", "control", "loss", "reward", "gradient field?", "trap", "needs", "source")
_FOLDED = {"loss": 13, "reward": None, "gradient field?": 8, "source": None}
_WIDE = 118


def _table(rows: Iterable[dict[str, Any]]) -> None:
    """Columns where they fit; else three lines a row, which survive 80 columns."""
    width = shutil.get_terminal_size((_WIDE, 24)).columns
    cells = [_cells(row) for row in rows]
    print(_columns(cells) if width >= _WIDE else _entries(cells, width))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """As ``_TITLES`` has them."""
    needs = ", ".join(filter(None, (_NEEDS.get(need) for need in row["needs"])))
    texts = (row["name"], row["control"], row["loss"], row["reward"])
    return *texts, _GRADIENT[row["gradient"]], "trap" if row["charges_every_step"] else "", needs, row["source"]


def _columns(cells: Iterable[tuple[str, ...]]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), caption=_LEGEND, caption_justify="left")
    for title in _TITLES:
        table.add_column(title, no_wrap=title not in _FOLDED, width=_FOLDED.get(title))
    for row in cells:
        table.add_row(*row)
    console = Console(file=StringIO(), width=_WIDE, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(filter(None, (line.rstrip() for line in captured.get().splitlines())))


def _entries(cells: Iterable[tuple[str, ...]], width: int) -> str:
    from textwrap import fill

    lines = []
    for name, control, loss, reward, gradient, trap, needs, source in cells:
        lines.append(name + (" (trap)" if trap else ""))
        lines.append(f"    control {control}; gradient field: {gradient}; needs: {needs or 'nothing'}")
        lines.append(f"    loss {loss}; reward {reward}; source: {source}")
    folded = (fill(line, max(width, 30), subsequent_indent="      ", break_long_words=False) for line in lines)
    return "\n".join((*folded, "", fill(_LEGEND, max(width, 30))))


def lab(words: Sequence[str]) -> int:
    """Run experiments of the paper and draw their pages."""
    from understudy.lab.config import GROUPS, LabConfig

    config = _checked(LabConfig, _parse(LabConfig, GROUPS, words, "lab", {}))
    from understudy.lab.command import run
    from understudy.reports import lab_page

    run(config, lab_page)
    return 0


def advise(words: Sequence[str]) -> int:
    """By questions, flags and measuring: a row, the reason, and the command."""
    from understudy.runs.advice_text import run
    from understudy.runs.advise import ADVISE_GROUPS, AdviseConfig

    print(run(_checked(AdviseConfig, _parse(AdviseConfig, ADVISE_GROUPS, words, "advise", {}))), end="")
    return 0


COMMANDS = {
    "distill": Command("Distil a trained agent into a student.", distill),
    "evaluate": Command("Play an agent or a student and measure its return.", evaluate),
    "methods": Command("List the distillation methods.", methods),
    "advise": Command("Say which method suits, and measure a teacher for it.", advise),
    "lab": Command("Reproduce the paper's experiments, with verdicts.", lab),
}


def _parse(
    kind: type, groups: dict[str, str], words: Sequence[str], command: str, defaults: dict[str, Any]
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
            description=COMMANDS[command].summary,
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


def _checked(kind: Any, values: dict[str, Any]) -> Any:
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


_MORE = {"distill": {"config": ("FILE", "A run's config.toml: its values are defaults, the command line wins.")}}


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


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        (
            "usage: understudy COMMAND [OPTIONS]",
            "",
            "Distils trained reinforcement-learning policies: a teacher goes in, a smaller student comes out.",
            "",
            "commands:",
            *lines,
            "",
            "  understudy COMMAND --help  shows a command's options",
            "  understudy --version       shows the version",
            "",
            "example: understudy distill ppo-LunarLander-v3.zip --env LunarLander-v3 --student mlp:16,16",
        )
    )


def _dispatch(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help(), file=sys.stdout if words else sys.stderr)
        return 0 if words else USAGE_ERROR
    if words[0] == "--version":
        print(f"understudy {understudy.__version__}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        what = "option" if name.startswith("-") else "command"
        known = (*COMMANDS, "--help", "--version")
        raise ConfigurationError(f"unknown {what} {name!r}.{nearest(name, known)} Try `understudy --help`.")
    return COMMANDS[name].run(words[1:])


def _show_warning(message: Warning | str, *_: object) -> None:
    """Without the place in the code that raised it."""
    print(f"warning: {message}", file=sys.stderr)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0, 2 for what the user can mend, 130 after Ctrl-C."""
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]
            return _dispatch(sys.argv[1:] if words is None else words)
    except UnderstudyError as error:
        red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() and "NO_COLOR" not in os.environ else ("", "")
        print(f"{red}error:{plain} {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE_ERROR
