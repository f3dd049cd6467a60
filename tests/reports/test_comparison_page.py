"""The page of a comparison: everything in one file, drawn from comparison.json alone, and opened in a browser."""

import re
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest
from browser import opened, pictured
from sample_comparison import runs, sample, sturdiness

from understudy.comparison.summary import FILE, Comparison, Improvement, Line, Verdict, read
from understudy.errors import RunError
from understudy.math.aggregates import Estimate
from understudy.reports.comparison_figures import curves, fronts, sturdy
from understudy.reports.comparison_page import sentence, write
from understudy.reports.comparison_table import rows, table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("comparison")
    sample().write(path)
    write(path)
    return path


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "index.html").read_text(encoding="utf-8")


def text_of(html):
    """What a reader sees."""
    html = re.sub(r"(?s)<style>.*?</style>", "", html)
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.fixture(scope="module")
def seen(folder, tmp_path_factory):
    return opened(folder / "index.html", tmp_path_factory.mktemp("browser"))


def test_a_browser_shows_the_page_without_complaint_and_without_loading_anything(seen):
    assert seen.console == []
    assert seen.resources == []
    assert len(seen.images) == 4  # size and time, steps, seconds, sturdiness
    assert all(width > 300 for _, width in seen.images)
    assert all(len(alt) > 40 for alt, _ in seen.images)
    assert [int(n) for n in re.findall(r"Figure (\d)\.", seen.text)] == [1, 2, 3, 4]


def test_the_page_fits_a_wide_and_a_narrow_window(folder, seen, tmp_path):
    assert seen.overflow <= 0
    assert opened(folder / "index.html", tmp_path, width=500).overflow <= 0


def test_the_page_can_be_pictured(folder, tmp_path):
    with PIL.Image.open(pictured(folder / "index.html", tmp_path)) as image:
        assert image.size == (1200, 2000)
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 100  # figures are there


def test_sturdiness_has_its_verdict_its_curves_and_its_table(page):
    seen = text_of(page)
    assert (
        "Did distilling make the policy sturdier? Not every student (sturdier: mlp:64,64; less sturdy: linear)." in seen
    )
    assert "judged by a 95 % interval of its own, not corrected for their number" in seen
    assert "the noise has a size" in seen
    together, alone = seen.index("all together"), seen.index("Each kind of perturbation by itself")
    assert together < alone < seen.index("observation noise mlp:64,64")


def test_sturdiness_that_could_not_be_measured_says_why(tmp_path):
    replace(sample(), sturdiness={"problem": "the <env> broke"}).write(tmp_path)
    html = write(tmp_path).read_text(encoding="utf-8")
    assert "It could not be measured: the &lt;env&gt; broke" in html
    assert "sturdier?" not in html


def test_of_many_students_sturdiness_draws_those_that_count():
    found, many = sample(), replace(sturdiness(), runs={str(n): 1 for n in range(7)})
    assert [one.label for one in sturdy(found, many)[0].series] == ["teacher"]  # none of theirs is on a front
    row = replace(found.runs[0], method="x", front_of_latency=True)
    one = replace(found, runs=(row,))
    assert [one.label for one in sturdy(one, many)[0].series] == ["teacher", "mlp:64,64"]
    assert len(sturdy(found, sturdiness())[0].series) == 3


def test_the_data_are_read_as_they_were_written(folder):
    assert read(folder) == sample()
    (folder / "copy").mkdir()
    read(folder).write(folder / "copy")
    assert (folder / "copy" / FILE).read_bytes() == (folder / FILE).read_bytes()


@pytest.mark.parametrize(("text", "said"), [
    (None, "does not exist"),
    ("{", "cannot be read as JSON"),
    ("[]", "is not a comparison"),
    ('{"command": "x"}', "is not a comparison"),
])  # fmt: skip
def test_data_that_cannot_be_read_are_refused(tmp_path, text, said):
    if text is not None:
        (tmp_path / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=said):
        write(tmp_path)


def test_the_page_needs_nothing_beside_it(page):
    assert not re.search(r"(?i)<script|<link|@import|url\(|src=\"(?!data:)", page)
    assert set(re.findall(r"href=\"([^\"]*)\"", page)) <= {
        "comparison.json",
        *(f"runs/{Path(path).name}/result.json" for one in sample().runs for path in one.paths),
    }


def test_the_verdict_comes_first_and_its_line_is_marked(page):
    seen = text_of(page)
    assert seen.index("The smallest student that keeps it is mlp:16,16.") < seen.index("All students")
    marked = re.search(r"(?s)<tr class=\"chosen\">(.*?)</tr>", page)
    assert text_of(marked[1]).startswith(
        "mlp:16,16 on-policy-distill 241 [229, 249] 99.0% [96.0%, 101.0%] yes 484 2,636"
    )
    assert page.count('class="chosen"') == 1


