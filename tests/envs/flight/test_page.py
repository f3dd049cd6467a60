import re
from pathlib import Path

import numpy as np

from understudy.envs.flight import enemy, missile, position, seeing, world
from understudy.envs.flight.task import TASKS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "flight.md").read_text(encoding="utf-8")


def row(start):
    """The cells of the table's row that begins so."""
    line = re.search(rf"^\| {re.escape(start)} \|(.*)\|$", PAGE, flags=re.MULTILINE)
    assert line is not None, start
    return [cell.strip() for cell in line[1].split("|")]


def test_the_page_names_every_component_and_its_scale():
    told = re.findall(r"^\| (\d+) \| `(\w+)` \| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert told == [(str(i), name, meaning) for i, (name, meaning) in enumerate(seeing.COMPONENTS)]
    assert (seeing.MIDDLE, seeing.HALF, seeing.NEAR, seeing.RATE) == (235, 85, 1000, 0.5)
    assert seeing.CLOSING == {"enemy": 600, "missile": 1000}
    assert (enemy.BODY.turn, missile.LIFE) == (0.3, 9)


def test_the_page_tells_the_limits_of_the_bodies():
    bodies = (world.BODY, enemy.BODY, missile.BODY)
    assert row("speed, m/s") == [f"{body.slowest:.0f} to {body.fastest:.0f}" for body in bodies]
    assert row("turn rate at most, rad/s") == [f"{body.turn:.2f}" for body in bodies]
    assert row("lateral acceleration at most, m/s²") == ["80", "60", ""]
    assert [body.pull for body in bodies] == [80, 60, np.inf]
    assert row("acceleration, m/s²") == ["±20", "±10", "+300 for 1 s, then −25"]
    assert [body.thrust for body in bodies] == [20, 10, 300]
    assert (missile.BURN, missile.DRAG, missile.BLAST, missile.GAIN) == (1, 25, 10, 4)
    assert (missile.NEAREST, missile.FURTHEST, missile.LAUNCH_SPEED) == (300, 4500, 300)


def test_the_page_tells_the_rewards_of_the_tasks():
    tasks = TASKS.values()
    assert row("missiles of the enemy") == [str(task.missiles) for task in tasks]
    assert [(task.chase, task.escape) for task in tasks] == [(100 / 30, 0), (0, 100 / 30), (100 / 30, 0)]
    assert row("paid for a hit") == [f"−{-task.hit:.0f}" if task.missiles else "" for task in tasks]
    assert [(task.lock_time, task.survival_time) for task in tasks] == [(5, 0), (0, 30), (3, 30)]
    assert (position.LOCK, position.BEST, position.TAPER, position.TOO_NEAR) == ((200, 1000), 800, 600, 300)
    assert np.degrees([position.NOSE, position.TAIL]).round().tolist() == [20, 45]
    assert position.AWAY == 3000
