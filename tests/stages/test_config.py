"""What a file of stages may say, and what it is told where it may not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from understudy.errors import ConfigurationError
from understudy.methods.anchor import Anchor
from understudy.stages.config import StagesConfig, StagesOptions

TWO = """
student = "mlp:8,8:tanh"
seed = 3
[ppo]
gamma = 0.9
[[stage]]
name = "one"
env = "Pendulum-v1"
steps = 100
[[stage]]
name = "two"
env = "Pendulum-v1"
env_args = '{"g": 5}'
wrap = ["rescale-action"]
until = -200
[stage.ppo]
ent_coef = "linear:0.01:0"
[[stage.anchors]]
policy = "one"
weight = "adaptive:0.1:0.02"
states = "both"
"""


def stage(name: str = "one", **more: Any) -> dict[str, Any]:
    return {"name": name, "env": "Pendulum-v1", **more}


def test_a_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(TWO)
    config = StagesConfig.from_toml(tmp_path / "two.toml")
    assert (config.seed, config.student, config.ppo) == (3, "mlp:8,8:tanh", {"gamma": 0.9})
    first, second = config.stages
    assert (first.steps, first.until, first.anchors) == (100, None, ())
    assert (second.until, second.wrap) == (-200.0, ("rescale-action",))
    assert second.anchors == (Anchor("one", "adaptive:0.1:0.02", states="both", name="one"),)
    assert config.options(second) == {"n_steps": 128, "gamma": 0.9, "ent_coef": "linear:0.01:0"}


def test_what_is_written_down_of_a_configuration_is_read_as_the_same_one(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(TWO)
    config = StagesConfig.from_toml(tmp_path / "two.toml")
    (tmp_path / "again.toml").write_text(config.to_toml())
    assert StagesConfig.from_toml(tmp_path / "again.toml") == config


def test_ppos_options_are_checked_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys; from understudy.stages.config import StagesConfig\n"
        "try: StagesConfig.of({'stages': [{'name': 'a', 'env': 'E', 'ppo': {'gamma': 2}}]})\n"
        "except Exception as error: print(error, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "gamma must be in [0, 1], got 2" in found
    assert found.split()[-1] == "False"


@pytest.mark.parametrize("values", ["0", "linear:0:0.2"])
def test_a_clip_range_that_begins_at_nothing_is_refused(values: str) -> None:
    with pytest.raises(ConfigurationError, match="clip_range must begin above 0"):
        StagesConfig.of({"stages": [stage()], "ppo": {"clip_range": values}})


def test_anchors_to_stages_are_called_as_these_are() -> None:
    three = stage("v1.2", anchors=[{"policy": "v1.0"}, {"policy": "v1.1"}, {"policy": "agent.zip"}])
    config = StagesConfig.of({"stages": [stage("v1.0"), stage("v1.1"), three]})
    assert [one.label for one in config.stages[2].anchors] == ["v1.0", "v1.1", "agent"]


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as found:
        StagesConfig.of({"seeds": 1, "stages": [stage(stepps=3), stage("b", steps=0), stage("c", ppo={"gama": 1})]})
    text = str(found.value)
    assert "unknown key 'seeds'. Did you mean 'seed'?" in text
    assert "unknown key 'stepps'. Did you mean 'steps'?" in text
    assert "steps must lie in [1, inf), got 0" in text
    assert "unknown option 'gama'. Did you mean 'gamma'?" in text


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ([], "there are no stages"),
        ([{"name": "a"}], "env is missing"),
        ([stage(ppo={"gamma": 2})], "stage one: ppo: gamma must be in"),
        ([stage(ppo={"learning_rate": "3e-4"})], "must be a number, got '3e-4'"),
        ([stage(ppo={"n_steps": 2.5})], "n_steps must be a whole number, got 2.5"),
        ([stage(name="a b")], "letters, digits"),
        ([stage(), stage()], "two stages are called one"),
        ([stage(), stage("two", begin="three")], "or a run's folder, got 'three'"),
        ([stage(joint=["one"])], "which is no earlier stage"),
        ([stage(heads="own")], "needs an earlier stage"),
        ([stage(distil="mlp:8,8")], "needs an earlier stage"),
        ([stage(), stage("two", heads="own", distil="mlp:8,8")], "exclude each other"),
        ([stage(anchors=[{"policy": "two"}]), stage("two")], "anchor two is no earlier stage"),
        ([stage(), stage("two", anchors=[{"policy": "one", "wieght": 1}])], "unknown key 'wieght'"),
        ([stage(), stage("two", anchors=[{"weight": 1}])], "an anchor is a table with a policy"),
        ([stage(), stage("two", anchors=[{"policy": "one", "weight": 0}])], "never acts"),
        ([stage(), stage("two", distil="mpl:8")], "mlp"),
        ([stage("a"), stage("A")], "stage A would share a folder"),
        ([stage(), stage("two", joint=["one"], heads="own")], "with heads own these are played by others"),
        ([stage(), stage("two", joint=["one"], adapters=True)], "with adapters these are played by others"),
        ([stage("last")], "no stage can be called last"),
        ([stage("result.json")], "no stage can be called result.json"),
        ([stage(std=0.3)], "std is for a policy that goes on"),
        ([stage(), stage("two", begin="fresh", critic="keep")], "critic = 'keep' is for a policy that goes on"),
        ([stage(), stage("two", adapters=True, teacher="a.zip")], "teacher is for a policy that goes on"),
        ([stage(begin=".", critic="keep")], "but . is no earlier stage"),
        ([stage(), stage("two"), stage("three", begin="one", heads="own")], "shares the body that stage two left"),
    ],
)
def test_what_cannot_be_is_said(stages: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ConfigurationError) as found:
        StagesConfig.of({"stages": stages})
    assert told in str(found.value)


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text(TWO)
    options = StagesOptions.of({"file": str(tmp_path / "two.toml"), "seed": 7, "out": "there"})
    assert (options.config.seed, options.config.out, options.config.student) == (7, "there", "mlp:8,8:tanh")


def test_a_file_or_a_folder_is_needed_and_not_both() -> None:
    for values in ({}, {"file": "a.toml", "resume": "b"}):
        with pytest.raises(ConfigurationError, match=r"understudy stages FILE\.toml"):
            StagesOptions.of(values)
    for more in ({"seed": 1}, {"out": "c"}, {"device": "cpu"}, {"threads": 2}):
        with pytest.raises(ConfigurationError, match="leave the other options out"):
            StagesOptions.of({"resume": "b", **more})
    assert StagesOptions.of({"resume": "b", "quiet": True}).quiet


def test_a_file_that_is_not_there_or_no_toml_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such configuration file"):
        StagesConfig.from_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("student = [")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        StagesConfig.from_toml(tmp_path / "bad.toml")
