import numpy as np
import pytest

from understudy.envs.flight import missile
from understudy.envs.flight.motion import STEP
from understudy.envs.flight.world import ENEMY, MISSILE, NUMBERS, YOU, World

STRAIGHT = np.zeros((2, 1))


def duel(x, y, heading=np.pi / 2, speed=220.0, copies=1):
    """You at the origin, flying as told; an enemy at (x, y) that launches in the first step and never again."""
    world = World(copies, 1)
    world.begin(np.arange(copies), np.full((NUMBERS, copies), 0.5))
    world.bodies.place((YOU, slice(None)), 0, 0, heading, speed)
    world.bodies.place((ENEMY, slice(None)), x, y, 0, 200)
    world.wait[:] = 0
    world.step(np.zeros((2, copies)))
    assert world.flying.all()
    return world


def test_the_line_of_sight_turns_as_the_angle_does():
    offset, drift, step = np.array([[700.0], [-300.0]]), np.array([[-150.0], [400.0]]), 1e-6
    ahead = offset + step * drift
    turned = (np.arctan2(ahead[1], ahead[0]) - np.arctan2(offset[1], offset[0])) / step
    assert missile.sight_rate(offset, drift) == pytest.approx(turned, rel=1e-5)


def test_proportional_navigation_hits_who_flies_straight_on():
    """From all around and on whatever course, far enough for it to be up to speed and near enough to be caught."""
    copies = 500
    draw = np.random.default_rng(0).random((4, copies))
    bearing, distance = 2 * np.pi * draw[0], 1200 + 600 * draw[1]
    heading, speed = 2 * np.pi * draw[2], 150 + 130 * draw[3]
    world = duel(distance * np.cos(bearing), distance * np.sin(bearing), heading, speed, copies)
    hit, going = np.zeros(copies, bool), np.ones(copies, bool)
    for _ in range(90):
        world.step(np.zeros((2, copies)))
        hit |= going & world.hit
        going &= world.flying
    slow = -speed * np.cos(heading - bearing) < 120  # m/s away from it
    assert slow.sum() > 300
    assert hit[slow].all()


def test_a_course_of_collision_is_kept_without_turning():
    """Who is met head on is met on a straight line: the line of sight never turns."""
    world = duel(0, 1500)
    headings = [world.bodies.heading[MISSILE, 0]]
    while not world.hit[0]:
        world.step(STRAIGHT)
        headings.append(world.bodies.heading[MISSILE, 0])
    assert np.ptp(headings) < 5e-3


def test_a_missile_turns_no_faster_than_it_can_and_flies_no_longer_than_its_fuel():
    world = duel(0, 2500, heading=0)
    flown, action = 1, np.array([[1.0], [1.0]])
    while world.flying[0]:
        before = world.bodies.heading[MISSILE, 0]
        world.step(action if flown % 40 < 20 else -action)
        assert abs(world.bodies.heading[MISSILE, 0] - before) <= missile.BODY.turn * STEP + 1e-12
        flown += 1
    assert flown * STEP <= missile.LIFE + 2 * STEP


def test_its_speed_is_that_of_its_thrust_and_then_of_its_drag():
    world = duel(0, 4000, heading=np.pi / 2, speed=150)
    world.bodies.speed[MISSILE] = 300
    world.bodies.place((YOU, 0), 0, -9000, -np.pi / 2, 320)  # too far to be reached
    world.age[:] = 0
    for t in range(1, 80):
        world.step(STRAIGHT)
        burnt = 300 + missile.BODY.thrust * min(t * STEP, missile.BURN)
        coasted = max(t * STEP - missile.BURN, 0)
        assert world.bodies.speed[MISSILE, 0] == pytest.approx(min(burnt, 520) - missile.DRAG * coasted)


def test_a_target_out_of_its_view_is_lost():
    world = duel(0, 1000)
    world.bodies.place((MISSILE, 0), 0, 500, np.pi / 2, 400)  # it flies away from you
    world.step(STRAIGHT)
    assert not world.flying[0]
    assert not world.hit[0]
    assert world.dodged[0] == 1


def test_a_late_hard_turn_escapes_where_an_early_one_does_not():
    def flown(start):
        world = duel(0, 1500)
        for t in range(90):
            world.step(np.array([[1.0 if t >= start else 0.0], [1.0]]))
            if world.hit[0] or not world.flying[0]:
                break
        return bool(world.hit[0])

    assert flown(90)
    assert [start for start in range(40) if not flown(start)] != []
    assert flown(30)


def test_the_enemy_launches_no_more_than_it_carries_and_only_within_reach():
    world = World(200, 3)
    generator = np.random.default_rng(0)
    world.begin(np.arange(200), generator.random((NUMBERS, 200)))
    launched = np.zeros(200, int)
    for _ in range(600):
        before, x, y = world.left.copy(), world.bodies.x, world.bodies.y
        world.step(np.stack([np.sin(world.time), np.ones(200)]))
        now = world.left < before
        launched += now
        gap = np.hypot(x[YOU] - x[ENEMY], y[YOU] - y[ENEMY])[now]
        assert ((gap > missile.NEAREST) & (gap < missile.FURTHEST)).all()
    assert launched.max() == 3
    assert (world.left >= 0).all()
