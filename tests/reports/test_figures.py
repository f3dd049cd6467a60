"""Figures: which panels stand together, how curves are told apart, and that the drawing shows the data."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.image import imread
from sample_findings import control_panels, fields, table, worlds

from understudy.lab.findings import Panel, Picture, Series
from understudy.reports.figures import _ticks, draw
from understudy.reports.layout import Sheet, sheets
from understudy.reports.style import METHOD_STYLES, row_of, styles
from understudy.reports.words import number


def panel(label: str, row: int, **more: str) -> Panel:
    return Panel(label, "x", "y", (Series(label, [0, 1], [0, 1]),), row, **more)  # type: ignore[arg-type]


def shape(figures: list[object]) -> list[list[int] | str]:
    return [[len(row) for row in one.rows] if isinstance(one, Sheet) else one.kind for one in sheets(figures)]  # type: ignore[arg-type]


def test_panels_with_one_caption_are_one_figure_in_rows() -> None:
    assert shape([*control_panels(), *fields(), table(), *worlds()]) == [[4, 4, 4], [2], "table", [2]]


def test_without_captions_rows_with_other_curves_are_other_figures() -> None:
    assert shape([panel("a", 0), panel("a", 1), panel("b", 2), panel("b", 2)]) == [[1, 1], [2]]
    assert shape([panel("a", 0, figure="A"), panel("b", 1, figure="A"), panel("b", 2, figure="B")]) == [[1, 1], [1]]


def test_a_row_keeps_its_colour_whatever_stands_beside_it_and_variants_differ_by_dashes() -> None:
    alone, among = styles(["n-distill"]), styles(["something", "on-policy-distill", "n-distill+r", "n-distill"])
    assert alone["n-distill"] == among["n-distill"] == METHOD_STYLES["n-distill"]
    assert among["n-distill+r"].colour == among["n-distill"].colour
    assert among["n-distill+r"].dashes != among["n-distill"].dashes
    assert among["something"].colour not in {METHOD_STYLES[name].colour for name in ("n-distill", "on-policy-distill")}


def test_a_reference_is_black_even_where_a_control_has_its_name() -> None:
    found = styles(["student", "teacher"], frozenset({"teacher"}))
    assert found["student"].colour == METHOD_STYLES["on-policy-distill"].colour
    assert found["teacher"].colour == "#222222"
    assert styles(["teacher"])["teacher"].colour == METHOD_STYLES["teacher-distill"].colour


def test_labels_are_read_as_rows_only_where_they_begin_with_one() -> None:
    assert row_of("teacher-v-reward-printed") == "teacher-v-reward-printed"
    assert row_of("on-policy-distill+r, table") == "on-policy-distill"
    assert row_of("Baseline") == "task-reward"
    assert row_of("mixture 0.5") == row_of("mixture(0.5)") == row_of("mixture") == "exp-entropy-regularised"
    assert row_of("teacher, 15 % noise") == "teacher-distill"
    assert row_of("teacher's return") == row_of("teacher returns") == ""
    assert row_of("my n-distill") == ""


def test_a_caption_explains_dashed_lines_that_are_black_and_no_others() -> None:
    def caption(label: str) -> str:
        return Sheet(((Panel("", "x", "y", (Series(label, [0, 1], [0, 1], dashed=True),)),),)).caption

    assert caption("teacher") == "Dashed black lines are for comparison."
    assert caption("v-gated") == ""  # a row keeps its colour


def test_twelve_rows_have_colours_and_markers_of_their_own() -> None:
    assert len({style.colour for style in METHOD_STYLES.values()}) == len(METHOD_STYLES)
    assert len({style.marker for style in METHOD_STYLES.values()}) == len(METHOD_STYLES)


def pixels(one: Panel | Picture) -> np.ndarray:
    image: np.ndarray = imread(io.BytesIO(draw(Sheet(((one,),))).png))[..., :3]
    return image


def near(image: np.ndarray, colour: str) -> np.ndarray:
    return np.argwhere(np.abs(image - np.array(to_rgb(colour))).max(-1) < 0.02)


def test_a_curve_is_drawn_in_its_colour_where_its_numbers_are() -> None:
    blue = METHOD_STYLES["on-policy-distill"].colour
    line = Series("on-policy-distill", [0, 1, 2, 3], [0, 1, 2, 3])
    top = Series("n-distill", [0, 1, 2, 3], [3, 3, 3, 3])
    found = near(pixels(Panel("", "x", "y", (line, top))), blue)
    found = found[found[:, 0] < 250]  # above the legend
    assert np.corrcoef(found[:, 0], found[:, 1])[0, 1] < -0.99  # rows of an image count downwards


def test_a_log_axis_survives_zeros_and_bands_that_reach_them() -> None:
    one = Series("a", [1, 10, 100], [1.0, 0.1, 0.0], [0.5, -0.1, -0.1], [2.0, 0.3, 0.1])
    assert len(draw(Sheet(((Panel("", "x", "y", (one,), x_log=True, y_log=True),),))).png) > 2000


@pytest.mark.parametrize(("most", "labels"), [(400, ["20", "50", "100", "200"]), (30_000, None)])
def test_labels_of_a_logarithmic_axis_stand_apart(most: float, labels: list[str] | None) -> None:
    canvas = Canvas(figsize=(2.6, 2.1), dpi=110)
    agg = FigureCanvasAgg(canvas)
    axes = canvas.add_subplot()
    axes.plot([15 if labels else 1, most], [0, 1])
    axes.set_xscale("log")
    _ticks(axes, log=True)
    agg.draw()
    low, high = axes.get_xlim()
    ticks = [*axes.xaxis.get_major_ticks(), *axes.xaxis.get_minor_ticks()]
    shown = [
        (tick.label1.get_window_extent(), tick.label1.get_text())
        for tick in ticks
        if low <= tick.get_loc() <= high and tick.label1.get_text()
    ]
    boxes = sorted((box.x0, box.x1) for box, _ in shown)
    assert len(boxes) >= 3
    assert all(left[1] < right[0] for left, right in pairwise(boxes))
    assert labels is None or [text for _, text in shown] == labels


@pytest.mark.parametrize(("move", "side"), list(enumerate(["left", "right", "up", "down"])))
def test_an_arrow_points_where_the_policy_goes(move: int, side: str) -> None:
    """One free cell and a policy that always moves one way: the ink lies on that side of the middle."""
    image = pixels(Picture("", [["."]], [[False]], [[np.eye(4)[move].tolist()]]))
    ink = near(image, "#202020")
    ink = ink[ink[:, 0] < 0.9 * image.shape[0]]  # above the legend
    light = near(image, "#FBFBFB")
    light = light[light[:, 0] < 0.9 * image.shape[0]]
    middle = (light.min(0) + light.max(0)) / 2
    down, right = ink.mean(0) - middle
    measured = {"left": -right, "right": right, "up": -down, "down": down}
    assert max(measured, key=lambda name: measured[name]) == side
    assert measured[side] > 20


def test_a_picture_has_the_first_row_on_top_and_the_first_cell_on_the_left() -> None:
    cells = [["#", "."], [".", "10"]]
    image = pixels(Picture("", cells, [[False, False], [False, True]], [[[0.0] * 4] * 2] * 2))
    image = image[: int(0.9 * len(image))]  # above the legend
    wall, good = near(image, "#3C3C3C").mean(0), near(image, "#5AA5D6").mean(0)
    assert (wall < good - 100).all()


def test_numbers_are_as_a_person_writes_them() -> None:
    shown = [
        number(value) for value in (3.14159, 12_345.6, 1e-12, float("inf"), 400, -0.5, "text", 123.4, 30_000_000.0)
    ]
    assert shown == ["3.14", "12,346", "1e-12", "never", "400", "-0.5", "text", "123", "3e+07"]
