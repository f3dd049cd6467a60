"""Configurations: checks, files, and the row they describe."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from understudy.errors import ConfigurationError
from understudy.methods import METHODS
from understudy.runs.config import GROUPS, DistillConfig, EvaluateConfig
from understudy.runs.fields import fields_of, hints_of

ODD = 'quo"te \\ back\nline\ttab \x7f é 🎭 # no comment'


def made(**values: object) -> DistillConfig:
    return DistillConfig.of({"teacher": "t.zip", "env": "CartPole-v1"} | values)


def test_a_configuration_survives_a_file(tmp_path: Path) -> None:
    config = made(
        teacher=ODD,
        method="on-policy-distill+r",
        loss_weight="linear:1:0:0.5",
        wrap=("a:b", "c"),
        env_args={"gravity": -5.0, "name": 'x"y'},
        target=1e-5,
        learning_rate=3e-4,
        trust=True,
        steps=10_000_000,
    )
    path = tmp_path / "run.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    assert DistillConfig.from_toml(path) == config
    assert tomllib.loads(config.to_toml())["teacher"] == ODD


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('teacher = "t.zip"\nenv = "A-v0"\nseed = 3\ntarget = 1\n')
    config = DistillConfig.from_toml(path, seed=4)
    assert (config.env, config.seed, config.target) == ("A-v0", 4, 1.0)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(sede=1, target=0, copies=2.5, vector="asinc", method="n-distil", student="mpl:64", trust="yes", seed=True)
    lines = str(caught.value).splitlines()
    assert lines[0] == "8 problems in the configuration:"
    wanted = (
        "unknown key 'sede'. Did you mean 'seed'?",
        "target must lie in (0, inf), got 0.0",
        "copies must be a whole number, got 2.5",
        "vector must be one of sync, async, got 'asinc'. Did you mean 'async'?",
        "Did you mean 'n-distill'?",
        "Did you mean 'mlp'?",
        "trust must be true or false, got 'yes'",
        "seed must be a whole number, got True",
    )
    assert [text for text in wanted if text not in str(caught.value)] == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"gamma": float("nan")}, "gamma must lie in (0, 1]"),
        ({"gamma": 1.5}, "gamma must lie in (0, 1], got 1.5"),
        ({"loss_weight": "linear:1"}, "loss_weight"),
        ({"remedy": "absorb"}, "Did you mean 'absorbing'?"),
        ({"remedy": "credit:2"}, "credit:C with C in [0, 1]"),
        ({"env_args": "[1]"}, "env_args must be a JSON object"),
        ({"env_args": "{"}, "env_args must be a JSON object"),
        ({"device": "gpu"}, "device is cpu, cuda"),
        ({"control": "studnet"}, "Did you mean 'student'?"),
        ({"env": 3}, "env must be a text, got 3"),
        ({"wrap": "one"}, "wrap must be a list of texts"),
        ({"method": "n-distill", "control": "teacher"}, "needs the student to act"),
        ({"method": "on-policy-distill", "task_weight": 2}, "Use on-policy-distill+r"),
        ({"task_weight": 2}, "Use on-policy-distill+r"),
        ({"method": "on-policy-distill", "expected_reward": True}, "no expected form"),
        ({"loss_weight": 0}, "weight 0 throughout"),
        ({"loss_weight": "linear:0:0"}, "weight 0 throughout"),
        ({"method": "n-distill", "control": "mixture:linear:1:0"}, "needs the student to act"),
    ],
)
def test_what_an_option_cannot_be_is_said(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(**values)
    assert words in str(caught.value)


def test_missing_keys_are_problems_like_others() -> None:
    with pytest.raises(ConfigurationError) as caught:
        DistillConfig.of({"seeds": 1})
    assert all(word in str(caught.value) for word in ("teacher is missing", "env is missing", "'seed'?"))


@pytest.mark.parametrize(
    ("text", "words"),
    [("teacher = ", "not valid TOML"), ("[run]\nseed = 1", "unknown key 'run'"), ("sed = 1", "'seed'?")],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        DistillConfig.from_toml(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_options_shape_the_row() -> None:
    row = made(method="n-distill+r", divergence="kl", remedy="credit:0.5", task_weight=2).row()
    assert [(p.atom, p.weight, p.credit, p.later) for p in row.reward] == [
        ("forward-kl", -1.0, 0.5, True),
        ("task-reward", 2.0, 1.0, False),
    ]
    assert made().row() == METHODS["on-policy-distill"]
    assert str(made(method="on-policy-distill", control="mixture:0.25").row().control) == "mixture(0.25)"


def test_every_option_has_help_a_known_heading_and_a_type_that_is_checked() -> None:
    for kind in (DistillConfig, EvaluateConfig):
        for name, entry in fields_of(kind).items():
            assert entry.metadata["help"].endswith("."), name
            assert entry.metadata["group"] in GROUPS, name
            with pytest.raises(ConfigurationError, match=name):
                kind.of({name: object()})
        assert len(hints_of(kind)) == len(fields_of(kind))


def test_configurations_load_nothing_heavy() -> None:
    code = (
        "import sys, understudy.cli, understudy.runs.config; "
        "print([m for m in ('torch', 'numpy', 'gymnasium', 'rich', 'tyro') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
