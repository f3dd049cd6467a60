"""The folders of staged training: stages.toml, a run folder a stage, result.json.

A stage's own: stage.toml, provenance.json, metrics.jsonl, checkpoints/, student/, critic.safetensors,
stored.safetensors, result.json. As a teacher, or for `understudy evaluate`, it is named like any run.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from understudy.engines.reservoir import Reservoir
from understudy.errors import RunError
from understudy.policies.whole_files import write_whole
from understudy.runs.checkpoints import load, save
from understudy.runs.files import json_text
from understudy.runs.folder import LEFT, RunFolder
from understudy.runs.lock import Lock
from understudy.runs.provenance import surroundings
from understudy.stages.config import FILE, FRESH, LAST, Stage, StagesConfig


class StagesFolder:
    """Paths, and one process at a time."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock: Lock | None = None

    @classmethod
    def create(cls, config: StagesConfig) -> StagesFolder:
        """A new one for ``config``; RunError where something is there."""
        folder = cls(config.out or "runs/stages")
        if folder.path.is_file():
            raise RunError(f"{folder.path} is a file; choose another folder with --out")
        if folder.path.is_dir() and not all(LEFT.fullmatch(entry.name) for entry in folder.path.iterdir()):
            raise RunError(
                f"{folder.path} exists and is not empty; choose another --out, or go on with what is there: "
                f"understudy stages --resume {folder.path}"
            )
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.lock()
        except OSError as error:
            raise RunError(f"cannot create {folder.path}: {error.strerror}. Choose another --out") from None
        write_whole(folder.path / "provenance.json", json_text(surroundings() | {"seeds": {"run": config.seed}}))
        write_whole(folder.config_path, found_from_anywhere(config).to_toml())
        return folder

    @classmethod
    def open(cls, path: str | Path) -> StagesFolder:
        """An existing one."""
        if not (Path(path) / FILE).is_file():
            raise RunError(f"{path} holds no staged training: it has no {FILE}. `understudy stages FILE` makes one")
        return cls(path)

    def lock(self) -> None:
        """Keep other processes from writing until ``close``. RunError: one does."""
        self._lock = Lock(self.path / ".lock")

    def close(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def config_path(self) -> Path:
        return self.path / FILE

    @property
    def config(self) -> StagesConfig:
        """As it was begun, in the folder where it lies now."""
        return StagesConfig.from_toml(self.config_path, out=str(self.path))

    @property
    def result_path(self) -> Path:
        return self.path / "result.json"

    def stage(self, name: str) -> StageFolder:
        return StageFolder(self.path / name)


def found_from_anywhere(config: StagesConfig) -> StagesConfig:
    """With whole paths, for whoever goes on may do so from elsewhere."""

    def whole(text: Any) -> Any:
        return str(Path(text).resolve()) if isinstance(text, str) and text and Path(text).exists() else text

    names = [FRESH, LAST, *(stage.name for stage in config.stages)]

    def told(stage: Stage) -> Stage:
        anchors = tuple(one if one.policy in names else replace(one, policy=whole(one.policy)) for one in stage.anchors)
        begin = stage.begin if stage.begin in names else whole(stage.begin)
        return replace(stage, begin=begin, teacher=whole(stage.teacher), anchors=anchors)

    return replace(config, stages=tuple(told(stage) for stage in config.stages))


class StageFolder:
    """One stage's: a run folder's places, with a stage's own files."""

    def __init__(self, path: Path) -> None:
        self.path, self.run = path, RunFolder(path)

    @property
    def begun(self) -> bool:
        return (self.path / "stage.toml").is_file()

    @property
    def checkpoints(self) -> Path:
        return self.run.checkpoints

    @property
    def student(self) -> Path:
        return self.run.student

    @property
    def heads(self) -> Path:
        """Earlier stages' students as this stage left them, where they share its body."""
        return self.path / "heads"

    @property
    def result(self) -> dict[str, Any] | None:
        """None before the stage is over."""
        if not self.run.result_path.is_file():
            return None
        found = json.loads(self.run.result_path.read_text(encoding="utf-8"))
        return dict(found)

    def begin(self, text: str) -> None:
        """Write what it is begun as."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.run.provenance_path, json_text(surroundings()))
        write_whole(self.path / "stage.toml", text)

    def keep(self, name: str, state: dict[str, Any]) -> None:
        """A tree of arrays and plain data in a file of its own."""
        save(state, self.path / f"{name}.safetensors")

    def kept(self, name: str) -> dict[str, Any] | None:
        """What :meth:`keep` kept; None where there is nothing whole."""
        path = self.path / f"{name}.safetensors"
        return load(path) if path.is_file() else None

    def keep_facts(self, name: str, facts: dict[str, Any]) -> None:
        """Plain data in a file of its own."""
        write_whole(self.path / f"{name}.json", json_text(facts))

    def kept_facts(self, name: str) -> dict[str, Any] | None:
        """What :meth:`keep_facts` kept."""
        path = self.path / f"{name}.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def stored(self) -> Reservoir:
        """The states that were kept of the stage, with its policy's answers. RunError: there are none."""
        state = self.kept("stored")
        if state is None:
            raise RunError(f"{self.path} keeps no states: its stage had store = 0, or has not finished")
        found = Reservoir(1, np.random.default_rng(0))
        found.restore(state)
        return found

    def finish(self, facts: dict[str, Any]) -> None:
        """Write result.json, the sign that the stage is over; it needs no checkpoints any more."""
        write_whole(self.run.result_path, json_text(facts))
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        self.run.close()
