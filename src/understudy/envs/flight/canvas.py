"""Anti-aliased pictures with NumPy alone: lines, polygons, rings, discs and a small alphabet.

Shapes are drawn by their signed distance: a pixel is covered by as much as the edge leaves of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Colour = tuple[float, float, float]

GLYPHS = {
    "A": "0e11111f111111", "B": "1e11111e11111e", "C": "0e11101010110e", "D": "1e11111111111e", "E": "1f10101e10101f",
    "F": "1f10101e101010", "G": "0e11101711110f", "H": "1111111f111111", "I": "0e04040404040e", "J": "0702020202120c",
    "K": "11121418141211", "L": "1010101010101f", "M": "111b1515111111", "N": "11111915131111", "O": "0e11111111110e",
    "P": "1e11111e101010", "Q": "0e11111115120d", "R": "1e11111e141211", "S": "0f10100e01011e", "T": "1f040404040404",
    "U": "1111111111110e", "V": "11111111110a04", "W": "1111111515150a", "X": "11110a040a1111", "Y": "1111110a040404",
    "Z": "1f01020408101f", "0": "0e11131519110e", "1": "040c040404040e", "2": "0e11010204081f", "3": "1f02040201110e",
    "4": "02060a121f0202", "5": "1f101e0101110e", "6": "0608101e11110e", "7": "1f010204080808", "8": "0e11110e11110e",
    "9": "0e11110f01020c", ".": "00000000000c0c", "-": "0000001f000000", "/": "00010204081000", ":": "000c0c000c0c00",
    "%": "18190204081303", " ": "00000000000000",
}  # fmt: skip
"""Letters of 5 x 7 dots: seven rows from the top, two hexadecimal digits each."""
DOTS = 6
"""From one letter to the next, in dots."""


class Canvas:
    """A square picture, floats in [0, 255] until it is taken. Points are (column, row) in pixels."""

    def __init__(self, size: int, ground: Colour) -> None:
        self.size = size
        self.pixels = np.empty((size, size, 3), np.float32)
        self.pixels[:] = ground

    def picture(self) -> np.ndarray:
        """uint8 ``[size, size, 3]``."""
        return np.rint(self.pixels).astype(np.uint8)

    def line(self, start: np.ndarray, end: np.ndarray, colour: Colour, width: float = 1.5, opacity: float = 1) -> None:
        """A straight line with round ends."""
        window = self._window(np.array([start, end]), width + 1)
        if window is None:
            return
        place, points = window
        way = np.subtract(end, start)
        share = np.clip(((points - start) @ way) / max(float(way @ way), 1e-9), 0, 1)
        away = points - start - share[..., None] * way
        self._cover(place, width / 2 - np.sqrt((away * away).sum(-1)), colour, opacity)

    def ring(
        self, centre: np.ndarray, radius: float, colour: Colour, width: float | None = None, opacity: float = 1
    ) -> None:
        """A circle, or without ``width`` all that is in it."""
        window = self._window(np.array([centre]), radius + (width or 0) + 1)
        if window is None:
            return
        place, points = window
        away = points - centre
        edge = radius - np.sqrt((away * away).sum(-1))
        self._cover(place, edge if width is None else width / 2 - np.abs(edge), colour, opacity)

    def rings(self, centre: np.ndarray, step: float, colour: Colour, width: float = 1.2) -> None:
        """Circles around ``centre`` at every ``step``, all over the picture."""
        axis = np.arange(self.size, dtype=np.float32) + np.float32(0.5)
        away = np.sqrt((axis - centre[0]) ** 2 + ((axis - centre[1]) ** 2)[:, None])
        number = np.maximum(np.rint(away / step), 1)
        self._cover((slice(None), slice(None)), width / 2 - np.abs(away - number * step), colour, 1)

    def polygon(self, corners: np.ndarray, colour: Colour, opacity: float = 1) -> None:
        """What the ``corners [K, 2]`` enclose, convex or not."""
        window = self._window(corners, 1)
        if window is None:
            return
        place, points = window
        inside = np.zeros(points.shape[:2], bool)
        near = np.full(points.shape[:2], np.inf)
        for start, end in zip(corners, np.roll(corners, -1, 0), strict=True):
            way = end - start
            share = np.clip(((points - start) @ way) / max(float(way @ way), 1e-9), 0, 1)
            away = points - start - share[..., None] * way
            near = np.minimum(near, (away * away).sum(-1))
            between = (start[1] > points[..., 1]) != (end[1] > points[..., 1])
            crossing = start[0] + (points[..., 1] - start[1]) * way[0] / (way[1] or 1e-9)
            inside ^= between & (points[..., 0] < crossing)
        self._cover(place, np.where(inside, 1, -1) * np.sqrt(near), colour, opacity)

    def write(self, text: str, corner: Sequence[int], colour: Colour, scale: int = 2) -> None:
        """A line of capital letters and digits from its upper left ``corner``, as far as it fits."""
        for i, letter in enumerate(text.upper()):
            rows = bytes.fromhex(GLYPHS.get(letter, GLYPHS[" "]))
            dots = np.array([[row >> (4 - k) & 1 for k in range(5)] for row in rows], bool)
            dots = dots.repeat(scale, 0).repeat(scale, 1)
            left, top = corner[0] + i * DOTS * scale, corner[1]
            patch = self.pixels[top : top + dots.shape[0], left : left + dots.shape[1]]
            patch[dots[: patch.shape[0], : patch.shape[1]]] = colour

    def _window(self, corners: np.ndarray, margin: float) -> tuple[tuple[slice, slice], np.ndarray] | None:
        """The part of the picture that a shape can touch, and the centres of its pixels; None where it is outside."""
        low = np.clip(np.floor(corners.min(0) - margin), 0, self.size).astype(int)
        high = np.clip(np.ceil(corners.max(0) + margin), 0, self.size).astype(int)
        if (high <= low).any():
            return None
        columns, rows = np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5
        points = np.stack(np.meshgrid(columns, rows), -1)
        return (slice(low[1], high[1]), slice(low[0], high[0])), points

    def _cover(self, place: tuple[slice, slice], inside: np.ndarray, colour: Colour, opacity: float) -> None:
        """Blend a colour in by how far ``inside`` the edge, in pixels, each pixel lies."""
        touched = np.nonzero(inside > -0.5)
        share = np.minimum(inside[touched] + 0.5, 1)[:, None] * opacity
        part = self.pixels[place]
        part[touched] += (share * (np.asarray(colour) - part[touched])).astype(np.float32)
