"""The configuration of staged training: what all stages have in common, and a table for each.

Nothing heavy is imported here: the command line reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from understudy.errors import ConfigurationError, UnderstudyError, nearest, said_of
from understudy.methods.anchor import Anchor
from understudy.methods.anchor import parse as parse_weight
from understudy.methods.ppo import option_problems
from understudy.policies.spec import parse as parse_student
from understudy.runs.fields import build, option, plain, problems, refuse, settle, toml_text
from understudy.runs.option_texts import parse_device, parse_env_args
from understudy.runs.tasks.config import read_tables

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
FILE = "stages.toml"
LAST, FRESH = "last", "fresh"
TAKEN = (LAST, FRESH, FILE, "result.json", "provenance.json")
"""Names that a stage cannot have: they mean something else where a stage is named, or lie beside its folder."""
GATED = 100  # states of a stage that tell a gate something
ROUND = 2048  # steps of all copies together


@dataclass(frozen=True)
class Stage:
    """One task of several. ``anchors`` and ``ppo`` are tables of their own in a file."""

    name: str = option("What the stage is called; its folder too.")
    env: str = option("Environment: a Gymnasium id, module:function, envpool:ID or vector:ID.")
    env_args: str = option("Keyword arguments of the environment, as JSON.", "", read=parse_env_args)
    wrap: tuple[str, ...] = option("Wrappers, innermost first.", ())
    steps: int = option("Budget of environment steps.", 300_000, within="[1, inf)")
    until: float | None = option(
        "Success: an evaluation's mean return, and the next one's. None: the whole budget.", None
    )
    if_missed: Literal["go-on", "stop"] = option("What follows a budget that ends before success.", "go-on")
    begin: str = option("What the policy goes on from: last, fresh, an earlier stage's name, or a run's folder.", LAST)
    distil: str = option("A student that the policy is distilled into first, such as mlp:64,64.", "")
    distil_steps: int = option("Budget of that distillation.", 100_000, within="[1, inf)")
    joint: tuple[str, ...] = option("Earlier stages whose tasks are trained on beside the new one.", ())
    share: float = option("Share of the copies that play them.", 0.5, within="(0, 1)")
    heads: Literal["one", "own"] = option("The last layer: the same as before, or a stage's own on one body.", "one")
    adapters: bool = option("Freeze what was learned, and add a column that reads it (progressive networks).", False)
    gate: bool = option("Who plays a task is picked state by state, by a gate that is fitted after the stage.", False)
    peers_on: tuple[str, ...] = option(
        "Stages whose tasks the second and further peers learn in place of this one's.", ()
    )
    critic: Literal["fit", "keep"] = option("A new critic, fitted first; or the last stage's.", "fit")
    teacher: str = option("A teacher whose values the critic begins with, in place of returns.", "")
    fit_rounds: int = option("Rounds in which the critic is fitted and the policy frozen.", 2, within="[0, inf)")
    std: float | None = option("Deviation that a Gaussian policy explores with again.", None, within="(0, inf)")
    entropy: float | None = option("Nats that one over discrete actions has at least again.", None, within="(0, inf)")
    guard: bool = option("Go back to the policy before, where the first updates lose its return.", True)
    store: int = option("States kept for later stages to be anchored on; 0: none.", 10_000, within="[0, inf)")
    anchors: tuple[Anchor, ...] = field(default=(), metadata={"help": "", "group": "", "within": "", "read": None})
    ppo: Mapping[str, Any] = field(default_factory=dict, metadata={"help": "", "group": "", "within": "", "read": None})

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Stage:
        """From keys and values; all problems in one error."""
        given = dict(values)
        anchors, ppo = given.pop("anchors", ()), given.pop("ppo", {})
        label = f"stage {given.get('name', '?')}"
        given = {name: plain(cls, name, value) for name, value in given.items()}
        missing = [f"{name} is missing" for name in ("name", "env") if name not in given]
        found = [*missing, *problems(cls, {k: v for k, v in given.items() if k not in ("anchors", "ppo")})]
        found += _anchor_problems(anchors) + option_problems(ppo)
        if not found and not NAME.fullmatch(given["name"]):
            found.append(f"name is letters, digits, '_', '-' and '.', got {given['name']!r}")
        refuse(found, label)
        with said_of(label):
            if given.get("distil"):
                parse_student(given["distil"])
            rows = tuple(one if isinstance(one, Anchor) else Anchor(**one) for one in anchors)
        return cls(**given, anchors=rows, ppo=dict(ppo))


def _anchor_problems(anchors: Any) -> list[str]:
    known = {entry.name for entry in fields(Anchor)}
    if not isinstance(anchors, Sequence) or isinstance(anchors, str):
        return [f"anchors is a list of tables, got {anchors!r}"]
    found = []
    for one in anchors:
        if isinstance(one, Anchor):
            continue
        if not isinstance(one, Mapping) or "policy" not in one:
            found.append(f"an anchor is a table with a policy: an earlier stage or a teacher's path; got {one!r}")
            continue
        found += [
            f"anchor {one['policy']}: unknown key {key!r}.{nearest(key, known)}" for key in one if key not in known
        ]
    return found


@dataclass(frozen=True)
class StagesConfig:
    """Everything that decides staged training."""

    stages: tuple[Stage, ...]
    student: str = option("The student of fresh stages.", "mlp:64,64:tanh", read=parse_student)
    own_std: bool = option("A Gaussian's deviations come from the network, and differ from state to state.", False)
    seed: int = option("Seed of everything.", 0, within="[0, inf)")
    copies: int = option("Copies of the environment that are played side by side.", 16, within="[1, inf)")
    peers: int = option("Students that learn each stage side by side, each near the others.", 1, within="[1, inf)")
    peer_weight: str = option("How near: the weight of the KL to each of them.", "linear:0.1:0", read=parse_weight)
    evaluations: int = option("Evaluations of every task so far, in each stage.", 10, within="[1, inf)")
    evaluation_episodes: int = option("Episodes of each.", 20, within="[2, inf)")
    final_episodes: int = option("Episodes of each cell of the table, behind every stage.", 100, within="[2, inf)")
    out: str = option("Folder.", "")
    device: str = option("PyTorch device.", "cpu", read=parse_device)
    threads: int = option("PyTorch threads.", 1, within="[1, inf)")
    report: bool = option("Write the training's page, report.html, at the end.", True)
    quiet: bool = option("Show nothing on the way.", False)
    ppo: Mapping[str, Any] = field(default_factory=dict, metadata={"help": "", "group": "", "within": "", "read": None})

    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "") -> StagesConfig:
        """From keys and values, ``stages`` among them: a list of tables, or of :class:`Stage`."""
        given = dict(values)
        tables, ppo = given.pop("stages", given.pop("stage", ())), given.pop("ppo", {})
        given = {name: plain(cls, name, value) for name, value in given.items()}
        found = problems(cls, {k: v for k, v in given.items() if k not in ("stages", "ppo")}) + option_problems(ppo)
        if not isinstance(tables, Sequence) or isinstance(tables, str) or not tables:
            found.append("there are no stages: write a [[stage]] for each, with a name and an env")
            tables = ()
        stages: list[Stage] = []
        for table in tables:
            try:
                stages.append(table if isinstance(table, Stage) else Stage.of(table))
            except UnderstudyError as error:
                found.append(str(error))
        stages = [_labelled(stage, [one.name for one in stages]) for stage in stages]
        found += _disagreements(stages) + _peers_disagree(stages, given.get("peers", 1))
        refuse(found, where)
        return cls(tuple(stages), **given, ppo=dict(ppo))

    @classmethod
    def from_toml(cls, path: str | Path, **overrides: Any) -> StagesConfig:
        """From a file; ``overrides`` win. Paths that it names are found from where the process runs."""
        return cls.of(read_tables(path) | overrides, str(path))

    def to_toml(self) -> str:
        """What :meth:`from_toml` reads."""
        lines = [*_lines(self, ("stages", "ppo")), *_table("ppo", self.ppo)]
        for stage in self.stages:
            lines += ["", "[[stage]]", *_lines(stage, ("anchors", "ppo")), *_table("stage.ppo", stage.ppo)]
            for anchor in stage.anchors:
                lines += ["", "[[stage.anchors]]", *_lines(anchor, ())]
        return "\n".join(lines) + "\n"

    def options(self, stage: Stage) -> dict[str, Any]:
        """PPO's options of a stage: its own over those of all; rounds are of one size for any number of copies."""
        return {"n_steps": max(1, ROUND // self.copies), **self.ppo, **stage.ppo}


def _labelled(stage: Stage, names: Sequence[str]) -> Stage:
    """With anchors to stages called as these are: a name such as v1.0 is no file's."""
    anchors = (replace(one, name=one.policy) if one.policy in names and not one.name else one for one in stage.anchors)
    return replace(stage, anchors=tuple(anchors))


def _disagreements(stages: Sequence[Stage]) -> list[str]:
    """What stages say of each other that cannot be."""
    found, names = [], [stage.name for stage in stages]
    for number, stage in enumerate(stages):
        before = names[:number]
        if stage.name in before:
            found.append(f"two stages are called {stage.name}")
        elif stage.name.lower() in (name.lower() for name in before):
            found.append(f"stage {stage.name} would share a folder where the case of letters does not count; rename it")
        if stage.name.lower() in TAKEN:
            found.append(f"no stage can be called {stage.name}, which means something else; choose another name")
        outside = stage.begin not in (LAST, FRESH, *before)
        if outside and not Path(stage.begin).is_dir():
            found.append(
                f"stage {stage.name}: begin is last, fresh, an earlier stage or a run's folder, got {stage.begin!r}"
            )
        for other in stage.joint:
            if other not in before:
                found.append(f"stage {stage.name}: joint names {other!r}, which is no earlier stage")
        goes_on = bool(before) and stage.begin != FRESH and not outside
        asked = [word for word, on in (("distil", stage.distil), ("heads own", stage.heads == "own")) if on]
        asked += ["adapters"] if stage.adapters else []
        if asked and not goes_on:
            found.append(f"stage {stage.name}: {asked[0]} needs an earlier stage to go on from")
        apart = next((word for word in asked if word != "distil"), None)
        if stage.joint and apart:
            found.append(
                f"stage {stage.name}: joint trains one policy on the earlier tasks too, and with {apart} these are "
                "played by others; leave one of the two out"
            )
        if len(asked) > 1:
            found.append(f"stage {stage.name}: {' and '.join(asked)} exclude each other; choose one")
        found += [f"stage {stage.name}: {text}" for text in _hand_over_disagrees(stage, before, outside)]
        if stage.heads == "own" and any(one.adapters for one in stages[:number]):
            found.append(f"stage {stage.name}: columns share no body that heads could sit on; use adapters again")
        found += [f"stage {stage.name}: {text}" for text in _gate_disagrees(stage, stages[: number + 1])]
        found += [f"stage {stage.name}: {text}" for text in _anchors_disagree(stage, before, names)]
    return found


def _hand_over_disagrees(stage: Stage, before: Sequence[str], outside: bool) -> list[str]:
    """What is said of going on that nothing would read, or that is of another policy."""
    found = []
    if outside and stage.critic == "keep":
        found.append(f"critic = 'keep', but {stage.begin} is no earlier stage; use critic = 'fit'")
    if not outside and (stage.begin == FRESH or not before or stage.adapters):
        said = [name for name in ("std", "entropy", "teacher") if getattr(stage, name)]
        said += ["critic = 'keep'"] if stage.critic == "keep" else []
        found += [f"{name} is for a policy that goes on, and here one begins anew; leave it out" for name in said]
    if stage.heads == "own" and stage.begin not in (LAST, FRESH, *before[-1:]) and not outside:
        found.append(
            f"heads = 'own' shares the body that stage {before[-1]} left, and begin = {stage.begin!r} goes on from "
            "another; leave begin out"
        )
    return found


def _peers_disagree(stages: Sequence[Stage], peers: Any) -> list[str]:
    """What is said of peers' tasks that cannot be."""
    names, found = [stage.name for stage in stages], []
    for stage in (one for one in stages if one.peers_on):
        found += [
            f"stage {stage.name}: peers_on names {other!r}, which is no stage"
            for other in stage.peers_on
            if other not in names
        ]
        if isinstance(peers, int) and len(stage.peers_on) >= peers:
            found.append(
                f"stage {stage.name}: {peers} peers, of which the first learns {stage.name}, cannot learn "
                f"{len(stage.peers_on)} other tasks; raise peers"
            )
        if stage.heads == "own" or stage.adapters:
            found.append(
                f"stage {stage.name}: peers on other tasks have one head; leave peers_on, heads or adapters out"
            )
    return found


def _gate_disagrees(stage: Stage, so_far: Sequence[Stage]) -> list[str]:
    if not stage.gate:
        return []
    found = [] if stage.heads == "own" or stage.adapters else ["a gate picks a head: say heads = 'own' or adapters"]
    few = [one for one in so_far if one.store < GATED]
    return found + [
        f"a gate learns from stored states: {one.name} has store = {one.store}, give it {GATED} at least" for one in few
    ]


def _anchors_disagree(stage: Stage, before: Sequence[str], names: Sequence[str]) -> list[str]:
    later = [one.policy for one in stage.anchors if one.policy in names and one.policy not in before]
    found = [f"anchor {name} is no earlier stage" for name in later]
    if stage.adapters and stage.anchors:
        found.append("adapters freeze what was learned, so that there is nothing to anchor; leave one of them out")
    return found


def _lines(one: Any, left_out: Sequence[str]) -> list[str]:
    values = {name: getattr(one, name) for name in (entry.name for entry in fields(one)) if name not in left_out}
    return [f"{name} = {_text(value)}" for name, value in values.items() if value is not None]


def _table(name: str, values: Mapping[str, Any]) -> list[str]:
    return ["", f"[{name}]", *(f"{key} = {_text(value)}" for key, value in values.items())] if values else []


def _text(value: Any) -> str:
    return toml_text(value if isinstance(value, bool | int | float | str | tuple) else str(value))


OVER = ("student", "seed", "copies", "device", "threads")
"""What the command line may say over a file."""


@dataclass(frozen=True)
class StagesOptions:
    """The command line's: a file, and what is said over it."""

    file: str = option("A TOML file with a [[stage]] for each stage.", "", positional=True)
    resume: str = option("Go on with the training in this folder.", "")
    out: str = option("Folder. Default: the file's, or runs/stages.", "")
    student: str | None = option("The student of fresh stages.", None, read=parse_student)
    seed: int | None = option("Seed of everything.", None, within="[0, inf)")
    copies: int | None = option("Copies of the environment side by side.", None, within="[1, inf)")
    device: str | None = option("PyTorch device.", None, read=parse_device)
    threads: int | None = option("PyTorch threads.", None, within="[1, inf)")
    report: bool = option("Write the training's page, report.html, at the end.", True)
    quiet: bool = option("Show nothing on the way.", False)

    def __post_init__(self) -> None:
        settle(self)
        if bool(self.file) == bool(self.resume):
            raise ConfigurationError(
                "stages takes a file to begin with, or --resume FOLDER to go on with what was stopped. "
                "`understudy stages FILE.toml`"
            )
        if self.resume and (self.out or any(getattr(self, name) is not None for name in OVER)):
            raise ConfigurationError("--resume goes on with a training as it was begun; leave the other options out")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> StagesOptions:
        """From keys and values; all problems are reported at once."""
        return build(cls, values)

    @property
    def config(self) -> StagesConfig:
        """The file's, with what was said over it."""
        said = {name: getattr(self, name) for name in OVER if getattr(self, name) is not None}
        said |= {"out": self.out} if self.out else {}
        flags = ({"quiet": True} if self.quiet else {}) | ({} if self.report else {"report": False})
        return StagesConfig.from_toml(self.file, **said, **flags)


GROUPS = {"": "what is trained"}
