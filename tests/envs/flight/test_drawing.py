import gymnasium
import numpy as np
import pytest

from understudy.envs.flight import position
from understudy.envs.flight.canvas import GLYPHS, Canvas
from understudy.envs.flight.drawing import BLAST, COLOURS, GROUND, LOCKED, SIZE
from understudy.envs.flight.pilots import chase_and_evade
from understudy.envs.flight.vector import FlightVectorEnv
from understudy.envs.flight.world import ENEMY, YOU

WHITE = (1.0, 1.0, 1.0)


def area(draw):
    """Pixels covered, the half ones by half."""
    canvas = Canvas(64, (0, 0, 0))
    draw(canvas)
    assert canvas.pixels.max() <= 1 + 1e-6
    return canvas.pixels[..., 0].sum()


def test_shapes_cover_the_area_that_they_have():
    corners = np.array([(10.3, 8.1), (50.2, 12.7), (44.0, 55.5), (18.9, 40.4)])
    x, y = corners.T
    shoelace = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert area(lambda canvas: canvas.polygon(corners, WHITE)) == pytest.approx(shoelace, rel=0.01)
    middle = np.array([30.3, 31.8])
    assert area(lambda canvas: canvas.ring(middle, 12.5, WHITE)) == pytest.approx(np.pi * 12.5**2, rel=0.01)
    ring = area(lambda canvas: canvas.ring(middle, 20, WHITE, 3.0))
    assert ring == pytest.approx(2 * np.pi * 20 * 3, rel=0.01)
    line = area(lambda canvas: canvas.line(np.array([10, 12.2]), np.array([52.7, 41]), WHITE, 4))
    assert line == pytest.approx(4 * np.hypot(42.7, 28.8) + np.pi * 4, rel=0.02)
    rings = area(lambda canvas: canvas.rings(np.array([32.0, 32.0]), 25, WHITE, 2.0))
    assert rings == pytest.approx(2 * np.pi * 25 * 2, rel=0.02)


def test_a_hollow_polygon_is_hollow():
    arrow = np.array([(10, 10), (50, 30), (10, 50), (30, 30)], float)
    canvas = Canvas(64, (0, 0, 0))
    canvas.polygon(arrow, WHITE)
    assert canvas.pixels[30, 15, 0] == 0
    assert canvas.pixels[30, 40, 0] == 1


def test_what_lies_outside_of_the_picture_is_left_out():
    far = np.array([900.0, -300.0])
    assert area(lambda canvas: canvas.ring(far, 10, WHITE)) == 0
    assert area(lambda canvas: canvas.polygon(far + np.eye(3, 2) * 9, WHITE)) == 0
    assert area(lambda canvas: canvas.write("overflowing", (50, 60), WHITE)) > 0


def test_letters_are_told_apart():
    assert len(set(GLYPHS.values())) == len(GLYPHS)
    assert area(lambda canvas: canvas.write("-", (5, 5), WHITE, 1)) == 5


def flown(steps, task="Combat", copies=3, seed=4):
    env = FlightVectorEnv(task, copies, render_mode="rgb_array")
    seen, _ = env.reset(seed=seed)
    for _ in range(steps):
        seen = env.step(chase_and_evade(seen))[0]
    return env


@pytest.mark.parametrize("task", ["Pursuit", "Combat"])
def test_each_copy_is_a_picture_with_both_aircraft_in_it(task):
    pictures = flown(30, task).render()
    assert len(pictures) == 3
    for picture in pictures:
        assert (picture.shape, picture.dtype) == ((SIZE, SIZE, 3), np.uint8)
        for body in (YOU, ENEMY):
            assert (picture == np.array(COLOURS[body])).all(-1).sum() > 40
        assert (picture == np.array(GROUND)).all(-1).mean() > 0.5
    assert (pictures[0] != pictures[1]).any()


def test_north_is_up_and_east_is_right():
    env = flown(12, copies=8)
    for i, picture in enumerate(env.render()):
        you, foe = (np.argwhere((picture == np.array(COLOURS[body])).all(-1)).mean(0) for body in (YOU, ENEMY))
        down, right = foe - you
        x, y = (values[ENEMY, i] - values[YOU, i] for values in (env.world.bodies.x, env.world.bodies.y))
        assert np.arctan2(-down, right) == pytest.approx(np.arctan2(y, x), abs=0.1)


def test_a_hit_is_seen_and_a_new_episode_has_no_trail():
    env = FlightVectorEnv("Evasion", 1, render_mode="rgb_array")
    env.reset(seed=0)
    while not env.step(np.zeros((1, 2), np.float32))[2][0]:
        pass
    assert (env.render()[0] == np.array(BLAST)).all(-1).sum() > 100
    env.step(np.zeros((1, 2), np.float32))  # resets
    fresh = FlightVectorEnv("Evasion", 1, render_mode="rgb_array")
    fresh.generators = env.generators
    assert len(env._trail.moments[0]) == 1


def test_the_single_environment_shows_the_same_picture():
    env, single = (
        FlightVectorEnv("Combat", 1, render_mode="rgb_array"),
        gymnasium.make("understudy/Combat-v0", render_mode="rgb_array"),
    )
    env.reset(seed=2)
    single.reset(seed=2)
    for _ in range(25):
        env.step(np.full((1, 2), 0.3, np.float32))
        single.step(np.full(2, 0.3, np.float32))
    np.testing.assert_array_equal(env.render()[0], single.render())


def test_without_a_render_mode_nothing_is_drawn_and_that_is_told():
    env = FlightVectorEnv("Combat", 1)
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


def test_a_lock_is_seen_while_it_lasts():
    env, pixels = FlightVectorEnv("Pursuit", 6, render_mode="rgb_array"), {True: [], False: []}
    seen, _ = env.reset(seed=0)
    for t in range(200):
        seen = env.step(chase_and_evade(seen))[0]
        if t % 20 == 0:
            for picture, locked in zip(env.render(), position.locked(env.world.sight()[0]), strict=True):
                pixels[bool(locked)].append((picture == np.array(LOCKED)).all(-1).sum())
    assert min(map(len, pixels.values())) > 5
    assert min(pixels[True]) > 20
    assert max(pixels[False]) == 0
