"""Nanoseconds per environment step and core of the tabular engine, updates included, a line a method.

    python benchmarks/lab_speed.py [--mdps N] [--iterations N] [--limits PATH/tabular.py] [--full] [--linear]

Worlds: 20 x 20 grids with 10 % walls, 5 % cells of -1, four terminal cells far from the centre, slip 0.1, an end
with probability 0.01 a step; the teacher is a softmax of discounted action values. Processor time, so that neighbours
on the machine matter less. ``--limits`` runs the kernel 2 of a reference program in turn with ours, on its own worlds
of the same kind, and prints the ratio. ``--full`` trains 1000 MDPs for 30,000 iterations on two threads, by the clock;
``--linear`` shows the cost against MDPs and iterations.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from understudy.engines.tabular.pack import Packed, pack
from understudy.engines.tabular.setting import Setting
from understudy.engines.tabular.train import train
from understudy.mdp.model import MDP, Successors
from understudy.mdp.solve import optimal
from understudy.mdp.teachers import Teacher, softmax_teacher
from understudy.methods import METHODS

SIZE, SLIP, END, FAR = 20, 0.1, 0.01, 10
CENTRE = SIZE * (SIZE // 2) + SIZE // 2
RATES = {"on-policy-distill": 0.05, "exp-entropy-regularised": 0.002}
NEVER = np.array([], dtype=np.int64)


def world(generator: np.random.Generator) -> MDP:
    """One grid: rewards are paid on arrival."""
    states = np.arange(SIZE * SIZE)
    wall = generator.random(len(states)) < 0.10
    paid = np.where(generator.random(len(states)) < 0.05, -1.0, 0.0)
    across, down = states % SIZE, states // SIZE
    distance = abs(across - CENTRE % SIZE) + abs(down - CENTRE // SIZE)
    ends = generator.choice(states[distance >= FAR], 4, replace=False)
    wall[[CENTRE, *ends]] = False
    paid[wall], paid[CENTRE], paid[ends] = 0.0, 0.0, [10, 5, -10, -5]
    there = []
    for x, y in ((across - 1, down), (across + 1, down), (across, down - 1), (across, down + 1)):
        inside = (x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)
        goal = np.where(inside, x + SIZE * y, states)
        there.append(np.where(wall[goal], states, goal))
    following = np.stack(there, axis=1)
    move = np.eye(4) * (1 - SLIP) + SLIP / 4
    terminal = np.isin(states, ends)
    successors = Successors(
        np.broadcast_to(following[:, None], (len(states), 4, 4)).astype(np.int32),
        np.broadcast_to((1 - END) * move, (len(states), 4, 4)),
    )
    rewards = paid[following] @ move.T
    return MDP(successors, rewards, np.eye(len(states))[CENTRE], terminal)


def teacher(mdp: MDP) -> Teacher:
    """A softmax of discounted action values, with every action's log-probability at least about -8."""
    q = optimal(mdp, 0.95)[1] / 0.4
    return softmax_teacher(np.maximum(q - q.max(-1, keepdims=True), -8.0), 1.0, mdp)


def worlds(count: int) -> Packed:
    mdps = [world(np.random.default_rng(k)) for k in range(count)]
    return pack(mdps, [teacher(mdp) for mdp in mdps])


def timed(packed: Packed, name: str, iterations: int, threads: int = 1) -> tuple[float, int]:
    """Seconds, and environment steps."""
    setting = Setting(METHODS[name], learning_rate=RATES[name], max_steps=200)
    seeds = np.arange(len(packed), dtype=np.uint64)
    clock = time.process_time if threads == 1 else time.perf_counter
    began = clock()
    trained = train(packed, setting, iterations, NEVER, seeds, threads)
    return clock() - began, int(trained.steps.sum())


def reference(program: str, mdps: int) -> Callable[[str, int], float]:
    """A function of method and iterations: nanoseconds per step of the reference program's kernel 2, one thread."""
    sys.path.insert(0, str(Path(program).parent))
    spec = importlib.util.spec_from_file_location("reference", program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    library, made = module.build(), module.grids.make(mdps)
    names = list(module.LEARNING_RATE)

    def nanoseconds(name: str, iterations: int) -> float:
        began = time.process_time()
        _, steps, _ = module.train(library, 2, names.index(name), made, iterations, threads=1)
        return (time.process_time() - began) * 1e9 / steps

    return nanoseconds


def compare(packed: Packed, iterations: int, repeats: int, limits: str | None) -> None:
    kernel = reference(limits, len(packed)) if limits else None
    ours: dict[str, list[float]] = {name: [] for name in RATES}
    theirs: dict[str, list[float]] = {name: [] for name in RATES}
    lengths = {}
    for _ in range(repeats):
        for name in RATES:
            seconds, steps = timed(packed, name, iterations)
            ours[name].append(seconds * 1e9 / steps)
            lengths[name] = steps / len(packed) / iterations
            if kernel:
                theirs[name].append(kernel(name, iterations))
    for name in RATES:
        middle = statistics.median(ours[name])
        line = f"{name:24s} {middle:6.1f} ns/step   mean length {lengths[name]:.1f}"
        if kernel:
            other = statistics.median(theirs[name])
            line += f"   kernel 2: {other:.1f} ns/step, ratio {middle / other:.2f}"
        print(line, flush=True)


def linear(packed: Packed, iterations: int) -> None:
    name = "on-policy-distill"
    for share, rounds in ((1, 1), (2, 1), (1, 2)):
        part = Packed(packed.worlds[:: 3 - share], packed.mdps[:: 3 - share], packed.observations)
        seconds, steps = timed(part, name, rounds * iterations)
        print(f"{len(part):5d} MDPs x {rounds * iterations:6d} iterations: {seconds:6.2f} s, {steps} steps", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mdps", type=int, default=200)
    parser.add_argument("--iterations", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limits", help="the reference program, tabular.py")
    parser.add_argument("--full", action="store_true", help="1000 MDPs x 30,000 iterations on two threads")
    parser.add_argument("--linear", action="store_true", help="cost against MDPs and iterations")
    given = parser.parse_args()
    packed = worlds(given.mdps)
    for name in RATES:
        timed(Packed(packed.worlds[:1], packed.mdps[:1], packed.observations), name, 1)  # compiles
    compare(packed, given.iterations, given.repeats, given.limits)
    if given.linear:
        linear(packed, given.iterations)
    if given.full:
        seconds, steps = timed(worlds(1000), "on-policy-distill", 30_000, threads=2)
        print(f"1000 MDPs x 30,000 iterations: {seconds:.1f} s on two threads, {steps} steps", flush=True)


if __name__ == "__main__":
    main()
