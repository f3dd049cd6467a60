"""``understudy push``: a folder that is ready for the Hugging Face Hub; uploaded only when asked."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.envs.rollout import Episodes
from understudy.errors import EnvironmentFailure, ExportError, MissingExtra, RunError, UnderstudyError
from understudy.export.card import Card, Player
from understudy.export.command import Rejected, export
from understudy.export.config import ExportConfig
from understudy.export.public import Publication
from understudy.export.push_config import PushConfig
from understudy.export.upload import Uploaded, signed_in, upload
from understudy.export.video import write_mp4
from understudy.math.statistics import Interval, bootstrap_interval, worst_mean
from understudy.policies.student_file import unfinished
from understudy.runs.evidence import kept, latency, sizes
from understudy.runs.filming import Film, film
from understudy.runs.folder import RunFolder
from understudy.runs.judge import final_seeds
from understudy.runs.reopen import Reopened, reopen

PLAYERS = ("teacher", "student", "random")
COPIES = 20
CHECKED_STEPS = 500
MARK = "library_name: understudy"

Note = Callable[[str], None]


@dataclass(frozen=True)
class Pushed:
    """``reward``: mean_reward as the card has it. ``uploaded``: None where nothing was sent."""

    folder: Path
    files: tuple[str, ...]
    bytes: int
    reward: str
    notes: tuple[str, ...]
    uploaded: Uploaded | None
    commands: tuple[str, ...]

    def summary(self) -> str:
        """What is where, notes, and what is left to do."""
        lines = [
            f"Folder       {self.folder}: {', '.join(self.files)} ({self.bytes:,} bytes)",
            f"Card         mean_reward {self.reward}",
            *(f"Note         {note}" for note in self.notes),
        ]
        if self.uploaded is not None:
            return "\n".join([*lines, f"Uploaded     {self.uploaded.url} (commit {self.uploaded.commit[:10]})"])
        lines.append("Upload       nothing was sent. Look at the folder, then:")
        return "\n".join([*lines, *(f"             {command}" for command in self.commands)])


def run(config: PushConfig) -> int:
    """Make the folder, upload it if asked, and print what came of it; answers the exit code."""
    print(push(config).summary())
    return 0


def push(config: PushConfig, *, teacher: Any = None, env: Any = None) -> Pushed:
    """Make the folder, and upload it if ``config`` says so.

    ``teacher`` and ``env``: names or objects, in the place of the run's own.

    Raises: RunError for an unfinished run, or a folder that is in the way; ExportError where model.onnx does not act as
    the student; HubError where nobody is logged in (before anything is made or sent) or the Hub refuses.
    """
    torch.set_num_threads(1)  # the card says how long a decision takes on one
    folder = RunFolder.open(config.run)
    if not folder.result_path.is_file() or not (folder.student / "config.json").is_file():
        raise RunError(f"{unfinished(folder.path)}. Only finished runs can be shared")
    if config.upload:
        signed_in()
    notes: list[str] = []
    place = Path(config.out) if config.out else folder.path / "hub"
    _check_free(place)
    parts = _reopened(folder, config, notes.append, teacher, env)
    with tempfile.TemporaryDirectory(dir=_parent(place), prefix=".hub-") as scratch:
        made = Path(scratch) / "folder"
        reward = _fill(made, config, parts, notes.append)
        _check_free(place)
        shutil.rmtree(place, ignore_errors=True)
        made.replace(place)
    files = tuple(sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()))
    sent = upload(place, str(config.repo), config.private) if config.upload else None
    size = sum((place / file).stat().st_size for file in files)
    return Pushed(place, files, size, reward, tuple(notes), sent, _commands(config, place))


def _check_free(place: Path) -> None:
    """What lies there and was not made by an earlier push stays."""
    card = place / "README.md"
    ours = card.is_file() and MARK in card.read_text(encoding="utf-8", errors="replace")
    ours = ours and not any(entry.name == ".git" for entry in place.iterdir())  # a clone of an earlier one
    if place.is_file() or (place.is_dir() and any(place.iterdir()) and not ours):
        raise RunError(f"{place} is in the way: it was not made by `understudy push`. Choose another --out")


def _parent(place: Path) -> Path:
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write to {place.parent}: {error.strerror}. Choose another --out") from None
    return place.parent


def _reopened(folder: RunFolder, config: PushConfig, note: Note, teacher: Any, env: Any) -> Reopened:
    """The run's parts; without its teacher where that is gone."""
    try:
        other = "name it in Python: understudy.push(..., teacher=...)"
        return reopen(folder.path, teacher=teacher, env=env, trust=config.trust, other=other, note=note)
    except UnderstudyError as error:
        parts = reopen(folder.path, env=env, trust=config.trust, with_teacher=False)
        note(f"the card does not say how fast the teacher is: {error}")
        return parts


