"""``understudy export``: write a student as a file, check that it acts the same, and time it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

import understudy
from understudy.envs.of_gym import make
from understudy.envs.simulator import Simulator, take
from understudy.envs.views import EVERYTHING, View
from understudy.envs.wrappers import check_spaces
from understudy.errors import ExportError, RunError
from understudy.export import as_onnx
from understudy.export.config import ExportConfig
from understudy.export.deployed import Deployed, in_units
from understudy.export.footprint import Footprint, footprint
from understudy.export.formats import FORMATS, Format, Opened
from understudy.export.parity import Parity, Seen, compare, observe
from understudy.export.quantised import Quantised, quantised
from understudy.policies.gated import load_policy
from understudy.policies.policy import tensors
from understudy.policies.student import Student
from understudy.policies.student_file import space_to_json
from understudy.runs.brought import brought
from understudy.runs.code_named import in_env
from understudy.runs.folder import RunFolder
from understudy.runs.latency import Latency, measure
from understudy.runs.option_texts import parse_env_args
from understudy.runs.reopen import reopen

SEED, PLAYED = 3_000_000, 4_000_000
COPIES = 4
OVERWRITE = "Name another with --out, or write over it with --force"

Tell = Callable[[dict[str, str]], dict[str, str]]


@dataclass(frozen=True)
class Exported:
    """What was written and how it compares with the student. ``bytes``: of all files."""

    files: tuple[Path, ...]
    format: str
    student: str
    parameters: int
    bytes: int
    parity: Parity
    latency: Latency
    student_latency: Latency
    env: str
    notes: tuple[str, ...]
    footprint: Footprint
    quantised: Quantised | None = None

    def summary(self) -> str:
        """Five lines, and one for each note."""
        parity, ours, theirs = self.parity, self.latency, self.student_latency
        ties = f", {parity.ties} ties" if parity.ties else ""
        within = f"actions within {parity.action:.1g}{ties}, parameters within {parity.parameters:.1g}"
        speed = f"{ours.median:.1f} µs a decision (95 % below {ours.p95:.1f})"
        lines = [
            f"Exported     {self.student} as {self.format}: {', '.join(map(str, self.files))}",
            f"Size         {self.bytes:,} bytes; {self.parameters:,} parameters, {self.footprint}",
            f"Same         on {parity.steps:,} decisions on {self.env}: {within}",
            f"Latency      {speed}; the student in PyTorch {theirs.median:.1f} µs; one thread, batch of 1",
            f"Use          {FORMATS[self.format].what}",
        ]
        lines += [f"8 bits       {self.quantised.line}"] if self.quantised else []
        return "\n".join([*lines, *(f"Note         {note}" for note in self.notes)])


class Rejected(ExportError):
    """A file that does not act as its student. ``fault``: in what, without a word on where the file is kept."""

    def __init__(self, fault: str, kept: Path, notes: Sequence[str]) -> None:
        hints = "".join(f". Note: {note}" for note in notes)
        super().__init__(f"{fault}. It is kept as {kept} for a look at it; do not deploy it{hints}")
        self.fault = fault


def run(config: ExportConfig) -> int:
    """Export, and print what came of it; answers the exit code."""
    found = export(config)
    _noted(Path(config.run), found)
    print(found.summary())
    return 0


def _noted(folder: Path, found: Exported) -> None:
    """Tell the run's folder, whose page shows its files."""
    if not (folder / "config.toml").is_file():
        return
    run = RunFolder(folder)
    first = {"what": f"{found.format}, float32", "bytes": found.bytes, "median": found.latency.median}
    run.note_export(found.files[0].name, first)
    if found.quantised is not None:
        small = found.quantised
        earned = {"earned": asdict(small.earned), "episodes": small.episodes}
        facts = {"what": "onnx, weights of 8 bits", "bytes": small.bytes, "median": small.latency.median}
        run.note_export(small.file.name, facts | earned)


def export(config: ExportConfig, env: Any = None, *, tell: Tell = dict) -> Exported:
    """Write, check and time. ``env`` may be a function that makes one environment.

    ``tell``: which of its facts the file tells, and how. The file comes to its place only once it was found to act as
    the student.

    Raises: ExportError where it cannot be written; Rejected where it does not act as the student: it is then kept as
    ``FILE.rejected``.
    """
    torch.set_num_threads(1)
    form = FORMATS[config.format]
    scene = _opened(config, env)
    try:
        check_spaces(*_both(scene), who="student", mend="Name the environment it was trained in (--env)")
        path = _place(config, form)
        seen = observe(scene.student, scene.simulator, scene.view, config.steps, SEED)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            return _exported(config, form, scene, path, seen, Path(folder), tell)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror or error}. Choose another --out") from error
    finally:
        scene.simulator.close()


def _exported(
    config: ExportConfig, form: Format, scene: Scene, path: Path, seen: Seen, folder: Path, tell: Tell
) -> Exported:
    """Write in ``folder``, check there, and move what is right to its place."""
    student = scene.student
    options = {option: getattr(config, option) for option in form.options}
    written = form.write(student, folder / path.name, tell(facts(student, scene.env, scene.env_args)), options)
    try:
        opened = form.open(folder / path.name, student)
        parity = compare(student, opened, seen)
    except ExportError as error:
        rejected = [one.replace(path.with_name(f"{one.name}.rejected")) for one in written.files]
        raise Rejected(str(error), rejected[0], written.notes) from None
    small = _quantised(config, scene, folder / path.name, seen) if config.int8 else None
    files = _moved((*written.files, *([small.file] if small else [])), path, form.strays(path), config.force)
    small = replace(small, file=files[-1]) if small else None
    files = files[: len(written.files)]
    return Exported(
        files, config.format, student.description, student.parameter_count, sum(one.stat().st_size for one in files),
        parity, *_times(student, opened, seen), scene.env, (*scene.notes, *written.notes), footprint(student), small,
    )  # fmt: skip


