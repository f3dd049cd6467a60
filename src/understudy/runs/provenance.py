"""Where a result comes from: versions, machine, command, seeds, and the hashes of what was read."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import understudy
from understudy.runs.config import DistillConfig

PACKAGES = ("torch", "gymnasium", "numpy", "safetensors", "stable-baselines3", "sb3-contrib", "onnxruntime", "envpool")


def provenance(config: DistillConfig) -> dict[str, Any]:
    """Plain data for provenance.json."""
    return {
        "understudy": understudy.__version__,
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "command": shlex.join(sys.argv),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": git_commit(Path.cwd()),
        "seeds": {"run": config.seed},
        "teacher": file_facts(config.teacher),
        "vecnormalize": file_facts(config.vecnormalize) if config.vecnormalize else None,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def git_commit(folder: Path) -> str | None:
    """The commit checked out in ``folder``, ``-dirty`` where files differ from it; None outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def file_facts(uri: str) -> dict[str, Any]:
    """The name as given and, where it names files, their SHA-256."""
    path = Path(uri) if Path(uri).exists() else Path(uri.partition(":")[2])
    if str(path) == "." or not path.exists():
        return {"uri": uri, "sha256": None}
    return {"uri": uri, "sha256": sha256(path)}


def sha256(path: Path) -> str:
    """Of a file's bytes, or of the names and bytes of a student folder's files, in order."""
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(path.read_bytes())
        return digest.hexdigest()
    inner = path / "student" if (path / "student").is_dir() else path
    for file in sorted(inner.iterdir()):
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
