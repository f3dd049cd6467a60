"""Does the engine's PPO learn as well and as fast as Stable-Baselines3's? Writes ppo.md.

python benchmarks/ppo.py [--tasks CartPole-v1 ...] [--seeds 5] [--jobs 1] [--out runs/ppo] [--page benchmarks/ppo.md]

Both sides have the same settings (the RL Zoo's, without gSDE), environments, network and budget, and one thread; they
take turns. A run that has finished is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from understudy.math.statistics import bootstrap_interval


@dataclass(frozen=True)
class Task:
    """``falling``: learning rate and clip range go to 0 in a straight line. ``reached``: a return that is good."""

    copies: int
    budget: int
    reached: float
    settings: dict[str, Any] = field(default_factory=dict)
    falling: bool = False


SHARED: dict[str, Any] = {"vf_coef": 0.5, "max_grad_norm": 0.5, "ent_coef": 0.0, "batch_size": 64, "n_epochs": 10}
TASKS = {
    "CartPole-v1": Task(
        8,
        100_000,
        475,
        {"n_steps": 32, "batch_size": 256, "n_epochs": 20, "gamma": 0.98, "gae_lambda": 0.8, "learning_rate": 1e-3},
        falling=True,
    ),
    "Pendulum-v1": Task(4, 100_000, -200, {"n_steps": 1024, "gamma": 0.9, "gae_lambda": 0.95, "learning_rate": 1e-3}),
    "LunarLander-v3": Task(
        16,
        1_000_000,
        200,
        {"n_steps": 1024, "n_epochs": 4, "gamma": 0.999, "gae_lambda": 0.98, "ent_coef": 0.01, "learning_rate": 3e-4},
    ),
}
CLIP, RECENT, EPISODES, COPIES = 0.2, 50, 100, 50
SIDES = {"understudy": "Understudy", "sb3": "Stable-Baselines3"}
Curve = list[tuple[int, float]]

HEAD = """Both learn with the RL Zoo's settings for the task (without gSDE): the same number of environments, steps a
round, minibatches, passes, rates, clip range and budget, separate 64-64 tanh networks begun orthogonally, one
thread, in turns.

*Final*: mean return of {episodes} episodes with the best action after training, over {seeds} seeds, with a 95 %
bootstrap interval. *Reached*: median environment steps until the mean of the last {recent} training episodes is the
number given; a run that never was counts as the whole budget. *Along the way*: that mean, averaged over the budget.
*Seconds*: median processor time of training.

    python benchmarks/ppo.py --seeds {seeds}"""


@dataclass(frozen=True)
class Run:
    env: str
    side: str
    seed: int
    out: Path

    @property
    def path(self) -> Path:
        return self.out / f"{self.env}-{self.side}-s{self.seed}.json"


def settings(task: Task) -> dict[str, Any]:
    return SHARED | {"clip_range": CLIP} | task.settings


def train_understudy(env: str, seed: int, note: Callable[[int, Sequence[float]], None]) -> Callable[..., Any]:
    """Learn; answers who acts."""
    from understudy.engines.actor import PolicyActor
    from understudy.engines.reinforce import new_student, reinforcing
    from understudy.envs.of_gym import make
    from understudy.envs.views import ObservationViews
    from understudy.methods.ppo import PPO

    task, views, simulator = TASKS[env], ObservationViews(), make(env, TASKS[env].copies)
    student = new_student(simulator.observation_space, simulator.action_space, "mlp:64,64", seed=seed)
    falling = {"final_learning_rate": 0.0, "clip_range": f"linear:{CLIP}:0"} if task.falling else {}
    learner = reinforcing(PPO(**settings(task) | falling), simulator, student, views, budget=task.budget, seed=seed)
    while learner.env_steps < task.budget:
        record = learner.step()
        note(record.env_steps, record.finished.returns.tolist())
    return PolicyActor(student, views.student, None)


def train_sb3(env: str, seed: int, note: Callable[[int, Sequence[float]], None]) -> Callable[..., Any]:
    """The same with Stable-Baselines3."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env

    class Noting(BaseCallback):
        def _init_callback(self) -> None:
            self.ended: list[float] = []

        def _on_step(self) -> bool:
            self.ended += [info["episode"]["r"] for info in self.locals["infos"] if "episode" in info]
            return True

        def _on_rollout_end(self) -> None:
            note(self.num_timesteps, self.ended)
            self.ended = []

    task, words = TASKS[env], settings(TASKS[env])
    if task.falling:
        rate = words["learning_rate"]
        words |= {"learning_rate": lambda left: rate * left, "clip_range": lambda left: CLIP * left}
    model = PPO("MlpPolicy", make_vec_env(env, task.copies, seed=seed), seed=seed, device="cpu", **words)
    model.learn(task.budget, callback=Noting())
    return lambda observation, start: model.predict(observation, deterministic=True)[0]


TRAINERS = {"understudy": train_understudy, "sb3": train_sb3}


