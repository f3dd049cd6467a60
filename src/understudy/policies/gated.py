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
from understudy.math.heads import Heads
from understudy.policies.network import Network, count
from understudy.policies.policy import TensorObservation
from understudy.policies.shared import unique
from understudy.policies.spec import parse
from understudy.policies.student import Student
from understudy.policies.student_file import load_student, save_student
from understudy.policies.whole_files import write_atomically, write_whole

CONFIG, GATE, HEADS = "gated.json", "gate.safetensors", "heads"


class Gated(nn.Module):
    """A policy that answers in each state as the student does that ``gate`` finds likeliest there.

    ``heads``: students without memory by the names of their tasks, in the order of the gate's answers.
    """

    full_support = True
    has_value = False
    memory_size = 0

    def __init__(self, gate: Network, heads: Mapping[str, Student]) -> None:
        super().__init__()
        self.names, self.gate, self.heads = tuple(heads), gate, nn.ModuleList(heads.values())
        first = next(iter(heads.values()))
        for name, one in heads.items():
            if one.memory_size:
                raise ConfigurationError(f"a gate picks among policies without memory, and {name} is {one.description}")
            if one.family != first.family:
                raise ConfigurationError(f"a gate picks among policies of one kind: {one.family} is not {first.family}")
        self.family: Family = first.family
        self.observation_space: gymnasium.Space[Any] = first.observation_space
        self.action_space: gymnasium.Space[Any] = first.action_space

    @property
    def description(self) -> str:
        return f"a gate among {', '.join(self.names)}"

    @property
    def parameter_count(self) -> int:
        return count(unique([self]))

    @torch.no_grad()
    def chosen(self, observation: TensorObservation) -> Tensor:
        """Whose turn it is in each state ``[...]``: a place in ``names``."""
        return self.gate(observation)[0].argmax(-1)

    def forward(
        self, observation: TensorObservation, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Heads, Tensor | None]:
        flats = torch.stack([one.flat(observation)[0] for one in self.heads], -2)  # type: ignore[operator]
        flat = flats.take_along_dim(self.chosen(observation)[..., None, None], -2)[..., 0, :]
        return Heads(self.family(flat), None), memory


def save_gated(policy: Gated, folder: Path, **facts: Any) -> None:
    """Write the gate, and each student in a folder of its own; ``facts`` go along with these."""
    for name, one in zip(policy.names, policy.heads, strict=True):
        assert isinstance(one, Student)
        save_student(one, folder / HEADS / name, **facts)
    state = {name: value.detach().cpu().contiguous() for name, value in policy.gate.state_dict().items()}
    write_atomically(folder / GATE, lambda path: save_file(state, path))
    config = {"format": 1, "gate": str(policy.gate.spec), "heads": list(policy.names)}
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
