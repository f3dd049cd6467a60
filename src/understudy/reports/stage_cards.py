"""Each stage of a training on its own: what it was told to do, what came of it, and what to type to use it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from understudy.methods.anchor import Anchor
from understudy.reports.run_words import percent
from understudy.reports.staged_training import Stage, Training
from understudy.reports.stages_figures import last_distances
from understudy.reports.stages_words import earned, lasted, named
from understudy.reports.words import number

TIMES = {1: "once", 2: "twice"}


@dataclass(frozen=True)
class Peer:
    """One of several, as texts."""

    number: int
    task: str
    earned: str
    steps: str
    best: bool


@dataclass(frozen=True)
class Card:
    """A stage: lines of what it is and what came of it, its peers, and commands."""

    name: str
    lines: tuple[tuple[str, str], ...]
    peers: tuple[Peer, ...]
    commands: tuple[str, ...]


def cards(training: Training) -> list[Card]:
    """Of all stages that are over."""
    return [
        Card(stage.name, tuple(_lines(training, place)), tuple(_peers(stage)), tuple(_commands(training, place)))
        for place, stage in enumerate(training.stages)
    ]


def _lines(training: Training, place: int) -> Iterator[tuple[str, str]]:
    stage = training.stages[place]
    yield "Task", _task(stage.table)
    yield "Began from", _beginning(training, place)
    if anchors := list(_anchors(stage)):
        yield "Anchored to", "; ".join(anchors)
    if joint := stage.table.get("joint"):
        share = percent(float(stage.table.get("share", 0.5)), 0)
        yield "Trained on beside it", f"{named(joint)}, by {share} of the copies of the environment"
    yield "Budget", _budget(stage)
    yield "Ended because", str(stage.facts.get("stopped_because", ""))
    if stage.table.get("until") is not None:
        yield "Criterion", _criterion(stage)
    yield "Return on its task", _earned(training, place)
    yield "Time", _time(stage.facts)
    if guard := _guard(training, place):
        yield "Guard", guard
    if gate := stage.facts.get("gate"):
        yield "Gate", _gate(gate)


def _task(table: Mapping[str, Any]) -> str:
    more = [f"with `{table['env_args']}`"] if table.get("env_args") else []
    more += [f"wrapped in {named(table['wrap'])}"] if table.get("wrap") else []
    return ", ".join([f"`{table.get('env', '')}`", *more])


def _beginning(training: Training, place: int) -> str:
    stage = training.stages[place]
    table, source = stage.table, training.source(place)
    student = f"`{table.get('distil') or training.tables.get('student', 'mlp:64,64:tanh')}`"
    if not source:
        return f"a new network, {student}"
    left = f"what `{source}` left" if source in training.names else f"the policy in `{source}`"
    if table.get("adapters"):
        return f"a new column beside the frozen ones, of which it reads {left}"
    if table.get("heads") == "own":
        left += ", with a last layer of its own on the common body"
    if table.get("distil"):
        found = stage.distilled.get("recovered")
        share = "" if found is None else f", which kept {percent(found)} of it"
        steps = stage.distilled.get("env_steps")
        taken = "" if steps is None else f", in {steps:,} environment steps more"
        left += f", distilled into a fresh {student} first{share}{taken}"
    kept = table.get("critic") == "keep"
    rounds = table.get("fit_rounds", 2)
    fitted = f"a new critic, fitted for {rounds} round{'' if rounds == 1 else 's'} with the policy frozen"
    fitted = fitted if rounds else "a new critic"
    return f"{left}; {'the critic it had' if kept else fitted}"


def _anchors(stage: Stage) -> Iterator[str]:
    """Each anchor of the stage's own, and the peers among each other, with the KL that was measured."""
    for row in stage.table.get("anchors") or ():
        label = str(row.get("name") or row["policy"])
        ways = {"reverse": "KL(policy‖anchor)"}.get(row.get("direction", ""), "KL(anchor‖policy)")
        states = {"visited": "visited states", "stored": "stored states", "both": "visited and stored states"}
        where = states.get(str(row.get("states", "visited")), str(row.get("states")))
        measured = last_distances(stage, Anchor(row["policy"], name=str(row.get("name") or "")).label)
        ends = [f"{number(kl)} nats on {words} at the end" for words, kl in measured.items()]
        of = f" (of {named(str(row['stored']).split(','))})" if row.get("stored") else ""
        yield ", ".join([f"`{label}` by `{row.get('weight', 1.0)}` x {ways} on {where}{of}", *ends])
    if stage.peers > 1:
        yield "each peer to the others, as they are at the time"


