"""Files that want to run code, are damaged, or are not what they seem."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.errors import ConfigurationError, TeacherError
from understudy.policies.open_sb3 import load
from understudy.policies.sb3_pickle import Record, read_pickle

sb3 = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 writes the files to be spoiled")
torch.set_num_threads(1)


class Evil:
    """Pickles into a call that makes a file."""

    def __init__(self, marker: Path, function: Callable[..., Any] = os.system) -> None:
        self.marker, self.function = marker, function

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return self.function, (f"touch {self.marker}",)


class Blank(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (3,))
    action_space = spaces.Discrete(2)


class OwnPolicy(sb3.common.policies.ActorCriticPolicy):
    """A policy class that SB3 does not know."""


class OwnExtractor(sb3.common.torch_layers.FlattenExtractor):
    """A feature extractor that SB3 does not know."""


class OwnActivation(torch.nn.Tanh):
    """An activation that PyTorch does not know."""


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A good zip."""
    return save(tmp_path / "agent.zip")


def save(path: Path, policy: Any = "MlpPolicy", **policy_kwargs: Any) -> Path:
    model = sb3.PPO(policy, Blank(), n_steps=4, batch_size=4, device="cpu", policy_kwargs=policy_kwargs)
    model.save(path)
    return path


def respoil(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Rewrite a zip: ``edit`` changes its JSON, given with its weights, in place."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path) as archive, archive.open("policy.pth") as file:
        weights = torch.load(file, weights_only=True)
    parts = {"data": json.loads(members["data"]), "weights": weights}
    edit(parts)
    members["data"] = json.dumps(parts["data"]).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if name != "policy.pth":
                archive.writestr(name, content)
        with archive.open("policy.pth", "w") as file:
            torch.save(parts["weights"], file)


def pickled(thing: Any) -> str:
    return base64.b64encode(pickle.dumps(thing)).decode()


@pytest.mark.parametrize("function", [os.system, eval, exec, subprocess.getoutput])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_a_function_runs_nothing(function: Any, protocol: int, tmp_path: Path) -> None:
    data = pickle.dumps({"mean": Evil(tmp_path / "made", function)}, protocol)
    with pytest.raises(TeacherError, match=rf"{function.__name__}.*Nothing was run"):
        read_pickle(data, "a file")
    assert not (tmp_path / "made").exists()


def test_the_planted_call_would_run_in_an_ordinary_unpickler(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Evil(tmp_path / "made")))
    assert (tmp_path / "made").exists()


def test_trust_turns_unknown_names_into_records_and_still_runs_nothing(tmp_path: Path) -> None:
    found = read_pickle(pickle.dumps(Evil(tmp_path / "made")), "a file", lenient=True)
    assert isinstance(found, Record)
    assert found.name == "system"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["torch.hub.load", "gymnasium.make", "numpy.random.seed", "stable_baselines3.PPO"])
def test_names_of_known_packages_are_only_records(name: str) -> None:
    module, _, function = name.rpartition(".")
    data = b"c" + module.encode() + b"\n" + function.encode() + b"\n(S'x'\ntR."
    found = read_pickle(data, "a file")
    assert isinstance(found, Record)
    assert found.args == ("x",)


@pytest.mark.parametrize("name", ["numpy.core.numeric _frombuffer", "_codecs encode", "numpy.random seed"])
def test_a_pickle_cannot_alter_what_it_names(name: str) -> None:
    """BUILD with (None, slots) sets attributes: here the defaults of a function that everyone shares."""
    before = np.empty(1).__reduce_ex__(5)[0].__defaults__
    module, function = name.split()
    data = f"c{module}\n{function}\n(N(dS'__defaults__'\n(I7\ntsttb.".encode()
    with pytest.raises(TeacherError, match="cannot be read"):
        read_pickle(data, "a file")
    assert np.empty(1).__reduce_ex__(5)[0].__defaults__ == before


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values_come_through_as_they_are(protocol: int) -> None:
    thing = {"a": np.arange(6.0).reshape(2, 3), "b": np.float32(2.5), "c": [1, "x", None, (True,)], "d": {1, 2}}
    found = read_pickle(pickle.dumps(thing, protocol), "a file")
    np.testing.assert_array_equal(found.pop("a"), thing.pop("a"))
    assert found == thing


def test_an_evil_vecnormalize_runs_nothing_and_the_error_says_why(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "vecnormalize.pkl").write_bytes(pickle.dumps(Evil(tmp_path / "made")))
    with pytest.raises(TeacherError, match=r"vecnormalize.pkl asks for posix.system.*Nothing was run"):
        load(saved)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("key", ["observation_space", "action_space"])
def test_an_evil_space_runs_nothing_and_the_error_says_why(key: str, saved: Path, tmp_path: Path) -> None:
    evil = pickled(Evil(tmp_path / "made"))
    respoil(saved, lambda parts: parts["data"][key].update({":serialized:": evil}))
    with pytest.raises(TeacherError, match=rf"agent.zip \({key}\) asks for posix.system.*Nothing was run"):
        load(saved)
    assert not (tmp_path / "made").exists()


