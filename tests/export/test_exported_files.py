"""What exported files say of themselves, that they are teachers again, and what happens to what lies in their place."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from gymnasium import spaces

import understudy
from made_students import a_student, some_play
from understudy.cli import main
from understudy.errors import ConfigurationError, ExportError, SpaceError, TeacherError
from understudy.export import command
from understudy.export.command import export
from understudy.export.config import ExportConfig
from understudy.export.formats import FORMATS
from understudy.export.parity import compare
from understudy.policies.onnx_session import tidy
from understudy.policies.student_file import load_student, save_student
from understudy.policies.teachers import open_teacher

CARTPOLE = gymnasium.make("CartPole-v1").observation_space
TWO = spaces.Discrete(2)
FLAT, PICTURE = spaces.Box(-3, 3, (5,)), spaces.Box(0, 255, (10, 10, 3), np.uint8)
UNEVEN = spaces.Box(np.array([-1, 0.5], np.float32), np.array([0.25, 2], np.float32))
FAMILIES = {
    "categorical": (spaces.Discrete(3, start=1), False),
    "multi-categorical": (spaces.MultiDiscrete([2, 3], start=[0, 4]), False),
    "bernoulli": (spaces.MultiBinary(3), False),
    "gaussian": (UNEVEN, False),
    "squashed-gaussian": (UNEVEN, True),
}
PLAYER = Path(__file__).parents[2] / "examples" / "play_onnx.py"
BODIES = ("mlp:8,8", "linear", "mlp:8:silu:layernorm", "gru:6", "lstm:6", "cnn:small")


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_agrees_in_every_body(family: str, body: str, tmp_path: Path) -> None:
    """As a torch program; ONNX is made from this very program, see test_export for it."""
    sees = PICTURE if body.startswith("cnn") else FLAT
    acts, squashed = FAMILIES[family]
    student, path = a_student(sees, acts, body, squashed), tmp_path / "student.pt2"
    FORMATS["torch"].write(student, path, {}, {})
    parity = compare(student, FORMATS["torch"].open(path, student), some_play(sees))
    assert parity.steps == 6 * 3 + 6
    assert max(parity.action, parity.parameters) < 1e-5


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A Gaussian student with a value network and an extreme deviation, in two formats."""
    folder = tmp_path_factory.mktemp("written")
    student = a_student(FLAT, UNEVEN, with_value=True)
    assert student.log_std is not None
    student.log_std[:] = torch.tensor([9.0, -30.0])
    found = {name: folder / f"student{FORMATS[name].suffix}" for name in ("onnx", "torch")}
    for name, path in found.items():
        FORMATS[name].write(student, path, {"note": "for whom it concerns"}, {})
    return found


def test_files_hold_their_facts_and_no_path_of_this_machine(written: dict[str, Path]) -> None:
    here = str(Path(understudy.__file__).parent).encode()
    with zipfile.ZipFile(written["torch"]) as archive:
        texts = b"".join(archive.read(name) for name in archive.namelist())
    assert here not in texts
    assert b"for whom it concerns" in texts
    assert here not in written["onnx"].read_bytes()
    said = {one.key: one.value for one in onnx.load(str(written["onnx"])).metadata_props}
    assert said == {"note": "for whom it concerns"}


def test_a_graph_names_its_batch_and_holds_what_acts_alone(written: dict[str, Path]) -> None:
    graph = onnx.load(str(written["onnx"])).graph
    onnx.checker.check_model(str(written["onnx"]))
    assert not [node for node in graph.node if node.metadata_props]  # the exporter's notes, most of a small file
    for entry in (*graph.input, *graph.output):
        assert entry.type.tensor_type.shape.dim[0].dim_param == "batch"
    numbers = sum(int(np.prod(one.dims)) for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT)
    network, standardiser, log_std, bounds = 8 * 5 + 8 + 2 * 8 + 2, 2 * 5, 2, 2 * 2
    assert numbers <= network + standardiser + log_std + bounds + 4
    weights = torch.export.load(written["torch"]).state_dict
    assert not [name for name in weights if "value" in name]


def test_deviations_are_those_that_the_student_draws_with(written: dict[str, Path]) -> None:
    session = onnxruntime.InferenceSession(str(written["onnx"]))
    _, _, log_std = session.run(["action", "mean", "log_std"], {"obs": np.zeros((1, 5), np.float32)})
    np.testing.assert_array_equal(log_std, [[4, -20]])


