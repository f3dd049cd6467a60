"""What a run came to, in words for a reader who has never seen the project."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from understudy.reports.words import number
from understudy.runs.result import Interval, Result


@dataclass(frozen=True)
class Tile:
    """A key figure: what it is, its value, and what to hold it against."""

    name: str
    value: str
    detail: str


def percent(share: float, digits: int = 1) -> str:
    """``99.1 %``, without a decimal that says nothing."""
    text = f"{100 * share:.{digits}f}"
    return f"{text.removesuffix('.0')} %"


def span(interval: Interval) -> str:
    """``[97.2, 100.3]`` of percent."""
    return "[{:.1f}, {:.1f}]".format(*(100 * end for end in interval))


def value(mean: float, interval: Interval | None = None) -> str:
    """``254 [250, 259]``; empty where nobody played."""
    if math.isnan(mean):
        return ""
    return number(mean) + ("" if interval is None else f" [{number(interval[0])}, {number(interval[1])}]")


def times(before: float, after: float, more: str = "more", fewer: str = "fewer") -> str:
    """``12 x fewer``: the second against the first."""
    if not before or not after:
        return ""
    ratio = max(before, after) / min(before, after)
    if ratio < 1.05:
        return "about as many"
    return f"{ratio:.1f} x".replace(".0 x", " x") + f" {more if after > before else fewer}"


def bytes_text(count: float) -> str:
    """``2.7 kB``."""
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"


def valued(found: Mapping[str, Any] | None) -> str:
    """Greedy play as the teacher's action values see it; empty where it has none."""
    if not found:
        return ""
    gap, weighted = number(found["gap"]), found["weighted"]
    text = f"The teacher knows what each action is worth: its best is ahead of its second best by {gap} on average. "
    if weighted is not None:
        text += f"With each decision weighted by that, {percent(weighted)} are the same. "
    text += f"By the teacher's own values the student's actions cost {number(found['lost'])} a decision"
    if found["error"] is None:
        return f"{text}."
    text += f"; its own differences between actions are off by {number(found['error'])} on average"
    if found["level"] is None:
        return f"{text}. Its row says nothing of the level of values in a state, so that this is not compared."
    level, spread = number(found["level"]), number(found["spread"])
    return f"{text}, their level in a state by {level}, where the teacher's varies with a deviation of {spread}."


def headline(result: Result) -> str:
    """The run in one sentence."""
    sizes = times(result.teacher_parameters, result.student_parameters)
    end = f", with {sizes} parameters" if sizes else ""
    if result.recovered is None:
        return (
            f"The student earns {number(result.student_return)} where the teacher earns {number(result.teacher_return)}"
            f"{end}. No fraction can be told, for this teacher does not beat random play."
        )
    interval = "" if result.recovered_interval is None else f" {span(result.recovered_interval)}"
    kept = f"{100 * result.recovered:.1f} %{interval}"
    if result.recovered <= 0:
        return f"The student earns no more than random play: it keeps {kept} of the teacher's lead{end}."
    verb = "keeps" if result.recovered <= 1 else "earns"
    return f"The student {verb} {kept} of what the teacher earns above random play{end}."


def verdict(result: Result) -> tuple[str, str]:
    """Whether the target was held, and the class of its chip."""
    target = percent(result.target)
    if result.recovered is None:
        return f"target {target}: not defined", "partly"
    if not result.reached:
        return f"target {target}: missed", "not-reproduced"
    if result.recovered_interval is None or result.recovered_interval[0] >= result.target:
        return f"target {target}: held", "reproduced"
    return f"target {target}: held by the estimate, not by the whole interval", "partly"


VISITS = {"teacher": "the teacher", "student": "the student", "uniform": "a random policy"}


