"""Staged training in words: the headline, what was done, the key figures. A share is told only of what was learned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from understudy.reports.run_words import Tile, percent
from understudy.reports.staged_training import Training
from understudy.reports.words import number

MOST = 3
"""Tasks that a headline names one by one."""
SLIGHT, HALF = 0.05, 0.5
"""Losing less than the first share of what was learned is nothing to speak of, however sure; more than half is much."""


def listed(words: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def named(names: Sequence[str]) -> str:
    """The same of names, as code."""
    return listed([f"`{name}`" for name in names])


def whole(share: float) -> str:
    """``98 %``."""
    return percent(round(share, 2) + 0.0, 0)


def lasted(seconds: float) -> str:
    """In the unit that a person would use."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def earned(cell: Mapping[str, Any]) -> str:
    """``38.2 [29.7, 46.7]``."""
    ends = cell.get("interval")
    return number(cell["return"]) + (f" [{number(ends[0])}, {number(ends[1])}]" if ends and None not in ends else "")


def kept(training: Training) -> dict[str, float]:
    """Of each earlier task that was learned, the share of its gain that is there after the last stage."""
    earlier = zip(training.names[:-1], training.normalised[-1], strict=False)
    return {name: float(share) for name, share in earlier if math.isfinite(share)}


def lost(training: Training) -> list[str]:
    """Earlier tasks whose return lies below what it was after their own stage, beyond both intervals."""
    rows, last, found = training.result.rows, training.names[-1], []
    for name, share in kept(training).items():
        (_, now), (before, _) = (rows[row][name].get("interval") or (None, None) for row in (last, name))
        if now is not None and before is not None and now < before and share < 1 - SLIGHT:
            found.append(name)
    return found


def worse(training: Training) -> list[str]:
    """Tasks whose return after their own stage lies below the one before it, beyond its interval."""
    found = []
    for place, name in enumerate(training.names):
        _, high = training.result.rows[name][name].get("interval") or (None, None)
        if high is not None and high < training.matrix.returns[place, place]:
            found.append(name)
    return found


def headline(training: Training) -> str:
    """What all of it came to, in a few sentences."""
    return " ".join(filter(None, (_retained(training), _little(training), _origin(training), _newest(training))))


def _retained(training: Training) -> str:
    """Of earlier tasks."""
    shares, last = kept(training), training.names[-1]
    has, learned = ("has", "had been learned") if training.strangers else ("keeps", "it had learned")
    if not shares:
        return ""
    if len(shares) > MOST:
        least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        return (
            f"After `{last}` the policy {has} between {_share(shares[least])} (`{least}`) and {_share(shares[most])} "
            f"(`{most}`) of what {learned} on {len(shares)} earlier tasks."
        )
    (first, share), *others = shares.items()
    more = [f"{_share(share)} on `{name}`" for name, share in others]
    return f"After `{last}` the policy {has} {listed([f'{_share(share)} of what {learned} on `{first}`', *more])}."


def _origin(training: Training) -> str:
    """Of stages that the last policy owes nothing to; empty where it went on from all of them."""
    source = training.source(len(training.stages) - 1)
    if not training.strangers:
        return ""
    begun = f"from `{source}`" if source else "anew"
    return f"`{training.names[-1]}` began {begun}: nothing of {named(training.strangers)} went into it."


def _share(share: float) -> str:
    return whole(share) if whole(share) != "0 %" and share > 0 else "nothing"


def _little(training: Training) -> str:
    """Of earlier tasks on which there is nothing to keep."""
    names = [name for name in training.names[:-1] if name in training.unlearned]
    if not names:
        return ""
    subject = "It" if kept(training) else "The policy"
    return f"{subject} had hardly learned {named(names)}."


def _newest(training: Training) -> str:
    """Of the last stage's own task."""
    name, place = training.names[-1], len(training.names) - 1
    before, random = (float(one[place]) for one in (training.matrix.returns[place], training.matrix.random))
    learned = name not in training.unlearned
    whose = "the policy before" if training.strangers else "it"
    told = f"earns {earned(training.result.rows[name][name])} on `{name}`, where {whose} earned {number(before)} "
    told += f"before that stage and a random policy earns {number(random)}"
    subject = "It" if place else "The policy"
    return f"{subject} {told}." if learned else f"{subject} has hardly learned `{name}`: it {told}."


