"""Effects in one line: which one is shown, and how many statements hold."""

from __future__ import annotations

import pytest

from understudy.lab.findings import Claim, Effect
from understudy.reports.words import leading, number, summarised

HOLDS = Effect("one that holds", 2.0, 1.5, 2.5, "above 1", True)
FAILS = Effect("one that fails", 0.5, 0.4, 0.6, "above 1", False)
TOLD = Effect("one of which nothing was claimed", 3.0, 2.0, 4.0)


def claim(*effects: Effect) -> Claim:
    return Claim("1", "A title", "The paper.", "A remark.", effects)


@pytest.mark.parametrize(
    ("effects", "shown"),
    [
        ((TOLD, HOLDS), HOLDS),
        ((HOLDS, TOLD, FAILS), FAILS),
        ((TOLD, FAILS), FAILS),
        ((TOLD,), TOLD),
        ((), None),
    ],
)
def test_the_first_statement_that_fails_is_shown_else_the_first_that_decides(
    effects: tuple[Effect, ...], shown: Effect | None
) -> None:
    assert leading(claim(*effects)) == shown


def test_a_claim_that_holds_partly_says_what_fails_and_how_many_hold() -> None:
    assert summarised(claim(HOLDS, TOLD, FAILS, HOLDS)) == (
        "one that fails: 0.5 [0.4, 0.6] (claimed: above 1); 2 of 3 statements hold"
    )


def test_a_ratio_of_two_nevers_is_undefined() -> None:
    assert (number(float("inf")), number(float("nan"))) == ("never", "undefined")
