"""A student as a ``torch.export`` program: a graph without Python, which ``torch.export.load`` reads."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.errors import ExportError
from understudy.export.deployed import Deployed, surroundings
from understudy.export.formats import Facts, Written
from understudy.policies.policy import Observation
from understudy.policies.student import Student

NOISY = ("root", "torch.onnx", "torch.export", "torch._export", "onnxscript")


def write(student: Student, path: Path, facts: Facts) -> Written:
    """A ``.pt2`` file whose extra files are the facts."""
    with quiet():
        torch.export.save(program(Deployed(student)), path, extra_files=dict(facts))
    return Written((path,), surroundings(student))


def program(deployed: Deployed) -> torch.export.ExportedProgram:
    """The traced graph, for batches of any size; without stack traces, which name the paths of this machine."""
    batch = torch.export.Dim("batch", min=1)
    example = deployed.example()
    try:
        with quiet(), torch.no_grad():
            traced = torch.export.export(deployed, example, dynamic_shapes=(tuple({0: batch} for _ in example),))
    except Exception as error:  # torch.export has no common error
        raise ExportError(
            f"{deployed.student.description} cannot be traced by torch.export ({first_line(error)}). This is a defect "
            "of ours: please report it"
        ) from error
    for node in traced.graph.nodes:
        node.meta.pop("stack_trace", None)
    return traced


def first_line(error: Exception) -> str:
    """An error's kind and the first line of what it says."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


@contextmanager
def quiet() -> Iterator[None]:
    """Without what PyTorch's exporters say of packages and of their own progress."""
    loggers = [logging.getLogger(name) for name in NOISY]
    before = [(one, one.level) for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in before:
            one.setLevel(level)


class Stepped:
    """A file that is run step by step; carries the memory from one to the next.

    ``run``: all outputs, for the inputs' values in their order.
    """

    up_to_constant = False

    def __init__(self, student: Student, run: Callable[[list[np.ndarray]], list[np.ndarray]]) -> None:
        self.deployed, self.run = Deployed(student), run
        self.memory: np.ndarray | None = None

    @property
    def remembered(self) -> np.ndarray | None:
        return self.memory

    def begin(self) -> None:
        self.memory = None

    def __call__(self, observation: Observation, start: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        width = self.deployed.student.memory_size
        if width:
            held = np.zeros((len(start), width), np.float32) if self.memory is None else self.memory
            self.memory = np.where(start[:, None], np.float32(0), held)
        action, *parts = self.run(self.deployed.feed(observation, self.memory))
        if width:
            self.memory = parts.pop()
        return action, torch.cat([torch.as_tensor(part) for part in parts], -1)

    def act(self, observation: Observation) -> Any:
        memory = np.zeros((1, self.deployed.student.memory_size), np.float32)
        return self.run(self.deployed.feed(observation, memory if memory.size else None))


def open_file(path: Path, student: Student) -> Stepped:
    """As ``torch.export.load`` reads it."""
    try:
        with quiet():
            module: Any = torch.export.load(path).module()
    except Exception as error:  # torch.export has no common error
        raise ExportError(f"torch.export.load cannot open the exported file ({first_line(error)})") from error

    @torch.no_grad()
    def run(feed: list[np.ndarray]) -> list[np.ndarray]:
        return [part.numpy() for part in module(*(torch.as_tensor(value) for value in feed))]

    return Stepped(student, run)
