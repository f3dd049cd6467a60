import os
import pickle

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from understudy.errors import TeacherError
from understudy.policies.open_torch import load, of_module

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
SEES, ACTS = spaces.Box(-1, 1, (3,)), spaces.Discrete(4)
SPACES = {"observation_space": SEES, "action_space": ACTS}


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 4))


@pytest.fixture
def observations():
    return torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (9, 3)), dtype=torch.float32)


def by_hand(net, x):
    first, last = net[0], net[3]
    return torch.tanh(x @ first.weight.T + first.bias) @ last.weight.T + last.bias


def test_a_module_answers_as_in_evaluation_and_without_a_gradient(observations):
    net = network()
    policy = of_module(net, **SPACES)
    flat = policy(observations)[0].policy.flat
    assert torch.allclose(flat, by_hand(net, observations), atol=1e-6)
    assert not flat.requires_grad
    assert policy.parameter_count == 3 * 8 + 8 + 8 * 4 + 4
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_training_the_original_does_not_move_the_teacher(observations):
    net = network()
    policy = of_module(net, **SPACES)
    before = policy(observations)[0].policy.flat
    with torch.no_grad():
        net[0].weight.add_(1)
    assert torch.equal(policy(observations)[0].policy.flat, before)


def test_images_of_bytes_reach_a_module_as_floats():
    sees = spaces.Box(0, 255, (1, 4, 4), np.uint8)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    policy = of_module(net, observation_space=sees, action_space=ACTS)
    image = torch.randint(0, 256, (5, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert torch.allclose(policy(image)[0].policy.flat, net(image.float()).detach(), atol=1e-3)


def test_torchscript_survives_the_file(tmp_path, observations):
    net = network()
    torch.jit.script(net).save(tmp_path / "net.pt")
    policy = load(tmp_path / "net.pt", **SPACES)
    assert torch.allclose(policy(observations)[0].policy.flat, by_hand(net, observations), atol=1e-6)
    assert policy.parameter_count == 68


def test_a_truncated_torchscript_is_refused_with_its_name(tmp_path):
    torch.jit.script(network()).save(tmp_path / "net.pt")
    data = (tmp_path / "net.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    for name in ("half.pt", "empty.pt"):
        with pytest.raises(TeacherError, match=name):
            load(tmp_path / name, **SPACES)


@pytest.mark.parametrize("trust", [False, True])
def test_bare_weights_are_sent_to_a_function_or_torchscript(tmp_path, trust):
    torch.save(network().state_dict(), tmp_path / "weights.pth")
    with pytest.raises(TeacherError, match=r"without their network.*teacher\.py:network.*torch\.jit\.script"):
        load(tmp_path / "weights.pth", trust=trust, **SPACES)


def test_a_pickled_module_needs_trust(tmp_path, observations):
    net = network()
    torch.save(net, tmp_path / "net.pt")
    with pytest.raises(TeacherError, match=r"Sequential.*--trust"):
        load(tmp_path / "net.pt", **SPACES)
    policy = load(tmp_path / "net.pt", trust=True, **SPACES)
    assert torch.allclose(policy(observations)[0].policy.flat, by_hand(net, observations), atol=1e-6)


class Malicious:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("write", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
def test_a_malicious_pickle_runs_nothing(tmp_path, write):
    write(Malicious(str(tmp_path / "ran")), tmp_path / "evil.pt")
    with pytest.raises(TeacherError, match=r"evil\.pt"):
        load(tmp_path / "evil.pt", **SPACES)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_inside_a_torchscript_file_runs_nothing(tmp_path):
    import zipfile

    torch.jit.script(network()).save(tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt") as source, zipfile.ZipFile(tmp_path / "evil.pt", "w") as target:
        for name in source.namelist():
            evil = pickle.dumps(Malicious(str(tmp_path / "ran")), protocol=2)
            target.writestr(name, evil if name.endswith((".pkl",)) else source.read(name))
    with pytest.raises(TeacherError, match=r"evil\.pt"):
        load(tmp_path / "evil.pt", **SPACES)
    assert not (tmp_path / "ran").exists()
