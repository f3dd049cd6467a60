"""A gate among students: whose answer is given where, and its files."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.actor import PolicyActor
from understudy.errors import ConfigurationError, RunError
from understudy.math.distributions import Family
from understudy.policies.gated import Gated, load_gated, save_gated
from understudy.policies.network import Network
from understudy.policies.spec import parse
from understudy.policies.student import Student
from understudy.policies.student_file import load_student
from understudy.policies.teachers import open_teacher

FLAT = spaces.Box(-9, 9, (2,), np.float32)
SEEN = torch.tensor([[[-2.0, 5.0], [3.0, 5.0]], [[0.5, -1.0], [-0.5, -1.0]], [[4.0, 0.0], [-4.0, 0.0]]])
RIGHT = SEEN[..., 0] > 0


def student(action: int, spec="mlp:3") -> Student:
    """One that takes the same action everywhere."""
    found = Student(FLAT, spaces.Discrete(2), Family("categorical", (2,)), spec)
    with torch.no_grad():
        found.network.layers[-1].weight.zero_()
        found.network.layers[-1].bias.copy_(torch.tensor([5.0 * (1 - action), 5.0 * action]))
    return found


def gated() -> Gated:
    """Left of 0 the first, which takes action 0; right of it the second, which takes action 1."""
    gate = Network(FLAT, parse("linear"), 2)
    gate.load_state_dict(
        gate.state_dict() | {"layers.0.weight": torch.tensor([[-1.0, 0], [1.0, 0]]), "layers.0.bias": torch.zeros(2)}
    )
    return Gated(gate, {"left.v1": student(0), "right": student(1)})


def test_each_state_has_the_answer_of_the_student_whose_it_is():
    policy = gated()
    assert torch.equal(policy.chosen(SEEN), RIGHT.long())
    flat = policy(SEEN)[0].policy.flat
    assert flat.shape == (3, 2, 2)
    assert torch.equal(flat, torch.where(RIGHT[..., None], torch.tensor([0.0, 5.0]), torch.tensor([5.0, 0.0])))
    actions = PolicyActor(policy, lambda seen: seen, None)(SEEN.reshape(6, 2).numpy(), np.ones(6, bool))
    assert (actions == RIGHT.reshape(6).numpy()).all()


def test_a_folder_brings_it_back_as_a_teacher(tmp_path):
    policy = gated()
    save_gated(policy, tmp_path / "gated", env="CartPole-v1")
    for back in (load_gated(tmp_path / "gated"), open_teacher(tmp_path / "gated")):
        assert torch.equal(back(SEEN)[0].policy.flat, policy(SEEN)[0].policy.flat)
        assert back.description == "a gate among left.v1, right"
        assert not any(parameter.requires_grad for parameter in back.parameters())


def test_what_is_no_gated_policy_is_refused_and_so_is_a_damaged_one(tmp_path):
    with pytest.raises(RunError, match=r"it has no gated\.json"):
        load_gated(tmp_path)
    save_gated(gated(), tmp_path)
    with pytest.raises(RunError, match="holds no student"):
        load_student(tmp_path)
    (tmp_path / "gate.safetensors").write_bytes(b"no")
    with pytest.raises(RunError, match="is damaged"):
        load_gated(tmp_path)


def test_policies_with_a_memory_or_of_other_kinds_have_no_gate():
    gate = Network(FLAT, parse("linear"), 2)
    with pytest.raises(ConfigurationError, match="without memory"):
        Gated(gate, {"a": student(0), "b": Student(FLAT, spaces.Discrete(2), Family("categorical", (2,)), "gru:3")})
    other = Student(FLAT, spaces.Discrete(3), Family("categorical", (3,)), "mlp:3")
    with pytest.raises(ConfigurationError, match="of one kind"):
        Gated(gate, {"a": student(0), "b": other})
