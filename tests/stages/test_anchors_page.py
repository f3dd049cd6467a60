"""What the page on anchors shows runs, and names every form of a weight."""

import re
from pathlib import Path

import pytest

from understudy.methods.anchor import FORMS, Anchor

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "anchors.md").read_text(encoding="utf-8")


def test_the_python_on_the_page_runs(tmp_path, monkeypatch):
    pytest.importorskip("stable_baselines3", reason="needs the extra sb3")
    (tmp_path / "teachers").symlink_to(ROOT / "teachers")
    monkeypatch.chdir(tmp_path)
    scope = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(block, "docs/anchors.md", "exec"), scope)
    assert float(scope["loss"].detach()) > 0


def test_every_weight_on_the_page_can_be_read_and_every_form_is_there():
    texts = re.findall(r"`([a-z-]+(?::[\d.]+)+)`", PAGE)
    assert {text.partition(":")[0] for text in texts} == set(FORMS) - {"constant"}
    for text in texts:
        assert Anchor("x.zip", text).rule
