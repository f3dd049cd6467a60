"""Distil several teachers into one student: it learns the mean of their action probabilities."""

from pathlib import Path

import numpy as np

import understudy

TEACHER = Path(__file__).parent.parent / "teachers" / "ppo-CartPole-v1.zip"


def cautious(observation: np.ndarray) -> np.ndarray:
    """A second opinion: ``[N, 4]`` observations to the probabilities ``[N, 2]`` of a push to the left and right."""
    right = 1 / (1 + np.exp(-10 * (observation[:, 2] + 0.3 * observation[:, 3])))
    return np.stack([1 - right, right], axis=-1)


# From the command line: understudy distill first.zip,second.zip --env CartPole-v1
result = understudy.distill([TEACHER, cautious], "CartPole-v1", student="mlp:32", final_episodes=50)
print(result.summary())