def test_pickles_that_are_not_needed_are_never_read(saved: Path, tmp_path: Path) -> None:
    evil = {":type:": "<class 'function'>", ":serialized:": pickled(Evil(tmp_path / "made"))}
    keys = ("lr_schedule", "policy_class", "policy_kwargs", "clip_range", "_last_obs", "ep_info_buffer", "own")
    respoil(saved, lambda parts: [parts["data"].setdefault(k, {}) for k in keys])

    def edit(parts: dict[str, Any]) -> None:
        for key in keys:
            entry = parts["data"][key]
            parts["data"][key] = {**entry, **evil} if isinstance(entry, dict) else evil

    respoil(saved, edit)
    assert load(saved).algorithm == "PPO"
    assert not (tmp_path / "made").exists()


def test_evil_weights_run_nothing_and_the_error_says_why(saved: Path, tmp_path: Path) -> None:
    respoil(saved, lambda parts: parts.update(weights={"a": Evil(tmp_path / "made")}))
    with pytest.raises(TeacherError, match=r"policy.pth\) asks for posix.system.*Nothing was run"):
        load(saved)
    assert not (tmp_path / "made").exists()


def test_a_missing_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match=r"nowhere.zip does not exist"):
        load(tmp_path / "nowhere.zip")


def test_a_folder_is_refused_with_the_zips_in_it(saved: Path) -> None:
    with pytest.raises(TeacherError, match=r"is a folder \(it holds agent.zip\)"):
        load(saved.parent)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_zip_is_refused_with_its_name(share: float, saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(TeacherError, match=r"agent.zip is not a whole zip file"):
        load(saved)


def test_a_zip_with_a_damaged_member_is_refused(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[200:300] = bytes(100)
    saved.write_bytes(content)
    with pytest.raises(TeacherError, match=r"agent.zip"):
        load(saved)


def test_a_zip_of_something_else_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("cat.jpg", b"x")
    with pytest.raises(TeacherError, match=r"no member data and no policy.pth \(it holds cat.jpg\)"):
        load(tmp_path / "photos.zip")


def test_a_file_saved_by_pytorch_is_sent_to_its_own_opener(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.zip")
    with pytest.raises(TeacherError, match=r"open it as torch:PATH"):
        load(tmp_path / "model.zip")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"{not json", b"\xff\xfe"])
def test_a_zip_whose_description_is_not_sb3s_is_refused(data: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("data", data)
        archive.writestr("policy.pth", b"")
    with pytest.raises(TeacherError, match=r"x.zip.*SB3 did not save this zip"):
        load(tmp_path / "x.zip")


SPOILS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "hidden layers": (
        lambda p: p["data"].update(policy_kwargs={"net_arch": [32, 32]}),
        r"net_arch says hidden layers \[32, 32\], but policy.pth holds \[64, 64\]",
    ),
    "another action space": (
        lambda p: p["data"]["action_space"].update({":serialized:": pickled(spaces.Discrete(5))}),
        r"answers with 2 numbers, but Discrete\(5\) needs 5",
    ),
    "another observation space": (
        lambda p: p["data"]["observation_space"].update({":serialized:": pickled(spaces.Box(-1, 1, (4,)))}),
        r"policy_net.0.weight has the shape \(64, 3\).*takes 4 numbers",
    ),
    "a space without a network": (
        lambda p: p["data"]["action_space"].update({":serialized:": pickled(spaces.Text(3))}),
        r"action_space\) is a gymnasium.spaces.text.Text",
    ),
    "a number for a space": (lambda p: p["data"].update(action_space=3), r"no pickled action_space"),
    "a missing layer": (lambda p: p["weights"].pop("action_net.weight"), r"policy.pth has no action_net.weight"),
    "a missing bias's length": (
        lambda p: p["weights"].update({"action_net.bias": torch.zeros(7)}),
        r"action_net.bias has the shape \(7,\)",
    ),
    "a layer too much": (
        lambda p: p["weights"].update({"attention.weight": torch.zeros(2)}),
        r"policy.pth holds attention.weight, which SB3's own policies don't have.*--trust",
    ),
    "numbers that are not finite": (
        lambda p: p["weights"]["action_net.weight"].fill_(float("nan")),
        r"action_net.weight holds numbers that are not finite",
    ),
    "a list for weights": (lambda p: p.update(weights=[torch.zeros(1)]), r"not a dict of tensors"),
}


@pytest.mark.parametrize("name", SPOILS)
def test_parts_that_do_not_belong_together_are_refused(name: str, saved: Path) -> None:
    edit, message = SPOILS[name]
    respoil(saved, edit)
    with pytest.raises(TeacherError, match=message) as caught:
        load(saved)
    assert "agent.zip" in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "kwargs", "name"),
    [
        (OwnPolicy, {}, "OwnPolicy|unknown"),
        ("MlpPolicy", {"features_extractor_class": OwnExtractor}, "OwnExtractor"),
        ("MlpPolicy", {"activation_fn": OwnActivation}, "OwnActivation"),
    ],
)
def test_code_of_the_authors_own_is_refused_with_its_name_and_the_option(
    policy: Any, kwargs: dict[str, Any], name: str, tmp_path: Path
) -> None:
    path = save(tmp_path / "agent.zip", policy, **kwargs)
    with pytest.raises(TeacherError, match=rf"({name}).*pass --trust"):
        load(path)


@pytest.mark.parametrize("std", [0.1, -1.0, float("nan")])
def test_a_deviation_for_an_agent_that_has_its_own_is_refused(std: float, saved: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"standard deviation"):
        load(saved, std=std)


def test_an_observation_of_the_wrong_shape_is_refused_with_both_shapes(saved: Path) -> None:
    with pytest.raises(Exception, match=r"\(3,\).*\(2, 4\)"):
        load(saved)(torch.zeros(2, 4))
