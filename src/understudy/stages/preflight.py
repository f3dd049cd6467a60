"""What is looked at before the first stage is trained, so that nothing is found not to fit only hours later."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import torch

from understudy.envs.simulator import Simulator
from understudy.errors import ConfigurationError, SpaceError, said_of
from understudy.policies.families import family_of
from understudy.policies.progressive import check_column
from understudy.policies.shared import share
from understudy.policies.student import Student
from understudy.policies.student_file import load_student
from understudy.runs.device import available
from understudy.stages.config import Stage, StagesConfig
from understudy.stages.parts import (
    Origin,
    begins_from,
    check_fits,
    made,
    open_outside,
    origin_of,
    recalled_stages,
    spec_of,
    teacher_of,
)

Spaces = dict[str, tuple[Any, Any]]


def check_together(config: StagesConfig) -> None:
    """Refuse stages that don't fit each other before any of them is trained: spaces, options, anchors' policies."""
    available(config.device)
    spaces: Spaces = {}
    for number, stage in enumerate(config.stages):
        with closing(made(stage, 1)) as simulator, said_of(f"stage {stage.name}"):
            teacher_of(stage, simulator)
            spaces[stage.name] = simulator.observation_space, simulator.action_space
            _check_policies(config, number, spaces, simulator)
            _check_noise(config, number, simulator)
            _check_critic(config, number)
            _check_anchors(config, number, spaces, simulator)
        with said_of(f"stage {stage.name}"):
            _check_joint(config, number)
    for stage in config.stages:
        for other in stage.peers_on:
            _check_alike(stage.name, spaces[stage.name], other, spaces[other])


def _check_policies(config: StagesConfig, number: int, spaces: Spaces, simulator: Simulator) -> None:
    """Of the policy that a stage goes on from, and of what it is made into."""
    stage, source, spec = config.stages[number], begins_from(config, number), spec_of(config, number)
    if source in spaces:
        check_fits(_like(spaces[source], str(spec_of(config, _names(config).index(source)))), simulator)
    elif source is not None:
        check_fits(load_student(source), simulator)
    own = spaces[stage.name]
    if stage.distil and config.own_std and family_of(own[1], False).continuous:
        raise ConfigurationError(
            "own_std is for deviations that the network gives, and a policy that is distilled has one vector of them. "
            "Leave own_std or distil out"
        )
    if stage.adapters:
        check_column(own[0], spec)
    if stage.heads == "own":
        share([_like(own, str(spec)) for _ in range(2)], "own")
    if stage.gate and spec.recurrent:
        raise ConfigurationError(f"a gate picks among policies without memory, and these are {spec}")


def _like(spaces: tuple[Any, Any], spec: str) -> Student:
    return Student(*spaces, family_of(spaces[1], False), spec)


def _names(config: StagesConfig) -> list[str]:
    return [stage.name for stage in config.stages]


def _check_noise(config: StagesConfig, number: int, simulator: Simulator) -> None:
    """``std`` and ``entropy`` against the kind of actions, and against what they are measured on."""
    stage, family = config.stages[number], family_of(simulator.action_space, False)
    named, other = ("entropy", "std") if family.continuous else ("std", "entropy")
    if getattr(stage, named) is not None:
        raise ConfigurationError(f"{named} is not for {family} actions; give {other} in its place")
    most = float(family(torch.zeros(1, family.parameters)).entropy()) if stage.entropy is not None else 0.0
    if stage.entropy is not None and stage.entropy >= most:
        raise ConfigurationError(f"entropy must be below {most:.3f}, that of chance, for {family}, got {stage.entropy}")
    measured = stage.entropy is not None or (stage.std is not None and config.own_std)
    if measured and (stage.critic == "keep" or not stage.fit_rounds):
        raise ConfigurationError(
            f"{other} is set on the states that a new critic is fitted on, and none is fitted. Use critic = 'fit' with "
            f"fit_rounds of 1 at least, or leave {other} out"
        )


def _check_critic(config: StagesConfig, number: int) -> None:
    """A critic that is kept is of the kind of the policy's network."""
    stage, source, names = config.stages[number], begins_from(config, number), _names(config)
    if stage.critic != "keep" or stage.adapters or source not in names:
        return
    before, now = spec_of(config, names.index(source)), spec_of(config, number)
    if before != now:
        raise ConfigurationError(
            f"critic = 'keep', but the critic of stage {source} is of {before} and the policy becomes {now}; use "
            "critic = 'fit'"
        )


def _check_anchors(config: StagesConfig, number: int, spaces: Spaces, simulator: Simulator) -> None:
    """Of each anchor, its policy's spaces and the states that it recalls."""
    stage, names = config.stages[number], _names(config)[:number]
    labels = [row.label for row in stage.anchors]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"two anchors are called {twice}; give each a name of its own")
    for row in stage.anchors:
        if row.policy not in spaces:
            open_outside(row, simulator)
        else:
            _check_alike_anchor(row.label, spaces[row.policy], spaces[stage.name])
        recalled = recalled_stages(row, names)
        if recalled and spec_of(config, number).recurrent:
            raise ConfigurationError(
                f"anchor {row.label}: {spec_of(config, number)} has a memory, and what it answers to a stored state "
                "depends on what it saw before it, which is not stored. Use states = 'visited'"
            )
        if stage.heads == "own" and spec_of(config, number).recurrent:
            raise ConfigurationError(
                f"anchor {row.label}: with heads = 'own' it holds the earlier heads, and what those of "
                f"{spec_of(config, number)} answer depends on a memory of their own. Leave heads or anchors out"
            )
        _check_stores(row.label, [one for one in config.stages[:number] if one.name in recalled], config)


def _check_alike_anchor(label: str, anchored: tuple[Any, Any], own: tuple[Any, Any]) -> None:
    kinds = [(seen.shape, family_of(acts, False)) for seen, acts in (anchored, own)]
    if kinds[0] != kinds[1]:
        raise SpaceError(
            f"anchor {label} sees {anchored[0]} and acts in {anchored[1]}, here are {own[0]} and {own[1]}. Anchor to "
            "a stage of the same spaces"
        )


def _check_stores(label: str, recalled: Sequence[Stage], config: StagesConfig) -> None:
    """Stages that an anchor recalls have kept states."""
    for one in recalled:
        if not one.store:
            raise ConfigurationError(
                f"anchor {label} recalls states of stage {one.name}, which has store = 0; raise it"
            )
        if spec_of(config, _names(config).index(one.name)).recurrent:
            raise ConfigurationError(
                f"anchor {label} recalls states of stage {one.name}, whose policy has a memory, so that none are kept. "
                "Use states = 'visited'"
            )


def _check_joint(config: StagesConfig, number: int) -> None:
    """Tasks that are trained on side by side have the same spaces, and copies enough."""
    origin = origin_of(config, number)
    origin.counts(config.copies)
    if len(origin.stages) > 1:
        count = len(origin.stages)
        Origin(origin.stages, (1 / count,) * count).make(count).close()


def _check_alike(name: str, own: tuple[Any, Any], other: str, others: tuple[Any, Any]) -> None:
    """Refuse peers on tasks whose policies no KL lies between."""
    kinds = [(seen.shape, family_of(acts, False)) for seen, acts in (own, others)]
    if kinds[0] != kinds[1]:
        raise SpaceError(
            f"stage {name}: a peer on {other} sees {others[0]} and acts in {others[1]}, one on {name} {own[0]} and "
            f"{own[1]}. Leave {other} out of peers_on, or wrap the environments alike"
        )
