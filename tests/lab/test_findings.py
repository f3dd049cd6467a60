"""Findings: verdicts follow from effects alone, and a file holds all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.errors import RunError
from understudy.lab.findings import Claim, Effect, Findings, Flow, Panel, Picture, Series, Table, read

SERIES = Series("a", [1, 2], [0.5, 0.25], [0.4, 0.2], [0.6, 0.3], dashed=True)
FINDINGS = Findings(
    "name",
    "Title",
    "Summary with ‖ and π.",
    (Claim("1", "t", "p", "f", (Effect("e", 1.0, 0.5, 1.5, "above 0", True, "times"),), "tried"),),
    (
        Panel("p", "x", "y", (SERIES,), 1, True, True, figure="caption"),
        Flow("f", "x", "y", [0.0], [1.0], [0.5], [-0.5], (SERIES,), 2),
        Picture("w", [[".", "#"]], [[False, False]], [[[0.25] * 4, [1.0, 0.0, 0.0, 0.0]]]),
        Table("t", ["a", "b"], [["x", 1.5]]),
    ),
    {"mdps": 3, "odds": {"wall": 0.09}},
    ("note",),
)


def claim(*holds: bool | None) -> Claim:
    return Claim("1", "", "", "", tuple(Effect("", 0.0, 0.0, 0.0, holds=one) for one in holds))


@pytest.mark.parametrize(
    ("holds", "outcome"),
    [
        ((True,), "reproduced"),
        ((True, None), "reproduced"),
        ((True, False), "partly"),
        ((None, False, True, False), "partly"),
        ((False,), "not reproduced"),
        ((None,), "not reproduced"),
        ((), "not reproduced"),
    ],
)
def test_a_claim_is_reproduced_if_everything_that_was_held_against_it_holds(
    holds: tuple[bool | None, ...], outcome: str
) -> None:
    assert claim(*holds).outcome == outcome


def test_what_is_written_is_read_back_whole(tmp_path: Path) -> None:
    FINDINGS.write(tmp_path)
    found = read(tmp_path)
    assert found == replace(FINDINGS, figures=found.figures)
    assert [type(figure) for figure in found.figures] == [Panel, Flow, Picture, Table]
    assert json.loads(found.to_json()) == json.loads(FINDINGS.to_json())
    assert found.to_json() == FINDINGS.to_json()


def test_the_file_tells_the_outcome_but_reading_computes_it_again(tmp_path: Path) -> None:
    path = FINDINGS.write(tmp_path)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["claims"][0]["outcome"] == "reproduced"
    document["claims"][0]["effects"][0]["holds"] = False
    path.write_text(json.dumps(document), encoding="utf-8")
    assert read(tmp_path).claims[0].outcome == "not reproduced"


def test_a_folder_without_findings_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"findings\.json does not exist\. Run the experiment"):
        read(tmp_path)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    path = FINDINGS.write(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace('"summary"', '"sumary"'), encoding="utf-8")
    with pytest.raises(RunError, match="sumary"):
        read(tmp_path)
