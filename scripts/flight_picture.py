"""Draw docs/flight.png: moments of one episode of Combat, flown by the scripted pilot that chases and evades.

python scripts/flight_picture.py [--seed N] [--out FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gymnasium
import numpy as np
import PIL.Image

import understudy  # noqa: F401 - registers the tasks
from understudy.envs.flight.pilots import chase_and_evade

HERE = Path(__file__).resolve().parent.parent / "docs" / "flight.png"
SEED, MOMENTS, GAP = 11, (16, 88, 240), 6


def pictures(seed: int, moments: tuple[int, ...]) -> list[np.ndarray]:
    """What is seen at these steps of the episode."""
    env = gymnasium.make("understudy/Combat-v0", render_mode="rgb_array")
    seen, _ = env.reset(seed=seed)
    taken = []
    for t in range(1, max(moments) + 1):
        seen, _, terminated, _, _ = env.step(chase_and_evade(seen[None])[0])
        if t in moments:
            taken.append(env.render())
        if terminated:
            raise SystemExit(f"seed {seed} ends after {t} steps; take another")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    taken = pictures(options.seed, MOMENTS)
    gap = np.full((taken[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [part for picture in taken for part in (gap, picture)][1:]
    PIL.Image.fromarray(np.concatenate(parts, 1)).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
