"""Progressive students: Eq. 2 of Rusu et al. 2016 by hand, columns that stay as they are, and their files."""

import json
import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.actor import PolicyActor
from understudy.errors import ConfigurationError, ExportError, RunError
from understudy.export.deployed import Deployed
from understudy.export.sb3_fit import algorithm_for
from understudy.math.distributions import Family
from understudy.policies.progressive import ProgressiveStudent, add_column
from understudy.policies.student import Student
from understudy.policies.student_file import load_student, save_student
from understudy.policies.teachers import open_teacher

FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)
TWO = Family("categorical", (2,))
SEEN = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))


def plain(spec="mlp:8,6:tanh", seed=0):
    return Student(FLAT, spaces.Discrete(2), TWO, spec, seed=seed)


def three(spec="mlp:8,6:tanh"):
    """Three columns whose adapters say something."""
    found = add_column(add_column(plain(spec), plain(spec, 1), seed=1), plain(spec, 2), seed=2)
    shake(found)
    return found


@torch.no_grad()
def shake(student):
    generator = torch.Generator().manual_seed(5)
    for parameter in student.parameters():
        parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))


def test_a_column_of_two_units_reads_the_one_before_as_worked_out_by_hand():
    """One number in, one hidden unit in each of two columns: every weight is set, and the answer written down."""
    space, one = spaces.Box(-9, 9, (1,), np.float32), Family("categorical", (2,))
    first, second = (Student(space, spaces.Discrete(2), one, "mlp:1:tanh") for _ in range(2))
    student = add_column(first, second, seed=0)
    values = {
        "earlier.0.layers.0.weight": [[2.0]], "earlier.0.layers.0.bias": [0.5],
        "layers.0.weight": [[-1.0]], "layers.0.bias": [0.25],
        "layers.2.weight": [[3.0], [0.0]], "layers.2.bias": [0.1, -0.1],
        "adapters.0.scale": [0.5], "adapters.0.reading.weight": [[4.0]], "adapters.0.reading.bias": [-0.2],
        "adapters.0.adding.weight": [[1.5], [-2.0]],
    }  # fmt: skip
    state = student.network.state_dict()
    assert {name for name in state if "standardise" not in name} == set(values)
    student.network.load_state_dict(state | {name: torch.tensor(value) for name, value in values.items()})
    x = 0.3
    old, new = math.tanh(2 * x + 0.5), math.tanh(-x + 0.25)
    lateral = math.tanh(4 * 0.5 * old - 0.2)
    expected = [3 * new + 0.1 + 1.5 * lateral, -0.1 - 2 * lateral]
    answer = student.flat(torch.tensor([[x]]))[0][0]
    assert answer.tolist() == pytest.approx(expected, abs=1e-6)


def test_three_columns_answer_as_a_loop_over_them_does():
    student = three()
    network, found = student.network, []
    columns = [*network.earlier, network]
    for number, column in enumerate(columns):
        linear = [layer for layer in column.layers if hasattr(layer, "weight")]
        hidden, x = [], SEEN
        for depth, layer in enumerate(linear):
            below, x = x, layer(x)
            if depth and number:
                adapter = column.adapters[depth - 1]
                scaled = torch.cat([adapter.scale[j] * found[j][depth - 1] for j in range(number)], -1)
                read = torch.tanh(scaled @ adapter.reading.weight.T + adapter.reading.bias)
                x = x + read @ adapter.adding.weight.T
            x = x if number == 2 and depth == 2 else torch.tanh(x)
            hidden.append(x)
            assert below is not None
        found.append(hidden)
    assert torch.allclose(student.flat(SEEN)[0], found[2][-1], atol=1e-6)


def test_a_new_column_begins_as_it_would_alone_and_sees_with_the_same_statistics():
    first, own = plain(), plain(seed=1)
    first.network.fit_inputs(SEEN * 3 + 1)
    student = add_column(first, own, seed=1)
    own.network.inputs.load_state_dict(first.network.inputs.state_dict())
    assert torch.equal(student.flat(SEEN)[0], own.flat(SEEN)[0])
    assert student.description == "progressive of 2 columns mlp:8,6"