@pytest.mark.parametrize("opset", [18, 23])
def test_the_version_of_the_operators_can_be_chosen(opset: int, tmp_path: Path) -> None:
    student, path = a_student(FLAT, TWO, "mlp:8:gelu:layernorm"), tmp_path / "student.onnx"
    FORMATS["onnx"].write(student, path, {}, {"opset": opset})
    assert [one.version for one in onnx.load(str(path)).opset_import if one.domain == ""] == [opset]
    assert compare(student, FORMATS["onnx"].open(path, student), some_play(FLAT)).parameters < 1e-5


def test_options_of_another_format_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="opset is for --format onnx"):
        ExportConfig("run", format="torch", opset=20)
    with pytest.raises(ConfigurationError, match=r"opset must lie in \[18, 23\], got 11"):
        ExportConfig("run", opset=11)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The folder of a student that sees two of CartPole's numbers and of a step the share that remains."""
    space = spaces.Box(-np.inf, np.inf, (3,))
    facts = {"env": "CartPole-v1", "wrappers": ["time-feature"], "view": "0,2,4", "gamma": 0.9}
    save_student(a_student(space, TWO), tmp_path / "bare", **facts)
    return tmp_path / "bare"


def test_an_exported_file_brings_its_wrappers_view_and_discount(bare: Path, tmp_path: Path) -> None:
    found = export(ExportConfig(str(bare), out=str(tmp_path / "x.onnx"), steps=40))
    assert [note.split(":")[0] for note in found.notes] == [
        "it acts behind the wrappers time-feature", "it sees the part '0,2,4' of observations",
    ]  # fmt: skip
    teacher: Any = open_teacher(str(tmp_path / "x.onnx"))
    assert (teacher.observation_space.shape, teacher.action_space) == ((3,), TWO)
    assert teacher.facts == {"wrappers": ["time-feature"], "view": "0,2,4", "gamma": 0.9}
    again = understudy.evaluate(str(tmp_path / "x.onnx"), "CartPole-v1", episodes=5)
    assert again.wrappers == ("time-feature",)
    assert again.returns == understudy.evaluate(str(bare), "CartPole-v1", episodes=5).returns
    student = understudy.distill(
        str(tmp_path / "x.onnx"), "CartPole-v1", student="linear", out=str(tmp_path / "run"), steps=256,
        evaluation_episodes=2, final_episodes=2, quiet=True,
    )  # fmt: skip
    assert load_student(student.path).facts["gamma"] == 0.9


