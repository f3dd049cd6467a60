"""What the page of a student of recorded data says otherwise: nobody played while it learned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from understudy.lab.findings import Panel, Series
from understudy.reports.run_words import Tile, headline, percent, tiles
from understudy.reports.shown import shown
from understudy.reports.words import number
from understudy.runs.result import Result, covered_text


def told(result: Result, evidence: Mapping[str, Any] | None, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By the names of the page's parts."""
    played, taught = math.isfinite(result.student_return), math.isfinite(result.teacher_return)
    found: dict[str, Any] = {
        "subject": subject(result),
        "headline": headline(result) if taught else _headline(result, played),
        "tiles": _tiles(result, evidence, played, taught),
        "learning": shown(losses(records)),
        "taken": f"{result.updates:,} updates",
    }
    if not result.teacher:
        found["title"] = f"A student of {Path(result.extra['data']['name']).name}"
    return found if taught else found | {"verdict": ("no teacher's return to hold it against", "partly")}


def subject(result: Result) -> str:
    """What was done, in a few sentences."""
    data, held = result.extra["data"], result.extra["held_out"]
    labels = f"what `{result.teacher}` answers in them" if result.teacher else "the actions that were recorded in them"
    text = (
        f"A student (`{result.student}`) learned from {data['rows']:,} recorded steps of {data['episodes']:,} "
        f"episodes, `{data['name']}`, with {result.method}: {labels}. Nobody played meanwhile. It was chosen by "
        f"{held['rows']:,} of these steps that it did not learn from."
    )
    cover = result.extra.get("coverage")
    if cover is None:
        return f"{text} There was no environment: what it earns, and where its own play leads it, is not known."
    return f"{text} How far its data reach: {_cover(cover)}"


def _cover(cover: Mapping[str, Any]) -> str:
    if "missing" in cover:
        return f"{covered_text(dict(cover))}."
    return (
        f"of the states that it comes through in {cover['episodes']} episodes of its own, {percent(cover['share'])} "
        "lie as near to recorded ones as 95 % of those held out do. Where that is much less, it plays where it was "
        "never taught."
    )


def _headline(result: Result, played: bool) -> str:
    agreement = result.extra["held_out"]["agreement"]
    if played:
        return f"The student earns {number(result.student_return)}, and random play {number(result.random_return)}."
    same = "" if agreement is None else f" Its agreement with the labels held out is {percent(agreement)}."
    return f"What the student earns was not measured, for there was no environment.{same}"


def _tiles(result: Result, evidence: Mapping[str, Any] | None, played: bool, taught: bool) -> list[Tile]:
    """The usual ones that mean anything here, and how close it is where it was not taught."""
    held, cover = result.extra["held_out"], result.extra.get("coverage")
    usual = [one for one in tiles(result, evidence) if one.name != "Training" and (taught or one.name != "Recovered")]
    usual = [one for one in usual if played or one.name != "Return"]
    if played and not taught:
        usual = [Tile("Return", number(result.student_return), f"random {number(result.random_return)}"), *usual[1:]]
    more = [Tile("Loss, held out", number(held["loss"]), f"on {held['rows']:,} steps that it did not learn from")]
    if held["agreement"] is not None:
        more.insert(
            0, Tile("Agreement, held out", percent(held["agreement"]), "with the label's action, or its variance")
        )
    if cover and "share" in cover:
        more.append(
            Tile("Covered", percent(cover["share"]), "of the states that it comes through; 95 % of the data's own")
        )
    return [*usual, *more, Tile("Training", f"{result.seconds:.1f} s", f"{result.updates:,} updates")]


def losses(records: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """The loss while it learned; nothing where there were fewer than two looks."""
    series = []
    for label, kind in (("learned from", "train"), ("held out", "held-out")):
        own = [one for one in records if one.get("kind") == kind and isinstance(one.get("loss"), int | float)]
        series.append(Series(label, [one["updates"] for one in own], [one["loss"] for one in own]))
    if min(len(one.mean) for one in series) < 2:
        return []
    figure = "The loss on the steps that the student learns from, and on those held out, by which it was chosen."
    return [Panel("Loss", "updates", "loss", tuple(series), figure=figure)]
