"""A run folder: the only interface between a run and whatever comes after it.

config.toml, provenance.json, metrics.jsonl, student/, checkpoints/, result.json.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from understudy.envs.rollout import Episodes
from understudy.errors import RunError
from understudy.policies.hub_names import hub_part, parse_hub
from understudy.policies.teachers import members_of
from understudy.policies.whole_files import write_whole
from understudy.runs.config import DistillConfig
from understudy.runs.files import json_text
from understudy.runs.lock import Lock
from understudy.runs.places import likely
from understudy.runs.provenance import provenance, surroundings
from understudy.runs.result import Result
from understudy.runs.sources import sha256

EXPORTS = "export/exports.json"
TASKS = "tasks.toml"  # in the folder of several tasks, whose run folders lie in its tasks/
STAGES, STAGE = "stages.toml", "stage.toml"  # in the folder of staged training, and in those of its stages
LEFT = re.compile(r"\.lock|provenance\.json|\..*\.tmp")  # what a run that is killed at once may leave


def default_name(config: DistillConfig) -> str:
    """``TEACHER-ENV-STUDENT-sSEED``, in letters that every file system takes."""
    stem = _stem(config.teacher or config.data or "")
    words = [stem, *([] if config.env in stem else [config.env]), config.student, f"s{config.seed}"]
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", "-".join(words)).strip("-.")


def _stem(teacher: str) -> str:
    remote = hub_part(teacher) if members_of(teacher) is None else None
    if remote is not None:
        return parse_hub(remote).title
    path = Path(teacher if Path(teacher).exists() else teacher.partition(":")[2] or teacher)
    return path.stem if path.suffix else path.name


class RunFolder:
    """Paths of a run and what writes them, one process at a time; a run that exists is never written over."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._metrics: TextIO | None = None
        self._lock: Lock | None = None

    @classmethod
    def create(
        cls, config: DistillConfig, *, teacher: Any = None, env: Any = None, resolved: Mapping[str, Any] | None = None
    ) -> RunFolder:
        """A new folder for ``config``: ``config.out``, or the first free one of runs/NAME, runs/NAME-2, ...

        For provenance.json: ``teacher`` and ``env`` where they are objects, and what the run settled on.
        """
        path = Path(config.out) if config.out else _free(Path("runs") / default_name(config))
        if path.is_file():
            raise RunError(f"{path} is a file; choose another folder with --out")
        if path.is_dir() and not all(LEFT.fullmatch(entry.name) for entry in path.iterdir()):
            raise RunError(f"{path} exists and is not empty; choose another --out, or remove it")
        facts = provenance(config, teacher, env) | {"resolved": resolved}
        folder = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            folder.lock()
        except OSError as error:
            raise RunError(f"cannot create {path}: {error.strerror}. Choose another --out") from None
        write_whole(folder.provenance_path, json_text(facts))
        write_whole(folder.config_path, config.to_toml())  # the last, for it makes the folder a run
        return folder

    def lock(self) -> None:
        """Keep other processes from writing until ``close``. RunError: one does."""
        self._lock = Lock(self.path / ".lock")

    def go_on(self, metrics: int, env_steps: int) -> None:
        """Cut metrics.jsonl back to its first ``metrics`` bytes, and enter into provenance.json where and when."""
        with self.metrics_path.open("ab") as file:
            file.truncate(metrics)
        for half in self.path.glob(".*.tmp"):
            half.unlink()
        facts = self.provenance
        again = [*facts.get("resumed", []), {"env_steps": env_steps, **surroundings()}]
        write_whole(self.provenance_path, json_text(facts | {"resumed": again}))

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing one."""
        folder = cls(path)
        if (folder.path / TASKS).is_file():
            names = ", ".join(sorted(one.name for one in (folder.path / "tasks").iterdir()))
            raise RunError(
                f"{path} holds several tasks, each a run of its own: name one, {path}/tasks/NAME, of {names}"
            )
        if (folder.path / STAGES).is_file():
            names = ", ".join(sorted(one.parent.name for one in folder.path.glob(f"*/{STAGE}"))) or "none yet"
            raise RunError(
                f"{path} holds staged training, and a folder for each stage ({names}). `understudy stages --resume "
                f"{path}` goes on with it, or prints its table; `understudy report {path}` writes its page"
            )
        if (folder.path / STAGE).is_file():
            above = folder.path.resolve().parents
            whole = next((one for one in above if (one / STAGES).is_file()), folder.path.parent)
            raise RunError(
                f"{path} is a stage of staged training and was not distilled from a teacher. evaluate, export, compare "
                f"with --env and distill (as a teacher) take it; `understudy report {whole}` writes the page of all "
                f"stages, and `understudy stages --resume {whole}` goes on with it, or prints its table"
            )
        if not folder.config_path.is_file():
            why = "it has no config.toml" if folder.path.is_dir() else "there is no such folder"
            raise RunError(f"{path} is no run folder: {why}. `understudy distill ... --out {path}` makes one")
        return folder

    def exports(self) -> dict[str, dict[str, Any]]:
        """What was exported of this student, by the files' names; see :meth:`note_export`."""
        try:
            found = json.loads((self.path / EXPORTS).read_text(encoding="utf-8"))
            return found["files"] if found["student"] == sha256(self.student) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def note_export(self, name: str, facts: dict[str, Any]) -> None:
        """Remember a file: ``what`` it is, its ``bytes``, the ``median`` microseconds of a decision, what it earned."""
        (self.path / EXPORTS).parent.mkdir(parents=True, exist_ok=True)
        files = self.exports() | {name: facts}
        write_whole(self.path / EXPORTS, json_text({"student": sha256(self.student), "files": files}))

    @property
    def config_path(self) -> Path:
        return self.path / "config.toml"

    @property
    def provenance_path(self) -> Path:
        return self.path / "provenance.json"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def metrics_size(self) -> int:
        """Bytes of metrics.jsonl."""
        return self.metrics_path.stat().st_size if self.metrics_path.is_file() else 0

    @property
    def result_path(self) -> Path:
        return self.path / "result.json"

    @property
    def student(self) -> Path:
        return self.path / "student"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def evidence(self) -> Path:
        """What pages show: figures, episodes and pictures, gathered after the training."""
        return self.path / "evidence"

    @property
    def episodes_path(self) -> Path:
        """The episodes behind the final figures."""
        return self.evidence / "episodes.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the run came from; empty where its file is missing or damaged."""
        try:
            found = json.loads(self.provenance_path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def config(self) -> DistillConfig:
        """As it was begun; a method's file is named where it lies now, for without it nothing can be checked."""
        return DistillConfig.from_toml(self.config_path, **self._own_rows())

    def _own_rows(self) -> dict[str, str]:
        """The method of config.toml where it is a file's; any other, and what is wrong there, is for others to read."""
        try:
            method = str(tomllib.loads(self.config_path.read_text(encoding="utf-8")).get("method"))
        except (OSError, ValueError):
            return {}
        if ".toml" not in method or hub_part(method) is not None:
            return {}
        return {"method": likely(method, (self.provenance.get("code") or {}).get("method") or {})}

    @property
    def result(self) -> Result:
        """RunError where the run has not finished."""
        if not self.result_path.is_file():
            raise RunError(
                f"{self.path} has no result.json: the run has not finished. Go on with it: "
                f"understudy distill --resume {self.path}"
            )
        return Result.from_json(self.result_path.read_text(encoding="utf-8"))

    def append(self, record: Mapping[str, Any]) -> None:
        """One line of metrics.jsonl, at once on disk."""
        if self._metrics is None:
            self._metrics = self.metrics_path.open("a", encoding="utf-8")
        self._metrics.write(json_text(record, indent=None))
        self._metrics.flush()

    def records(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line that a kill cut short is left out."""
        if not self.metrics_path.is_file():
            return []
        lines = self.metrics_path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def keep_episodes(self, seeds: Sequence[int], **players: Episodes) -> None:
        """The final episodes of ``teacher``, ``student`` and ``random``, in the order of their seeds."""
        self.evidence.mkdir(exist_ok=True)
        played = {
            who: {part: values.tolist() for part, values in one._asdict().items()} for who, one in players.items()
        }
        write_whole(self.episodes_path, json_text({"seeds": list(seeds), **played}, indent=None))

    def episodes(self) -> dict[str, Episodes]:
        """What :meth:`keep_episodes` kept, by who played. RunError where there is nothing to read."""
        try:
            found = json.loads(self.episodes_path.read_text(encoding="utf-8"))
            return {who: _episodes(parts) for who, parts in found.items() if who != "seeds"}
        except FileNotFoundError:
            raise RunError(f"{self.path} has no {self.episodes_path.name}: the run has not finished") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{self.episodes_path} cannot be read ({error}); run the distillation again") from None

    def finish(self, result: Result) -> None:
        """Write result.json, the sign that a run is whole; it needs no checkpoints any more."""
        write_whole(self.result_path, result.to_json())
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        self.close()

    def close(self) -> None:
        if self._metrics is not None:
            self._metrics.close()
            self._metrics = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _episodes(parts: Mapping[str, Any]) -> Episodes:
    return Episodes(
        np.array(parts["returns"], float), np.array(parts["lengths"], int), np.array(parts["terminated"], bool)
    )


def _free(path: Path) -> Path:
    number, found = 2, path
    while found.exists():
        found, number = path.with_name(f"{path.name}-{number}"), number + 1
    return found
