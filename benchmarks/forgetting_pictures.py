"""Draw forgetting/episodes.png: the same episodes of Pursuit before Evasion was learned, and after it.

python benchmarks/forgetting_pictures.py [--out runs/forgetting] [--seed 0] [--page benchmarks/forgetting]

A row for each episode; columns: the policy behind the first stage, behind the second one where nothing was done, and
where it was anchored on stored states. Each picture is of the episode's last moment, with the paths that led to it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gymnasium
import numpy as np
import PIL.Image
import torch

import understudy
from understudy.policies.student import Student

EPISODES, GAP = (3, 8), 6
COLUMNS = (("nothing", "pursuit"), ("nothing", "evasion"), ("stored", "evasion"))


def last_moment(student: Student, seed: int) -> np.ndarray:
    """What an episode looks like at its end, ``[H, W, 3]``."""
    env = gymnasium.make("understudy/Pursuit-v0", render_mode="rgb_array")
    seen, _ = env.reset(seed=seed)
    picture, over = np.zeros((1, 1, 3), np.uint8), False
    while not over:
        picture = np.asarray(env.render())
        heads, _ = student(torch.as_tensor(seen[None]))
        action = student.family.mode(heads.policy.flat.detach().numpy())[0]
        seen, _, terminated, truncated, _ = env.step(np.clip(action, -1, 1))
        over = terminated or truncated
    env.close()
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/forgetting"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", type=Path, default=Path(__file__).parent / "forgetting")
    options = parser.parse_args()
    rows = []
    for episode in EPISODES:
        parts: list[np.ndarray] = []
        for variant, stage in COLUMNS:
            student = understudy.load_student(options.out / "flight" / f"{variant}-s{options.seed}" / stage)
            picture = last_moment(student, episode)
            parts += [picture, np.full((picture.shape[0], GAP, 3), 255, np.uint8)]
        rows += [np.concatenate(parts[:-1], 1)]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    whole = np.concatenate([part for row in rows for part in (row, gap)][:-1])
    PIL.Image.fromarray(whole).resize((whole.shape[1] * 2 // 3, whole.shape[0] * 2 // 3)).save(
        options.page / "episodes.png", optimize=True
    )


if __name__ == "__main__":
    main()
