"""Distil a teacher that sees everything into a recurrent student that doesn't see the velocities of CartPole."""

from pathlib import Path

import understudy

TEACHER = Path(__file__).parent.parent / "teachers" / "ppo-CartPole-v1.zip"

# Entries 0 and 2 of the observation are the cart's position and the pole's angle; a memory stands in for the rest.
result = understudy.distill(
    TEACHER,
    "CartPole-v1",
    student="gru:32",
    student_view="0,2",
    updates=8,  # after each collection; fewer than the default, because each goes through time and takes long
    steps=20_000,
    evaluation_episodes=10,
    final_episodes=20,
)
print(result.summary())
