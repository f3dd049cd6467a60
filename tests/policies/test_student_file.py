"""Students on disk: what is written comes back to the bit, and what is damaged is refused."""

import json
import re
from collections import OrderedDict

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.errors import RunError, TeacherError
from understudy.math.distributions import Family
from understudy.policies.student import Student
from understudy.policies.student_file import load_student, save_student, space_from_json, space_to_json
from understudy.policies.teachers import open_teacher

FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)
BOUNDED = spaces.Box(np.array([-1.0, -np.inf], np.float32), np.array([2.5, np.inf], np.float32), dtype=np.float32)
SPACES = [
    FLAT,
    BOUNDED,
    spaces.Box(0, 255, (12, 12, 3), np.uint8),
    spaces.Box(np.array([-0.1, 1e-9]), np.array([0.1, 1 / 3]), dtype=np.float64),
    spaces.Box(-1, 1, (), np.float32),
    spaces.Discrete(5),
    spaces.Discrete(5, start=-2),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiDiscrete([2, 3], start=[1, -1]),
    spaces.MultiDiscrete([[2, 3], [4, 5]]),
    spaces.MultiBinary(4),
    spaces.MultiBinary([2, 3]),
    spaces.Dict({"z": FLAT, "a": spaces.Dict({"inner": spaces.Discrete(3)})}),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_survives_json(space):
    back = space_from_json(json.loads(json.dumps(space_to_json(space), allow_nan=False)))
    assert back == space
    assert back.dtype == space.dtype


def test_a_student_of_an_unsorted_dict_keeps_its_inputs_in_order(tmp_path):
    space = spaces.Dict(OrderedDict(z=spaces.Box(-1, 1, (2,)), a=spaces.Box(-1, 1, (2,))))
    policy = Student(space, spaces.Discrete(3), Family("categorical", (3,)), "mlp:8", seed=3)
    save_student(policy, tmp_path)
    seen = {key: torch.randn(5, 2, generator=torch.Generator().manual_seed(len(key) + ord(key))) for key in "za"}
    back = load_student(tmp_path)
    assert back.network.keys == ["z", "a"]
    torch.testing.assert_close(back(seen)[0].policy.flat, policy(seen)[0].policy.flat, rtol=0, atol=0)


def test_other_spaces_are_refused():
    with pytest.raises(TeacherError, match="Text"):
        space_to_json(spaces.Text(5))


def student(spec="mlp:8", action_space=None, family=None, **options):
    action_space = action_space or spaces.Discrete(3)
    policy = Student(FLAT, action_space, family or Family("categorical", (3,)), spec, seed=3, **options)
    policy.network.fit_inputs(3 + 2 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))
    return policy


@pytest.mark.parametrize(
    "policy",
    [
        student(),
        student("mlp:8:silu:layernorm", with_value=True),
        student("gru:8", with_value=True),
        student("lstm:8"),
        student("mlp:8", BOUNDED, Family("gaussian", (2,))),
        student("mlp:8", BOUNDED, Family("squashed-gaussian", (2,)), state_dependent_std=True),
    ],
    ids=lambda policy: f"{policy.description} {policy.family}",
)
def test_a_student_comes_back_to_the_bit(policy, tmp_path):
    facts = {"env": "CartPole-v1", "wrappers": ["time-feature"], "view": "0,2", "gamma": 0.98}
    save_student(policy, tmp_path / "run" / "student", **facts)
    for path in (tmp_path / "run", tmp_path / "run" / "student", str(tmp_path / "run")):
        back = load_student(path)
        mine, theirs = policy.state_dict(), back.state_dict()
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert {"network.inputs.0.standardise.mean", "network.inputs.0.standardise.scale"} <= set(theirs)
    assert (back.observation_space, back.action_space) == (policy.observation_space, policy.action_space)
    assert (back.family, back.spec, back.has_value) == (policy.family, policy.spec, policy.has_value)
    assert back.facts == facts
    x = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        a, b = policy(x)[0], back(x)[0]
    assert torch.equal(a.policy.flat, b.policy.flat)
    assert not policy.has_value or torch.equal(a.value, b.value)
    assert not back.training
    assert not any(p.requires_grad for p in back.parameters())


