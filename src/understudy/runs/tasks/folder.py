"""The folder of several tasks: tasks.toml, tasks/NAME/ with a whole run folder each, checkpoints/, result.json."""

from __future__ import annotations

import shutil
from pathlib import Path

from understudy.errors import RunError
from understudy.policies.whole_files import write_whole
from understudy.runs.folder import LEFT, TASKS, RunFolder
from understudy.runs.lock import Lock
from understudy.runs.tasks.config import TasksConfig
from understudy.runs.tasks.result import TasksResult


class TasksFolder:
    """Paths, and one process at a time. The checkpoints of all tasks lie here, none in the tasks' own folders."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock: Lock | None = None

    @classmethod
    def create(cls, config: TasksConfig) -> TasksFolder:
        """A new one, which ``begun`` makes a run; RunError where something is there."""
        folder = cls(config.out)
        if folder.path.is_file():
            raise RunError(f"{folder.path} is a file; choose another folder with --out")
        if folder.path.is_dir() and not all(LEFT.fullmatch(entry.name) for entry in folder.path.iterdir()):
            raise RunError(f"{folder.path} exists and is not empty; choose another --out, or remove it")
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            folder.lock()
        except OSError as error:
            raise RunError(f"cannot create {folder.path}: {error.strerror}. Choose another --out") from None
        return folder

    @classmethod
    def open(cls, path: str | Path) -> TasksFolder:
        """An existing one."""
        if not is_of_tasks(path):
            raise RunError(f"{path} holds no run of several tasks: it has no {TASKS}")
        return cls(path)

    def begun(self, config: TasksConfig) -> None:
        """Written when every task has its folder."""
        write_whole(self.config_path, config.to_toml())

    def lock(self) -> None:
        """Keep other processes from writing until ``close``. RunError: one does."""
        self._lock = Lock(self.path / ".lock")

    @property
    def config_path(self) -> Path:
        return self.path / TASKS

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def result_path(self) -> Path:
        return self.path / "result.json"

    @property
    def config(self) -> TasksConfig:
        """As it was begun, in the folder where it lies now."""
        return TasksConfig.from_toml(self.config_path, out=str(self.path))

    @property
    def result(self) -> TasksResult:
        """RunError where the run has not finished."""
        if not self.result_path.is_file():
            raise RunError(
                f"{self.path} has no result.json: the run has not finished. Go on with it: "
                f"understudy distill --resume {self.path}"
            )
        return TasksResult.from_json(self.result_path.read_text(encoding="utf-8"))

    def task(self, name: str) -> RunFolder:
        """The run folder of one task."""
        return RunFolder.open(self.path / "tasks" / name)

    def finish(self, result: TasksResult) -> None:
        """Write result.json, the sign that all is whole; no checkpoints are needed any more."""
        write_whole(self.result_path, result.to_json())
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        self.close()

    def close(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def is_of_tasks(path: str | Path) -> bool:
    """Whether several tasks were begun there."""
    return (Path(path) / TASKS).is_file()
