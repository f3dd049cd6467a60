"""The figures of staged training, as data: every task's return across all stages, the anchors, and the peers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

from understudy.lab.findings import Panel, Series
from understudy.reports.charts import Staged
from understudy.reports.run_figures import DECADES, smoothed
from understudy.reports.staged_training import Stage, Training
from understudy.reports.words import number

ACROSS = 3
"""Panels in a row."""
MOST_PEERS = 12
WINDOWS = 16
"""Means that a stage's training is shown in."""
STEPS = "environment steps"
STATES = {"kl": "visited states", "stored_kl": "stored states"}
Points = list[tuple[float, float]]


def tasks(training: Training) -> list[Staged]:
    """What the policy earned on each task, from the task's own stage on."""
    drawn = [(name, place) for place, name in enumerate(training.names) if _evaluations(training, name)]
    across = ACROSS if len(drawn) != 4 else 2
    joint = any(stage.table.get("joint") for stage in training.stages)
    told = (
        f"Return on each task, against the environment steps{' of all stages' if len(training.stages) > 1 else ''}"
        + (" (of the peer that stands for each)" if any(stage.peers for stage in training.stages) else "")
        + (". The shaded stretch is the task's own stage" if len(training.stages) > 1 else "")
        + f". Evaluations, of {training.tables.get('evaluation_episodes', 20)} episodes that are not the table's, play "
        + "deterministic actions; in training they are sampled"
        + (", and not shown where several tasks were trained on at once." if joint else ".")
    )
    return [
        Staged(
            _plain(name),
            STEPS,
            "return",
            (*_learning(training, place), *_references(training, place)),
            row=position // across,
            figure=told,
            stretches=stretches(training),
            own=_plain(name),
        )
        for position, (name, place) in enumerate(drawn)
    ]


def stretches(training: Training) -> tuple[tuple[str, float, float], ...]:
    """The stages along x."""
    return tuple((_plain(stage.name), stage.first, stage.last) for stage in training.stages)


def _evaluations(training: Training, task: str) -> Points:
    return [
        (stage.first + one["env_steps"], one["returns"][task])
        for stage in training.stages
        for one in stage.of_kind("evaluation")
        if _number(one["returns"].get(task))
    ]


def _learning(training: Training, place: int) -> Iterator[Series]:
    stage = training.stages[place]
    found = _evaluations(training, stage.name)
    yield Series("policy, evaluated", [x for x, _ in found], [y for _, y in found])
    rounds = [] if stage.table.get("joint") else [r for r in stage.of_kind("train") if _number(r.get("episode_return"))]
    if curve := smoothed(rounds, WINDOWS):
        yield Series("policy, in training", [stage.first + x for x in curve[0]], curve[1])


def _references(training: Training, place: int) -> Iterator[Series]:
    """The level of the last evaluation in the task's own stage, from there on, and a random policy's."""
    stage, end, random = training.stages[place], training.stages[-1].last, float(training.matrix.random[place])
    own = [y for x, y in _evaluations(training, stage.name) if x <= stage.last]
    if own and place < len(training.stages) - 1:
        yield Series("as after its own stage", (stage.last, end), (own[-1], own[-1]), dashed=True)
    if math.isfinite(random):
        yield Series("random policy", (0.0, end), (random, random), dashed=True)


def anchors(training: Training) -> list[Staged]:
    """Each anchor's KL over the training, and its weight where that changes; nothing where nothing was anchored."""
    kinds = [kind for kind in STATES if _joined(training, {kind: ""})]
    kl = _joined(training, {kind: f": {STATES[kind]}" if len(kinds) > 1 else "" for kind in kinds})
    weights = _joined(training, {"weight": ""})
    if not kl:
        return []
    sizes = [y for one in kl for y in one.mean if y > 0]
    wide = bool(sizes) and max(sizes) > DECADES * min(sizes)
    levels = {one.label: {y for y in one.mean if math.isfinite(y)} for one in weights}
    constant = all(len(found) == 1 for found in levels.values())
    told = "What holds the policy: the KL between each anchor and the policy at the beginning of each round"
    if constant:
        told += f"; the weights stay: {', '.join(f'{name} {number(*found)}' for name, found in levels.items())}"
    shown: dict[str, Any] = {"figure": f"{told}.", "stretches": stretches(training)}
    where = " on " + STATES[kinds[0]] if len(kinds) == 1 else ""
    drawn = [Staged(f"Distance{where}", STEPS, "KL, nats", tuple(kl), y_log=wide, **shown)]
    return drawn if constant else [*drawn, Staged("Weight", STEPS, "weight", tuple(weights), **shown)]


def _joined(training: Training, kinds: dict[str, str]) -> list[Series]:
    """A curve for each anchor and kind, broken between stages; the anchor's name with the kind's words behind it."""
    found: dict[str, Points] = {}
    for stage in training.stages:
        for (name, kind), points in _of_anchors(stage, kinds).items():
            curve = found.setdefault(name + kinds[kind], [])
            curve += [(points[0][0], math.nan), *points] if curve else points
    return [Series(_plain(name), [x for x, _ in points], [y for _, y in points]) for name, points in found.items()]


def _of_anchors(stage: Stage, kinds: Collection[str]) -> dict[tuple[str, str], Points]:
    found: dict[tuple[str, str], Points] = {}
    for record in stage.of_kind("train"):
        for key, y in record.items():
            label, _, kind = key.removeprefix("anchor/").rpartition("/")
            if key.startswith("anchor/") and kind in kinds and _number(y):
                found.setdefault((label, kind), []).append((stage.first + record["env_steps"], y))
    return found


def last_distances(stage: Stage, anchor: str) -> dict[str, float]:
    """An anchor's KL in the last round of a stage, by the states on which it was measured, and the head that it holds.

    Where several heads are held, those of other tasks than the anchor's follow it in brackets.
    """
    found = _of_anchors(stage, STATES)
    told = {}
    for (label, kind), points in found.items():
        head = label.removeprefix(anchor).strip()
        if label == anchor or (label.startswith(f"{anchor} (") and head.endswith(")")):
            told[f"{STATES[kind]} {head}".strip()] = points[-1][1]
    return told


def peers(training: Training) -> list[Panel]:
    """What each peer earned on the task that it learned, stage by stage."""
    several = [stage for stage in training.stages if 1 < stage.peers <= MOST_PEERS]
    told = (
        "What each peer earned on the task that it learned, evaluated, against its own environment steps in the stage."
    )
    panels = []
    for position, stage in enumerate(several):
        series = tuple(_peer(stage, place) for place in range(1, stage.peers + 1))
        panels.append(Panel(_plain(stage.name), STEPS, "return", series, row=position // ACROSS, figure=told))
    return panels


def _peer(stage: Stage, place: int) -> Series:
    task = stage.facts["peers"][place - 1].get("task", stage.name)
    points = [one for one in stage.peer(place) if one.get("kind") == "evaluation" and _number(one["returns"].get(task))]
    return Series(f"peer {place}", [one["env_steps"] for one in points], [one["returns"][task] for one in points])


def _plain(name: str) -> str:
    """Without what Matplotlib would read as a formula."""
    return name.replace("$", r"\$")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