def test_a_student_can_be_saved_over_and_leaves_nothing_else(tmp_path):
    save_student(student(), tmp_path)
    save_student(student("linear"), tmp_path)
    assert load_student(tmp_path).description == "linear"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_parameters_that_share_storage_are_saved_apart(tmp_path):
    from understudy.engines.optimiser import FlatAdam

    policy = student()
    FlatAdam(policy.parameters(), 0.01)
    save_student(policy, tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 4 * policy.parameter_count + 2000
    back = load_student(tmp_path).state_dict()
    assert all(torch.equal(value, back[key]) for key, value in policy.state_dict().items())


def test_a_student_is_a_teacher(tmp_path):
    save_student(student(), tmp_path)
    teacher = open_teacher(tmp_path)
    x = torch.randn(5, 4)
    with torch.no_grad():
        assert torch.equal(teacher(x)[0].policy.flat, student()(x)[0].policy.flat)
    tempered = open_teacher(tmp_path, temperature=2.0)
    assert tempered.facts == teacher.facts == {}


def damage(name, change):
    def apply(folder):
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return apply


def changed(**values):
    """A configuration with other values; None removes the key."""

    def change(data):
        config = json.loads(data) | values
        return json.dumps({key: value for key, value in config.items() if value is not None}).encode()

    return damage("config.json", change)


DAMAGES = {
    "weights cut short": damage("model.safetensors", lambda data: data[: len(data) // 2]),
    "empty weights": damage("model.safetensors", lambda data: b""),
    "other bytes": damage("model.safetensors", lambda data: b"PK\x03\x04" + data[4:]),
    "configuration cut short": damage("config.json", lambda data: data[:50]),
    "not text": damage("config.json", lambda data: b"\xff\xfe\x00" + data),
    "no object": damage("config.json", lambda data: b"[1, 2]"),
    "no description": changed(student=None),
    "another architecture": changed(student="mlp:16"),
    "an unknown architecture": changed(student="transformer:8"),
    "another family": changed(family={"kind": "categorical", "sizes": [7]}),
    "an unknown family": changed(family={"kind": "cauchy", "sizes": [3]}),
    "no observation space": changed(observation_space=None),
    "an unknown space": changed(observation_space={"type": "Graph"}),
    "a space without bounds": changed(observation_space={"type": "Box", "shape": [4], "dtype": "float32"}),
    "an impossible type": changed(
        observation_space={"type": "Box", "shape": [4], "dtype": "float33", "low": 0, "high": 1}
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_student_is_refused_with_its_folder(name, tmp_path):
    save_student(student(), tmp_path)
    DAMAGES[name](tmp_path)
    with pytest.raises(RunError) as caught:
        load_student(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("inside", ["evasion", "tasks/pong"])
def test_a_folder_of_several_names_one_of_the_runs_in_it(tmp_path, inside):
    (tmp_path / inside / "student").mkdir(parents=True)
    (tmp_path / inside / "student" / "config.json").write_text("{}")
    told = re.escape(str(tmp_path / inside))
    with pytest.raises(RunError, match=f"name one of the runs in it, such as {told}"):
        load_student(tmp_path)
    with pytest.raises(TeacherError, match=f"name one of them, such as {told}"):
        open_teacher(str(tmp_path))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_student_lacks_nothing(missing, tmp_path):
    save_student(student(), tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(RunError, match=r"holds no student: expected model\.safetensors and config\.json"):
        load_student(tmp_path)


@pytest.mark.parametrize("temperature", [None, 0.01, 1 / 3])
@pytest.mark.parametrize("spec", ["mlp:8", "mlp:8:dueling"])
def test_a_students_temperature_comes_back(tmp_path, spec, temperature):
    policy = student(spec, temperature=temperature)
    save_student(policy, tmp_path)
    back = load_student(tmp_path)
    assert back.temperature == back.score_scale == temperature
    seen = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(back.action_values(seen), policy.action_values(seen))
    torch.testing.assert_close(back(seen)[0].policy.flat, policy.action_values(seen) / (temperature or 1.0))


def test_a_student_saved_before_there_were_temperatures_answers_logits(tmp_path):
    policy = student()
    save_student(policy, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["temperature"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    back, seen = load_student(tmp_path), torch.zeros(2, 4)
    assert back.temperature is None
    assert torch.equal(back(seen)[0].policy.flat, policy(seen)[0].policy.flat)
