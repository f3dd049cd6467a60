"""One body for several students: parameters that are the same in all of them, so that each stays a whole student."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from torch import nn

from understudy.errors import ConfigurationError
from understudy.policies.network import Network, count
from understudy.policies.student import Student

HEADS = ("own", "one")


def share(students: Sequence[Student], heads: str = "own") -> None:
    """Let each layer whose weights have one shape in all students be one and the same in all of them.

    What standardises observations stays each student's own, and so does a first layer of observations that differ in
    shape. ``heads``: ``own``, a last layer for each; or ``one`` for all, where the first layer's bias is each student's
    own: one-hot of the task among a layer's inputs adds a column of its weights, which is a bias for each task.

    ConfigurationError: nothing can be shared, or one head does not fit all.
    """
    if heads == "one":
        _check_same_actions(students)
    networks = [student.network for student in students]
    names = shared_names(networks, heads)
    if not names:
        raise ConfigurationError(
            f"nothing of {students[0].spec} can be shared by these tasks: its only layer that is no head reads "
            "observations of different shapes, or there is none. Give it another hidden layer, as in mlp:64,64"
        )
    for name in names:
        owner, _, own = name.rpartition(".")
        for network in networks[1:]:
            setattr(network.get_submodule(owner), own, networks[0].get_parameter(name))


def shared_names(networks: Sequence[Network], heads: str = "own") -> list[str]:
    """The names of the parameters that :func:`share` makes the same."""
    shapes = [{name: parameter.shape for name, parameter in network.named_parameters()} for network in networks]
    odd = {_layer(name) for one in shapes for name in one if len({other.get(name) for other in shapes}) > 1}
    first = _layer(next(iter(shapes[0])))
    own = {name for name in shapes[0] if _layer(name) == first and "bias" in name}
    if heads == "own":
        own = {name for network in networks for name in _names_of_heads(network)}
    return [name for name in shapes[0] if _layer(name) not in odd and name not in own]


def _layer(name: str) -> str:
    """A weight and its bias are of one layer; a memory has two, of what it reads and of itself."""
    return re.sub("weight|bias", "", name)


def _names_of_heads(network: Network) -> set[str]:
    last = {id(parameter) for layer in network.last_layers for parameter in layer.parameters()}
    return {name for name, parameter in network.named_parameters() if id(parameter) in last}


def _check_same_actions(students: Sequence[Student]) -> None:
    first = students[0]
    for student in students[1:]:
        if student.family != first.family or student.state_dependent_std != first.state_dependent_std:
            raise ConfigurationError(
                f"one head cannot answer for both {first.action_space} and {student.action_space}; give each task a "
                "head of its own, which is the default (--heads own)"
            )


def unique(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    """The parameters of all, each once."""
    return list(dict.fromkeys(parameter for module in modules for parameter in module.parameters()))


def shared_count(students: Sequence[Student]) -> int:
    """How many parameters every one of the students has."""
    held = [{id(parameter) for parameter in student.parameters()} for student in students]
    return count(parameter for parameter in students[0].parameters() if all(id(parameter) in one for one in held))
