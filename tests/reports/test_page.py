"""Text with code in it, in HTML and in Markdown."""

from __future__ import annotations

import pytest

from understudy.reports.page import cell, coded, plain


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("run `python -m x_y` now", "run <code>python -m x_y</code> now"),
        ("`a<b>` & <i>", "<code>a&lt;b&gt;</code> &amp; &lt;i&gt;"),
        ("a ` alone", "a ` alone"),
    ],
)
def test_what_stands_between_backticks_is_code_in_html_and_everything_is_escaped(text: str, html: str) -> None:
    assert str(coded(text)) == html


def test_what_stands_between_backticks_is_code_in_markdown_and_only_the_rest_is_escaped() -> None:
    assert plain("*run* `x_y[0] | <b>` a_b") == r"\*run\* `x_y[0] | <b>` a\_b"
    assert plain("a ` alone") == r"a \` alone"


def test_a_bar_within_code_does_not_end_a_table_s_cell() -> None:
    assert cell("`a|b` c|d\ne") == r"`a\|b` c\|d e"
