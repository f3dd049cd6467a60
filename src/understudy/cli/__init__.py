"""The command line. Nothing heavy is imported before a command needs it: help answers at once."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import understudy
from understudy.errors import ConfigurationError, UnderstudyError, nearest

USAGE_ERROR = 2
OF_PLACES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    """``run`` takes the words after the command's name and answers the exit code."""

    summary: str
    run: Callable[[Sequence[str]], int]


def distill(words: Sequence[str]) -> int:
    """Parse over the file's values, train, print five lines; or go on with a run that was stopped."""
    from understudy.cli import tasks
    from understudy.cli.options import checked, parse, taken
    from understudy.runs.config import GROUPS, DistillConfig, read_toml

    folder, words = taken("--resume", words)
    if folder is not None:
        return _resume(folder, words)
    file, words = taken("--config", words)
    if tasks.several(file, words):
        return tasks.distill(file, words, COMMANDS["distill"].summary)
    defaults = read_toml(file) if file else {}
    if any(word.startswith("--wrap") for word in words):
        defaults.pop("wrap", None)
    values = parse(DistillConfig, GROUPS, words, "distill", COMMANDS["distill"].summary, defaults)
    config = checked(DistillConfig, values)
    from understudy.runs.console import open_console
    from understudy.runs.execute import distill as execute

    if config.continue_with != "none":
        from understudy.stages.continued import check_continues

        check_continues(config)
    result = execute(config, console=open_console(config.quiet))
    print(result.summary())
    _after(result.path, config.quiet)
    return 0


def _resume(folder: str, words: Sequence[str]) -> int:
    """Go on with a run by its own configuration."""
    other = next((word for word in words if word != "--quiet"), None)
    if other is not None:
        raise ConfigurationError(
            f"--resume goes on with a run as it was begun, and takes no other option than --quiet; got {other!r}"
        )
    from understudy.cli import tasks
    from understudy.runs.console import open_console
    from understudy.runs.execute import resume
    from understudy.runs.folder import TASKS

    if (Path(folder) / TASKS).is_file():
        return tasks.resume(folder, quiet=bool(words))
    print(resume(folder, console=open_console(True) if words else None).summary())
    _after(folder, bool(words))
    return 0


def _after(folder: str, quiet: bool) -> None:
    """What was asked for after a run: its page, and that its student goes on."""
    from understudy.runs.folder import RunFolder

    config = RunFolder.open(folder).config
    if config.report:
        from understudy.reports.command import finish

        print(f"Page         {finish(folder, quiet=quiet)}")
    if config.continue_with != "none":
        from understudy.runs.console import open_console
        from understudy.stages.continued import continue_with_rl

        result = continue_with_rl(folder, open_console(quiet))
        print(result.summary())
        if config.report:
            print(f"Page         {finish(result.path, quiet=quiet)}")


def methods(words: Sequence[str]) -> int:
    """The catalogue as a table, or with ``--json`` as a list."""
    from understudy.cli.methods_table import as_json, as_table

    unknown = [word for word in words if word not in ("--json", "-h", "--help")]
    if unknown:
        raise ConfigurationError(f"methods takes only --json, got {unknown[0]!r}.{nearest(unknown[0], ['--json'])}")
    if "-h" in words or "--help" in words:
        print(f"usage: understudy methods [--json]\n\n{COMMANDS['methods'].summary}")
    else:
        print(as_json() if "--json" in words else as_table())
    return 0


def configured(name: str, config: str, run: str, groups: str = "GROUPS") -> Callable[[Sequence[str]], int]:
    """A command that is a configuration and what runs it, each ``module:name``; ``groups`` lie beside the former.

    ``run`` takes the configuration, prints what it found, and answers the exit code.
    """

    def command(words: Sequence[str]) -> int:
        from understudy.cli.options import checked, parse

        home, _, kind = config.partition(":")
        module = importlib.import_module(f"understudy.{home}")
        own = getattr(module, kind)
        values = parse(own, getattr(module, groups), words, name, COMMANDS[name].summary, {})
        known = checked(own, values)
        home, _, function = run.partition(":")
        return int(getattr(importlib.import_module(f"understudy.{home}"), function)(known))

    return command


COMMANDS = {
    "distill": Command("Distil a trained agent into a student.", distill),
    "evaluate": Command(
        "Play an agent or a student and measure its return.",
        configured("evaluate", "runs.config:EvaluateConfig", "runs.evaluation:run", "EVALUATE_GROUPS"),
    ),
    "report": Command(
        "Write the page of a run, or of training in stages.",
        configured("report", "reports.config:ReportConfig", "reports.command:run"),
    ),
    "export": Command(
        "Write a student as ONNX, a torch.export program or an SB3 zip, and check that it acts the same.",
        configured("export", "export.config:ExportConfig", "export.command:run"),
    ),
    "compare": Command(
        "Distil with several methods, students and seeds, and write one page.",
        configured("compare", "comparison.config:CompareConfig", "reports.comparison_command:compare"),
    ),
    "compress": Command(
        "Find the smallest student that keeps what the teacher can do.",
        configured("compress", "comparison.config:CompressConfig", "reports.comparison_command:compress"),
    ),
    "doctor": Command(
        "Check a teacher, an environment and a run for what goes wrong in silence.",
        configured("doctor", "checks.config:DoctorConfig", "checks.command:run"),
    ),
    "push": Command(
        "Make a run ready for the Hugging Face Hub, and upload it if asked.",
        configured("push", "export.push_config:PushConfig", "export.push:run"),
    ),
    "stages": Command(
        "Train one policy on one task after the other, without forgetting.",
        configured("stages", "stages.config:StagesOptions", "reports.stages_command:run"),
    ),
    "methods": Command("List the distillation methods.", methods),
    "advise": Command(
        "Say which method suits, and measure a teacher for it.",
        configured("advise", "runs.advise:AdviseConfig", "runs.advice_text:show", "ADVISE_GROUPS"),
    ),
    "lab": Command(
        "Reproduce the paper's experiments, with verdicts.",
        configured("lab", "lab.config:LabConfig", "reports.lab_command:run"),
    ),
}


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
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in OF_PLACES:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror}. Make room, or choose a place that can be written to", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt as stop:
        print(str(stop) or "interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE_ERROR
