"""Progressive students (Rusu et al. 2016): a column for each task, which also reads the frozen columns before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import gymnasium
import torch
from torch import Tensor, nn

from understudy.errors import ConfigurationError
from understudy.math.distributions import Family
from understudy.policies.network import ACTIVATIONS, Dueling, Encoded, Network, is_image, seeded
from understudy.policies.policy import TensorObservation
from understudy.policies.spec import Spec
from understudy.policies.student import Student


class Adapter(nn.Module):
    """What a layer adds for earlier columns, ``U f(V [a_j h_j])``: Eq. 2 of Rusu et al. 2016.

    ``h_j [..., width]`` is what earlier column j's layer before answers and ``a_j`` a learned scale; V leads to as many
    numbers as a column has there. U is 0 at first: a new column begins as if it stood alone.
    """

    def __init__(self, columns: int, width: int, outputs: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(columns))
        self.reading = nn.Linear(columns * width, width)
        self.activation = activation()
        self.adding = nn.Linear(width, outputs, bias=False)
        nn.init.zeros_(self.adding.weight)

    def forward(self, earlier: Sequence[Tensor]) -> Tensor:
        scaled = [scale * hidden for scale, hidden in zip(self.scale.unbind(), earlier, strict=True)]
        answer: Tensor = self.adding(self.activation(self.reading(torch.cat(scaled, -1))))
        return answer


class Column(Network):
    """A network whose layers, but for the first, have an adapter each to ``before`` earlier columns of its kind."""

    def __init__(self, space: gymnasium.Space[Any], spec: Spec, outputs: int, before: int) -> None:
        check_column(space, spec)
        super().__init__(space, spec, outputs)
        ends = [*spec.widths[1:], outputs] if before else []
        activation = ACTIVATIONS[spec.activation]
        self.adapters = nn.ModuleList(
            Adapter(before, width, end, activation) for width, end in zip(spec.widths, ends, strict=False)
        )

    @property
    def plain(self) -> bool:
        """Never: columns standardise what they see each by their own numbers."""
        return False

    def headless(self) -> Self:
        """Without what answers, which later columns don't read."""
        self.layers, self.adapters = self.layers[:-1], self.adapters[:-1]  # type: ignore[assignment]
        return self

    def answers(self, observation: TensorObservation, earlier: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """Of each layer, the first one's first; ``earlier``: the same of the columns before this one."""
        x, hidden = self.features(observation), list[Tensor]()
        for number, layer in enumerate(self.layers):
            if number and isinstance(layer, nn.Linear | Dueling):
                hidden.append(x)
                x = layer(x)
                if self.adapters:
                    at = len(hidden) - 1
                    x = x + self.adapters[at]([one[at] for one in earlier])
            else:
                x = layer(x)
        return [*hidden, x]


class ProgressiveNetwork(Column):
    """The last column, with the frozen ones before it, ``earlier``; it answers."""

    def __init__(self, space: gymnasium.Space[Any], spec: Spec, outputs: int, columns: int) -> None:
        super().__init__(space, spec, outputs, columns - 1)
        self.earlier = nn.ModuleList(Column(space, spec, outputs, before).headless() for before in range(columns - 1))

    def forward(
        self, observation: TensorObservation | Encoded, memory: Tensor | None = None, start: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        assert not isinstance(observation, Encoded)
        found: list[list[Tensor]] = []
        for column in self.earlier:
            assert isinstance(column, Column)
            found.append(column.answers(observation, found))
        return self.answers(observation, found)[-1], memory


class ProgressiveStudent(Student):
    """A student of several columns of one spec, of which the last one learns and acts."""

    network: ProgressiveNetwork

    def __init__(
        self,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        family: Family,
        spec: Spec | str,
        *,
        columns: int,
        state_dependent_std: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(
            observation_space, action_space, family, spec, state_dependent_std=state_dependent_std, seed=seed
        )
        outputs = family.sizes[0] if self.log_std is not None else family.parameters
        self.columns = columns
        self.network = seeded(  # type: ignore[assignment]
            seed, ProgressiveNetwork, observation_space, self.spec, outputs, columns
        )
        self._calm_last_layer()
        self.requires_grad_()

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Of the last column and its adapters; those before it stay frozen."""
        super().requires_grad_(requires_grad)
        self.network.earlier.requires_grad_(False)
        return self

    @property
    def description(self) -> str:
        return f"progressive of {self.columns} columns {self.spec}"


def check_column(space: gymnasium.Space[Any], spec: Spec) -> None:
    """Refuse columns whose layers no adapter can read."""
    if spec.body != "mlp":
        raise ConfigurationError(
            f"adapters read the hidden layers of a student such as mlp:64,64, and this one is {spec}. Begin the first "
            "stage with an mlp, or leave adapters out"
        )
    parts = space.values() if isinstance(space, gymnasium.spaces.Dict) else [space]
    if any(is_image(part) for part in parts):
        raise ConfigurationError(f"adapters read layers of numbers, and there are pictures in {space}")


@torch.no_grad()
def add_column(before: Student, own: Student, *, seed: int) -> ProgressiveStudent:
    """A student that learns as ``own`` would, with adapters to the columns of ``before``, which are frozen copies.

    It standardises what it sees as ``before`` does. ``seed``: of the adapters.
    """
    network = before.network
    columns = [*network.earlier, network] if isinstance(network, ProgressiveNetwork) else [network]
    found = ProgressiveStudent(
        own.observation_space, own.action_space, own.family, before.spec, columns=len(columns) + 1,
        state_dependent_std=own.state_dependent_std, seed=seed,
    )  # fmt: skip
    found.load_state_dict(found.state_dict() | own.state_dict())
    found.network.inputs.load_state_dict(network.inputs.state_dict())
    for new, old in zip(found.network.earlier, columns, strict=True):
        known = old.state_dict()
        new.load_state_dict({name: known[name] for name in new.state_dict()})
    return found
