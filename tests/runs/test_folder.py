"""Run folders: what is written, what is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from understudy.errors import RunError
from understudy.policies.whole_files import write_whole
from understudy.runs import folder as module
from understudy.runs.config import DistillConfig
from understudy.runs.folder import RunFolder, default_name
from understudy.runs.provenance import git_commit, provenance
from understudy.runs.result import Result
from understudy.runs.sources import file_facts


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DistillConfig:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ppo-CartPole-v1.zip").write_bytes(b"teacher")
    return DistillConfig("ppo-CartPole-v1.zip", "CartPole-v1", seed=7)


def result(**changes: object) -> Result:
    figures = {
        "teacher_return": 500.0,
        "random_return": 20.0,
        "student_return": 480.0,
        "recovered": 0.958,
        "recovered_interval": (0.93, 0.98),
        "env_steps": 1024,
        "updates": 64,
        "seconds": 0.5,
        "teacher_parameters": 9155,
        "student_parameters": 386,
        "stopped_because": "the student holds the target",
    }
    return Result(**(figures | changes))  # type: ignore[arg-type]


def test_a_new_folder_holds_the_configuration_and_where_it_comes_from(config: DistillConfig) -> None:
    folder = RunFolder.create(config)
    assert folder.path == Path("runs/ppo-CartPole-v1-mlp-64-64-s7")
    assert folder.config == config
    facts = json.loads((folder.path / "provenance.json").read_text())
    place = str(Path(config.teacher).resolve())
    assert facts["teacher"] == {"uri": config.teacher, "path": place, "sha256": hashlib.sha256(b"teacher").hexdigest()}
    stopping = [[10_007_000, 10_007_019], [10_007_020, 10_007_039]]
    assert facts["seeds"] == {"run": 7, "stopping": stopping, "final": [1_000_000, 1_000_099]}
    assert (facts["vecnormalize"], facts["repeatable_from_config"]) == (None, True)
    assert {"torch", "gymnasium", "numpy"} <= set(facts["packages"])


def test_statistics_members_and_functions_are_recorded_with_their_hashes(config: DistillConfig, tmp_path: Path) -> None:
    def digest(data: bytes) -> str:
        return hashlib.sha256(data).hexdigest()

    (tmp_path / "vecnormalize.pkl").write_bytes(b"statistics")
    (tmp_path / "agent.py").write_bytes(b"act = None")

    def facts(uri: str, file: str, data: bytes) -> dict[str, str]:
        return {"uri": uri, "path": str(tmp_path / file), "sha256": digest(data)}

    statistics = facts("vecnormalize.pkl", "vecnormalize.pkl", b"statistics")
    assert provenance(config)["vecnormalize"] == statistics
    several = provenance(DistillConfig("ppo-CartPole-v1.zip,agent.py:act", "CartPole-v1"))
    assert several["teacher"]["members"] == [
        {**facts("ppo-CartPole-v1.zip", "ppo-CartPole-v1.zip", b"teacher"), "vecnormalize": statistics},
        facts("agent.py:act", "agent.py", b"act = None"),
    ]
    assert several["vecnormalize"] is None


def test_objects_are_recorded_by_their_type_and_cannot_be_repeated(config: DistillConfig) -> None:
    facts = provenance(config, teacher=lambda batch: batch, env=object)
    assert facts["teacher"] == {"uri": "<object of type function>", "sha256": None}
    assert facts["env"] == "<object of type type>"
    assert facts["repeatable_from_config"] is False


def test_the_same_run_again_gets_a_folder_of_its_own(config: DistillConfig) -> None:
    paths = [RunFolder.create(config).path.name for _ in range(3)]
    assert paths == [default_name(config) + tail for tail in ("", "-2", "-3")]


def test_a_folder_with_files_is_refused_and_stays_as_it_was(config: DistillConfig, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match=r"taken exists and is not empty; choose another --out"):
        RunFolder.create(DistillConfig(config.teacher, config.env, out=str(taken)))
    assert [file.name for file in taken.iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match="is a file"):
        RunFolder.create(DistillConfig(config.teacher, config.env, out=str(taken / "thesis.txt")))


@pytest.mark.parametrize(
    ("teacher", "env", "name"),
    [
        ("sb3:/a b/best model.zip", "LunarLander-v3", "best-model-LunarLander-v3-mlp-64-64-s0"),
        ("my.agents:act", "envpool:Pong-v5", "act-envpool-Pong-v5-mlp-64-64-s0"),
        ("../../evil/..", "X-v0", "X-v0-mlp-64-64-s0"),
    ],
)
def test_default_names_are_safe_file_names(teacher: str, env: str, name: str) -> None:
    assert default_name(DistillConfig(teacher, env)) == name


def test_metrics_are_on_disk_at_once_and_a_cut_line_is_left_out(config: DistillConfig) -> None:
    folder = RunFolder.create(config)
    folder.append({"steps": 1, "loss": float("nan")})
    folder.append({"steps": 2, "loss": 0.5})
    assert folder.records() == [{"steps": 1, "loss": None}, {"steps": 2, "loss": 0.5}]
    folder.close()
    with folder.metrics_path.open("a") as file:
        file.write('{"steps": 3, "lo')
    assert [record["steps"] for record in RunFolder.open(folder.path).records()] == [1, 2]


def test_a_result_survives_its_file(config: DistillConfig) -> None:
    folder = RunFolder.create(config)
    with pytest.raises(RunError, match="has not finished"):
        _ = folder.result
    folder.finish(result(recovered=None, recovered_interval=None, extra={"kl": [1.0]}))
    assert folder.result == result(recovered=None, recovered_interval=None, extra={"kl": [1.0]})
    assert not list(folder.path.glob(".*")), "temporary files stay behind"


def test_a_result_of_a_later_version_keeps_what_is_unknown() -> None:
    text = json.dumps(json.loads(result().to_json()) | {"invented": 3})
    assert Result.from_json(text).extra == {"invented": 3}
    with pytest.raises(RunError, match="not a result"):
        Result.from_json("[]")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_five_lines_say_what_was_done() -> None:
    lines = result(teacher="t.zip", student="mlp:16,16", env="CartPole-v1", method="n-distill", path="runs/x").summary()
    assert len(lines.splitlines()) == 5
    for words in ("t.zip into mlp:16,16", "95.8% [93.0%, 98.0%]", "target 95% held", "23.7 x smaller", "runs/x"):
        assert words in lines
    assert "does not beat a random policy" in result(recovered=None).summary()
    assert "missed" in result(recovered=0.5).summary()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "target 95% held by the point estimate, the interval reaches below"),
        ({"recovered_interval": (0.951, 0.98)}, "target 95% held; stopped"),
        ({"student_parameters": 9155}, "(the same size)"),
        ({"student_parameters": 9000}, "(about the same size)"),
        ({"student_parameters": 18310}, "(2.0 x larger)"),
        ({"random_return": 9.4, "random_interval": (9.0, 9.8)}, "random 9.40 [9.00, 9.80]"),
        ({"random_return": 0.0123, "random_interval": (0.0, 0.02)}, "random 0.0123 [0.0000, 0.0200]"),
        ({"student_interval": (5.0, 500.0)}, "student 480.0 [5.0, 500.0]"),
    ],
)
def test_figures_are_said_as_they_are(changes: dict[str, object], words: str) -> None:
    assert words in result(**changes).summary()


def test_only_a_file_of_rows_that_the_configuration_names_is_looked_for(
    config: DistillConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(module, "likely", lambda name, facts: looked.append(name) or name)
    folder = RunFolder.create(replace(config, method=None, out=str(tmp_path / "plain")))
    facts = folder.provenance | {"code": {"method": {"uri": "hf://ada/rows", "sha256": "0", "path": "hf://ada/rows"}}}
    folder.provenance_path.write_text(json.dumps(facts))
    assert folder.config.method is None
    assert looked == []
    rows = tmp_path / "rows.toml"
    rows.write_text('[own]\nloss = [{weight = 1.0, atom = "forward-kl"}]\n')
    folder = RunFolder.create(replace(config, method=str(rows), out=str(tmp_path / "own")))
    folder.provenance_path.write_text("{}")
    assert folder.config.method == str(rows)
    assert looked == [str(rows)]


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no config\.toml"):
        RunFolder.open(tmp_path)


def test_the_commit_is_recorded_with_its_state(tmp_path: Path) -> None:
    assert git_commit(tmp_path / "absent") is None
    for words in ("init -q", "-c user.name=a -c user.email=a@b commit -q --allow-empty -m x"):
        subprocess.run(["git", *words.split()], cwd=tmp_path, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert git_commit(tmp_path) == head.stdout.strip()
    assert file_facts("python:module:act")["sha256"] is None
