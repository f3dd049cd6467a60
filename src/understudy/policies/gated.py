"""Several students and a gate that picks one of them, state by state, from what it sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from understudy.errors import ConfigurationError, RunError, UnderstudyError
from understudy.math.distributions import Family
from understudy.policies.network import Network, count
from understudy.policies.policy import TensorObservation
from understudy.policies.shared import unique
from understudy.policies.spec import parse
from understudy.policies.student import Student
from understudy.policies.student_file import load_student, save_student
from understudy.policies.whole_files import write_atomically, write_whole

CONFIG, GATE, HEADS = "gated.json", "gate.safetensors", "heads"


class GatedNetwork(nn.Module):
    """The gate, and the networks that it picks from: observations to the flat parameters of the one that it picks."""

    memory_size = 0

    def __init__(self, gate: Network, heads: Mapping[str, Student]) -> None:
        super().__init__()
        self.gate, self.heads, self.keys = gate, nn.ModuleList(heads.values()), gate.keys

    def chosen(self, observation: TensorObservation) -> Tensor:
        """Which one it is in each state ``[...]``, by its place."""
        return self.gate(observation)[0].argmax(-1)

    def forward(
        self, observation: TensorObservation, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        chosen = self.chosen(observation)[..., None]
        found, *others = (one.flat(observation)[0] for one in self.heads)  # type: ignore[operator]
        for number, flat in enumerate(others, 1):
            found = torch.where(chosen == number, flat, found)
        return found, memory


class Gated(Student):
    """A student that answers in each state as the one of ``heads`` does that ``gate`` finds likeliest there.

    ``heads``: students without memory by the names of their tasks, in the order of the gate's answers.
    """

    network: GatedNetwork  # type: ignore[assignment]

    def __init__(self, gate: Network, heads: Mapping[str, Student]) -> None:
        nn.Module.__init__(self)  # a network is not built but put together
        first = next(iter(heads.values()))
        for name, one in heads.items():
            if one.memory_size:
                raise ConfigurationError(f"a gate picks among policies without memory, and {name} is {one.description}")
            if one.family != first.family:
                raise ConfigurationError(f"a gate picks among policies of one kind: {one.family} is not {first.family}")
        self.names, self.spec, self.network = tuple(heads), gate.spec, GatedNetwork(gate, heads)
        self.family: Family = first.family
        self.observation_space: gymnasium.Space[Any] = first.observation_space
        self.action_space: gymnasium.Space[Any] = first.action_space
        self.state_dependent_std = self.family.continuous
        self.log_std = self.value_network = self.temperature = None
        self.facts = dict(first.facts)

    @property
    def heads(self) -> list[Student]:
        return list(self.network.heads)  # type: ignore[arg-type]

    @property
    def description(self) -> str:
        return f"a gate among {', '.join(self.names)}"

    @property
    def parameter_count(self) -> int:
        return count(unique([self]))

    @torch.no_grad()
    def chosen(self, observation: TensorObservation) -> Tensor:
        """Whose turn it is in each state ``[...]``: a place in ``names``."""
        return self.network.chosen(observation)


def load_policy(path: str | Path) -> Student:
    """The student in a folder, gated or not. RunError: none there, or damaged."""
    return load_gated(path) if (Path(path) / CONFIG).is_file() else load_student(path)


def save_gated(policy: Gated, folder: Path, **facts: Any) -> None:
    """Write the gate, and each student in a folder of its own; ``facts`` go along with these."""
    for name, one in zip(policy.names, policy.heads, strict=True):
        save_student(one, folder / HEADS / name, **facts)
    state = {name: value.detach().cpu().contiguous() for name, value in policy.network.gate.state_dict().items()}
    write_atomically(folder / GATE, lambda path: save_file(state, path))
    config = {"format": 1, "gate": str(policy.spec), "heads": list(policy.names)}
    write_whole(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def load_gated(path: str | Path) -> Gated:
    """What :func:`save_gated` wrote, in evaluation mode and frozen. RunError: nothing there, or damaged."""
    folder = Path(path)
    if not (folder / CONFIG).is_file():
        raise RunError(f"{path} holds no gated policy: it has no {CONFIG}")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        heads = {str(name): load_student(folder / HEADS / str(name)) for name in config["heads"]}
        space = next(iter(heads.values())).observation_space
        gate = Network(space, parse(config["gate"]), len(heads))
        gate.load_state_dict(load_file(folder / GATE))
        found = Gated(gate, heads)
    except RunError:
        raise
    except (
        UnderstudyError, KeyError, TypeError, ValueError, SafetensorError, RuntimeError, OSError, StopIteration
    ) as error:  # fmt: skip
        raise RunError(f"the gated policy in {folder} is damaged ({error!r}); restore its files") from None
    return found.eval().requires_grad_(False)
