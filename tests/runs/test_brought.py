"""A student's folder from anywhere: what it says of itself is not run as code unless it is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

import understudy
from understudy.errors import RunError, TeacherError
from understudy.math.distributions import Family
from understudy.policies.student import Student
from understudy.policies.student_file import save_student

CODE = """
from pathlib import Path

Path(__file__).with_name("ran").touch()

def wrap(env):
    return env

def view(observation):
    return observation[..., :4]
"""


@pytest.fixture
def downloaded(tmp_path: Path) -> Any:
    """A student's folder with these facts, and a Python file that leaves a trace where it is run."""

    def made(**facts: Any) -> Path:
        (tmp_path / "code.py").write_text(CODE)
        space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
        save_student(
            Student(space, spaces.Discrete(2), Family("categorical", (2,)), "mlp:4"), tmp_path / "got", **facts
        )
        return tmp_path / "got"

    return made


def tried(verb: str, teacher: Any, out: Path, **options: Any) -> None:
    if verb == "evaluate":
        understudy.evaluate(teacher, "CartPole-v1", episodes=1, **options)
    else:
        small = {"steps": 128, "copies": 2, "evaluation_episodes": 2, "final_episodes": 2, "quiet": True}
        understudy.distill(teacher, "CartPole-v1", student="linear", out=out / "run", **small | options)


@pytest.mark.parametrize("verb", ["evaluate", "distill"])
@pytest.mark.parametrize("key", ["wrappers", "view"])
@pytest.mark.parametrize("form", ["folder", "object", "ensemble"])
def test_code_that_a_student_names_is_not_run(verb: str, key: str, form: str, downloaded: Any, tmp_path: Path) -> None:
    named = f"{tmp_path / 'code.py'}:{'wrap' if key == 'wrappers' else 'view'}"
    path = downloaded(**{key: [named] if key == "wrappers" else named})
    teacher = {"folder": path, "object": understudy.load_student(path), "ensemble": [path, path]}[form]
    with pytest.raises(TeacherError) as refused:
        tried(verb, teacher, tmp_path)
    option = "--wrap" if key == "wrappers" else "--view" if verb == "evaluate" else "--teacher-view"
    assert all(words in str(refused.value) for words in (named, "--trust", f"{option} {named}"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("view", ["time-feature,key:{}", "{}", " {}", "flatten:{}"])
def test_no_way_of_writing_it_runs_it(view: str, downloaded: Any, tmp_path: Path) -> None:
    path = downloaded(view=view.format(f"{tmp_path / 'code.py'}:view"))
    with pytest.raises(TeacherError, match="--trust"):
        tried("evaluate", path, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_with_trust_or_said_by_the_user_it_runs(downloaded: Any, tmp_path: Path) -> None:
    named = f"{tmp_path / 'code.py'}:wrap"
    path = downloaded(wrappers=[named])
    tried("evaluate", path, tmp_path, trust=True)
    assert (tmp_path / "ran").exists()
    tried("evaluate", path, tmp_path, wrappers=(named,))


@pytest.mark.parametrize("facts", [{"wrappers": "abc"}, {"wrappers": [3]}, {"view": ["0", "1"]}, {"gamma": "much"}])
def test_damaged_facts_are_named(facts: dict[str, Any], downloaded: Any, tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match=next(iter(facts)) if "gamma" not in facts else "discount"):
        tried("distill", downloaded(**facts), tmp_path)


def test_facts_that_are_no_table_make_a_damaged_student(downloaded: Any, tmp_path: Path) -> None:
    path = downloaded(env="A")
    text = (path / "config.json").read_text()
    (path / "config.json").write_text(text.replace('"facts": {\n    "env": "A"\n  }', '"facts": 3'))
    with pytest.raises(RunError, match="damaged"):
        understudy.load_student(path)


def test_built_in_wrappers_and_views_need_no_trust(downloaded: Any, tmp_path: Path) -> None:
    path = downloaded(wrappers=["time-feature:500"], view="0,1,2,3")
    assert understudy.evaluate(path, "CartPole-v1", episodes=1).wrappers == ("time-feature:500",)
