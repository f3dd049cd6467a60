"""What differs between the tasks: which weapons are there, what is paid, and what counts as success."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A row: one task. Rewards are per second of flight, but for the hit."""

    name: str
    missiles: int
    """How many the enemy carries."""
    chase: float
    """Paid for a perfect place behind the enemy, and less for a worse one."""
    escape: float
    """Paid for being alive 3 km or more from the enemy, and less the nearer it is."""
    hit: float
    """Paid once when a missile hits, which ends the episode."""
    lock_time: float
    """s behind the enemy that a success takes."""
    survival_time: float
    """s of life that a success takes."""


FULL = 100 / 30
"""A second's pay of a task done perfectly: 100 in an episode of 30 s."""

PURSUIT = Task("Pursuit", 0, chase=FULL, escape=0, hit=0, lock_time=5, survival_time=0)
EVASION = Task("Evasion", 4, chase=0, escape=FULL, hit=-20, lock_time=0, survival_time=30)
COMBAT = Task("Combat", 3, chase=FULL, escape=0, hit=-20, lock_time=3, survival_time=30)

TASKS = {task.name: task for task in (PURSUIT, EVASION, COMBAT)}
