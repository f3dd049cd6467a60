"""``understudy stages``: train in stages, or go on with it, and print what came of it."""

from __future__ import annotations

from understudy.runs.console import open_console
from understudy.stages.config import StagesOptions
from understudy.stages.execute import resume_stages, run_stages


def run(options: StagesOptions) -> int:
    """Train stage after stage; prints the table of returns."""
    console = open_console(options.quiet)
    result = (
        resume_stages(options.resume, console=console)
        if options.resume
        else run_stages(options.config, console=console)
    )
    print(result.summary())
    return 0