def test_every_line_of_the_table_says_what_was_measured(page):
    seen = text_of(page)
    for line in (
        "teacher 245 [239, 249] 4,996 149,219 33.5",
        "mlp:64,64 on-policy-distill 245 [233, 253] 100.0% [97.0%, 102.0%] yes 4,996 20,684 7 9,387 0.95",
        "12,459 (2 of 3) 1.1 (2 of 3)",
        "linear on-policy-distill 228 [216, 236] 96.0% [93.0%, 98.0%] perhaps 36 844 3.5 never never",
        "mlp:16,16 n-distill -52.5 [-64.5, -44.5] 30.0% [27.0%, 32.0%] no 484",
        "linear n-distill 2 failed",
        "random -180 [-186, -173]",
    ):
        assert line in seen


def test_failures_and_warnings_are_shown_and_what_they_say_is_no_markup(page):
    assert "&lt;b&gt;cannot&lt;/b&gt; be &amp;" in page
    assert "<script>" not in page
    seen = text_of(page)
    assert "linear by n-distill, seed 0" in seen
    assert "the memory was full" in seen
    assert "mlp:64,64 by n-distill: training ended with episodes of 20 steps" in seen


def test_the_methods_are_compared_and_explained(page):
    seen = text_of(page)
    assert "on-policy-distill beats n-distill with a probability of 0.97 [0.90, 1.00]." in seen
    assert "n-distill student H(π‖πθ) −H(π‖πθ)′ yes" in seen
    assert "understudy compare zoo/lander.zip --env LunarLander-v3" in seen


def test_what_goes_beyond_rliable_is_called_an_extension(page):
    assert "by an extension of the stratified bootstrap of Agarwal et al. 2021 (rliable)" in text_of(page)


def test_of_two_methods_the_likelier_one_is_said_to_beat_the_other():
    one = Improvement("a", "b", ("linear",), 3, Estimate(0.25, 0.1, 0.4))
    assert sentence(one) == "`b` beats `a` with a probability of 0.75 [0.60, 0.90]."
    unsure = replace(one, probability=Estimate(0.6, 0.4, 0.8))
    assert sentence(unsure).endswith("The interval holds one half: these runs do not tell them apart.")


def test_one_method_is_not_compared_and_has_all_students_in_one_panel():
    found = alone()
    assert [(panel.x_label, len(panel.series)) for panel in curves(found)] == [
        ("environment steps", 5),
        ("seconds of training", 5),
    ]
    assert "method" not in rows(found)[0]
    assert "method" not in table(found)


def test_several_methods_have_a_panel_a_student_with_the_methods_in_it():
    panels = [panel for panel in curves(sample()) if panel.x_label == "environment steps"]
    assert [panel.title for panel in panels] == ["mlp:64,64", "mlp:16,16", "linear"]
    assert [one.label for one in panels[0].series] == ["on-policy-distill", "n-distill", "teacher", "keeps 95%"]
    assert [one.label for one in panels[2].series] == ["on-policy-distill", "teacher", "keeps 95%"]  # the other failed
    assert panels[0].series[-1].mean[0] == pytest.approx(-180 + 0.95 * 425)
    assert panels[0].series[-1].x == (8_000, 40_000)


def test_the_front_shows_every_student_with_figures_and_the_lines_to_reach():
    sizes, times = fronts(sample())
    assert [(dot.label, dot.series, dot.x, dot.front) for dot in sizes.dots][:3] == [
        ("mlp:64,64", "on-policy-distill", 4_996, False),
        ("mlp:16,16", "on-policy-distill", 484, True),
        ("linear", "on-policy-distill", 36, True),
    ]
    assert len(sizes.dots) == len(times.dots) == 5
    assert [dot.x for dot in times.dots][:3] == [7.0, 6.8, 3.5]
    assert [name for name, _ in sizes.lines] == ["teacher", "keeps 95%"]
    assert (sizes.x_log, times.x_log) == (True, False)


def test_a_teacher_no_better_than_random_has_no_line_to_reach():
    found = sample()
    found = replace(found, teacher=replace(found.teacher, returns=found.random.returns))
    assert [name for name, _ in fronts(found)[0].lines] == ["teacher"]


def alone() -> Comparison:
    kept = tuple(one for one in sample().runs if one.method == "on-policy-distill")
    return replace(sample(), runs=kept, overall=(), improvements=(), kind="compress")


def test_a_page_with_hardly_anything_on_it_can_be_drawn(tmp_path):
    bare = replace(runs("on-policy-distill", "linear", 36, 3.5, 0.96), recovered=None, by_steps=Line(), latency=None)
    bare = replace(bare, by_seconds=Line(), seeds=(4,), keeps="unknown")
    replace(alone(), runs=(bare,), verdict=Verdict("Nothing can be said.")).write(tmp_path)
    html = write(tmp_path).read_text(encoding="utf-8")
    assert "Learning" not in html
    assert "each on 1 seed;" in text_of(html)
    assert 'class="chosen"' not in html


def test_the_terminals_table_stays_whole_however_wide(capsys):
    lines = table(sample()).splitlines()
    assert not any("…" in line for line in lines)
    assert lines[0].split() == [
        *("student", "method", "return", "recovered", "keeps", "95%", "parameters", "bytes", "µs", "steps", "seconds")
    ]
