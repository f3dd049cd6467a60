"""The planted faults can still be planted; `make faults` plants them."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("planted_faults", ROOT / "scripts/planted_faults.py")
planted_faults = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = planted_faults  # dataclasses look their module up
SPEC.loader.exec_module(planted_faults)


@pytest.mark.parametrize("fault", planted_faults.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_has_one_place_where_it_can_be_planted_and_tests_that_are_there(fault):
    assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) == 1
    assert fault.old != fault.new
    assert all((ROOT / test).is_file() for test in fault.tests)


def test_one_fault_is_noticed_in_a_copy(capsys):
    assert planted_faults.main(["a return that runs on into the next episode"]) == 0
    assert "1 of 1 planted faults were noticed" in capsys.readouterr().out


def test_a_fault_that_does_no_harm_survives_and_is_told(monkeypatch, capsys):
    harmless = planted_faults.Fault(
        "a comment", "src/understudy/methods/surrogate.py", '"""Eq. 1 of C19', '"""Equation 1 of C19', ("tests/mdp",)
    )
    monkeypatch.setattr(planted_faults, "FAULTS", (harmless,))
    assert planted_faults.main([]) == 1
    assert "SURVIVED" in capsys.readouterr().out
