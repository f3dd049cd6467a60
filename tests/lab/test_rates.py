"""The command that chooses the learning rates anew."""

from __future__ import annotations

import pytest

from understudy.lab import rates


def test_help_says_what_it_does_and_trains_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(rates, "choose")
    with pytest.raises(SystemExit) as left:
        rates.main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert left.value.code == 0
    assert "take hours" in told
    assert "--smaller N" in told
    assert "only these rows, of task-reward, on-policy-distill" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["on-policy-distil"], "Did you mean 'on-policy-distill'?"), (["--smaller", "0"], "from 1 on, got 0")],
)
def test_an_argument_that_is_wrong_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(rates, "choose")
    with pytest.raises(SystemExit) as left:
        rates.main(arguments)
    assert left.value.code == 2
    assert told in capsys.readouterr().err


def test_only_the_rows_that_are_named_are_chosen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "choose", lambda key, folder, smaller: (smaller / 100, {0.1: 2.0}))
    rates.main(["v-gated", "--smaller", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rates.IMPERFECT_ESTIMATORS)
    assert all("'v-gated'" in line and ": 0.03,  # 0.1: 2.00" in line for line in lines)
