import numpy as np
import pytest

from understudy.envs.flight import position
from understudy.envs.flight.seeing import INDEX, observe
from understudy.envs.flight.world import ENEMY, MISSILE, NUMBERS, YOU, World

NORTH, EAST, WEST, SOUTH = np.pi / 2, 0.0, np.pi, -np.pi / 2


def scene(x, y, heading, speed=235.0, own=NORTH):
    """You at (100, 200) at 235 m/s; the enemy at (x, y) from there."""
    world = World(1, 4)
    world.begin(np.arange(1), np.full((NUMBERS, 1), 0.5))
    world.bodies.place((YOU, 0), 100, 200, own, 235)
    world.bodies.place((ENEMY, 0), 100 + x, 200 + y, heading, speed)
    return world


def seen(world):
    shown = observe(world, *world.sight())[0]
    return {name: float(shown[i]) for name, i in INDEX.items()}


@pytest.mark.parametrize(
    ("x", "y", "heading", "worth", "locked"),
    [
        (0, 600, NORTH, 1, True),  # right behind it
        (0, 1000, NORTH, 1 / (1 + 1 / 9), False),
        (0, 1400, NORTH, 0.5, False),
        (0, 150, NORTH, 0.5, False),  # too near
        (0, 600, SOUTH, 0, False),  # head on
        (0, -600, NORTH, 0, False),  # it is behind you
        (0, 600, EAST, 0.25, False),  # on its beam
        (600, 0, EAST, 0.25, False),  # behind it, looking past it
        (0, 600, NORTH + 0.7, ((1 + np.cos(0.7)) / 2) ** 2, True),
        (0, 600, NORTH + 0.9, ((1 + np.cos(0.9)) / 2) ** 2, False),
    ],
)
def test_the_worth_of_a_place_is_that_worked_out_by_hand(x, y, heading, worth, locked):
    foe = scene(x, y, heading).sight()[0]
    assert position.worth(foe)[0] == pytest.approx(worth, abs=1e-9)
    assert position.locked(foe)[0] == locked


@pytest.mark.parametrize(("distance", "share"), [(0.0, 0), (750.0, 0.25), (3000.0, 1), (9000.0, 1)])
def test_an_escape_is_paid_in_proportion_to_the_distance(distance, share):
    assert position.escape(scene(0, distance, NORTH).sight()[0])[0] == pytest.approx(share)


def test_what_is_seen_of_the_enemy_is_what_geometry_says():
    shown = seen(scene(-1000, 0, NORTH))  # abreast, to the left, in formation
    expected = {"ahead": 0, "left": 1, "near": 0.5, "closing": 0, "along": 1, "across": 0, "speed": 0, "turn": 0}
    assert {name: shown[f"enemy_{name}"] for name in expected} == pytest.approx(expected, abs=1e-6)
    head_on = seen(scene(0, 3000, SOUTH, speed=185))
    assert head_on["enemy_near"] == pytest.approx(0.25)
    assert head_on["enemy_closing"] == pytest.approx(420 / 600)
    assert (head_on["enemy_along"], head_on["enemy_across"]) == pytest.approx((-1, 0), abs=1e-6)
    assert head_on["enemy_speed"] == pytest.approx(-50 / 85)
    assert seen(scene(0, 500, WEST))["enemy_across"] == pytest.approx(1)  # it crosses to your left


@pytest.mark.parametrize("turn", [0.6, -1.0])
def test_positive_turns_are_to_the_left_yours_and_the_enemys(turn):
    world = scene(0, 500, NORTH)
    world.time[0] = 1.0  # it is weaving by then
    before = world.bodies.heading[:, 0].copy()
    world.step(np.array([[turn], [0.0]]))
    yours, its = (world.bodies.heading[:, 0] - before)[[YOU, ENEMY]]
    assert yours == pytest.approx(
        turn * 80 / 235 * 0.1
    )  # as tight as 80 m/s² allow at 235 m/s, for a tenth of a second
    assert seen(world)["enemy_turn"] == pytest.approx(its / 0.1 / 0.3, rel=1e-5)
    assert its != 0


def test_nothing_changes_when_the_whole_scene_is_turned():
    cos, sin = np.cos(2.0), np.sin(2.0)
    one = seen(scene(300, 800, 0.4))
    other = seen(scene(300 * cos - 800 * sin, 300 * sin + 800 * cos, 2.4, own=NORTH + 2.0))
    assert one == pytest.approx(other, abs=1e-6)


def test_a_missile_is_seen_only_while_it_flies():
    world = scene(0, 2000, SOUTH)
    assert {name for name, value in seen(world).items() if name.startswith("missile") and value != 0} == set()
    world.age[0] = 4.5
    world.bodies.place((MISSILE, 0), 100 + 500, 200, WEST, 500)  # from the right
    shown = seen(world)
    assert (shown["missile"], shown["missile_life"]) == (1, 0.5)
    assert (shown["missile_ahead"], shown["missile_left"]) == pytest.approx((0, -1), abs=1e-6)
    assert shown["missile_closing"] == pytest.approx(0.5)
    assert (shown["missile_along"], shown["missile_across"]) == pytest.approx((0, 1), abs=1e-6)
    # you fly north at 235 m/s, so it drifts south of you at that rate, seen 500 m off to the east: clockwise
    assert shown["missile_rate"] == pytest.approx(-235 / 500 / 0.5, rel=1e-5)
