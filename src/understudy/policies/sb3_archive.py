"""A Stable-Baselines3 zip as plain data: its JSON, its spaces and its weights, without running any of it."""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import re
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import torch
from torch import Tensor

from understudy.errors import TeacherError
from understudy.policies.sb3_pickle import read_pickle
from understudy.policies.sb3_spaces import space_of

# A zip does not name its algorithm; the first of these entries that its JSON has does.
TRACES = (
    ("RecurrentPPO", "_last_lstm_states"),
    ("PPO", "clip_range"),
    ("TRPO", "cg_max_steps"),
    ("ARS", "n_delta"),
    ("QR-DQN", "n_quantiles"),
    ("DQN", "exploration_rate"),
    ("TQC", "top_quantiles_to_drop_per_net"),
    ("TD3", "target_policy_noise"),
    ("SAC", "target_entropy"),
    ("A2C", "normalize_advantage"),
)


@dataclass(frozen=True)
class Archive:
    """What a zip says: ``data`` is its JSON, ``weights`` the policy's state dict on the CPU, in float32."""

    path: Path
    data: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    version: str = "unknown"

    @property
    def policy_class(self) -> tuple[str, str]:
        """Module and name of the policy class, as SB3 wrote them down for readers."""
        entry = self.readable("policy_class")
        found = re.match(r"<function ([\w.<>]+)\.__init__ at", str(entry.get("__init__", "")))
        return str(entry.get("__module__", "unknown")), found[1] if found else "unknown"

    @property
    def policy_kwargs(self) -> dict[str, Any]:
        """JSON values, and texts such as ``<class 'torch.nn.modules.activation.ReLU'>`` for what JSON cannot hold."""
        return self.readable("policy_kwargs")

    @property
    def algorithm(self) -> str:
        name = next((name for name, trace in TRACES if trace in self.data), "unknown")
        is_ddpg = name == "TD3" and self.policy_kwargs.get("n_critics") == 1
        return "DDPG" if is_ddpg else name

    @property
    def gamma(self) -> float | None:
        """The discount the teacher was trained with; ARS has none."""
        gamma = self.data.get("gamma")
        return float(gamma) if isinstance(gamma, int | float) else None

    def readable(self, key: str) -> dict[str, Any]:
        """An entry's items that are JSON or text; its pickle is left alone."""
        entry = self.data.get(key) or {}
        if not isinstance(entry, dict):
            raise TeacherError(f"{self.path}: its {key} is {entry!r} where SB3 writes an object. Save the agent again.")
        return {name: item for name, item in entry.items() if not name.startswith(":")}

    def space(self, key: str) -> gymnasium.Space[Any]:
        """``observation_space`` or ``action_space`` as a real Gymnasium space."""
        return space_of(self._plain(key), f"{self.path} ({key})")

    @property
    def used_vecnormalize(self) -> bool:
        """Whether it was trained under VecNormalize: a trace that on-policy algorithms leave (others always do)."""
        return self.algorithm in ("PPO", "A2C", "TRPO") and self.data.get("_last_original_obs") is not None

    def _plain(self, key: str) -> Any:
        entry = self.data.get(key)
        text = entry.get(":serialized:") if isinstance(entry, dict) else None
        if not isinstance(text, str):
            raise TeacherError(f"{self.path}: its JSON has no pickled {key}; this is not an agent saved by SB3.")
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise TeacherError(f"{self.path}: the entry {key} is damaged ({error}). Copy the file again.") from error
        return read_pickle(data, f"{self.path} ({key})")


def read_archive(path: Path) -> Archive:
    """Read a zip saved by SB3's ``model.save``; the suffix may be left off, as in SB3."""
    path = _existing(Path(path))
    try:
        with zipfile.ZipFile(path) as archive:
            # policy.pth is itself a zip: in a truncated agent its directory is taken for the whole file's
            if archive.infolist() and min(member.header_offset for member in archive.infolist()) > 0:
                raise zipfile.BadZipFile("its end is missing")
            members = {name: archive.read(name) for name in archive.namelist() if name in _WANTED}
            others = set(archive.namelist()) - set(members)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise TeacherError(
            f"{path} is not a whole zip file ({error}): truncated, or something else. Copy or download it again."
        ) from error
    _check_members(path, members, others)
    try:
        data = json.loads(members["data"])
    except ValueError as error:
        raise TeacherError(f"{path}: its member 'data' is not JSON ({error}); SB3 did not save this zip.") from error
    if not isinstance(data, dict) or "policy_class" not in data:
        raise TeacherError(f"{path}: its JSON names no policy_class; SB3 did not save this zip.")
    version = members.get("_stable_baselines3_version", b"unknown").decode("ascii", "replace").strip()
    return Archive(path, data, _weights(members["policy.pth"], path), version)


_WANTED = ("data", "policy.pth", "_stable_baselines3_version")


def _existing(path: Path) -> Path:
    for candidate in (path, path.with_name(f"{path.name}.zip")):
        if candidate.is_file():
            return candidate
    if path.is_dir():
        zips = ", ".join(sorted(found.name for found in path.glob("*.zip"))) or "no zip"
        raise TeacherError(f"{path} is a folder (it holds {zips}); name the zip file itself.")
    raise TeacherError(f"{path} does not exist; name a zip saved by Stable-Baselines3.")


def _check_members(path: Path, members: Mapping[str, bytes], others: set[str]) -> None:
    missing = [name for name in ("data", "policy.pth") if name not in members]
    if not missing:
        return
    hint = "SB3 did not save this zip."
    if any(name.endswith("/data.pkl") for name in others):
        hint = "It looks like a file saved by PyTorch: open it as torch:PATH."
    held = ", ".join(sorted(others | set(members))[:6]) or "nothing"
    raise TeacherError(f"{path} has no member {' and no '.join(missing)} (it holds {held}). {hint}")


def _weights(data: bytes, path: Path) -> dict[str, Tensor]:
    where = f"{path} (policy.pth)"
    buffer = io.BytesIO(data)
    if tarfile.is_tarfile(buffer):  # PyTorch before 2.6 could be made to run code by such files
        raise TeacherError(f"{where} is in a format of PyTorch before 0.1.10 and was not read. Save the agent again.")
    buffer.seek(0)
    try:
        state = torch.load(buffer, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        asked = re.search(r"(?:Unsupported global: GLOBAL|GLOBAL) ([\w.]+)", str(error))
        what = f"asks for {asked[1]}, which" if asked else f"({str(error).splitlines()[0][:200]})"
        raise TeacherError(
            f"{where} {what} is more than tensors and could run code. Nothing was run. Get the file from its author."
        ) from None
    except Exception as error:
        raise TeacherError(f"{where} cannot be read ({type(error).__name__}: {error}). Copy the zip again.") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise TeacherError(f"{where} is not a dict of tensors; SB3 did not save this zip.")
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise TeacherError(f"{where}: {broken[0]} holds numbers that are not finite; the agent's training diverged.")
    return {str(name): tensor.detach().to(torch.float32) for name, tensor in state.items()}
