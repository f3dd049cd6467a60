"""Exported files against the student itself, for every family, body and space."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import onnx
import pytest
import torch
from gymnasium import spaces

import understudy
from made_students import a_student, sampled, some_play
from understudy.cli import main
from understudy.envs.actions import ActionMap
from understudy.errors import ConfigurationError, ExportError, MissingExtra, RunError, SpaceError
from understudy.export.command import export, facts
from understudy.export.config import ExportConfig
from understudy.export.formats import FORMATS
from understudy.export.parity import compare
from understudy.policies.policy import tensors
from understudy.policies.student import Student
from understudy.policies.student_file import save_student

FLAT = spaces.Box(-3, 3, (5,))
PICTURE = spaces.Box(0, 255, (10, 10, 3), np.uint8)
KEYED = spaces.Dict({"eye": PICTURE, "arm-2": FLAT, "mode": spaces.Discrete(3)})
UNEVEN = spaces.Box(np.array([-1, 0.5], np.float32), np.array([0.25, 2], np.float32))
CASES: dict[str, tuple[str, gymnasium.Space[Any], gymnasium.Space[Any], bool]] = {
    "categorical": ("mlp:8,8", FLAT, spaces.Discrete(3), False),
    "from one on": ("linear", spaces.Discrete(4, start=2), spaces.Discrete(3, start=1), False),
    "parts": ("mlp:8:silu:layernorm", FLAT, spaces.MultiDiscrete([2, 3], start=[0, 4]), False),
    "coins": ("mlp:8:gelu", spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3), False),
    "clipped": ("mlp:8:elu", FLAT, UNEVEN, False),
    "squashed": ("mlp:8:relu", FLAT, UNEVEN, True),
    "whole numbers": ("mlp:8", FLAT, spaces.Box(-2, 3, (2,), np.int16), False),
    "doubles": ("mlp:8", spaces.Box(-1, 1, (2, 2), np.float64), spaces.Box(-0.5, 0.5, (2, 2), np.float64), True),
    "gru": ("gru:6", FLAT, spaces.Discrete(3), False),
    "lstm": ("lstm:6", FLAT, UNEVEN, False),
    "picture": ("cnn:small", PICTURE, spaces.Discrete(3), False),
    "dict": ("cnn:small", KEYED, UNEVEN, False),
}


def of_case(name: str) -> Student:
    spec, sees, acts, squashed = CASES[name]
    return a_student(sees, acts, spec, squashed)


@pytest.mark.parametrize("form", ["onnx", "torch"])
@pytest.mark.parametrize("name", CASES)
def test_a_file_answers_what_the_students_own_parts_answer(name: str, form: str, tmp_path: Path) -> None:
    student = of_case(name)
    path = tmp_path / f"student{FORMATS[form].suffix}"
    FORMATS[form].write(student, path, {"note": "x"}, {})
    opened = FORMATS[form].open(path, student)
    seen = some_play(student.observation_space)
    parity = compare(student, opened, seen)
    assert parity.steps == 6 * 3 + 6
    assert max(parity.action, parity.parameters) < 1e-5
    first = (
        {k: v[0] for k, v in seen.observation.items()} if isinstance(seen.observation, dict) else seen.observation[0]
    )
    opened.begin()
    action, _ = opened(first, np.ones(3, bool))
    held = tensors(first)
    window = {k: v[None] for k, v in held.items()} if isinstance(held, dict) else held[None]
    heads = student(window, None, torch.ones(1, 3, dtype=torch.bool))[0] if student.memory_size else student(held)[0]
    raw = heads.policy.mode().detach().numpy()
    wanted = ActionMap(student.family, student.action_space).to_env(raw[0] if student.memory_size else raw)
    np.testing.assert_allclose(action, wanted, rtol=1e-5, atol=1e-5)
    assert action.dtype == wanted.dtype
    assert all(student.action_space.contains(one if one.ndim else one[()]) for one in action)


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_the_memory_is_a_further_input_and_output(form: str, tmp_path: Path) -> None:
    """By hand: the file's second step from its own first memory is the student's second step of a window."""
    student = of_case("lstm")
    path = tmp_path / f"student{FORMATS[form].suffix}"
    FORMATS[form].write(student, path, {}, {})
    opened: Any = FORMATS[form].open(path, student)
    assert opened.deployed.inputs == ["obs", "memory"]
    assert opened.deployed.outputs == ["action", "mean", "log_std", "memory_out"]
    two = sampled(FLAT, 2, 1)
    memory = opened.run([two[0], np.zeros((1, 12), np.float32)])[-1]
    mean = opened.run([two[1], memory])[1]
    wanted = student(torch.as_tensor(two), None, torch.tensor([[True], [False]]))[0].policy.flat[1, :, :2]
    np.testing.assert_allclose(mean, wanted.detach(), atol=1e-5)


def test_an_altered_file_is_refused_with_the_place_and_the_numbers(tmp_path: Path) -> None:
    student = of_case("categorical")
    path = tmp_path / "student.onnx"
    FORMATS["onnx"].write(student, path, {}, {})
    graph = onnx.load(str(path))
    weight = next(one for one in graph.graph.initializer if list(one.dims) in ([8, 8], [3, 8], [8, 3]))
    changed = onnx.numpy_helper.to_array(weight).copy()
    changed.flat[1] += 1e-3
    weight.CopyFrom(onnx.numpy_helper.from_array(changed, weight.name))
    onnx.save(graph, str(path))
    with pytest.raises(ExportError, match=r"at step \d of copy \d its logits is \[.* apart where 1e-05"):
        compare(student, FORMATS["onnx"].open(path, student), some_play(student.observation_space))


@pytest.mark.parametrize("name", ["categorical", "parts", "clipped"])
def test_other_actions_on_the_same_parameters_are_refused(name: str) -> None:
    student = of_case(name)

    class Wrong:
        up_to_constant = False
        remembered = None

        def begin(self) -> None: ...

        def __call__(self, observation: Any, start: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
            flat = student(tensors(observation))[0].policy.flat.detach()
            action = ActionMap(student.family, student.action_space).to_env(student.family.mode(flat.numpy()))
            action = action.copy()
            action.reshape(-1)[-1] = action.reshape(-1)[-1] + 1
            return action, flat

        def act(self, observation: Any) -> None: ...

    with pytest.raises(ExportError, match="its action is"):
        compare(student, Wrong(), some_play(student.observation_space))


def test_a_tie_of_two_logits_may_be_broken_either_way_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    student = of_case("categorical")
    with torch.no_grad():
        last: Any = student.network.layers[-1]
        last.weight[1] = last.weight[0]
        last.bias[:] = torch.tensor([5.0, 5.0, -50.0])

    class Other:
        up_to_constant = True
        remembered = None
        choice = 1

        def begin(self) -> None: ...

        def __call__(self, observation: Any, start: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
            return np.full(len(start), self.choice), student(tensors(observation))[0].policy.flat.detach() + 3

        def act(self, observation: Any) -> None: ...

    parity = compare(student, Other(), some_play(student.observation_space))
    assert parity.ties == parity.steps
    monkeypatch.setattr(Other, "choice", 2)
    with pytest.raises(ExportError, match="action"):  # the two best are alike, the third is not
        compare(student, Other(), some_play(student.observation_space))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "run"
    teacher = Path(__file__).resolve().parents[2] / "teachers" / "ppo-CartPole-v1.zip"
    understudy.distill(
        teacher, "CartPole-v1", student="mlp:8", out=str(out), steps=512, evaluation_episodes=2, final_episodes=2,
        quiet=True,
    )  # fmt: skip
    return out


def test_the_command_writes_checks_and_times(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), "--steps", "200"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == ["Exported", "Size", "Same", "Latency", "Use"]
    path = run / "export" / "run.onnx"
    assert f"{path.stat().st_size:,} bytes" in said
    props = {one.key: one.value for one in onnx.load(str(path)).metadata_props}
    assert props["env"] == "CartPole-v1"
    assert json.loads(props["outputs"]) == ["action", "logits"]
    assert main(["export", str(run)]) == 2
    assert "is there already. Name another with --out, or write over it with --force" in capsys.readouterr().err
    assert main(["export", str(run), "--force", "--steps", "50"]) == 0


def test_an_exported_file_is_a_teacher_again(run: Path, tmp_path: Path) -> None:
    found = export(ExportConfig(str(run), out=str(tmp_path / "again.onnx"), steps=50))
    opened = understudy.evaluate(str(found.files[0]), "CartPole-v1", episodes=5)
    assert opened.returns == understudy.evaluate(str(run), "CartPole-v1", episodes=5).returns


def test_a_file_that_fails_its_check_is_kept_aside(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.export.parity.TOLERANCE", -1.0)
    path = tmp_path / "bad.onnx"
    with pytest.raises(ExportError, match="do not deploy it"):
        export(ExportConfig(str(run), out=str(path), steps=50))
    assert not path.exists()
    assert (tmp_path / "bad.onnx.rejected").exists()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"out": "x.zip"}, ExportError, "a file of --format onnx ends in .onnx"),
        ({"format": "torch", "algorithm": "dqn"}, ConfigurationError, "algorithm is for --format sb3"),
        ({"run": "nowhere"}, RunError, "nowhere"),
        ({"run": __file__}, ExportError, "test_export.py is a file: name the run folder of a student"),
        ({"out": str(Path(__file__).parent)}, ExportError, "is a folder; name a file in it, .*export/student.onnx"),
        ({"env": "Acrobot-v1"}, SpaceError, r"the student and the environment do not match.*Box\(4 .*Box\(6 .*--env"),
    ],
)
def test_bad_input_says_what_where_and_the_fix(
    run: Path, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        export(ExportConfig(**{"run": str(run), **options}))


def test_a_missing_package_is_named_with_its_extra(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"understudy\[onnx\]"):
        export(ExportConfig(str(run), out=str(tmp_path / "x.onnx"), steps=50))


def test_a_bare_students_folder_needs_to_say_its_environment(tmp_path: Path) -> None:
    save_student(of_case("categorical"), tmp_path / "bare")
    with pytest.raises(RunError, match="name it with --env"):
        export(ExportConfig(str(tmp_path / "bare")))
    save_student(of_case("categorical"), tmp_path / "named", env="somewhere:make")
    with pytest.raises(RunError, match="may run code"):
        export(ExportConfig(str(tmp_path / "named")))


def test_the_facts_are_texts_that_json_reads() -> None:
    said = facts(of_case("dict"), "Env-v0")
    assert json.loads(said["inputs"]) == ["obs_arm-2", "obs_eye", "obs_mode"]
    assert all(isinstance(value, str) for value in said.values())