def _quantised(config: ExportConfig, scene: Scene, file: Path, seen: Seen) -> Quantised:
    seeds = range(PLAYED, PLAYED + config.episodes)
    return quantised(scene.student, file, scene.simulator, scene.view, seen, seeds, as_onnx.PURPOSE)


def _moved(files: Sequence[Path], path: Path, strays: Sequence[Path], force: bool) -> tuple[Path, ...]:
    """The files in their place; none of them where one is in the way."""
    places = tuple(path.with_name(one.name) for one in files)
    for one in (*places, *strays):
        if one.exists() and one not in places:
            alone = path.parent / path.stem / path.name
            raise ExportError(
                f"{one} would be taken for a part of the new file: give it a folder of its own, --out {alone}"
            )
        if one.exists() and not force:
            raise ExportError(f"{one} is there already. {OVERWRITE}")
    for file, place in zip(files, places, strict=True):
        with file.open("rb") as open_file:
            os.fsync(open_file.fileno())
        file.replace(place)
    return places


@dataclass(frozen=True)
class Scene:
    """A student, and where it is watched: its environment, what it sees of it, how both are called, and what is to be
    said of them."""

    student: Student
    simulator: Simulator
    view: View
    env: str
    env_args: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def _both(scene: Scene) -> tuple[Any, Any, Any, Any]:
    """The spaces of the student and of what it is shown."""
    shown = scene.view.space(scene.simulator.observation_space), scene.simulator.action_space
    return scene.student.observation_space, scene.student.action_space, *shown


def _opened(config: ExportConfig, env: Any) -> Scene:
    """The student of a run or of a bare folder on its stage."""
    folder, given = Path(config.run), config.env if env is None else env
    named: str | None = getattr(given, "__name__", None) or given
    more, notes = parse_env_args(config.env_args), list[str]()
    if folder.is_file():
        raise ExportError(f"{folder} is a file: name the run folder of a student, which `understudy distill` makes")
    if (folder / "config.toml").is_file():
        run = reopen(folder, env=given, trust=config.trust, with_teacher=False, note=notes.append)
        simulator, args = run.simulator(COPIES, **more), {**run.origin.env_kwargs, **more}
        name = str(named or run.folder.config.env)
        return Scene(in_units(run.student), simulator, run.views.student, name, args, tuple(notes))
    student = load_policy(folder)
    own: str = student.facts.get("env") or ""
    if given is None and not own:
        raise RunError(f"{folder} does not say what environment its student is for; name it with --env")
    if given is None and in_env(own) and not config.trust:
        raise RunError(f"{folder} names the environment {own!r}, which may run code. Name it yourself with --env")
    if given is None:
        more = parse_env_args(str(student.facts.get("env_args") or "")) | more
    wrappers, view = brought(student, (), "", "--env", config.trust) or ((), EVERYTHING)
    simulator = make(own if given is None else given, COPIES, wrappers=wrappers, env_kwargs=more)
    return Scene(in_units(student), simulator, view, str(named or own), more)


def _place(config: ExportConfig, form: Format) -> Path:
    """Where to write; what is there already stays, but with ``force``."""
    folder = Path(config.run)
    path = Path(config.out) if config.out else folder / "export" / f"{folder.resolve().name}{form.suffix}"
    if path.is_dir():
        raise ExportError(f"--out {path} is a folder; name a file in it, {path / f'student{form.suffix}'}")
    if path.suffix != form.suffix:
        raise ExportError(f"--out {path}: a file of --format {config.format} ends in {form.suffix}")
    if path.exists() and not config.force:
        raise ExportError(f"{path} is there already. {OVERWRITE}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot write to {path.parent}: {error.strerror}. Choose another --out") from None
    return path


def facts(student: Student, env: str, env_args: Mapping[str, Any] = MappingProxyType({})) -> dict[str, str]:
    """What a file says of itself, as texts."""
    deployed = Deployed(student)
    episode = "set memory to zeros at the start of an episode, then feed memory_out back" if student.memory_size else ""
    return {
        "understudy": understudy.__version__,
        "student": student.description,
        "env": env,
        "env_args": json.dumps(dict(env_args), default=str),
        "wrappers": json.dumps(list(student.facts.get("wrappers") or ())),
        "view": student.facts.get("view") or "",
        "gamma": json.dumps(student.facts.get("gamma")),
        "inputs": json.dumps(deployed.inputs),
        "outputs": json.dumps(deployed.outputs),
        "observation_space": json.dumps(space_to_json(student.observation_space)),
        "action_space": json.dumps(space_to_json(student.action_space)),
        "distribution": json.dumps({"kind": student.family.kind, "sizes": list(student.family.sizes)}),
        "memory": episode,
    }


def _times(student: Student, opened: Opened, seen: Seen) -> tuple[Latency, Latency]:
    """Of the file and of the student in PyTorch, on one observation."""
    one = take(seen.observation, (0, slice(1)))
    opened.begin()
    seen_once = tensors(one)
    width = student.memory_size
    lead = {k: v[None] for k, v in seen_once.items()} if isinstance(seen_once, dict) else seen_once[None]
    memory, start = torch.zeros(1, width), torch.zeros(1, 1, dtype=torch.bool)

    @torch.no_grad()
    def ours() -> Any:
        flat = student.flat(lead, memory, start)[0] if width else student.flat(seen_once)[0]
        return student.family(flat).mode()

    return measure(lambda: opened.act(one)), measure(ours)
