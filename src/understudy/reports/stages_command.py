"""``understudy stages``: train in stages, or go on with it, print what came of it, and write its page."""

from __future__ import annotations

from pathlib import Path

from understudy.reports.staged_training import configuration
from understudy.runs.console import open_console
from understudy.stages.config import StagesOptions
from understudy.stages.execute import resume_stages, run_stages


def run(options: StagesOptions) -> int:
    """Train stage after stage; prints the table of returns, and where the page is."""
    console = open_console(options.quiet)
    result = (
        resume_stages(options.resume, console=console)
        if options.resume
        else run_stages(options.config, console=console)
    )
    print(result.summary())
    page = finish(options.resume or result.path) if options.report else None
    if page is not None:
        print(f"Page         {page}")
    return 0


def finish(path: str | Path) -> Path | None:
    """The page of a training that has just ended, where its configuration asks for one."""
    if not configuration(Path(path)).get("report", True):
        return None
    from understudy.reports import stages_page  # with it comes Matplotlib

    return stages_page.write(path)