def _budget(stage: Stage) -> str:
    used, asked = stage.facts["env_steps"], stage.table.get("steps", 300_000)
    updates = f"{stage.facts.get('updates', 0):,} updates"
    if stage.peers > 1:
        return f"{used:,} environment steps of all {stage.peers} peers together, with {asked:,} for each; {updates}"
    rounds = " (rounds are whole)" if used > asked else ""
    return f"{used:,} of {asked:,} environment steps{rounds}, {updates}"


def _criterion(stage: Stage) -> str:
    until = number(float(stage.table["until"]))
    if stage.facts.get("reached"):
        return f"a return of {until} in two evaluations one after the other: reached"
    looks = stage.of_kind("evaluation")
    last = looks[-1]["returns"].get(stage.name) if looks else None
    found = "" if last is None else f", the last evaluation had {number(last)}"
    return f"a return of {until} in two evaluations one after the other: missed{found}"


def _earned(training: Training, place: int) -> str:
    name, before = training.names[place], float(training.matrix.returns[place, place])
    return f"{earned(training.result.rows[name][name])}; before the stage {number(before)}"


def _time(facts: Mapping[str, Any]) -> str:
    parts = {"training": "seconds", "evaluations": "evaluation_seconds", "in all": "total_seconds"}
    return ", ".join(f"{lasted(facts[key])} {what}" for what, key in parts.items() if facts.get(key) is not None)


def _guard(training: Training, place: int) -> str:
    """Whether the policy before came back; empty where there was nothing to guard."""
    stage = training.stages[place]
    if not training.source(place) or stage.table.get("adapters"):
        return ""
    if not stage.table.get("guard", True):
        return "off"
    times = stage.facts.get("returned", 0)
    if not times:
        return "it saw no loss beyond chance in the first updates, and did not step in"
    return f"the last good policy came back {TIMES.get(times, f'{times} times')}, and steps became shorter"


def _gate(gate: Mapping[str, Any]) -> str:
    each = ", ".join(f"`{name}` {percent(share)}" for name, share in gate.get("by_stage", {}).items())
    return (
        f"right in {percent(gate['accuracy'])} of states that it was not fitted to ({each}); it played this row of the "
        "table"
    )


def _peers(stage: Stage) -> Iterator[Peer]:
    for place, one in enumerate(stage.facts.get("peers") or (), 1):
        best = place == stage.facts.get("best_peer")
        yield Peer(place, one.get("task", ""), number(one.get("return")), f"{one.get('env_steps', 0):,}", best)


def _commands(training: Training, place: int) -> Iterator[str]:
    """To play what the stage left on every task so far, and to export it."""
    stage = training.stages[place]
    for other in training.stages[: place + 1]:
        bare = stage.table.get("wrap") and not other.table.get("wrap")
        plain = ["--wrap", "none"] if bare else []  # else the student's own wrappers would be put around it
        yield shlex.join(["understudy", "evaluate", str(_player(stage, other)), *_where(other.table), *plain])
    for path in (stage.path, stage.path / "gated"):
        if path.is_dir():
            yield shlex.join(["understudy", "export", str(path), "--format", "onnx"])


def _player(stage: Stage, task: Stage) -> Any:
    """The folder of the policy that plays a task after a stage."""
    gated, head = stage.path / "gated", stage.path / "heads" / task.name
    return next((path for path in (gated, head) if path.is_dir()), stage.path)


def _where(table: Mapping[str, Any]) -> list[str]:
    words = ["--env", str(table.get("env", ""))]
    words += ["--env-args", str(table["env_args"])] if table.get("env_args") else []
    return [*words, *(word for name in table.get("wrap") or () for word in ("--wrap", str(name)))]