def _fill(made: Path, config: PushConfig, parts: Reopened, note: Note) -> str:
    """Write everything, the card last; answers mean_reward."""
    publication, players = Publication(parts.folder), _players(parts, note)
    (made / "student").mkdir(parents=True)
    texts = {
        "config.toml": publication.config_toml(),
        "result.json": publication.result(),
        "provenance.json": publication.provenance(),
        "student/config.json": publication.student(),
    }
    for name, text in texts.items():
        (made / name).write_text(text, encoding="utf-8")
    shutil.copyfile(parts.folder.student / "model.safetensors", made / "student" / "model.safetensors")
    rows = publication.rows()
    if rows is not None:
        (made / rows.name).write_text(publication.text(rows.read_text(encoding="utf-8")), encoding="utf-8")
    if config.onnx:
        _export(made / "model.onnx", config, parts.origin.env, publication, note)
    shown = _film(made / "replay.mp4", parts, players["student"].episodes, note) if config.video else ""
    card = _card(made, config, parts, publication, players, shown)
    (made / "README.md").write_text(publication.text(card.text()), encoding="utf-8")
    publication.check(made)
    _warn(parts, note)
    return players["student"].reward


def _players(parts: Reopened, note: Note) -> dict[str, Player]:
    """The three with their figures: those of the run, and where it was gathered what their files and time are."""
    result, known = parts.folder.result, kept(parts.folder) or {}
    size, time = known.get("bytes") or sizes(parts), known.get("latency") or {}
    played, found = _episodes(parts, note), {}
    for who in PLAYERS:
        micro = time.get(who, {}).get("median")
        if micro is None and who != "random" and (who == "student" or parts.teacher is not None):
            micro = latency(parts, who).median
        found[who] = Player(
            who,
            played[who],
            _interval(played[who], getattr(result, f"{who}_return"), getattr(result, f"{who}_interval")),
            worst_mean(played[who].returns),
            getattr(result, f"{who}_parameters", None),
            size.get(who),
            micro,
        )
    return found


def _interval(played: Episodes, mean: float, known: Interval | None) -> Interval:
    """The run's own, where these are its episodes."""
    if known is not None and np.isclose(played.returns.mean(), mean):
        return known
    return bootstrap_interval(played.returns, np.random.default_rng(0))


def _episodes(parts: Reopened, note: Note) -> dict[str, Episodes]:
    """Those of the final figures; of a run that kept none they are played again."""
    try:
        found = parts.folder.episodes()
        if found.keys() >= set(PLAYERS):
            return found
    except RunError:
        pass
    if not parts.config.teacher and parts.teacher is None:
        raise RunError(
            f"{parts.folder.path} learned from the actions in {parts.config.data}, and the card of a student tells "
            "what it kept of a teacher; name one when you distil, or upload its student/ yourself"
        )
    if parts.teacher is None:
        raise RunError(f"{parts.folder.path} has kept no episodes, and its teacher is gone: put the teacher back")
    seeds = final_seeds(parts.folder.result.episodes or parts.config.final_episodes)
    note(f"the run has kept no episodes: {len(seeds)} were played anew")
    with closing(parts.simulator(min(COPIES, len(seeds)))) as simulator:
        return {who: parts.play(who, simulator, seeds) for who in PLAYERS}


