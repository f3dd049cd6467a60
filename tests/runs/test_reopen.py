"""A finished run is opened from anywhere as what it was: its own code and no other, or a word on what has changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import understudy
from understudy.checks.config import DoctorConfig
from understudy.checks.examination import examine
from understudy.errors import RunError
from understudy.export.command import _opened, facts
from understudy.export.config import ExportConfig
from understudy.reports.command import _check_env, report
from understudy.runs.folder import RunFolder
from understudy.runs.places import likely, same_code
from understudy.runs.reopen import Reopened, reopen
from understudy.runs.sources import file_facts

TEACHER = Path(__file__).resolve().parents[2] / "teachers" / "ppo-CartPole-v1.zip"
POLE = "import gymnasium\ndef make(**more):\n    return gymnasium.make('CartPole-v1', max_episode_steps={}, **more)\n"
SHOWN = "def shown(observation):\n    return observation[..., ::-1].copy()\n"
RUN = "../a/run"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``a`` with code and a run that names it, ``b`` with other code of the same name."""
    folder = tmp_path_factory.mktemp("place-of-ada")
    for name, steps in (("a", 40), ("b", 7)):
        (folder / name).mkdir()
        (folder / name / "poles.py").write_text(POLE.format(steps))
    (folder / "a" / "views.py").write_text(SHOWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "a")
        understudy.distill(
            TEACHER, "poles.py:make", "linear", student_view="views.py:shown", out="run", steps=256,
            evaluation_episodes=2, final_episodes=3, quiet=True,
        )  # fmt: skip
    return folder


@pytest.fixture
def elsewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The process is in ``b``; ``a`` is as it was in the end."""
    monkeypatch.chdir(place / "b")
    before = {path: path.read_text() for path in (place / "a").glob("*.py")}
    yield place / "a"
    for path, text in before.items():
        path.write_text(text)


def limit(run: Reopened) -> int | None:
    with closing(run.simulator()) as simulator:
        return simulator.max_episode_steps


def test_a_run_opens_with_its_own_code_from_another_folder(elsewhere: Path) -> None:
    notes: list[str] = []
    run = reopen(RUN, trust=True, note=notes.append)
    assert (limit(run), run.origin.env) == (40, f"{elsewhere / 'poles.py'}:make")
    assert notes == []


def test_code_that_has_changed_is_told_of_and_no_other_takes_its_place(elsewhere: Path) -> None:
    (elsewhere / "poles.py").write_text(POLE.format(30))
    notes: list[str] = []
    assert limit(reopen(RUN, trust=True, note=notes.append)) == 30
    changed = f"{elsewhere / 'poles.py'}:make changed since {RUN} was made"
    assert notes == [f"the contents of env, {changed}: figures played now may differ"]


def test_a_file_that_is_gone_is_not_looked_for_in_another_of_its_name_without_a_word(elsewhere: Path) -> None:
    (elsewhere / "poles.py").unlink()
    notes: list[str] = []
    assert limit(reopen(RUN, trust=True, note=notes.append)) == 7
    assert notes == [f"the contents of env, poles.py:make changed since {RUN} was made: figures played now may differ"]


def test_the_most_likely_place_is_where_the_contents_are_then_the_old_one(elsewhere: Path) -> None:
    known = file_facts("../a/poles.py:make")
    own = f"{elsewhere / 'poles.py'}:make"
    assert likely("poles.py:make", known) == own
    (elsewhere / "poles.py").write_text("changed")
    assert likely("poles.py:make", known) == own
    (elsewhere / "poles.py").unlink()
    assert likely("poles.py:make", known) == "poles.py:make"
    assert likely("gone.py:make", known | {"path": "/gone.py"}) == "/gone.py:make"


def test_code_that_the_caller_names_runs_without_trust_and_the_rest_does_not(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place / "a")
    with pytest.raises(RunError, match=r"names 'views\.py:shown', and opening it") as caught:
        reopen("run", env="poles.py:make")
    assert "poles.py" not in str(caught.value)
    with pytest.raises(RunError, match=r"names 'views\.py:shown', 'poles\.py:make'"):
        reopen("run")


@pytest.mark.parametrize("env", ["poles.py:make", "../a/poles.py:make", "../a/same.py:make"])
def test_the_page_takes_the_runs_environment_by_any_name_of_it(env: str, elsewhere: Path) -> None:
    (elsewhere / "same.py").write_text((elsewhere / "poles.py").read_text())
    _check_env(RunFolder.open(RUN), env)
    (elsewhere / "same.py").unlink()


def test_a_page_is_made_with_the_environment_that_is_named(elsewhere: Path, tmp_path: Path) -> None:
    page = report(RUN, env="../a/poles.py:make", trust=True, film=False, out=tmp_path / "page.html")
    assert "poles.py:make" in page.read_text()


def test_the_page_is_of_no_other_environment(elsewhere: Path) -> None:
    for other in ("CartPole-v1", "../a/poles.py:other", "../a/views.py:make"):
        with pytest.raises(RunError, match=r"is a run on poles\.py:make"):
            report(RUN, env=other, trust=True)


@pytest.mark.parametrize(
    ("name", "other", "same"),
    [
        ("CartPole-v1", "CartPole-v1", True),
        ("CartPole-v1", "CartPole-v0", False),
        ("CartPole-v1", "vector:CartPole-v1", False),
        ("envpool:Pong-v5", "vector:Pong-v5", False),
        ("poles.py:make", "/x/poles.py:make", True),
        ("poles.py:make", "/x/poles.py:other", False),
        ("mine.poles:make", "poles:make", False),
    ],
)
def test_two_names_mean_the_same_code(name: str, other: str, same: bool) -> None:
    assert same_code(name, other, {}) is same


def setting(env: str, **options: Any) -> Any:
    found = examine(DoctorConfig(str(TEACHER), env, student=RUN, trust=True, episodes=5, **options))
    return next(one for one in found if one.check == "student: setting")


def test_the_doctor_knows_a_run_from_another_folder(elsewhere: Path) -> None:
    found = setting("../a/poles.py:make")
    assert (found.outcome, found.fix) == ("ok", "")
    (elsewhere / "poles.py").write_text(POLE.format(41))
    found = setting("../a/poles.py:make")
    assert found.outcome == "warning"
    assert "poles.py:make changed since ../a/run was made" in found.text
    found = setting("CartPole-v1")
    assert found.outcome == "failed"
    assert "environment 'poles.py:make', here 'CartPole-v1' (--env)" in found.text


def test_an_exported_file_names_the_environment_as_the_run_does(elsewhere: Path) -> None:
    (elsewhere / "poles.py").write_text(POLE.format(41))
    scene = _opened(ExportConfig(RUN, trust=True), None)
    scene.simulator.close()
    said = facts(scene.student, scene.env, scene.env_args)
    assert (said["env"], said["view"]) == ("poles.py:make", "views.py:shown")
    assert f"{elsewhere / 'poles.py'}:make changed since" in scene.notes[0]


def test_a_teacher_that_is_gone_is_said_with_what_the_caller_can_do(elsewhere: Path) -> None:
    shutil.copytree(elsewhere / "run", copy := elsewhere.parent / "copy")
    known = json.loads((copy / "provenance.json").read_text())
    known["teacher"]["sha256"] = "0"
    (copy / "provenance.json").write_text(json.dumps(known))
    with pytest.raises(RunError, match=r"Put the old file back, or begin anew$"):
        reopen(copy, trust=True, other="begin anew")