def test_learning_moves_the_last_column_and_its_adapters_and_nothing_else():
    student = three()
    student.requires_grad_(True)
    before = {name: value.clone() for name, value in student.state_dict().items()}
    optimiser = torch.optim.Adam(student.parameters(), 0.1)
    for _ in range(3):
        optimiser.zero_grad()
        student.flat(SEEN)[0].square().sum().backward()
        optimiser.step()
    moved = {name for name, value in student.state_dict().items() if not torch.equal(value, before[name])}
    frozen = {name for name in before if "earlier" in name or "standardise" in name}
    assert moved == set(before) - frozen


def test_the_columns_before_are_those_that_were_there():
    first = plain()
    shake(first)
    second = add_column(first, plain(seed=1), seed=1)
    shake(second)
    third = add_column(second, plain(seed=2), seed=2)
    known = second.network.state_dict()
    for name, value in third.network.earlier[1].state_dict().items():
        assert torch.equal(value, known[name])
    for name, value in third.network.earlier[0].state_dict().items():
        assert torch.equal(value, known[f"earlier.0.{name}"])
    assert not any(parameter.requires_grad for parameter in third.network.earlier.parameters())


@pytest.mark.parametrize("spec", ["mlp:8,6:tanh", "mlp:8:relu:layernorm", "mlp:7,7:dueling"])
def test_a_file_brings_it_back_to_the_bit_as_a_student_and_as_a_teacher(tmp_path, spec):
    student = three(spec)
    save_student(student, tmp_path, env="CartPole-v1")
    back = load_student(tmp_path)
    assert isinstance(back, ProgressiveStudent)
    assert back.facts == {"env": "CartPole-v1"}
    assert torch.equal(back.flat(SEEN)[0], student.flat(SEEN)[0])
    assert torch.equal(open_teacher(tmp_path)(SEEN)[0].policy.flat, student.flat(SEEN)[0])


def test_it_acts_as_it_answers():
    """What acts in NumPy knows one column alone, and must leave this to PyTorch."""
    student = three()
    seen = 5 * torch.randn(100, 4, generator=torch.Generator().manual_seed(1))
    acted = PolicyActor(student, lambda seen: seen, None)(seen.numpy(), np.ones(100, bool))
    assert (acted == student.flat(seen)[0].argmax(-1).numpy()).all()
    alone = plain()
    alone.load_state_dict({name: student.state_dict()[name] for name in alone.state_dict()})
    assert (acted != alone.flat(seen)[0].argmax(-1).numpy()).any()


def test_versions_without_columns_and_files_of_later_kinds_are_told(tmp_path):
    save_student(three(), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    older = {key: value for key, value in config.items() if key not in ("kind", "columns", "column")}
    (tmp_path / "config.json").write_text(json.dumps(older))
    with pytest.raises(RunError, match="unknown student 'progressive of 3 columns mlp:8,6'"):
        load_student(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"kind": "tree"}))
    with pytest.raises(RunError, match="is a 'tree', of a later version of Understudy; update"):
        load_student(tmp_path)


def test_what_has_no_hidden_layers_of_numbers_is_refused():
    picture = spaces.Box(0, 255, (12, 12, 1), np.uint8)
    for spec in ("linear", "gru:8"):
        with pytest.raises(ConfigurationError, match="adapters read the hidden layers of a student such as mlp"):
            add_column(plain(spec), plain(spec), seed=0)
    seeing = Student(picture, spaces.Discrete(2), TWO, "mlp:8")
    with pytest.raises(ConfigurationError, match="pictures"):
        add_column(seeing, seeing, seed=0)


def test_it_is_exported_as_onnx_and_refused_for_sb3(tmp_path):
    from understudy.export.as_onnx import open_file, write

    pytest.importorskip("onnxscript")
    student = three().eval()
    write(student, tmp_path / "policy.onnx", {})
    action, logits, *_ = open_file(tmp_path / "policy.onnx", student).run([SEEN.numpy()])
    assert np.allclose(logits, student.flat(SEEN)[0].detach().numpy(), atol=1e-5)
    assert (action == Deployed(student)(SEEN)[0].numpy()).all()
    with pytest.raises(ExportError, match="one column, and this student has several"):
        algorithm_for(student)