@pytest.mark.parametrize("body", ["mlp:8", "lstm:6"])
def test_onnx_runtime_and_gymnasium_alone_play_to_the_same_returns(body: str, tmp_path: Path) -> None:
    """The player refuses to have imported Understudy or PyTorch."""
    save_student(a_student(CARTPOLE, TWO, body), tmp_path / "bare", env="CartPole-v1")
    export(ExportConfig(str(tmp_path / "bare"), out=str(tmp_path / "x.onnx"), steps=40))
    words = [sys.executable, str(PLAYER), str(tmp_path / "x.onnx"), "6", "300"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    own = understudy.evaluate(str(tmp_path / "bare"), "CartPole-v1", episodes=6, seed=300)
    assert tuple(json.loads(done.stdout)["returns"]) == own.returns
    assert len(set(own.returns)) > 1


def test_a_dicts_parts_are_found_by_their_names(tmp_path: Path) -> None:
    keyed = spaces.Dict({"arm 2": FLAT, "mode": spaces.Discrete(3, start=1), "b": spaces.MultiBinary(2)})
    student, path = a_student(keyed, UNEVEN), tmp_path / "student.onnx"
    FORMATS["onnx"].write(student, path, command.facts(student, "Some-v0"), {})
    teacher = open_teacher(str(path))
    rows = [keyed.sample() for _ in range(4)]
    batch = {key: torch.as_tensor(np.stack([row[key] for row in rows])) for key in keyed.spaces}
    torch.testing.assert_close(teacher(batch)[0].policy.flat, student(batch)[0].policy.flat, atol=1e-5, rtol=0)


def test_files_that_are_no_teacher_say_why(tmp_path: Path) -> None:
    student, path = a_student(FLAT, TWO), tmp_path / "student.onnx"
    said = command.facts(student, "")

    def refused(facts: dict[str, str], error: type[Exception], text: str) -> None:
        tidy(path, facts, "a test")
        with pytest.raises(error, match=text):
            understudy.evaluate(str(path), "CartPole-v1", episodes=1)

    FORMATS["onnx"].write(student, path, {}, {})
    refused(said, SpaceError, "do not match")
    refused(said | {"action_space": "{}"}, TeacherError, r"metadata of .*student.onnx are damaged .*export it again")
    refused({"understudy": "1"}, TeacherError, r"damaged \(KeyError\('observation_space'\)\)")
    refused(command.facts(a_student(FLAT, TWO, "gru:4"), ""), TeacherError, r"recurrent student.* name its run folder")


def test_what_lies_in_a_place_stays_until_the_new_file_is_found_right(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "place" / "x.onnx"
    path.parent.mkdir()
    path.write_bytes(b"in use")
    with pytest.raises(ExportError, match="is there already"):
        export(ExportConfig(str(bare), out=str(path), steps=20))
    with monkeypatch.context() as patch:
        patch.setattr("understudy.export.parity.TOLERANCE", -1.0)
        with pytest.raises(ExportError, match=r"x.onnx.rejected for a look"):
            export(ExportConfig(str(bare), out=str(path), steps=20, force=True))
    assert path.read_bytes() == b"in use"
    assert sorted(one.name for one in path.parent.iterdir()) == ["x.onnx", "x.onnx.rejected"]
    export(ExportConfig(str(bare), out=str(path), steps=20, force=True))
    assert open_teacher(str(path)).description == "ONNX file x.onnx"
    assert sorted(one.name for one in path.parent.iterdir()) == ["x.onnx", "x.onnx.rejected"]


def test_statistics_of_another_agent_are_not_given_to_the_new_one(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3", reason="needs the extra sb3")
    student = a_student(CARTPOLE, TWO)
    save_student(student, tmp_path / "plain", env="CartPole-v1")
    stray = tmp_path / "agent_vecnormalize.pkl"
    stray.write_bytes(b"of another")
    with pytest.raises(ExportError, match=r"agent_vecnormalize.pkl would be taken for .*--out .*agent/agent.zip"):
        export(ExportConfig(str(tmp_path / "plain"), "sb3", str(tmp_path / "agent.zip"), steps=20, force=True))
    assert stray.read_bytes() == b"of another"
    assert not (tmp_path / "agent.zip").exists()
    found = export(ExportConfig(str(tmp_path / "plain"), "sb3", str(tmp_path / "agent" / "agent.zip"), steps=20))
    assert [one.name for one in found.files] == ["agent.zip", "vecnormalize.pkl"]


def test_a_place_that_cannot_be_written_is_an_error_with_its_name(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert main(["export", str(bare), "--out", str(tmp_path / "file" / "x.onnx"), "--steps", "20"]) == 2
    assert f"cannot write to {tmp_path / 'file'}" in capsys.readouterr().err

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("understudy.export.as_onnx.tidy", full)
    assert main(["export", str(bare), "--out", str(tmp_path / "x.onnx"), "--steps", "20"]) == 2
    assert "x.onnx: No space left on device. Choose another --out" in capsys.readouterr().err
    assert not list(tmp_path.glob("*x.onnx*"))


def test_the_python_function_can_be_called_more_than_once(bare: Path, tmp_path: Path) -> None:
    """A function of a subpackage's name would be shadowed once that was imported."""
    for name in ("a.pt2", "b.pt2"):
        found = understudy.export_student(bare, "torch", tmp_path / name, steps=20)
        assert found.files == (tmp_path / name,)
    packages = {one.name for one in Path(understudy.__file__).parent.iterdir() if one.is_dir()}
    assert packages & set(understudy.__all__) == set()


def test_the_environments_arguments_are_kept_and_used(tmp_path: Path) -> None:
    save_student(a_student(CARTPOLE, TWO), tmp_path / "bare", env="CartPole-v1")
    out = tmp_path / "x.onnx"
    export(ExportConfig(str(tmp_path / "bare"), out=str(out), env_args='{"sutton_barto_reward": true}', steps=20))
    said = {one.key: one.value for one in onnx.load(str(out)).metadata_props}
    assert json.loads(said["env_args"]) == {"sutton_barto_reward": True}
