"""Train DQN teachers for three games of MinAtar with the library's own engine: the row `dqn` of `understudy methods`.

python benchmarks/minatar_teachers.py [freeway breakout space_invaders] [--measure-only] [--out teachers/minatar]

Actions are sticky with probability 0.1 and the games get harder, as MinAtar has it by default. The agent is scored as
it learns on the selection seeds, and the best one so far lies in the game's folder; at the end that one is measured on
seeds that neither training nor selection has used. Its return and the frames that it took go into its config.json.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from understudy.engines.actor import PolicyActor, random_actor
from understudy.engines.learner import Learner
from understudy.engines.q_objective import QObjective, Target
from understudy.engines.schedule import Rhythm
from understudy.engines.source import FreshRollouts
from understudy.envs.actions import ActionMap
from understudy.envs.of_gym import make
from understudy.envs.play import play
from understudy.envs.rollout import Actor
from understudy.envs.views import ObservationViews, parse_view
from understudy.math.distributions import Family
from understudy.methods import Q_METHODS
from understudy.methods.q_method import Behaviour, QMethod
from understudy.methods.schedule import Schedule
from understudy.policies.student import Student
from understudy.policies.student_file import load_student, save_student
from understudy.policies.tempered import Q_TEMPERATURE

HOME = Path(__file__).resolve().parent.parent / "teachers" / "minatar"
SELECTION_SEEDS, TEST_SEEDS = range(20_000, 20_030), range(10_000, 10_100)
LIMIT = 5_000  # steps of an episode that is played to measure: MinAtar has no limit of its own
COPIES, PREFILL, SEED = 16, 5_000, 0
STUDENT = "cnn:small"
GAMMA, N_STEP = 0.99, 3
TARGET = Target(every=400, double=False, huber=False)
RHYTHM = Rhythm(
    collect=64,
    updates=16,
    batch=32,
    store=150_000,
    learning_rate=5e-4,
    final_learning_rate=1e-4,
    average=0.99,
    clip=10.0,
)
EXPLORING = Schedule("linear", 1.0, 0.02, 0.05)
HORIZON, LOOK = 600_000, 40_000
"""Frames over which exploration and step size fall, whatever the game's own number; and between two scores."""


@dataclass(frozen=True)
class Game:
    """A game's id in Gymnasium, and how many frames its teacher learns from."""

    env: str
    frames: int


GAMES = {
    "freeway": Game("MinAtar/Freeway-v1", 80_000),
    "breakout": Game("MinAtar/Breakout-v1", 80_000),
    "space_invaders": Game("MinAtar/SpaceInvaders-v1", 40_000),
}


class Training:
    """One teacher as it learns."""

    def __init__(self, game: Game) -> None:
        self.frames = game.frames
        self.simulator, self.bench = make(game.env, COPIES), make(game.env, 20, wrappers=(f"time-limit:{LIMIT}",))
        spaces = self.simulator.observation_space, self.simulator.action_space
        family = Family("categorical", (int(spaces[1].n),))  # type: ignore[attr-defined]
        self.student, unread = (
            Student(*spaces, family, STUDENT, temperature=Q_TEMPERATURE, seed=SEED) for _ in range(2)
        )
        self.actions, view = ActionMap(family, spaces[1]), parse_view("")
        views = ObservationViews(view, view, view)
        method = QMethod("dqn", td=1.0, control=Behaviour(epsilon=EXPLORING), source=Q_METHODS["dqn"].source)
        objective = QObjective(
            method, unread, self.student, views, temperature=1.0, gamma=GAMMA, n_step=N_STEP, target=TARGET
        )
        source = FreshRollouts(
            self.simulator,
            method.control,
            unread,
            self.student,
            views,
            collect=RHYTHM.collect,
            seed=SEED,
            greedy=True,
            first=PREFILL,
            first_teacher=0.0,
        )
        self.learner = Learner(source, objective, RHYTHM, budget=HORIZON, seed=SEED)

    def looks(self) -> Iterator[float]:
        """Learn, and answer the mean return on the selection seeds every so often."""
        for frames in range(LOOK, self.frames + 1, LOOK):
            while self.learner.env_steps < frames:
                self.learner.step()
            self.learner.optimiser.swap()
            yield float(self.returns(self.actor(self.student), SELECTION_SEEDS).mean())
            self.learner.optimiser.swap()

    def actor(self, student: Student) -> PolicyActor:
        return PolicyActor(student, parse_view(""), None)

    def returns(self, actor: Actor, seeds: range) -> np.ndarray:
        return play(self.bench, self.actions, actor, seeds).returns


def train(name: str, folder: Path) -> None:
    """Write the best teacher of a game."""
    training, best, began = Training(GAMES[name]), -np.inf, time.perf_counter()
    for score in training.looks():
        seconds, seen = time.perf_counter() - began, training.learner.env_steps
        print(f"{name}: {seen:,} frames, {seconds:.0f} s, return {score:.2f}", flush=True)
        if score > best:
            best = score
            save_student(training.student, folder, frames=seen)


def measure(name: str, folder: Path) -> None:
    """Play the teacher on the test seeds, and write what is known of it beside it."""
    teacher, training = load_student(folder), Training(GAMES[name])
    found = training.returns(training.actor(teacher), TEST_SEEDS)
    chance = training.returns(random_actor(training.actions), TEST_SEEDS)
    facts = {
        "env": GAMES[name].env,
        "gamma": GAMMA,
        "method": "dqn",
        "frames": teacher.facts["frames"],
        "return": round(float(found.mean()), 2),
        "standard_error": round(float(found.std(ddof=1) / len(found) ** 0.5), 2),
        "random_return": round(float(chance.mean()), 2),
    }
    save_student(teacher, folder, **facts)
    print(f"{name}: {facts}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("games", nargs="*", default=list(GAMES), choices=[*GAMES, []], metavar="GAME")
    parser.add_argument("--measure-only", action="store_true")
    parser.add_argument("--out", type=Path, default=HOME)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.games:
        if not options.measure_only:
            train(name, options.out / name)
        measure(name, options.out / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
