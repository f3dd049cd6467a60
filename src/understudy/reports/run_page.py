"""The page of a run, from its folder and nothing else: one file with everything in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from understudy.errors import RunError
from understudy.policies.whole_files import write_whole
from understudy.reports import run_figures
from understudy.reports.glossary import RUN
from understudy.reports.page import render
from understudy.reports.recorded_words import told
from understudy.reports.run_figures import VISITORS
from understudy.reports.run_states import address, amounts, grids, parted, states
from understudy.reports.run_words import (
    bytes_text,
    headline,
    percent,
    shortened,
    tiles,
    value,
    valued,
    verdict,
    visited,
)
from understudy.reports.shown import shown
from understudy.reports.words import flat, number
from understudy.runs.evidence import kept
from understudy.runs.folder import TASKS, RunFolder
from understudy.runs.result import Result

SAME = "as the student, whose actions it takes"
NOTHING = "what was gathered from the policies at play is not in the run's folder"


@dataclass(frozen=True)
class Film:
    """Teacher and student at play. ``data`` and ``still`` are addresses that need no file."""

    data: str
    still: str
    caption: str
    alt: str


def write(folder: RunFolder, out: Path | None = None, missing: str = "", episodes: int | None = None) -> Path:
    """The page, in ``out`` or as the folder's ``report.html``; ``missing``: why no evidence could be gathered;
    ``episodes``: of so many that were played anew, None: of those of the run's result.

    Raises: RunError where the run is unfinished.
    """
    own, evidence, records = folder.result, kept(folder, episodes), folder.records()
    result = as_played(own, evidence)
    env = result.env or folder.config.env
    content = {
        "title": title(result, env),
        "site": "Understudy",
        "result": result,
        "headline": headline(result),
        "verdict": verdict(result),
        "subject": subject(result, env, own if result is not own else None) + _together(folder),
        "tiles": tiles(result, evidence),
        "warnings": [_optioned(text) for text in (*result.warnings, result.termination_trap) if text],
        "missing": "" if evidence else missing or NOTHING,
        "path": shlex.quote(str(folder.path)),
        "rows": rows(result, evidence),
        "files": files(folder),
        "returns": shown(run_figures.returns(result)),
        "visitations": visitations(result, evidence),
        "visited": visited(evidence),
        "divergences": shown(run_figures.divergences(records)),
        "glossary": RUN,
        "evidence": evidence,
        **_learned(records, result),
        **(_seen(folder, evidence, env) if evidence else {}),
        **made(folder, result),
        **(told(result, evidence, records) if result.data else {}),
    }
    page = folder.report if out is None else out
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_whole(page, render("run.html", **content))
    except OSError as error:
        raise RunError(f"cannot write {page}: {error.strerror}. Choose another file with --out") from None
    return page


def _learned(records: Sequence[Mapping[str, Any]], result: Result) -> dict[str, Any]:
    """What happened while the student learned."""
    return {
        "learning": shown(run_figures.learning(records, result)),
        "trained": bool(records),
        "evaluations": [one for one in records if one.get("kind") == "evaluation"],
        "taken": f"{result.env_steps:,} environment steps",
    }


def _seen(folder: RunFolder, evidence: Mapping[str, Any], env: str) -> dict[str, Any]:
    """What only the evidence tells."""
    agreement = evidence["agreement"]
    choices = agreement["kind"] == "choices"
    return {
        "episodes": shown(run_figures.episodes(evidence["players"])),
        "agreement": agreement,
        "valued": valued(evidence["action_values"]),
        "shortened": shortened(evidence["looked"]["actions"]),
        "grids": grids(agreement, env) if choices else [],
        "parted": parted(agreement, env) if choices else "",
        "amounts": amounts(agreement, env) if not choices else [],
        "scatter": shown(run_figures.scatter(agreement, env)) if not choices else [],
        "states": states(folder, evidence, env),
        "film": _film(folder, evidence["film"]),
    }


def _film(folder: RunFolder, facts: Mapping[str, Any]) -> Film | str:
    """Teacher and student at play, or in a line why there is nothing to see."""
    if facts.get("missing"):
        return str(facts["missing"])
    data, still = (address(folder.evidence / facts[name]) for name in ("file", "still"))
    if not data:
        return f"{facts['file']} is no longer in the run's folder. `understudy report RUN --fresh` films it again."
    told = [
        f"the {who} on the {side}: {_played(facts[who])}" for who, side in (("teacher", "left"), ("student", "right"))
    ]
    caption = (
        f"The same seed, {facts['seed']}, for both; {'; '.join(told)}. It is the seed of the teacher's middle return, "
        "neither of its best nor of its worst."
    )
    return Film(data, still, caption, f"Teacher and student playing side by side; {'; '.join(told)}.")


def _played(facts: Mapping[str, Any]) -> str:
    end = "" if facts["whole"] else " so far, where the film is cut"
    return f"return {number(facts['episode_return'])} in {facts['length']:,} steps{end}"


@dataclass(frozen=True)
class Row:
    """A policy in the table of all figures; texts."""

    name: str
    returns: str
    worst: str
    length: str
    ended: str
    parameters: str
    file: str
    latency: str


def rows(result: Result, evidence: Mapping[str, Any] | None) -> list[Row]:
    """Teacher, student and random policy."""
    found = [_row(who, result, evidence) for who in ("teacher", "student", "random")]
    return [one for one in found if one.returns or one.name == "student"]


def _row(who: str, result: Result, evidence: Mapping[str, Any] | None) -> Row:
    told = evidence or {}
    player = told.get("players", {}).get(who, {})
    size, time = told.get("bytes", {}).get(who), told.get("latency", {}).get(who)
    length, worst = getattr(result, f"{who}_length"), getattr(result, f"{who}_worst_5_percent", None)
    worst = player.get("worst_5_percent") if worst is None else worst
    ended = player.get("terminated")
    return Row(
        who,
        value(getattr(result, f"{who}_return"), getattr(result, f"{who}_interval")),
        "" if worst is None else number(worst),
        "" if length is None else number(length),
        "" if not ended else percent(sum(ended) / len(ended)),
        f"{count:,}" if (count := getattr(result, f"{who}_parameters", 0)) else "",
        "" if size is None else bytes_text(size),
        "" if time is None else f"{number(time['median'])} µs",
    )


@dataclass(frozen=True)
class File:
    """An exported file in the table of files; texts."""

    name: str
    what: str
    size: str
    latency: str
    returns: str


def files(folder: RunFolder) -> list[File]:
    """What ``understudy export`` has written of this student."""
    found = []
    for name, one in folder.exports().items():
        earned = one.get("earned")
        returns = (
            f"{value(earned['mean'], (earned['low'], earned['high']))}, {one['episodes']} episodes" if earned else ""
        )
        found.append(File(name, one["what"], bytes_text(one["bytes"]), f"{number(one['median'])} µs", returns or SAME))
    return found


def as_played(result: Result, evidence: Mapping[str, Any] | None) -> Result:
    """The result; where the evidence's episodes were played anew, with their figures in place of its own."""
    if evidence is None or not evidence["anew"]:
        return result
    changed: dict[str, Any] = {"episodes": len(evidence["players"]["student"]["returns"])}
    for who, player in evidence["players"].items():
        changed |= {f"{who}_return": player["mean"], f"{who}_interval": tuple(player["interval"])}
        changed[f"{who}_length"] = sum(player["lengths"]) / len(player["lengths"])
        changed |= {f"{who}_worst_5_percent": player["worst_5_percent"]} if who != "random" else {}
    share = evidence["recovered"]
    changed |= {"recovered": share and share["point"], "recovered_interval": share and tuple(share["interval"])}
    return replace(result, **changed)


