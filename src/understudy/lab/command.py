"""What ``understudy lab`` does: experiments one after the other, their findings on disk, a line per claim."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from understudy.errors import ConfigurationError, RunError, UnderstudyError
from understudy.lab.catalogue import EXPERIMENTS
from understudy.lab.config import LabConfig
from understudy.lab.experiment import Experiment, Scale, load
from understudy.lab.findings import Findings
from understudy.lab.on_ray import OnRay
from understudy.lab.spread import Local, Spread, cores
from understudy.lab.sweep import Sweep
from understudy.runs.console import Console, open_console


class Pages(Protocol):
    """Who draws: ``understudy.reports.lab_page``. Both answer the page's path."""

    def write(self, folder: Path) -> Path:
        """The page of one experiment, from the ``findings.json`` in its folder."""
        ...

    def write_index(self, out: Path) -> Path:
        """The page of all experiments in ``out``."""
        ...


def listing() -> str:
    """A line per experiment."""
    width = max(map(len, EXPERIMENTS))
    found = map(load, EXPERIMENTS)
    lines = [f"  {one.name:<{width}}  {one.figure + ': ' if one.figure else ''}{one.summary}" for one in found]
    return "\n".join(("experiments:", *lines, "", "  understudy lab NAME...  runs some, `understudy lab all` runs all"))


@dataclass(frozen=True)
class Lab:
    """One call of the command; ``say`` prints what it found."""

    config: LabConfig
    pages: Pages
    console: Console
    spread: Spread
    say: Callable[[str], None] = print

    def go(self) -> None:
        """Every experiment in turn. One that fails does not stop the others, but is an error in the end.

        Raises: RunError that names the experiments that failed; where only one was asked for, its own error.
        ConfigurationError where the folder cannot be made.
        """
        try:
            Path(self.config.out).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"--out {self.config.out} cannot be made a folder: {error.strerror}") from None
        failed = [name for name in self.config.names if not self._goes(name)]
        out = Path(self.config.out)
        if len(failed) < len(self.config.names) and (len(self.config.names) > 1 or (out / "index.html").exists()):
            self.say(f"all pages: {self.pages.write_index(out)}")
        if failed:
            raise RunError(
                f"{len(failed)} of {len(self.config.names)} experiments failed: {', '.join(failed)}. What they had "
                f"finished is kept in {self.config.out}; run them again."
            )

    def _goes(self, name: str) -> bool:
        """Whether it ran to its end."""
        try:
            self._run(load(name))
        except Exception as error:
            if len(self.config.names) == 1:
                raise
            known = isinstance(error, UnderstudyError)
            self.console.warning(f"{name} failed: {error if known else traceback.format_exc().rstrip()}")
            return False
        return True

    def _run(self, experiment: Experiment) -> None:
        folder = Path(self.config.out) / experiment.name
        folder.mkdir(parents=True, exist_ok=True)
        config = self.config
        scale = Scale(config.mdps, config.iterations, config.seed, config.points)
        self.console.note(f"{experiment.name}: {experiment.summary}")
        findings = experiment.run(Sweep(scale, folder, self.spread, self.console))
        replace(findings, settings=vars(scale) | findings.settings).write(folder)
        page = self.pages.write(folder)
        self.say("\n".join((f"{experiment.name}: {findings.title}", *_claims(findings), f"  page: {page}")))


def _claims(findings: Findings) -> list[str]:
    """A line per claim: its number, its verdict, what it says."""
    width = max((len(claim.number) for claim in findings.claims), default=0)
    return [f"  {claim.number:<{width}}  {claim.outcome:<14}  {claim.title}" for claim in findings.claims]


def run(config: LabConfig, pages: Pages) -> None:
    """Run what ``config`` says, or list the experiments where it names none."""
    if not config.experiment:
        print(listing())
        return
    import torch

    torch.set_num_threads(1)  # small tables: more threads only wait for one another
    with open_console(config.quiet) as console, spread_of(config) as spread:
        try:
            Lab(config, pages, console, spread).go()
        except KeyboardInterrupt:
            console.note(f"stopped; what is done is kept in {config.out}, and the same command goes on from there")
            raise


def spread_of(config: LabConfig) -> Spread:
    """Who runs the chunks."""
    return OnRay(config.address, config.threads) if config.on == "ray" else Local(config.threads or cores())
