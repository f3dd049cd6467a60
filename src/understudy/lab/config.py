"""The options of ``understudy lab``. Nothing heavy is imported here: the command line's help reads these fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from understudy.errors import ConfigurationError, nearest
from understudy.lab.catalogue import EXPERIMENTS
from understudy.runs.fields import option, problems, refuse, settle

GROUPS = {
    "": "what is run, and how much of it",
    "machine": "where it runs and what is shown",
}
ALL = "all"


def known(names: Any) -> None:
    """Refuse names that are no experiment."""
    for name in names:
        if name not in (*EXPERIMENTS, ALL):
            raise ConfigurationError(
                f"unknown experiment {name!r}.{nearest(name, (*EXPERIMENTS, ALL))} There are {', '.join(EXPERIMENTS)}, "
                f"and {ALL}"
            )


@dataclass(frozen=True)
class LabConfig:
    """What one call of ``understudy lab`` does; the defaults are the paper's size."""

    experiment: tuple[str, ...] = option(
        f"Experiments to run: {', '.join(EXPERIMENTS)}, or {ALL}. None: list them.", (), read=known, positional=True
    )
    mdps: int = option("Worlds per curve.", 1000, within="[2, inf)")
    iterations: int = option("Episodes per world and curve.", 30_000, within="[1, inf)")
    points: int = option("Measurements along a curve, denser early.", 60, within="[2, inf)")
    seed: int = option("Seed of worlds, teachers and training.", 0, within="[0, inf)")
    out: str = option("Folder of data and pages; a stopped run goes on from what is there.", "runs/lab")

    on: Literal["local", "ray"] = option("Threads of this process, or Ray.", "local", "machine")
    address: str | None = option("Address of a Ray cluster. Default: a Ray on this machine.", None, "machine")
    threads: int | None = option(
        "Threads, or worker processes of a local Ray. Default: one a core.", None, "machine", "[1, inf)"
    )
    quiet: bool = option("Show no progress.", False, "machine")

    def __post_init__(self) -> None:
        found = problems(type(self), vars(self))
        if self.address and self.on != "ray":
            found.append("address is of a Ray cluster: add --on ray")
        if self.address and self.threads:
            found.append("threads is for this machine: a cluster at an address has its own workers")
        refuse(found)
        settle(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LabConfig:
        """From names and values; all problems are reported at once."""
        refuse(problems(cls, {name: value for name, value in values.items() if name not in cls.__dataclass_fields__}))
        return cls(**values)

    @property
    def names(self) -> tuple[str, ...]:
        """The experiments to run, each once, in the order given."""
        return tuple(EXPERIMENTS) if ALL in self.experiment else tuple(dict.fromkeys(self.experiment))