def verdict(training: Training) -> tuple[str, str]:
    """In a word or two whether all went well, and the class of its chip."""
    if training.unbegun:
        return f"{len(training.stages)} of {len(training.result.tasks)} stages", "partly"
    if found := lost(training):
        much = min(kept(training)[name] for name in found) < HALF
        return f"forgets {'' if much else 'part of '}{listed(found)}", "not-reproduced" if much else "partly"
    if found := worse(training):
        return f"worse after its own stage: {listed(found)}", "not-reproduced"
    if missed := [stage.name for stage in training.stages if stage.facts.get("reached") is False]:
        return f"criterion missed: {listed(missed)}", "partly"
    if training.unlearned:
        return f"hardly learned: {listed(training.unlearned)}", "partly"
    return "learned" if len(training.stages) == 1 else "no clear forgetting", "reproduced"


def caution(training: Training) -> str:
    """Why there are no percentages of some tasks; empty where there are of all."""
    if not training.unlearned:
        return ""
    return (
        f"Too little was learned on {named(training.unlearned)} for percentages to mean anything: the return after the "
        "task's own stage is hardly above a random policy's, as its interval goes. The page shows returns alone there."
    )


def subject(training: Training) -> str:
    """What was done."""
    envs = [f"`{stage.name}` (`{stage.table.get('env', '')}`)" for stage in training.stages]
    tasks = f"on {listed(envs)}" + (", one after the other" if len(envs) > 1 else "")
    peers = max(stage.peers for stage in training.stages)
    who = f"{peers} policies side by side were" if peers > 1 else "A policy was"
    best = "; the best one stands for each stage" if peers > 1 else ""
    steps = sum(stage.facts["env_steps"] for stage in training.stages)
    distilling = sum(stage.distilled.get("env_steps", 0) for stage in training.stages)
    more = f", and {distilling:,} in distillations" if distilling else ""
    return (
        f"{who} trained by reinforcement learning (PPO) {tasks}, in {steps:,} environment steps in all{more}{best}. "
        f"Every return in the tables is the mean of {training.tables.get('final_episodes', 100)} episodes with "
        f"deterministic actions, on seeds that are the same for all and of no other use; [a, b] is its 95 % interval."
        f"{_players(training)}"
    )


def _players(training: Training) -> str:
    """Who plays earlier tasks, where it is not the last policy alone."""
    tables = [stage.table for stage in training.stages]
    parts = ["last layer"] if any(one.get("heads") == "own" for one in tables) else []
    parts += ["column"] if any(one.get("adapters") for one in tables) else []
    if not parts:
        return ""
    if any(one.get("gate") for one in tables):
        return f" Stages have a {listed(parts)} of their own; after a stage with a gate, that picks who plays."
    return f" Stages have a {listed(parts)} of their own, and each task is played by that of its stage."


def warnings(training: Training) -> list[tuple[str, str]]:
    """All that was warned of, by stage."""
    found = []
    for stage in training.stages:
        own = [str(text) for text in stage.facts.get("warnings") or ()]
        if stage.facts.get("reached") is False and not any("missed" in text for text in own):
            own.append(f"the budget ended before its criterion, {stage.table.get('until')}, was held")
        found += [(stage.name, text) for text in own]
    if training.unbegun:
        found.append(("Not whole", f"the training ended before {named(training.unbegun)}"))
    return found


def tiles(training: Training) -> list[Tile]:
    """The key figures."""
    facts = training.matrix.facts()
    steps = sum(stage.facts["env_steps"] for stage in training.stages)
    seconds, total = (
        sum(stage.facts.get(key, 0.0) for stage in training.stages) for key in ("seconds", "total_seconds")
    )
    count = len(training.stages)
    return [
        *(_memory(training, facts) if facts else []),
        _last(training),
        Tile("Environment steps", f"{steps:,}", f"in {count} stage{'' if count == 1 else 's'}"),
        Tile("Training", lasted(seconds), f"{lasted(total)} with evaluations and the table"),
    ]


def _memory(training: Training, facts: Mapping[str, float]) -> list[Tile]:
    """What is left of earlier tasks, and what they gave to later ones."""
    shares = kept(training)
    first = Tile("Kept", "nothing to keep", "no earlier task was learned to speak of")
    if shares:
        least = min(shares, key=shares.__getitem__)
        several = f"of what was learned, the mean; {least} least, {whole(shares[least])}"
        detail = several if len(shares) > 1 else f"of what was learned on {least}"
        first = Tile("Kept", whole(sum(shares.values()) / len(shares)), detail)
    forgotten, forward = (number(facts[f"average_{kind}"] + 0.0) for kind in ("forgetting", "forward_transfer"))
    return [
        first,
        Tile("Forgotten", forgotten, "return, mean over earlier tasks; below 0 is a gain"),
        Tile("Forward transfer", forward, "return that later tasks had gained before their own stage"),
    ]


def _last(training: Training) -> Tile:
    name, place = training.names[-1], len(training.names) - 1
    random = number(float(training.matrix.random[place]))
    return Tile(f"Return on {name}", number(float(training.matrix.learned[place])), f"random policy {random}")
