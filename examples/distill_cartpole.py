"""Distil the PPO agent that comes with this project into a network a tenth of its size, and look at the result."""

from pathlib import Path

import understudy

TEACHER = Path(__file__).parent.parent / "teachers" / "ppo-CartPole-v1.zip"

result = understudy.distill(TEACHER, "CartPole-v1", student="mlp:16,16", final_episodes=50)
print(result.summary())

# The run folder holds the student; anything that takes a teacher takes this folder too.
student = understudy.load_student(result.path)
print(f"{student.description}: {student.parameter_count} parameters, acts in {student.action_space}")

again = understudy.evaluate(result.path, "CartPole-v1", episodes=20, seed=123)
print(f"on other seeds: {again.mean_return:.1f} within [{again.interval[0]:.1f}, {again.interval[1]:.1f}]")
