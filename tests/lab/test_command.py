"""``understudy lab``: names, options, verdicts, and what happens when an experiment fails."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from small_sweeps import curve

from understudy import cli
from understudy.errors import ConfigurationError, RunError
from understudy.lab import catalogue, command, config, experiment
from understudy.lab.command import Lab, listing
from understudy.lab.config import LabConfig
from understudy.lab.experiment import Bench, Experiment
from understudy.lab.findings import Claim, Effect, Findings
from understudy.lab.on_ray import OnRay
from understudy.lab.spread import Local
from understudy.runs.console import Silent


class Drawn:
    """Pages that are only named; which were asked for, in order."""

    def __init__(self) -> None:
        self.asked: list[Path] = []

    def write(self, folder: Path) -> Path:
        assert json.loads((folder / "findings.json").read_text())["experiment"] == folder.name
        self.asked.append(folder)
        return folder / "index.html"

    def write_index(self, out: Path) -> Path:
        self.asked.append(out)
        return out / "index.html"


def findings(name: str, *holds: bool) -> Findings:
    effects = tuple(Effect("difference", 1.0, 0.5, 1.5, "above 0", hold) for hold in holds)
    claim = Claim("5", "student-driven is first", "3x fewer", "4x fewer", effects)
    return Findings(name, f"Title of {name}", "Summary", (claim,), (), {"why": "to see"})


def trains(bench: Bench) -> Findings:
    found = bench.train([curve("on-policy-distill")])["on-policy-distill"]
    assert found.metrics["return"].shape[0] == bench.scale.mdps
    return findings("trains", True, False)


def counts(bench: Bench) -> Findings:
    assert list(bench.track([1, 2, 3], "numbers")) == [1, 2, 3]
    return findings("counts", True)


def refuses(bench: Bench) -> Findings:
    raise ConfigurationError("the moon must be full")


def breaks(bench: Bench) -> Findings:
    raise ZeroDivisionError("a defect")


@pytest.fixture
def experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four experiments that stand in for the paper's."""
    runs: dict[str, Callable[[Bench], Findings]] = {
        "trains": trains, "counts": counts, "refuses": refuses, "breaks": breaks,
    }  # fmt: skip
    module = ModuleType("stand_ins")
    for name, run in runs.items():
        setattr(module, name, Experiment(name, "Fig. 9" if name == "trains" else "", f"It {name}.", run))
    monkeypatch.setitem(sys.modules, "stand_ins", module)
    places = {name: f"stand_ins:{name}" for name in runs}
    for home in (catalogue, experiment, config, command):
        monkeypatch.setattr(home, "EXPERIMENTS", places)


def lab(tmp_path: Path, *names: str, **words: Any) -> tuple[Callable[[], str], Drawn]:
    said: list[str] = []
    pages = Drawn()
    settings = LabConfig(names, mdps=3, iterations=20, points=3, out=str(tmp_path), **words)

    def go() -> str:
        Lab(settings, pages, Silent(), Local(1), said.append).go()
        return "\n".join(said)

    return go, pages


@pytest.mark.usefixtures("experiments")
def test_an_experiment_ends_with_its_findings_a_line_per_claim_and_its_page(tmp_path: Path) -> None:
    go, pages = lab(tmp_path, "trains")
    assert go().splitlines() == [
        "trains: Title of trains",
        "  5  partly          student-driven is first",
        f"  page: {tmp_path / 'trains' / 'index.html'}",
    ]
    assert pages.asked == [tmp_path / "trains"]
    found = json.loads((tmp_path / "trains" / "findings.json").read_text())
    assert found["settings"] == {"mdps": 3, "iterations": 20, "seed": 0, "points": 3, "why": "to see"}


@pytest.mark.usefixtures("experiments")
def test_the_same_seed_gives_the_same_findings_to_the_byte(tmp_path: Path) -> None:
    for out in ("a", "b"):
        lab(tmp_path / out, "trains")[0]()
    files = [(tmp_path / out / "trains" / "findings.json").read_bytes() for out in ("a", "b")]
    assert files[0] == files[1]


@pytest.mark.usefixtures("experiments")
def test_one_that_fails_does_not_stop_the_others_but_is_an_error_in_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go, pages = lab(tmp_path, "all")
    with pytest.raises(RunError, match="2 of 4 experiments failed: refuses, breaks"):
        go()
    assert pages.asked == [tmp_path / "trains", tmp_path / "counts", tmp_path]
    err = capsys.readouterr().err
    assert "refuses failed: the moon must be full" in err
    assert "ZeroDivisionError: a defect" in err


@pytest.mark.usefixtures("experiments")
def test_one_alone_raises_its_own_error_and_leaves_no_index(tmp_path: Path) -> None:
    go, pages = lab(tmp_path, "refuses")
    with pytest.raises(ConfigurationError, match=r"^the moon must be full$"):
        go()
    assert pages.asked == []


@pytest.mark.usefixtures("experiments")
def test_a_folder_that_cannot_be_made_is_said_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for out in (file, file / "lab"):
        with pytest.raises(ConfigurationError, match=f"--out {out} cannot be made a folder"):
            lab(out, "trains")[0]()


@pytest.mark.usefixtures("experiments")
def test_a_stop_says_that_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_: Lab) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Lab, "go", stop)
    with pytest.raises(KeyboardInterrupt):
        command.run(LabConfig(("trains",), out=str(tmp_path)), Drawn())
    assert f"what is done is kept in {tmp_path}, and the same command goes on" in capsys.readouterr().err


@pytest.mark.usefixtures("experiments")
def test_without_a_name_the_experiments_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    command.run(LabConfig(), Drawn())
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["experiments:", "  trains   Fig. 9: It trains.", "  counts   It counts."]
    assert listing().splitlines() == lines


def test_every_experiment_can_be_loaded_and_has_the_name_that_it_is_called_by() -> None:
    assert [experiment.load(name).name for name in catalogue.EXPERIMENTS] == list(catalogue.EXPERIMENTS)


def test_all_problems_of_the_options_are_told_at_once_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lab", "contrl", "--mdps", "1", "--seed", "-1", "--address", "there"]) == 2
    err = capsys.readouterr().err
    assert "error: 4 problems" in err
    assert "unknown experiment 'contrl'. Did you mean 'control'?" in err
    assert "--mdps must lie in [2, inf), got 1" in err
    assert "--seed must lie in [0, inf), got -1" in err
    assert "--address is of a Ray cluster: add --on ray" in err


def test_all_and_repeated_names_are_every_experiment_once() -> None:
    assert LabConfig(("control", "cycle", "control")).names == ("control", "cycle")
    assert LabConfig(("cycle", "all")).names == tuple(catalogue.EXPERIMENTS)


def test_words_become_the_configuration_and_the_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[LabConfig] = []
    monkeypatch.setattr(command, "run", lambda settings, pages: seen.append(settings))
    monkeypatch.setitem(sys.modules, "understudy.reports.lab_page", ModuleType("understudy.reports.lab_page"))
    monkeypatch.setattr("understudy.reports.lab_page", SimpleNamespace(), raising=False)
    words = "lab cycle control --mdps 20 --iterations 3000 --seed 7 --out there --on ray --threads 2 --points 9 --quiet"
    assert cli.main(words.split()) == 0
    wanted = LabConfig(("cycle", "control"), 20, 3000, 9, 7, "there", "ray", None, 2, True)
    assert seen == [wanted]
    spread = command.spread_of(wanted)
    assert isinstance(spread, OnRay)
    assert (spread.address, spread.workers) == (None, 2)
    assert command.spread_of(LabConfig(threads=3)) == Local(3)
