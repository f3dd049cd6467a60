import sys

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.errors import MissingExtra, SpaceError, TeacherError
from understudy.policies.open_onnx import load

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

SEES, ACTS = spaces.Box(-1, 1, (3,)), spaces.Discrete(4)
SPACES = {"observation_space": SEES, "action_space": ACTS}
OBSERVATIONS = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (9, 3)), dtype=torch.float32)


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))


def graph(net, outputs=("anything",), inputs=("observation",), batch="N"):
    """Gemm, Tanh, Gemm; a second output is the row's maximum; a second input is added to the first."""
    weights = {
        "w1": net[0].weight,
        "b1": net[0].bias,
        "w2": net[2].weight,
        "b2": net[2].bias,
    }
    first = inputs[0]
    nodes = []
    if len(inputs) == 2:
        nodes.append(helper.make_node("Add", list(inputs), ["sum"]))
        first = "sum"
    nodes += [
        helper.make_node("Gemm", [first, "w1", "b1"], ["h"], transB=1),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("Gemm", ["t", "w2", "b2"], [outputs[0]], transB=1),
    ]
    results = [helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, [batch, 4])]
    if len(outputs) == 2:
        nodes.append(helper.make_node("ReduceMax", [outputs[0]], [outputs[1]], axes=[1], keepdims=1))
        results.append(helper.make_tensor_value_info(outputs[1], TensorProto.FLOAT, [batch, 1]))
    made = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 3]) for name in inputs],
        results,
        [numpy_helper.from_array(value.detach().numpy(), name) for name, value in weights.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_a_graph_answers_as_the_network_it_was_made_from(tmp_path):
    net = network()
    onnx.save(graph(net), tmp_path / "policy.onnx")
    policy = load(tmp_path / "policy.onnx", **SPACES)
    flat = policy(OBSERVATIONS.reshape(3, 3, 3))[0].policy.flat
    assert torch.allclose(flat.reshape(9, 4), net(OBSERVATIONS).detach(), atol=1e-5)
    assert policy.parameter_count == sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("batch", [1, 4])
def test_a_graph_of_a_fixed_batch_is_asked_in_pieces(tmp_path, batch):
    net = network()
    onnx.save(graph(net, batch=batch), tmp_path / "policy.onnx")
    policy = load(tmp_path / "policy.onnx", **SPACES)
    assert torch.allclose(policy(OBSERVATIONS)[0].policy.flat, net(OBSERVATIONS).detach(), atol=1e-5)


@pytest.mark.parametrize("names", [("logits", "value"), ("first", "second")])
def test_a_second_output_is_the_value(tmp_path, names):
    net = network()
    onnx.save(graph(net, names), tmp_path / "policy.onnx")
    policy = load(tmp_path / "policy.onnx", **SPACES)
    assert torch.allclose(policy(OBSERVATIONS)[0].value, net(OBSERVATIONS).detach().max(-1).values, atol=1e-5)


def test_an_output_named_q_holds_scores(tmp_path):
    onnx.save(graph(network(), ("q_values",)), tmp_path / "policy.onnx")
    assert load(tmp_path / "policy.onnx", **SPACES).scores


def test_parts_of_the_observation_are_fed_by_name(tmp_path):
    net = network()
    onnx.save(graph(net, inputs=("b", "a")), tmp_path / "policy.onnx")
    both = spaces.Dict({"a": SEES, "b": SEES})
    policy = load(tmp_path / "policy.onnx", observation_space=both, action_space=ACTS)
    flat = policy({"a": OBSERVATIONS, "b": 2 * OBSERVATIONS})[0].policy.flat
    assert torch.allclose(flat, net(3 * OBSERVATIONS).detach(), atol=1e-5)
    with pytest.raises(TeacherError, match=r"inputs \['a', 'b'\].*has \['b'\]"):
        load(tmp_path / "policy.onnx", **SPACES)


def test_observations_of_another_size_are_refused_with_both_shapes(tmp_path):
    onnx.save(graph(network()), tmp_path / "policy.onnx")
    with pytest.raises(SpaceError, match=r"expects observations of shape \[3\], the environment gives \[5\]"):
        load(tmp_path / "policy.onnx", observation_space=spaces.Box(-1, 1, (5,)), action_space=ACTS)


def test_a_missing_onnxruntime_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'understudy\[onnx\]'"):
        load(tmp_path / "policy.onnx", **SPACES)


def test_a_truncated_graph_and_other_files_are_refused_with_their_name(tmp_path):
    onnx.save(graph(network()), tmp_path / "policy.onnx")
    data = (tmp_path / "policy.onnx").read_bytes()
    for name, content in {"half.onnx": data[: len(data) // 2], "text.onnx": b"hello", "empty.onnx": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TeacherError, match=name):
            load(tmp_path / name, **SPACES)


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/passwd"])
def test_weights_outside_the_folder_are_refused(tmp_path, place):
    model = graph(network())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    (tmp_path / "policy.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(TeacherError, match="outside its folder"):
        load(tmp_path / "policy.onnx", **SPACES)