def visitations(result: Result, evidence: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """KL(teacher‖student) where each of the three goes; of a run without evidence as its training measured it last."""
    known = evidence["divergence"] if evidence else {who: result.extra.get(f"kl_{who}") for who in VISITORS}
    return [(who, known[who]) for who in VISITORS if evidence or known[who] is not None]


def subject(result: Result, env: str, own: Result | None = None) -> str:
    """What was done, in a sentence or two; ``own``: the run's result, where the figures are of other episodes."""
    name = _name(result.teacher)
    teacher = f"`{name}`, a policy that was trained before," if name else "A policy that was trained before"
    episodes, more = f"{result.episodes} episodes that had no part in its training", ""
    if own:
        episodes = f"{result.episodes} episodes that were played anew for this page, and had no part in its training"
        more = f" The run's own figures, over {own.episodes} episodes, are in its `result.json`."
    return (
        f"{teacher} plays `{env}`. From it a student (`{result.student}`) was distilled with {result.method}: in "
        f"{result.env_steps:,} steps of the environment it learned to act as the teacher does. Below is what it kept, "
        f"measured on {episodes}.{more}"
    )


def _tasks(folder: RunFolder) -> dict[str, float]:
    """All tasks of a student of several, with their weights."""
    found: dict[str, float] = (folder.provenance.get("resolved") or {}).get("tasks") or {}
    return found


def _together(folder: RunFolder) -> str:
    """With which other tasks it was learned; empty for one alone."""
    others = [name for name in _tasks(folder) if name != folder.path.resolve().name]
    if not _tasks(folder):
        return ""
    return (
        f" It was learned together with {', '.join(others)}, with which it shares layers; the times are those of all."
    )


def _name(teacher: str) -> str:
    """The file's name without its folders."""
    return ", ".join(Path(one).name for one in teacher.split(",")) if teacher else ""


def _optioned(text: str) -> str:
    """With backticks around options of the command line."""
    return re.sub(r"(?<![`\w])--[a-z][a-z-]*(?: [a-z]+(?::\d+)?)?", r"`\g<0>`", text)


def title(result: Result, env: str) -> str:
    """Whose student it is, and where it plays."""
    stem = ", ".join(Path(one).stem for one in result.teacher.split(",")) or "a teacher"
    return f"A student of {stem}" + ("" if env in stem else f" on {env}")


def made(folder: RunFolder, result: Result) -> dict[str, Any]:
    """How the run was made: command, configuration, versions and seeds."""
    facts = folder.provenance
    whole = folder.path.parent.parent
    config, out = (whole / TASKS, whole) if _tasks(folder) else (folder.config_path, folder.path)
    again = shlex.join(["understudy", "distill", "--config", str(config), "--out", f"{out}-again"])
    return {
        "command": str(facts.get("command") or ""),
        "again": again if facts.get("repeatable_from_config", True) else "",
        "stopped": result.stopped_because,
        "config": folder.config_path.read_text(encoding="utf-8").strip(),
        "facts": list(_facts(facts)),
        "resolved": list(flat("", facts.get("resolved") or {})),
        "costs": [
            ("training", f"{result.seconds:.1f} s"),
            ("evaluations during training", f"{result.evaluation_seconds:.1f} s"),
            ("final episodes", f"{result.final_seconds:.1f} s"),
            ("in all", f"{result.total_seconds:.1f} s"),
        ],
    }


def _facts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Provenance in lines, without what is shown elsewhere."""
    yield from flat("", {key: one for key, one in facts.items() if key not in ("resolved", "command")})
