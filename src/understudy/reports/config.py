"""The options of ``understudy report``. Nothing heavy is imported: the help reads these fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from understudy.runs.fields import build, option, settle

GROUPS = {"": "what is shown", "run": "where the run's parts are now", "machine": "what is shown on the way"}


@dataclass(frozen=True)
class ReportConfig:
    """Everything that decides the page of a run, or of training in stages, which takes only ``out``."""

    path: str = option("Run folder, or the folder of training in stages.", positional=True)
    out: str | None = option("File to write. Default: report.html in that folder.", None)
    episodes: int | None = option(
        "Play so many episodes anew, for all figures that come from episodes. Default: those of the run's result.",
        None,
        "",
        "[2, inf)",
    )
    fresh: bool = option("Measure everything again, even what was gathered before.", False)
    no_film: bool = option("Leave out the pictures of the two at play.", False)

    teacher: str | None = option("Where the teacher is now, if it has moved.", None, "run")
    env: str | None = option(
        "The run's environment again, where its configuration names code or it was made in Python.", None, "run"
    )
    trust: bool = option("Run code that the run's files hold or name.", False, "run")

    quiet: bool = option("Show no progress.", False, "machine")

    def __post_init__(self) -> None:
        settle(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ReportConfig:
        """From keys and values; all problems are reported at once."""
        return build(cls, values)
