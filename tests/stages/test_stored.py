"""Stored states on disk: they come back to the bit, and what is no such file is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.reservoir import Reservoir
from understudy.errors import ConfigurationError, RunError
from understudy.math.distributions import Family
from understudy.policies.student import Student
from understudy.policies.teachers import open_teacher
from understudy.runs.checkpoints import save
from understudy.stages.stored import load_store, save_store, stored_states

TEACHER = Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip"


def filled(count=100, capacity=40):
    found = Reservoir(capacity, np.random.default_rng(3))
    generator = torch.Generator().manual_seed(0)
    found.offer({"observation": torch.randn(count, 4, generator=generator)})
    return found


@pytest.mark.parametrize("capacity", [40, 1000])
def test_stored_states_come_back_to_the_bit_and_go_on_alike(tmp_path, capacity):
    first = filled(capacity=capacity)
    save_store(first, tmp_path / "deep" / "stored.safetensors")
    second = load_store(tmp_path / "deep" / "stored.safetensors")
    for one in (first, second):
        one.offer({"observation": torch.arange(400.0).reshape(100, 4)})
        one.label(Student(spaces.Box(-1, 1, (4,)), spaces.Discrete(2), Family("categorical", (2,)), "mlp:4"))
    rows = [one.rows() for one in (first, second)]
    assert rows[0].keys() == rows[1].keys() == {"observation", "flat"}
    assert all(torch.equal(rows[0][name], rows[1][name]) for name in rows[0])
    assert first.offered == second.offered == 200


def test_states_of_a_finished_policy_are_those_it_visits_with_what_it_answers_there():
    """CartPole's expert plays: poles stand, and episodes last; the same seed gives the same states."""
    found, again = (stored_states(TEACHER, "CartPole-v1", count=300, steps=1000, copies=4) for _ in range(2))
    other = stored_states(TEACHER, "CartPole-v1", count=300, steps=1000, copies=4, seed=1)
    rows = found.rows()
    assert rows["observation"].shape == (300, 4)
    assert found.offered == 1000
    assert rows["observation"][:, 2].abs().max() < 0.21
    with torch.no_grad():
        expected = open_teacher(TEACHER)(rows["observation"])[0].policy.flat
    torch.testing.assert_close(rows["flat"], expected)
    assert torch.equal(rows["observation"], again.rows()["observation"])
    assert not torch.equal(rows["observation"], other.rows()["observation"])


def test_a_state_of_a_policy_with_memory_cannot_be_stored(tmp_path):
    space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    recurrent = Student(space, spaces.Discrete(2), Family("categorical", (2,)), "gru:4")
    with pytest.raises(ConfigurationError, match="has a memory"):
        stored_states(recurrent, "CartPole-v1", count=50)


def test_what_is_missing_damaged_or_something_else_is_refused(tmp_path):
    with pytest.raises(RunError, match="there are no stored states"):
        load_store(tmp_path / "none.safetensors")
    save_store(filled(), tmp_path / "x.safetensors")
    whole = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:-7])
    (tmp_path / "bent.safetensors").write_bytes(whole[:-7] + b"\x01" + whole[-6:])
    for name in ("cut", "bent"):
        with pytest.raises(RunError, match="are damaged"):
            load_store(tmp_path / f"{name}.safetensors")
    save({"learner": {}}, tmp_path / "run.safetensors")
    with pytest.raises(RunError, match="another file of Understudy's"):
        load_store(tmp_path / "run.safetensors")
    state = filled().state() | {"columns": {"flat": torch.zeros(3, 2)}}
    save({"reservoir": state}, tmp_path / "odd.safetensors")
    with pytest.raises(RunError, match="holds no stored states: expected"):
        load_store(tmp_path / "odd.safetensors")
