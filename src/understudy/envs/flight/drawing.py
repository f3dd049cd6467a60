"""What an episode looks like: aircraft, their trails, a missile with its smoke, rings of range and a line of text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from understudy.envs.flight.canvas import Canvas, Colour
from understudy.envs.flight.position import LOCK
from understudy.envs.flight.world import ENEMY, MISSILE, YOU, World

SIZE = 480
"""Pixels across."""
GROUND, RINGS, TEXT, FAINT = (13, 20, 33), (38, 56, 82), (214, 224, 238), (120, 138, 164)
COLOURS: dict[int, Colour] = {YOU: (86, 180, 233), ENEMY: (240, 100, 80), MISSILE: (255, 214, 90)}
SMOKE, LOCKED, BLAST = (200, 205, 215), (110, 220, 140), (255, 170, 60)
TRAIL = 60
"""Steps that a trail shows."""
RING = 500.0
"""m from one ring of range to the next."""
NARROWEST, ROOM = 1600.0, 1.5
"""m across the picture at least, and how much wider it is than what it has to show."""
JET = np.array(
    [(14, 0), (9, 1.6), (4, 1.9), (-4, 9.5), (-7, 9.5), (-4.5, 2), (-9, 1.8), (-12.5, 5), (-14, 5), (-12.5, 0)]
)
"""Half of an aircraft that points to the right, in pixels."""
DART = np.array([(7, 0), (3, 1.5), (-4, 1.5), (-7, 4), (-7, 0)])


class Moment(NamedTuple):
    """Where the three bodies of a copy were, metres ``[3, 2]``, and whether there was a missile."""

    places: np.ndarray
    flying: bool


class Trail:
    """The last moments of every copy."""

    def __init__(self, copies: int) -> None:
        self.moments: list[list[Moment]] = [[] for _ in range(copies)]

    def note(self, world: World, copies: Iterable[int]) -> None:
        """These copies as they are now."""
        flying = world.flying
        for i in copies:
            past = self.moments[i]
            if world.time[i] == 0:
                past.clear()
            past.append(Moment(np.stack([world.bodies.x[:, i], world.bodies.y[:, i]], 1), bool(flying[i])))
            del past[:-TRAIL]


class View(NamedTuple):
    """From metres to pixels: the point in the middle, and pixels a metre."""

    centre: np.ndarray
    scale: float

    def __call__(self, places: np.ndarray) -> np.ndarray:
        return SIZE / 2 + (places - self.centre) * (self.scale, -self.scale)


def draw(world: World, copy: int, past: list[Moment], title: str, locked: bool, lock_time: float) -> np.ndarray:
    """uint8 ``[480, 480, 3]``."""
    now, canvas = past[-1], Canvas(SIZE, GROUND)
    shown = now.places if now.flying else now.places[:MISSILE]
    low, high = shown.min(0), shown.max(0)
    view = View((low + high) / 2, SIZE / max(NARROWEST, ROOM * float((high - low).max())))
    _rings(canvas, view, now.places[YOU])
    _trails(canvas, view, past)
    if locked:
        canvas.line(view(now.places[YOU]), view(now.places[ENEMY]), LOCKED, 1.2, 0.7)
        canvas.ring(view(now.places[ENEMY]), 20, LOCKED, 1.8)
    headings = world.bodies.heading[:, copy]
    for body in (ENEMY, YOU):
        canvas.polygon(_outline(JET, headings[body], view(now.places[body])), COLOURS[body])
    if now.flying:
        canvas.polygon(_outline(DART, headings[MISSILE], view(now.places[MISSILE])), COLOURS[MISSILE])
    if world.hit[copy]:
        _blast(canvas, view(now.places[YOU]))
    _text(canvas, world, copy, title, lock_time, now)
    return canvas.picture()


def _rings(canvas: Canvas, view: View, centre: np.ndarray) -> None:
    """Around you, every half a kilometre, and the reach of a lock."""
    canvas.rings(view(centre), RING * view.scale, RINGS)
    canvas.ring(view(centre), LOCK[1] * view.scale, LOCKED, 1.2, 0.3)


def _trails(canvas: Canvas, view: View, past: list[Moment]) -> None:
    """Lines that fade behind the aircraft, puffs that grow behind the missile."""
    places = view(np.stack([moment.places for moment in past]))
    for t in range(1, len(past)):
        age = (len(past) - 1 - t) / TRAIL
        for body in (YOU, ENEMY):
            canvas.line(places[t - 1, body], places[t, body], COLOURS[body], 2.0, 0.6 * (1 - age))
        if past[t].flying and past[t - 1].flying:
            for share in (0.0, 0.2, 0.4, 0.6, 0.8):
                puff = places[t, MISSILE] + share * (places[t - 1, MISSILE] - places[t, MISSILE])
                canvas.ring(puff, 1.4 + 9 * age, SMOKE, None, 0.3 * (1 - age) ** 2)


def _outline(half: np.ndarray, heading: float, place: np.ndarray) -> np.ndarray:
    """A shape and its mirror image, turned and put there."""
    whole = np.concatenate([half, half[-2:0:-1] * (1, -1)])
    cos, sin = np.cos(heading), np.sin(heading)
    return whole @ np.array([[cos, -sin], [sin, cos]]) + place


def _blast(canvas: Canvas, place: np.ndarray) -> None:
    for radius, opacity in ((26, 0.35), (18, 0.6), (10, 1.0)):
        canvas.ring(place, radius, BLAST, None, opacity)


def _text(canvas: Canvas, world: World, copy: int, title: str, lock_time: float, now: Moment) -> None:
    gap = now.places[ENEMY] - now.places[YOU]
    canvas.write(f"{title}  {world.time[copy]:4.1f} s", (12, 12), TEXT)
    speed = world.bodies.speed[YOU, copy]
    canvas.write(f"speed {speed:3.0f} m/s   range {np.hypot(*gap):4.0f} m", (12, SIZE - 44), FAINT)
    words = f"lock {lock_time:4.1f} s"
    if world.missiles:
        words += f"   missiles {world.left[copy]}/{world.missiles}   dodged {world.dodged[copy]}"
    canvas.write(words, (12, SIZE - 24), FAINT)
    if world.hit[copy]:
        canvas.write("hit", (SIZE - 48, 12), BLAST)