def _export(path: Path, config: PushConfig, env: Any, publication: Publication, note: Note) -> None:
    """model.onnx, checked; a file that acts otherwise than the student stops everything."""
    options: dict[str, Any] = {"run": config.run, "out": str(path), "steps": CHECKED_STEPS, "trust": config.trust}
    without = "To share the student without it: --no-onnx"
    try:
        note_lines = export(ExportConfig(**options), env, tell=publication.metadata).notes
    except MissingExtra as error:
        note(f"no model.onnx: {error}")
        return
    except Rejected as error:
        again = shlex.join(["understudy", "export", config.run, *["--trust"] * config.trust])
        raise ExportError(f"model.onnx: {error.fault}. For a look at it: {again}. {without}") from None
    except ExportError as error:
        raise ExportError(f"{error}. {without}") from None
    for line in note_lines:
        note(f"model.onnx: {line}")


def _film(path: Path, parts: Reopened, played: Episodes, note: Note) -> str:
    """The student's episode of middle return; answers what the film shows, nothing where there is none."""
    middle = int(np.argsort(played.returns, kind="stable")[len(played.returns) // 2])
    seed = final_seeds(len(played.returns))[middle]
    try:
        shown = film(parts, "student", seed)
        write_mp4(path, shown.frames, shown.fps)
    except (EnvironmentFailure, MissingExtra) as error:
        note(f"no replay.mp4: {error}")
        return ""
    return _shown(shown, int(played.lengths[middle]))


def _shown(shown: Film, length: int) -> str:
    """In words; ``length`` of the whole episode in steps."""
    episode = "the student's episode of middle return"
    if shown.whole:
        return f"{episode}, from beginning to end"
    seconds = (len(shown.frames) - 1) / shown.fps
    return f"the first {seconds:.0f} seconds of {episode}: {shown.length:,} of its {length:,} steps"


def _card(
    made: Path, config: PushConfig, parts: Reopened, publication: Publication, players: dict[str, Player], shown: str
) -> Card:
    facts = parts.folder.provenance
    described = (
        (facts.get("resolved") or {}).get("teacher") or parts.student.facts.get("teacher") or publication.teacher
    )
    return Card(
        config.repo or f"OWNER/{parts.folder.path.resolve().name}",
        replace(parts.folder.result, teacher=publication.teacher),
        publication.config(),
        publication.teacher,
        publication.text(described),
        facts,
        players,
        tuple(path.name for path in made.iterdir()),
        shown,
    )


def _warn(parts: Reopened, note: Note) -> None:
    """What whoever shares the student should think of first; the card says it too."""
    result = parts.folder.result
    if result.termination_trap:
        note(f"think twice before you share this student: {result.termination_trap}")
    elif not result.reached and result.recovered is not None:
        note(f"the student missed its target: {result.recovered:.1%} of {result.target:.0%}; the card says so")


def _commands(config: PushConfig, place: Path) -> tuple[str, ...]:
    """What would upload the folder."""
    repository = config.repo or "OWNER/NAME"
    words = ["understudy", "push", config.run, "--repo", repository, "--upload"]
    words += ["--private"] * config.private + (["--out", config.out] if config.out else [])
    words += ["--no-video"] * (not config.video) + ["--no-onnx"] * (not config.onnx) + ["--trust"] * config.trust
    log_in = "hf auth login          # once, or set HF_TOKEN"
    if config.repo is None:
        return log_in, f"{shlex.join(words)}    # puts the name into the card too"
    return log_in, shlex.join(words), f"hf upload {repository} {shlex.quote(str(place))} .    # the same by hand"
