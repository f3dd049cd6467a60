"""The column of Pong at full size: a teacher from SB3 on the Arcade Learning Environment, and students of its sizes.

python benchmarks/pong.py [--algorithm dqn|qrdqn|ppo] [--frames 10000000] [--teacher FILE.zip] [--steps 500000]
    [--seeds 3] [--out runs/pong] [--page benchmarks/pong.md]

The full column wants a GPU and a day. ``--frames 2000 --steps 2000 --episodes 2 --seeds 1`` walks the same path in
some minutes, with a teacher that has learned nothing. A run that has finished is not run again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import understudy
from understudy.runs.folder import RunFolder
from understudy.runs.result import Result

ENV = "ALE/Pong-v5"
SIZES = {"100 %": "cnn:nature", "25 %": "cnn:nature:x0.5", "7 %": "cnn:nature:x0.26", "2 %": "cnn:nature:x0.14"}
ROWS = {"dqn": "q-kl", "qrdqn": "q-kl", "ppo": "on-policy-distill"}
LEARNING: dict[str, dict[str, Any]] = {
    "dqn": {"buffer_size": 100_000, "learning_starts": 50_000, "target_update_interval": 1000, "learning_rate": 1e-4,
            "exploration_fraction": 0.1, "exploration_final_eps": 0.01, "train_freq": 4},
    "qrdqn": {"buffer_size": 100_000, "learning_starts": 50_000, "exploration_fraction": 0.025, "train_freq": 4},
    "ppo": {"n_steps": 128, "n_epochs": 4, "batch_size": 256, "learning_rate": 2.5e-4, "ent_coef": 0.01},
}  # fmt: skip
"""The settings that the RL Zoo publishes for Atari, for one environment."""

HEAD = (
    "| size | parameters | teacher | student | random | seconds of training |",
    "| --- | ---: | ---: | ---: | ---: | ---: |",
)


def train(algorithm: str, frames: int, device: str, path: Path) -> None:
    """A teacher as people have it: Gymnasium's standard preprocessing, SB3's CnnPolicy, a zip."""
    import ale_py
    import gymnasium
    import sb3_contrib
    import stable_baselines3
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    gymnasium.register_envs(ale_py)
    played = AtariPreprocessing(gymnasium.make(ENV, frameskip=1), frame_skip=4)
    kinds = {"dqn": stable_baselines3.DQN, "qrdqn": sb3_contrib.QRDQN, "ppo": stable_baselines3.PPO}
    options = LEARNING[algorithm]
    if "learning_starts" in options:
        options = options | {"learning_starts": min(options["learning_starts"], frames // 2)}
    kind: Any = kinds[algorithm]
    agent = kind("CnnPolicy", FrameStackObservation(played, 4), seed=0, device=device, **options)
    agent.learn(frames)
    agent.save(path)


def student(teacher: Path, row: str, size: str, seed: int, options: argparse.Namespace) -> Result:
    """One run, unless it has finished."""
    folder = RunFolder(options.out / f"{teacher.stem}-{SIZES[size].replace(':', '-')}-s{seed}")
    if folder.result_path.is_file():
        return folder.result
    if folder.config_path.is_file():
        return understudy.resume(folder.path)
    return understudy.distill(
        str(teacher),
        ENV,
        student=SIZES[size],
        method=row,
        steps=options.steps,
        seed=seed,
        out=str(folder.path),
        device=options.device,
        evaluation_episodes=options.episodes,
        final_episodes=options.episodes,
        curve_episodes=0,
        target=9.0,
    )


def told(size: str, found: list[Result]) -> str:
    """A row of the table: means over the seeds."""
    mean = {name: sum(getattr(one, name) for one in found) / len(found) for name in
            ("teacher_return", "student_return", "random_return", "student_parameters", "seconds")}  # fmt: skip
    return (
        f"| {size} | {mean['student_parameters']:,.0f} | {mean['teacher_return']:.1f} | {mean['student_return']:.1f} | "
        f"{mean['random_return']:.1f} | {mean['seconds']:,.0f} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithm", choices=tuple(ROWS), default="dqn")
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--steps", type=int, default=500_000)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/pong"))
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    teacher = options.teacher or options.out / f"{options.algorithm}-{options.frames}.zip"
    if not teacher.is_file():
        train(options.algorithm, options.frames, options.device, teacher)
    lines = [f"{ENV}, {options.algorithm}, {ROWS[options.algorithm]}, {options.seeds} seeds", "", *HEAD]
    for size in SIZES:
        found = [student(teacher, ROWS[options.algorithm], size, seed, options) for seed in range(options.seeds)]
        lines.append(told(size, found))
    table = "\n".join(lines)
    print(table)
    if options.page:
        options.page.write_text(f"# Pong at full size\n\n{table}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
