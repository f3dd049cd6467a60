"""A student on disk: ``model.safetensors`` beside ``config.json``. Reading one runs no code."""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from understudy.errors import RunError, TeacherError, UnderstudyError
from understudy.math.distributions import Family
from understudy.policies.hub import fetch
from understudy.policies.hub_names import hub_part
from understudy.policies.progressive import ProgressiveStudent
from understudy.policies.spec import parse
from understudy.policies.student import Student
from understudy.policies.whole_files import write_atomically, write_whole

FORMAT = 1


def save_student(student: Student, folder: Path, **facts: Any) -> None:
    """Write both files; ``facts`` (environment, wrappers, views, gamma) come back as ``student.facts``."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous().clone() for key, value in student.state_dict().items()}
    write_atomically(folder / "model.safetensors", lambda path: save_file(state, path))
    config = {
        "format": FORMAT,
        **_kind(student),
        "family": {"kind": student.family.kind, "sizes": list(student.family.sizes)},
        "state_dependent_std": student.state_dependent_std,
        "has_value": student.has_value,
        "temperature": student.temperature,
        "observation_space": space_to_json(student.observation_space),
        "action_space": space_to_json(student.action_space),
        "facts": facts,
    }
    text = json.dumps(config, indent=2) + "\n"
    write_whole(folder / "config.json", text)


def load_student(path: str | Path) -> Student:
    """The student of a run folder, of a folder that holds ``model.safetensors`` and ``config.json``, or of ``hf://...``.

    Returns a :class:`Student` in evaluation mode, with ``facts`` as saved. RunError: no student there, or damaged.
    """
    remote = hub_part(str(path))
    folder = Path(path) if remote is None else fetch(remote)
    folder = folder / "student" if (folder / "student" / "config.json").exists() else folder
    if (folder / "config.toml").exists():
        raise RunError(unfinished(folder))
    if not (folder / "config.json").exists() or not (folder / "model.safetensors").exists():
        held = runs_within(folder)
        if held:
            raise RunError(f"{path} holds no student of its own; name one of the runs in it, such as {held[0]}")
        raise RunError(f"{path} holds no student: expected model.safetensors and config.json in it or in its student/")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        student = _built(config, folder)
        student.load_state_dict(load_file(folder / "model.safetensors"))
        student.facts = dict(config.get("facts", {}))
    except RunError:
        raise
    except (UnderstudyError, KeyError, TypeError, ValueError, SafetensorError, RuntimeError, OSError) as error:
        raise RunError(f"the student in {folder} is damaged ({error}); distil it again, or restore the files") from None
    student.eval()
    for parameter in student.parameters():
        parameter.requires_grad_(False)
    return student


def runs_within(folder: Path) -> list[Path]:
    """The run folders in one of several tasks or stages."""
    return sorted(one.parent.parent for each in ("*", "tasks/*") for one in folder.glob(f"{each}/student/config.json"))


def _kind(student: Student) -> dict[str, Any]:
    """What says which network it is; a version that knows no columns refuses it by ``student``."""
    if not isinstance(student, ProgressiveStudent):
        return {"student": str(student.spec)}
    columns = {"columns": student.columns, "column": str(student.spec)}
    return {"kind": "progressive", "student": student.description, **columns}


def _built(config: dict[str, Any], folder: Path) -> Student:
    """A new student as a config.json describes it."""
    spaces_and_family = (
        space_from_json(config["observation_space"]),
        space_from_json(config["action_space"]),
        Family(config["family"]["kind"], tuple(config["family"]["sizes"])),
    )
    std, kind = config["state_dependent_std"], config.get("kind", "student")
    if kind not in ("student", "progressive"):
        raise RunError(f"the student in {folder} is a {kind!r}, of a later version of Understudy; update this one")
    if kind == "progressive":
        spec, columns = parse(config["column"]), int(config["columns"])
        return ProgressiveStudent(*spaces_and_family, spec, columns=columns, state_dependent_std=std)
    return Student(
        *spaces_and_family,
        parse(config["student"]),
        state_dependent_std=std,
        with_value=config["has_value"],
        temperature=config.get("temperature"),
    )


def unfinished(folder: Path) -> str:
    """What to say of a run folder without a student."""
    return (
        f"{folder} is an unfinished run: it has a config.toml and no student. Go on with it: "
        f"understudy distill --resume {folder}"
    )


def space_to_json(space: gymnasium.Space[Any]) -> dict[str, Any]:
    """A space as plain data; bounds that are all alike are written once."""
    if isinstance(space, spaces.Dict):
        return {"type": "Dict", "spaces": {key: space_to_json(part) for key, part in space.items()}}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.n)}
    if isinstance(space, spaces.Box):
        return {
            "type": "Box",
            "shape": list(space.shape),
            "dtype": str(space.dtype),
            "low": _bound(space.low),
            "high": _bound(space.high),
        }
    raise TeacherError(f"spaces of the kind {type(space).__name__} are not supported: {space}")


def _bound(bound: np.ndarray) -> Any:
    first = bound.flat[0] if bound.size else 0
    return _text(first) if bound.size == 0 or (bound == first).all() else [_text(x) for x in bound.ravel()]


def _text(x: Any) -> Any:
    """JSON has no infinity."""
    return float(x) if np.isfinite(x) else str(float(x))


def space_from_json(data: dict[str, Any]) -> gymnasium.Space[Any]:
    """The inverse of :func:`space_to_json`."""
    kind = data["type"]
    if kind == "Dict":
        # Gymnasium would sort the keys of a plain dict, and the student's inputs with them
        return spaces.Dict(OrderedDict((key, space_from_json(part)) for key, part in data["spaces"].items()))
    if kind == "Discrete":
        return spaces.Discrete(data["n"], start=data["start"])
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(np.array(data["nvec"]), start=np.array(data["start"]))
    if kind == "MultiBinary":
        return spaces.MultiBinary(data["n"])
    if kind != "Box":
        raise ValueError(f"unknown space {kind!r}")
    shape, dtype = tuple(data["shape"]), np.dtype(data["dtype"])
    low, high = (
        np.broadcast_to(np.array(b, dtype=float).reshape(-1), (int(np.prod(shape)),)).reshape(shape).astype(dtype)
        if isinstance(b, list)
        else np.full(shape, float(b)).astype(dtype)
        for b in (data["low"], data["high"])
    )
    return spaces.Box(low, high, shape, dtype)
