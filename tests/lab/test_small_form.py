"""Everything that ``understudy lab all`` does, in small, as a user runs it: experiments, pages, the index."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from understudy.lab.catalogue import EXPERIMENTS

OUTCOMES = {"reproduced", "partly", "not reproduced"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """20 worlds, 3,000 iterations, 2 worlds at 4000 actions."""
    out = tmp_path_factory.mktemp("lab")
    command = [sys.executable, "-m", "understudy", "lab", "all", "--mdps", "20", "--iterations", "3000"]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


@pytest.mark.slow
def test_every_experiment_ends_in_claims_with_verdicts_and_a_page(small: tuple[Path, str]) -> None:
    out, said = small
    for name in EXPERIMENTS:
        found = json.loads((out / name / "findings.json").read_text(encoding="utf-8"))
        assert found["claims"], name
        assert {claim["outcome"] for claim in found["claims"]} <= OUTCOMES
        assert all(claim["number"] in said for claim in found["claims"])
        page = (out / name / "page.html").read_text(encoding="utf-8")
        assert all(claim["outcome"] in page for claim in found["claims"])
    assert (out / "index.html").exists()


@pytest.mark.slow
def test_what_is_proved_is_reproduced_at_any_size(small: tuple[Path, str]) -> None:
    """Theorems 1 and 2, the cycle and Proposition 4 are mathematics: no number of worlds is too small for them."""
    out, _ = small
    verdicts = {
        claim["number"]: claim["outcome"]
        for name in ("gradient-fields", "cycle", "propositions")
        for claim in json.loads((out / name / "findings.json").read_text(encoding="utf-8"))["claims"]
    }
    assert {verdicts[number] for number in ("1", "2", "4", "4a", "11")} == {"reproduced"}
