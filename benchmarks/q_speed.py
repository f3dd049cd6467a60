"""Gradient steps a second of Q-networks: this engine's, its store included, beside bare PyTorch on one fixed batch.

python benchmarks/q_speed.py [--repeats 5] [--page benchmarks/q_speed.md]

Bare PyTorch does the same forward and backward passes, and nothing else: no store, no optimiser. Both take turns, and
the medians of all turns are compared.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from torch.nn import functional as F

from understudy.engines.optimiser import FlatAdam
from understudy.engines.q_objective import QObjective, Target
from understudy.engines.schedule import Rhythm
from understudy.envs.rollout import Episodes, Window
from understudy.envs.views import ObservationViews, parse_view
from understudy.math.distributions import Family
from understudy.math.q_losses import kl
from understudy.methods import Q_METHODS
from understudy.policies.student import Student

ACTIONS, COPIES, TAU = 4, 8, 0.01
WHOLE = parse_view("")


HEAD = (
    "# Updates of Q-networks a second, beside bare PyTorch",
    "",
    "Written by `python benchmarks/q_speed.py`: this engine's updates, sampling of the store and Adam included,",
    "beside bare PyTorch's forward and backward passes through the same network on a ready batch. One thread; medians.",
    "Bare PyTorch's own rate of convolutions is not the same in every process, nor then is the share for `cnn:nature`:",
    "run it several times.",
    "",
    "| student | row | batch | updates a second | bare PyTorch | share | asked for |",
    "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
)


@dataclass(frozen=True)
class Case:
    """``share``: of bare PyTorch's rate, which is asked for."""

    student: str
    row: str
    batch: int
    space: spaces.Box
    rows: int
    frames: int
    share: float


VECTOR = spaces.Box(-1, 1, (8,), np.float32)
PICTURE = spaces.Box(0, 255, (4, 84, 84), np.uint8)
CASES = (
    Case("mlp:64,64", "q-kl", 256, VECTOR, 50_000, 1, 0.5),
    Case("mlp:64,64", "dqn+q-kl", 256, VECTOR, 50_000, 1, 0.5),
    Case("cnn:nature", "q-kl", 32, PICTURE, 8_000, 4, 0.8),
    Case("cnn:nature", "dqn+q-kl", 32, PICTURE, 8_000, 4, 0.8),
)


class Table:
    """A teacher that is never asked: its answers lie in the store."""

    family, memory_size, has_value, full_support, scores = Family("categorical", (ACTIONS,)), 0, False, True, True
    description, gamma, value_scale = "values at random", 0.99, 1.0


def window(case: Case, generator: np.random.Generator) -> Window:
    """Random play, in which every 50th step or so ends an episode."""
    steps = case.rows // COPIES
    shape = case.space.shape
    start = generator.random((steps, COPIES)) < 0.02
    start[0] = True
    if case.frames > 1:
        frames = generator.integers(0, 255, (steps + 3, COPIES, *shape[1:]), dtype=np.uint8)
        start[1:] = False
        seen = np.stack([frames[k : k + steps] for k in range(4)], 2)
    else:
        seen = generator.standard_normal((steps, COPIES, *shape)).astype(np.float32)
    terminated = np.zeros_like(start)
    terminated[:-1] = start[1:]
    nothing = np.zeros((0, 2), np.int64)
    reward = generator.standard_normal((steps, COPIES)).astype(np.float32)
    action = generator.integers(0, ACTIONS, (steps, COPIES))
    whole = np.ones((steps, COPIES), bool)
    ends = Episodes(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool))
    return Window(
        seen,
        action,
        reward,
        terminated,
        np.zeros_like(start),
        start,
        whole,
        nothing,
        seen[0, :0],
        np.zeros(0, bool),
        ends,
    )


def ours(case: Case, objective: QObjective, generator: np.random.Generator) -> Callable[[int], None]:
    """Updates as the learner makes them."""
    from understudy.engines.replay import rows_of

    store = objective.new_store(Rhythm(store=case.rows + 5 * COPIES), COPIES)
    seen = window(case, generator)
    answers = torch.as_tensor(generator.standard_normal((*seen.valid.shape, ACTIONS)).astype(np.float32))
    store.add(rows_of(seen, {"teacher": answers}, case.frames, False))
    optimiser = FlatAdam(objective.student.parameters(), 1e-4)
    draws = torch.Generator().manual_seed(0)

    def update(count: int) -> None:
        for columns in store.draws(count, case.batch, draws):
            optimiser.step(objective.loss(columns, objective.method))
            objective.updated()

    return update


def bare(case: Case, student: Student, generator: np.random.Generator) -> Callable[[int], None]:
    """The same passes through the same network, on a batch that lies ready."""
    network, held = student.network, copy.deepcopy(student.network).requires_grad_(False)

    def batch() -> Tensor:
        if case.frames > 1:
            return torch.as_tensor(generator.integers(0, 255, (case.batch, *case.space.shape), dtype=np.uint8))
        return torch.as_tensor(generator.standard_normal((case.batch, *case.space.shape)).astype(np.float32))

    seen, after, teacher = batch(), batch(), torch.randn(case.batch, ACTIONS)
    action, reward = torch.randint(ACTIONS, (case.batch, 1)), torch.randn(case.batch)
    joint = Q_METHODS[case.row].learns_by_td

    def update(count: int) -> None:
        for _ in range(count):
            for parameter in network.parameters():
                parameter.grad = None
            q = network(seen)[0]
            loss = kl(q, teacher, TAU).mean()
            if joint:
                with torch.no_grad():
                    best = network(after)[0].argmax(-1, keepdim=True)
                    target = reward + 0.99 * held(after)[0].gather(-1, best)[:, 0]
                loss = loss + F.mse_loss(q.gather(-1, action)[:, 0], target)
            loss.backward()

    return update


def rate(update: Callable[[int], None], count: int) -> float:
    began = time.perf_counter()
    update(count)
    return count / (time.perf_counter() - began)


def measured(case: Case, repeats: int) -> tuple[float, float]:
    """Updates a second: ours and bare PyTorch's."""
    generator = np.random.default_rng(0)
    views = ObservationViews(WHOLE, WHOLE, WHOLE)
    family = Table.family
    student, other = (Student(case.space, spaces.Discrete(ACTIONS), family, case.student) for _ in range(2))
    objective = QObjective(
        Q_METHODS[case.row],
        Table(),
        student,
        views,
        temperature=TAU,
        target=Target(),
        frames=case.frames,  # type: ignore[arg-type]
    )
    pair = ours(case, objective, generator), bare(case, other, generator)
    count = 30 if case.frames > 1 else 400
    for update in pair:
        update(count // 5)
    rates = [[rate(update, count) for update in pair] for _ in range(repeats)]
    mine, theirs = (median(column) for column in zip(*rates, strict=True))
    return mine, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--page", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = list(HEAD)
    for case in CASES:
        mine, theirs = measured(case, options.repeats)
        rates = f"{mine:,.0f} | {theirs:,.0f} | {mine / theirs:.0%} | {case.share:.0%}"
        lines.append(f"| {case.student} | {case.row} | {case.batch} | {rates} |")
        print(lines[-1], flush=True)
    options.page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
