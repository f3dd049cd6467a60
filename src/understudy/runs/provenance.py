"""Where a result comes from: versions, machine, command, seeds, and the hashes of what was read."""

from __future__ import annotations

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
from understudy.policies.teachers import members_of
from understudy.runs.config import DistillConfig
from understudy.runs.judge import final_seeds, stopping_seeds
from understudy.runs.sources import code, is_name, sources, uri_of

CHECKOUT = Path(understudy.__file__).resolve().parents[2]
"""The repository that this package runs from, where it runs from one."""

PACKAGES = ("torch", "gymnasium", "numpy", "safetensors", "stable-baselines3", "sb3-contrib", "onnxruntime", "envpool")


def provenance(config: DistillConfig, teacher: Any = None, env: Any = None) -> dict[str, Any]:
    """Plain data for provenance.json; ``teacher`` and ``env`` are objects that stood for the configuration's names."""
    given = config.teacher if teacher is None else teacher
    members = members_of(given)
    sets = stopping_seeds(config.seed, config.evaluation_episodes)
    final = final_seeds(config.final_episodes)
    return surroundings() | {
        "repeatable_from_config": env is None and all(map(is_name, [given] if members is None else members)),
        "seeds": {"run": config.seed, "stopping": [_ends(one) for one in sets], "final": _ends(final)},
        "env": config.env if env is None else uri_of(env),
        **sources(config, given),
        "code": code(config, env),
    }


def surroundings() -> dict[str, Any]:
    """What runs here and now."""
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
        "understudy_git": git_commit(CHECKOUT) if (CHECKOUT / ".git").exists() else None,
    }


def differences(facts: dict[str, Any]) -> list[str]:
    """What of that which decides bits is not as it was when provenance.json was written."""
    now = surroundings()
    before, after = ({**one, **one.get("packages", {})} for one in (facts, now))
    names = ("understudy", "python", "torch", "gymnasium", "numpy", "processor")
    return [f"{name} {before.get(name)}, now {after[name]}" for name in names if before.get(name) != after[name]]


def _ends(seeds: range) -> list[int]:
    """First and last."""
    return [seeds[0], seeds[-1]]


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
