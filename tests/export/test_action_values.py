"""Students of action values as files, files of 8 bits, and what a student takes on a small board."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from gymnasium import spaces

import understudy
from made_students import a_student, some_play
from understudy.cli import main
from understudy.errors import ConfigurationError
from understudy.export.command import export
from understudy.export.config import ExportConfig
from understudy.export.deployed import in_units
from understudy.export.footprint import footprint
from understudy.export.formats import FORMATS
from understudy.export.parity import compare
from understudy.export.to_sb3 import convert
from understudy.policies.network import Dueling
from understudy.policies.student_file import load_student, save_student
from understudy.policies.teachers import open_teacher
from understudy.runs.folder import RunFolder

TEACHER = Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip"
FLAT = spaces.Box(-3, 3, (4,))
TWO = spaces.Discrete(2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of action values on CartPole, of a policy's logits."""
    out = tmp_path_factory.mktemp("values") / "run"
    understudy.distill(
        TEACHER, "CartPole-v1", student="mlp:32,32:dueling", method="q-ce", out=str(out), steps=3000, quiet=True
    )
    return out


def test_a_dueling_head_is_one_layer_in_the_end() -> None:
    head, x = Dueling(5, 3), torch.randn(7, 5)
    assert torch.allclose(head(x), head.collapsed()(x), atol=1e-6)
    assert torch.allclose(head(x).mean(-1), head.value(x)[:, 0], atol=1e-6)


@pytest.mark.parametrize("form", ["onnx", "torch", "sb3"])
@pytest.mark.parametrize("spec", ["mlp:8,8", "mlp:8:dueling"])
def test_a_file_answers_action_values_in_their_own_unit(form: str, spec: str, tmp_path: Path) -> None:
    student = a_student(FLAT, TWO, spec, temperature=0.05)
    seen = some_play(FLAT)
    wanted = student.network(torch.as_tensor(seen.observation[0]))[0].numpy()
    path = tmp_path / f"student{FORMATS[form].suffix}"
    options = {"algorithm": "auto", "fold_normaliser": False} if form == "sb3" else {}
    FORMATS[form].write(in_units(student), path, {}, options)
    opened = FORMATS[form].open(path, student)
    opened.begin()
    action, values = opened(seen.observation[0], seen.start[0])
    assert np.allclose(values, wanted, atol=1e-4)
    assert (action == wanted.argmax(-1)).all()
    assert compare(student, opened, seen).parameters <= 1e-5


def test_an_agent_of_sb3_that_answers_action_values_is_a_dqn() -> None:
    assert convert(a_student(FLAT, TWO, temperature=0.05)).algorithm == "DQN"
    assert convert(a_student(FLAT, TWO)).algorithm == "PPO"


def test_the_outputs_name_says_that_they_are_values_and_they_are_read_so_again(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "student.onnx"
    export(ExportConfig(run=str(run), out=str(out)))
    assert [one.name for one in onnx.load(str(out)).graph.output] == ["action", "q_values"]
    student, teacher = load_student(run), open_teacher(str(out), observation_space=FLAT, action_space=TWO)
    assert "temperature 0.01" in teacher.description
    observation = torch.randn(5, 4)
    assert torch.allclose(
        teacher(observation)[0].policy.flat * 0.01, student.action_values(observation), atol=1e-4, rtol=1e-4
    )


def test_a_file_of_8_bits_says_what_it_earns(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "student.onnx"
    assert main(["export", str(run), "--int8", "--episodes", "5", "--steps", "40", "--out", str(out)]) == 0
    told = capsys.readouterr()
    small = tmp_path / "student.int8.onnx"
    assert f"8 bits       {small}: " in told.out
    assert "over 5 episodes" in told.out
    assert "pre-processing" not in told.err
    types = {one.data_type for one in onnx.load(str(small)).graph.initializer if len(one.dims) == 2}
    assert types == {onnx.TensorProto.UINT8}
    noted = RunFolder(run).exports()
    assert set(noted) == {"student.onnx", "student.int8.onnx"}
    played = _returns(small, range(4_000_000, 4_000_005))
    assert noted["student.int8.onnx"]["earned"]["mean"] == pytest.approx(np.mean(played))


def _returns(path: Path, seeds: range) -> list[float]:
    """With Gymnasium and ONNX Runtime alone."""
    import gymnasium

    session, env, found = onnxruntime.InferenceSession(str(path)), gymnasium.make("CartPole-v1"), []
    for seed in seeds:
        observation, over, total = env.reset(seed=seed)[0], False, 0.0
        while not over:
            action = session.run(["action"], {"obs": np.float32(observation)[None]})[0][0]
            observation, reward, terminated, truncated, _ = env.step(action)
            total, over = total + float(reward), terminated or truncated
        found.append(total)
    return found


def test_files_are_noted_for_the_student_that_they_are_of(run: Path, tmp_path: Path) -> None:
    folder = RunFolder(run)
    folder.note_export("a.onnx", {"what": "x", "bytes": 1, "median": 1.0})
    assert "a.onnx" in folder.exports()
    held = json.loads((run / "export" / "exports.json").read_text())
    (run / "export" / "exports.json").write_text(json.dumps(held | {"student": "of another"}))
    assert folder.exports() == {}


def test_8_bits_are_for_onnx_only(run: Path) -> None:
    with pytest.raises(ConfigurationError, match="int8 is for --format onnx"):
        ExportConfig(run=str(run), format="torch", int8=True)


def test_bytes_are_counted_by_hand() -> None:
    """4 numbers in, layers of 16 and 8, 2 out: 4·16 + 16 + 16·8 + 8 + 8·2 + 2 parameters; 16 in and 16 out at most."""
    found = footprint(a_student(FLAT, TWO, "mlp:16,8"))
    assert found.parameters == 4 * (4 * 16 + 16 + 16 * 8 + 8 + 8 * 2 + 2)
    assert found.activations == 4 * (16 + 16)


def test_the_first_convolution_reads_and_writes_most() -> None:
    picture = spaces.Box(0, 255, (4, 84, 84), np.uint8)
    found = footprint(a_student(picture, spaces.Discrete(6), "cnn:nature"))
    assert found.activations == 4 * (4 * 84 * 84 + 32 * 20 * 20)


def test_a_memory_counts_too() -> None:
    found = footprint(a_student(FLAT, TWO, "gru:6"))
    assert found.activations >= 4 * (4 + 6 + 6)


def test_the_temperature_comes_back_with_the_student(tmp_path: Path) -> None:
    student = a_student(FLAT, TWO, temperature=0.25)
    save_student(student, tmp_path)
    again, seen = load_student(tmp_path), torch.randn(3, 4)
    assert again.temperature == 0.25
    assert torch.equal(again.flat(seen)[0], student.flat(seen)[0])
    assert torch.allclose(again.flat(seen)[0] * 0.25, student.network(seen)[0])