def visited(evidence: Mapping[str, Any] | None) -> str:
    """On which states KL(teacher‖student) was measured."""
    if evidence is None:
        return (
            "These are as training measured them last: on about 1,000 states each, from the first steps of fresh "
            "episodes."
        )
    looked = evidence["looked"]["divergence"]
    parts = [f"{one['episodes']} of {VISITS[who]} ({one['states']:,} states)" for who, one in looked.items()]
    cut = shortened(looked)
    return (
        f"Here these are the states of {'' if cut else 'whole '}episodes, in which all three sample their actions: "
        f"{', '.join(parts)}.{' ' + cut if cut else ''}"
    )


def shortened(looked: Mapping[str, Mapping[str, int]]) -> str:
    """What was left out for its size; empty where all was looked at."""
    parts = []
    for who, one in looked.items():
        fewer = one["episodes"] < one["wanted"]
        said = [f"{one['episodes']} of {one['wanted']} episodes"] if fewer else []
        said += [f"{one['cut']} broken off after {one['steps']:,} steps"] if one["cut"] else []
        parts += [f"of {VISITS[who]} {', '.join(said)}"] if said else []
    return f"So many states take more memory than was spent: {'; '.join(parts)}." if parts else ""


def tiles(result: Result, evidence: Mapping[str, Any] | None) -> list[Tile]:
    """The key figures."""
    found = [_recovered(result), _return(result), _parameters(result)]
    if evidence:
        found += [_file(evidence), _latency(evidence), _agreement(evidence), _divergence(evidence)]
    return [*found, _training(result)]


def _recovered(result: Result) -> Tile:
    if result.recovered is None:
        return Tile("Recovered", "undefined", "the teacher does not beat a random policy")
    interval = "" if result.recovered_interval is None else f"{span(result.recovered_interval)} with 95 % confidence"
    return Tile("Recovered", f"{100 * result.recovered:.1f} %", interval)


def _return(result: Result) -> Tile:
    others = f"teacher {number(result.teacher_return)}, random {number(result.random_return)}"
    return Tile("Return", number(result.student_return), others)


def _parameters(result: Result) -> Tile:
    if not result.teacher_parameters:
        return Tile("Parameters", f"{result.student_parameters:,}", "the teacher's are not known")
    ratio = times(result.teacher_parameters, result.student_parameters)
    return Tile("Parameters", f"{result.student_parameters:,}", f"teacher {result.teacher_parameters:,}: {ratio}")


def _file(evidence: Mapping[str, Any]) -> Tile:
    own, teacher = evidence["bytes"]["student"], evidence["bytes"]["teacher"]
    detail = "the teacher's is not known" if teacher is None else f"teacher {bytes_text(teacher)}, as it came"
    return Tile("File", bytes_text(own), detail)


def _latency(evidence: Mapping[str, Any]) -> Tile:
    own, teacher = (evidence["latency"][who]["median"] for who in ("student", "teacher"))
    return Tile("Time to decide", f"{number(own)} µs", f"teacher {number(teacher)} µs: {_quicker(teacher, own)}")


def _quicker(before: float, after: float) -> str:
    ratio = times(before, after, "slower", "faster")
    return "about the same" if ratio == "about as many" else ratio


def _agreement(evidence: Mapping[str, Any]) -> Tile:
    found = evidence["agreement"]
    if found["kind"] == "choices":
        return Tile("Same action", percent(found["same"]), "of the states that the student comes through")
    relative = [one["relative"] for one in found["dimensions"] if one["relative"] is not None]
    if not relative:
        mean = sum(one["difference"] for one in found["dimensions"]) / len(found["dimensions"])
        return Tile("Actions differ by", number(mean), "on average, where the student goes")
    return Tile("Actions differ by", percent(sum(relative) / len(relative)), "of their range, where the student goes")


def _divergence(evidence: Mapping[str, Any]) -> Tile:
    own = evidence["divergence"]["student"]
    return Tile("KL(teacher‖student)", number(own), "nats a decision, where the student goes; 0 is a perfect copy")


def _training(result: Result) -> Tile:
    seconds = f"{result.seconds:.1f} s" if result.seconds < 100 else f"{result.seconds / 60:.0f} min"
    return Tile("Training", seconds, f"{result.env_steps:,} environment steps, {result.updates:,} updates")
