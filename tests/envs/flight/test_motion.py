import numpy as np
import pytest

from understudy.envs.flight import enemy, missile, world
from understudy.envs.flight.motion import STEP, Bodies, fly, least_distance

BODIES = {"you": world.BODY, "enemy": enemy.BODY, "missile": missile.BODY}
FREE = (np.array([[0.0]]), np.array([[np.inf]]))


def body(x=0.0, y=0.0, heading=0.0, speed=200.0):
    made = Bodies.at_rest(1, 1)
    made.place((0, 0), x, y, heading, speed)
    return made


def test_straight_flight_is_that_of_constant_acceleration():
    flown = body(x=10, y=-20, heading=np.pi / 6, speed=200)
    for _ in range(50):
        fly(flown, np.zeros((1, 1)), np.full((1, 1), 4.0), *FREE)
    way = 200 * 5 + 4 * 5**2 / 2
    assert flown.x[0, 0] == pytest.approx(10 + way * np.sqrt(3) / 2)
    assert flown.y[0, 0] == pytest.approx(-20 + way / 2)
    assert flown.speed[0, 0] == pytest.approx(220)


@pytest.mark.parametrize("turn", [0.4, -0.25])
def test_a_turn_is_a_circle_of_radius_speed_over_turn_rate(turn):
    speed, flown, centre = 200.0, body(speed=200), np.array([0, 200 / turn])
    for t in range(1, 200):
        fly(flown, np.full((1, 1), turn), np.zeros((1, 1)), *FREE)
        angle = turn * t * STEP
        there = centre + speed / turn * np.array([np.sin(angle), -np.cos(angle)])
        # the chord of each step is laid along its tangent: the circle is larger by a part in ten thousand
        assert np.hypot(*(there - (flown.x[0, 0], flown.y[0, 0]))) < 2e-4 * speed / abs(turn)


@pytest.mark.parametrize("name", BODIES)
def test_no_body_turns_faster_or_tighter_than_it_can(name):
    frame, speed = BODIES[name], np.linspace(BODIES[name].slowest, BODIES[name].fastest, 50)
    limit = frame.turn_limit(speed)
    assert (limit <= frame.turn).all()
    assert (limit * speed <= frame.pull * (1 + 1e-12)).all()
    assert limit.max() == pytest.approx(frame.turn)


def test_speeds_stay_within_their_limits():
    flown = body(speed=200)
    for thrust, end in ((30.0, 320.0), (-30.0, 150.0)):
        for _ in range(200):
            fly(flown, np.zeros((1, 1)), np.full((1, 1), thrust), np.array([[150.0]]), np.array([[320.0]]))
        assert flown.speed[0, 0] == end


@pytest.mark.parametrize(
    ("before", "after", "least"),
    [
        ((-3, 4), (3, 4), 4),
        ((1, 1), (2, 2), np.sqrt(2)),
        ((5, 0), (5, 0), 5),
        ((3, -1), (-3, 1), 0),
        ((4, 4), (3, 0), 3),
    ],
)
def test_the_least_distance_is_that_of_a_point_to_a_segment(before, after, least):
    found = least_distance(np.array([before], float).T, np.array([after], float).T)
    assert found[0] == pytest.approx(least, abs=1e-12)
