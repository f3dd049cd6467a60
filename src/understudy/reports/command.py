"""``understudy report``: what a run's page shows is gathered where it is missing, then the page is written.

Of training in stages all that its page shows is in the folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from understudy.errors import ConfigurationError, RunError, UnderstudyError
from understudy.reports import run_page, stages_page
from understudy.reports.config import ReportConfig
from understudy.runs.console import Console, Silent, open_console
from understudy.runs.evidence import gather, kept
from understudy.runs.folder import STAGES, RunFolder
from understudy.runs.places import same_code
from understudy.runs.reopen import reopen
from understudy.runs.sources import was_object


def run(config: ReportConfig) -> int:
    """Write the page and say where it is; answers the exit code."""
    with open_console(config.quiet) as console:
        page = report(
            config.path,
            out=config.out,
            teacher=config.teacher,
            env=config.env,
            trust=config.trust,
            episodes=config.episodes,
            fresh=config.fresh,
            film=not config.no_film,
            console=console,
        )
    print(f"Page         {page}")
    return 0


def finish(path: str | Path, *, teacher: Any = None, env: Any = None, quiet: bool = False) -> Path:
    """The page of a run that has just been made; ``teacher`` and ``env`` are the objects that it was made with."""
    with open_console(quiet) as console:
        return report(path, teacher=teacher, env=env, own=True, console=console)


def report(
    path: str | Path,
    *,
    out: str | Path | None = None,
    teacher: Any = None,
    env: Any = None,
    trust: bool = False,
    own: bool = False,
    episodes: int | None = None,
    fresh: bool = False,
    film: bool = True,
    console: Console | None = None,
) -> Path:
    """The page of the finished run in ``path``, or of the training in stages: ``report.html`` in it, or ``out``.

    ``teacher`` and ``env``, names or objects, stand for the run's own; ``own``: the caller has made the run, so that
    what its configuration names may run; ``episodes``: play so many anew, for every figure of the page that comes from
    episodes. What was gathered before is used again, if nothing of this is given. Where the run's teacher or
    environment is gone, the page is written without what needs them, and says so. RunError: there is no finished run.
    """
    if (Path(path) / STAGES).is_file():
        _refuse(teacher=teacher, env=env, trust=trust or None, episodes=episodes, fresh=fresh or None)
        return stages_page.write(path, out)
    console = console or Silent()
    folder = RunFolder.open(path)
    folder.result  # noqa: B018  an unfinished run is refused before anything is played
    _check_env(folder, env)
    given = teacher is not None or env is not None or episodes is not None or fresh
    missing = ""
    if given or not _enough(folder, film):
        try:
            other = "say where it is with --teacher PATH"
            parts = reopen(path, teacher=teacher, env=env, trust=trust, own=own, other=other, note=console.note)
            gather(parts, episodes=episodes, filmed=film, note=console.note)
        except UnderstudyError as error:
            if given:
                raise
            missing = str(error)
            console.warning(f"the page shows less than it could: {missing}")
    return run_page.write(folder, None if out is None else Path(out), missing, episodes)


def _refuse(**given: Any) -> None:
    """What a page that plays nothing has no use for."""
    unused = [f"--{name}" for name, value in given.items() if value is not None]
    if unused:
        raise ConfigurationError(
            f"the page of training in stages shows what its folder has and plays nothing; leave {', '.join(unused)} out"
        )


def _check_env(folder: RunFolder, env: Any) -> None:
    """The page is of the run's own environment, whoever makes it."""
    own, facts = folder.config.env, (folder.provenance.get("code") or {}).get("env") or {}
    if not isinstance(env, str) or not own or was_object(folder.provenance.get("env")):
        return
    if not same_code(own, env, facts):
        raise RunError(
            f"{folder.path} is a run on {own}, and its page shows it there. To see its student on {env}: understudy "
            f"evaluate {folder.path} --env {env}"
        )


def _enough(folder: RunFolder, film: bool) -> bool:
    """Whether what was gathered before has all that is asked for."""
    found = kept(folder)
    return found is not None and not (film and found["film"].get("declined"))
