"""Environment steps a second of the flight tasks on one core, and what the scripted pilots return.

    OMP_NUM_THREADS=1 python benchmarks/flight.py [--copies N] [--steps N] [--rounds N] [--pilots] [--episodes N]

Speed: N copies under random actions, warm, ends and new episodes among them; the median of several rounds, by the
clock and by processor time. ``--pilots``: mean return, its deviation, and successes of random play and of each
scripted pilot in each task, instead.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from understudy.envs.flight.pilots import PILOTS
from understudy.envs.flight.task import TASKS
from understudy.envs.flight.vector import FlightVectorEnv


def speed(task: str, copies: int, steps: int, rounds: int) -> tuple[float, float]:
    """Steps a second by the clock and by processor time, medians."""
    env, generator = FlightVectorEnv(task, copies), np.random.default_rng(0)
    env.reset(seed=0)
    actions = generator.uniform(-1, 1, (8, copies, 2)).astype(np.float32)
    found = []
    for _ in range(rounds + 1):
        clock, processor = time.perf_counter(), time.process_time()
        for t in range(steps):
            env.step(actions[t % 8])
        found.append((time.perf_counter() - clock, time.process_time() - processor))
    wall, cpu = (statistics.median(column) for column in zip(*found[1:], strict=True))  # the first warms up
    return copies * steps / wall, copies * steps / cpu


def episodes(task: str, pilot: str, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns, successes and hits of so many episodes, on seeds 0, 1, ..."""
    env, generator = FlightVectorEnv(task, count), np.random.default_rng(0)
    seen, _ = env.reset(seed=0)
    total, playing = np.zeros(count), np.ones(count, bool)
    success, hit = np.zeros(count, bool), np.zeros(count, bool)
    while playing.any():
        action = PILOTS[pilot](seen) if pilot in PILOTS else generator.uniform(-1, 1, (count, 2))
        seen, reward, terminated, truncated, infos = env.step(action)
        total += reward * playing
        over = playing & (terminated | truncated)
        success[over], hit[over] = infos["success"][over], infos["hit"][over]
        playing &= ~over
    return total, success, hit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--pilots", action="store_true")
    parser.add_argument("--episodes", type=int, default=1000)
    options = parser.parse_args()
    if not options.pilots:
        for task in TASKS:
            wall, cpu = speed(task, options.copies, options.steps, options.rounds)
            print(f"{task:8} {options.copies:5} copies: {wall:11,.0f} steps/s, {cpu:11,.0f} a second of processor time")
        return
    print("| pilot | " + " | ".join(TASKS) + " |\n| --- " * 1 + "| ---: " * len(TASKS) + "|")
    for pilot in ("random", *PILOTS):
        cells = []
        for task in TASKS:
            total, success, _ = episodes(task, pilot, options.episodes)
            cells.append(f"{total.mean():.1f} ± {1.96 * total.std() / len(total) ** 0.5:.1f} ({success.mean():.0%})")
        print(f"| {pilot} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
