"""A student as an ONNX file, and the file in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.errors import ExportError, MissingExtra
from understudy.export.as_torch import Stepped, first_line, program, quiet
from understudy.export.deployed import Deployed, surroundings
from understudy.export.formats import Facts, Written
from understudy.policies.onnx_session import open_session, require_exporter, tidy
from understudy.policies.student import Student

PURPOSE = "--format onnx"
OPSET = 20


def write(student: Student, path: Path, facts: Facts, opset: int | None = None) -> Written:
    """One file, its weights inside, its facts in ``metadata_props``; ``opset``: the version of ONNX's operators."""
    require_exporter(PURPOSE)
    deployed = Deployed(student)
    _converted(program(deployed), deployed, opset or OPSET).save(str(path), external_data=False)
    tidy(path, facts, PURPOSE)
    return Written((path,), surroundings(student))


def _converted(traced: torch.export.ExportedProgram, deployed: Deployed, opset: int) -> Any:
    try:
        with quiet():
            return torch.onnx.export(
                traced,
                input_names=deployed.inputs,
                output_names=deployed.outputs,
                opset_version=opset,
                dynamo=True,
                verbose=False,
                external_data=False,
            )
    except Exception as error:  # the exporter has no common error
        raise ExportError(
            f"{deployed.student.description} cannot be written as ONNX ({first_line(error)}). Use --format torch"
        ) from error


def open_file(path: Path, student: Student) -> Stepped:
    """As ONNX Runtime reads it, on one thread."""
    try:
        session = open_session(path, PURPOSE)
    except MissingExtra:
        raise
    except Exception as error:  # onnxruntime has no common error
        raise ExportError(f"ONNX Runtime cannot open the exported file ({first_line(error)})") from error
    inputs = Deployed(student).inputs

    def run(feed: list[np.ndarray]) -> list[np.ndarray]:
        found: list[np.ndarray] = session.run(None, dict(zip(inputs, feed, strict=True)))
        return found

    return Stepped(student, run)
