"""Distil a function that you wrote: it takes a batch of observations and answers a batch of actions."""

import numpy as np

import understudy


def balance(observation: np.ndarray) -> np.ndarray:
    """Push towards where the pole falls: ``[N, 4]`` observations to ``[N]`` actions."""
    position, speed, angle, turning = observation.T
    return (angle + 0.3 * turning + 0.02 * position + 0.05 * speed > 0).astype(np.int64)


if __name__ == "__main__":
    # From the command line: understudy distill examples/own_teacher.py:balance --env CartPole-v1 --student linear
    result = understudy.distill(balance, "CartPole-v1", student="linear", final_episodes=50)
    print(result.summary())