def final_return(env: str, actor: Any) -> float:
    """The same episodes for everybody."""
    from understudy.envs.actions import ActionMap
    from understudy.envs.of_gym import make
    from understudy.envs.rollout import Rollout
    from understudy.policies.families import family_of

    simulator = make(env, COPIES)
    rollout = Rollout(simulator, ActionMap(family_of(simulator.action_space), simulator.action_space), 0)
    pieces = [range(first, first + COPIES) for first in range(10_000, 10_000 + EPISODES, COPIES)]
    return float(np.mean([rollout.episodes(actor, seeds).finished.returns.mean() for seeds in pieces]))


def train(run: Run) -> None:
    """In a process of its own: one run, and its file."""
    import torch

    torch.set_num_threads(1)
    recent: deque[float] = deque(maxlen=RECENT)
    curve: Curve = []

    def note(steps: int, returns: Sequence[float]) -> None:
        recent.extend(returns)
        if recent:
            curve.append((steps, float(np.mean(recent))))

    wall, processor = time.perf_counter(), time.process_time()
    actor = TRAINERS[run.side](run.env, run.seed, note)
    seconds = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    found = {"final": final_return(run.env, actor), "seconds": seconds, "curve": curve}
    run.path.write_text(json.dumps(found), encoding="utf-8")


def play(run: Run) -> None:
    if not run.path.is_file():
        one = ["--one", run.env, run.side, str(run.seed), "--out", str(run.out)]
        subprocess.run([sys.executable, __file__, *one], check=True)


def reached(curve: Curve, env: str) -> int | None:
    return next((steps for steps, mean in curve if mean >= TASKS[env].reached), None)


def along(curve: Curve, env: str) -> float:
    """The mean of the curve over the steps of the budget; before the first episode has ended it is the first's."""
    steps, means = np.array(curve).T
    grid = np.linspace(0, TASKS[env].budget, 1000)
    return float(means[np.minimum(np.searchsorted(steps, grid), len(steps) - 1)].mean())


def told(env: str, side: str, seeds: int, out: Path) -> list[dict[str, Any]]:
    return [json.loads(Run(env, side, seed, out).path.read_text(encoding="utf-8")) for seed in range(seeds)]


def row(env: str, side: str, found: list[dict[str, Any]]) -> str:
    finals = np.array([one["final"] for one in found])
    low, high = bootstrap_interval(finals, np.random.default_rng(0))
    steps = [reached(one["curve"], env) for one in found]
    median = f"{np.median([TASKS[env].budget if one is None else one for one in steps]):,.0f}"
    count = sum(one is not None for one in steps)
    way = np.mean([along(one["curve"], env) for one in found])
    seconds = np.median([one["seconds"]["processor"] for one in found])
    return (
        f"| {SIDES[side]} | {finals.mean():.1f} [{low:.1f}, {high:.1f}] | {median} ({count} of {len(found)}) "
        f"| {way:.1f} | {seconds:.1f} |"
    )


def verdict(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], env: str) -> str:
    """Compare the final returns and what was earned along the way, and the time."""
    words = []
    for name, measure in (
        ("Final return", lambda one: one["final"]),
        ("Return along the way", lambda one: along(one["curve"], env)),
    ):
        mine, other = (np.array([measure(one) for one in side]) for side in (ours, theirs))
        rng = np.random.default_rng(0)
        gaps = [rng.choice(mine, len(mine)).mean() - rng.choice(other, len(other)).mean() for _ in range(10_000)]
        low, high = np.percentile(gaps, [2.5, 97.5])
        said = "higher than" if low > 0 else "lower than" if high < 0 else "not told apart from"
        words.append(
            f"{name}: {said} Stable-Baselines3's ({mine.mean() - other.mean():+.1f} [{low:+.1f}, {high:+.1f}])."
        )
    times = [np.median([one["seconds"]["processor"] for one in side]) for side in (ours, theirs)]
    return " ".join([*words, f"Training takes {times[0] / times[1]:.2f} of its time."])


def page(tasks: Sequence[str], seeds: int, out: Path) -> str:
    head = HEAD.format(seeds=seeds, episodes=EPISODES, recent=RECENT)
    lines = ["# PPO in the engine, beside Stable-Baselines3's", "", head, ""]
    for env in tasks:
        found = {side: told(env, side, seeds, out) for side in SIDES}
        lines += [f"## {env}, {TASKS[env].budget:,} steps", ""]
        lines += [
            f"| | final | reached {TASKS[env].reached:g} | along the way | seconds |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [row(env, side, found[side]) for side in SIDES]
        lines += ["", verdict(found["understudy"], found["sb3"], env), ""]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/ppo"))
    parser.add_argument("--page", type=Path, default=Path(__file__).with_suffix(".md"))
    parser.add_argument("--one", nargs=3, metavar=("ENV", "SIDE", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.one:
        env, side, seed = options.one
        train(Run(env, side, int(seed), options.out))
        return
    tasks = [env for env in TASKS if env in options.tasks]
    for env in tasks:
        runs = [Run(env, side, seed, options.out) for seed in range(options.seeds) for side in SIDES]
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(play, runs))
        done = tasks[: tasks.index(env) + 1]
        options.page.write_text(page(done, options.seeds, options.out), encoding="utf-8")


if __name__ == "__main__":
    main()
