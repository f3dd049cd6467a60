"""Real grids in processes: stopped in every way and gone on with, runs that fail, and what is refused beforehand."""

import json
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import understudy
from local_hub import LocalHub
from understudy.cli import main
from understudy.comparison.config import CompareConfig, CompressConfig
from understudy.comparison.reopened import reopened
from understudy.comparison.run import check, compare, planned
from understudy.comparison.summary import FILE, read
from understudy.errors import ConfigurationError, RunError
from understudy.runs.console import Silent
from understudy.runs.execute import distill
from understudy.runs.folder import RunFolder
from understudy.runs.sturdiness import Sturdiness

TEACHER = str(Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip")
SMALL = (
    *("--env", "CartPole-v1", "--methods", "on-policy-distill,teacher-distill", "--students", "mlp:8;linear"),
    *("--seeds", "2", "--steps", "768", "--final-episodes", "4", "--curve-episodes", "2", "--processes", "2"),
    *("--set", "evaluation_episodes=2", "--set", "learning_rate=1e-3", "--sturdiness", "0"),
)
NAMES = {
    f"{method}-{student}-s{seed}"
    for method in ("on-policy-distill", "teacher-distill")
    for student in ("mlp-8", "linear")
    for seed in (0, 1)
}
CLOCKS = ("seconds", "evaluation_seconds", "final_seconds", "total_seconds", "cpu_seconds", "path")
PROGRAM = """
import signal, sys
from understudy.cli import main
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
    sys.exit(main(sys.argv[1:]))
"""


def words(out, *more):
    return ["compare", TEACHER, *SMALL, "--out", str(out), *more]


def results(out):
    return {path.parent.name: path for path in (out / "runs").glob("*/result.json")}


def facts(path):
    return {key: value for key, value in json.loads(path.read_text()).items() if key not in CLOCKS}


def stamps(out):
    """When each file of a finished run was written last."""
    return {
        file: file.stat().st_mtime_ns
        for path in results(out).values()
        for file in path.parent.rglob("*")
        if file.is_file()
    }


def begun(script, out, finished):
    """The command in a process of its own, when ``finished`` of its runs are."""
    process = subprocess.Popen(
        [sys.executable, str(script), *words(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 90
    while len(results(out)) < finished:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)
    return process


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A grid that was never stopped, with its sturdiness."""
    out = tmp_path_factory.mktemp("undisturbed") / "grid"
    assert main(words(out, "--sturdiness", "2")) == 0
    shutil.copy(out / FILE, out / "first.json")
    return out


def test_a_grid_is_ordinary_runs_and_a_page(undisturbed):
    assert set(results(undisturbed)) == NAMES
    folder = RunFolder.open(undisturbed / "runs" / "teacher-distill-mlp-8-s1")
    assert (folder.config.method, folder.config.student, folder.config.seed) == ("teacher-distill", "mlp:8", 1)
    assert (folder.config.learning_rate, folder.config.steps, folder.config.threads) == (1e-3, 768, 1)
    found = read(undisturbed)
    assert [(one.method, one.student, one.seeds) for one in found.runs] == [
        ("on-policy-distill", "mlp:8", (0, 1)),
        ("on-policy-distill", "linear", (0, 1)),
        ("teacher-distill", "mlp:8", (0, 1)),
        ("teacher-distill", "linear", (0, 1)),
    ]
    assert (undisturbed / "index.html").is_file()


def test_the_figures_are_those_of_the_runs(undisturbed):
    row = read(undisturbed).runs[0]
    runs = [RunFolder(path).result for path in row.paths]
    assert row.returns.point == pytest.approx(sum(one.student_return for one in runs) / 2)
    assert row.parameters == runs[0].student_parameters == 4 * 8 + 8 + 8 * 2 + 2
    assert row.bytes == (Path(row.paths[0]) / "student" / "model.safetensors").stat().st_size
    assert row.latency.median > 0
    assert row.by_steps.x[:3] == (128, 256, 512)
    assert row.recovered.low <= row.recovered.point <= row.recovered.high
    found = read(undisturbed)
    assert found.teacher.returns.point == runs[0].teacher_return
    assert (found.teacher.parameters, found.teacher.bytes) == (4_610, Path(TEACHER).stat().st_size)
    assert [one.method for one in found.overall] == ["on-policy-distill", "teacher-distill"]
    assert found.improvements[0].students == ("mlp:8", "linear")
    assert any(one.front_of_parameters for one in found.runs)


def test_a_grid_that_is_stopped_and_killed_goes_on_to_the_same_runs(tmp_path, undisturbed, capsys):
    script, out = tmp_path / "command.py", tmp_path / "grid"
    script.write_text(PROGRAM, encoding="utf-8")

    process = begun(script, out, 1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from there" in said
    assert "Traceback" not in said, said
    first = stamps(out)
    assert 1 <= len(results(out)) < len(NAMES)

    process = begun(script, out, len(results(out)) + 1)
    process.kill()
    process.wait()
    process.stderr.close()
    second = stamps(out)
    assert len(results(out)) < len(NAMES)

    assert main(words(out, "--processes", "1")) == 0
    third = stamps(out)
    assert first.items() <= second.items() <= third.items()  # what was finished was not touched again
    assert set(results(out)) == NAMES
    whole = results(undisturbed)
    for name, path in results(out).items():
        assert facts(path) == facts(whole[name]), name
        student = Path("student") / "model.safetensors"
        assert (path.parent / student).read_bytes() == (whole[name].parent / student).read_bytes()

    capsys.readouterr()
    assert main(words(out)) == 0
    assert stamps(out) == third
    assert "side by side" not in capsys.readouterr().err  # no process was begun for them


def test_a_run_that_fails_stops_no_other_and_is_shown(tmp_path, undisturbed, capsys):
    out = tmp_path / "grid"
    (out / "runs").mkdir(parents=True)
    for name in NAMES - {"teacher-distill-linear-s1", "on-policy-distill-mlp-8-s0"}:
        (undisturbed / "runs" / name).rename(out / "runs" / name)
    try:
        in_the_way = out / "runs" / "teacher-distill-linear-s1"
        in_the_way.write_text("not a folder")
        moved = [path.parent.name for path in results(out).values()]
        for name in moved:  # they were run elsewhere, which is no other setting
            assert RunFolder.open(out / "runs" / name).config.out != str(out / "runs" / name)
        assert main(words(out, "--processes", "1")) == 1
        assert set(results(out)) == NAMES - {"teacher-distill-linear-s1"}
        said = capsys.readouterr()
        assert "teacher-distill, linear, seed 1 failed:" in said.err
        assert "1 runs failed" in said.out
        row = read(out).runs[3]
        assert row.seeds == (0,)
        assert [one.seed for one in row.failures] == [1]
        assert "is a file" in row.failures[0].message
        assert "is a file" in (out / "index.html").read_text(encoding="utf-8")
        in_the_way.unlink()
        assert main(words(out, "--processes", "1")) == 0
        assert read(out).failures == 0
    finally:
        for name in moved:
            (out / "runs" / name).rename(undisturbed / "runs" / name)


def test_runs_of_other_settings_are_refused_by_name(undisturbed):
    config = CompareConfig.of(values(undisturbed) | {"steps": 512})
    before = stamps(undisturbed)
    with pytest.raises(ConfigurationError, match=r"begun with other settings \(steps 768, now 512\)"):
        compare(config, "", Silent())
    assert stamps(undisturbed) == before


OWN = {
    "agents.py": "import numpy as np\ndef left(seen):\n    return np.zeros(len(seen), np.int64)\n",
    "poles.py": "import gymnasium\ndef make():\n    return gymnasium.make('CartPole-v1')\n",
    "more.py": "def plain(thing):\n    return thing\n",
    "rows.toml": '[own]\nloss = [{weight = 1.0, atom = "forward-kl"}]\n',
}
CHANGES = {
    "agent.zip": {"teacher": "agent.zip"},
    "member.zip": {"teacher": "ensemble:agent.zip,member.zip"},
    "agents.py": {"teacher": "function:agents.py:left"},
    "poles.py": {"env": "poles.py:make"},
    "more.py": {"set": ("student_view=more.py:plain",)},
    "rows.toml": {"methods": "rows.toml:own"},
    "vecnormalize.pkl": {"teacher": "agent.zip"},
}


@pytest.mark.parametrize("changed", CHANGES)
def test_runs_of_other_files_are_refused_by_name(changed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("agent.zip", "member.zip"):
        shutil.copy(TEACHER, name)
    for name, text in OWN.items():
        Path(name).write_text(text, encoding="utf-8")
    own = {"methods": "on-policy-distill", "students": "linear", "seeds": 1, "set": ()}
    cells = planned(CompareConfig.of(values("grid") | own | CHANGES[changed]))
    RunFolder.create(cells[0].config).close()
    check(cells, [])
    with Path(changed).open("ab") as file:  # statistics are found where there were none
        file.write(b"\n# changed")
    with pytest.raises(
        ConfigurationError, match=rf"begun with other files \(the contents of .*{changed}.*\)\. Put the"
    ):
        check(cells, [])


PLANNED = """
import ast, sys
from understudy.comparison.config import CompareConfig
from understudy.comparison.run import check, planned
check(planned(CompareConfig.of(ast.literal_eval(sys.argv[1]))), [])
"""


def test_runs_of_another_version_on_the_hub_are_refused(tmp_path):
    hub = LocalHub()
    try:
        asked = values(tmp_path / "grid") | {"seeds": 1}
        with closing(RunFolder.create(planned(CompareConfig.of(asked))[0].config)) as run:
            for path in (run.config_path, run.provenance_path):  # as if it had been begun with what was on the Hub
                path.write_text(path.read_text().replace(TEACHER, "hf://me/agent"))
        hub.add("me/agent", {"agent.zip": Path(TEACHER).with_name("ppo-LunarLander-v3.zip").read_bytes()})
        refused = hub.python("-c", PLANNED, repr(asked | {"teacher": "hf://me/agent"}), home=tmp_path / "home")
        assert refused.returncode == 1
        assert "begun with other files (the contents of the teacher, hf://me/agent)" in refused.stderr
    finally:
        hub.close()


def test_a_teacher_that_has_changed_is_said_with_what_compare_can_do(tmp_path):
    cell = planned(CompareConfig.of(values(tmp_path / "grid")))[0]
    result = distill(replace(cell.config, steps=64, final_episodes=2), console=Silent())
    provenance = Path(result.path) / "provenance.json"
    known = json.loads(provenance.read_text())
    known["teacher"]["sha256"] = "0"
    provenance.write_text(json.dumps(known))
    with pytest.raises(RunError, match=r"Put the old file back, or begin a new comparison with another --out"):
        reopened(cell, with_teacher=True)


def values(out):
    return {
        "teacher": TEACHER,
        "env": "CartPole-v1",
        "methods": "on-policy-distill,teacher-distill",
        "students": "mlp:8;linear",
        "seeds": 2,
        "steps": 768,
        "final_episodes": 4,
        "curve_episodes": 2,
        "set": ("evaluation_episodes=2", "learning_rate=1e-3"),
        "out": str(out),
        "sturdiness": 0,
    }


def test_another_seed_adds_runs_and_keeps_the_others(undisturbed, tmp_path):
    config = CompareConfig.of(values(undisturbed) | {"seeds": 1, "seed": 1})
    before = stamps(undisturbed)
    found = compare(config, "", Silent())
    assert [one.seeds for one in found.runs] == [(1,)] * 4
    assert stamps(undisturbed) == before


def test_what_cannot_begin_is_said_of_all_runs_before_any_begins(tmp_path, undisturbed):
    student = str(undisturbed / "runs" / "teacher-distill-linear-s0")
    asked = {"methods": "on-policy-distill,teacher-v-reward", "students": "cnn:small;linear", "teacher": student}
    config = CompareConfig.of(values(tmp_path / "grid") | asked | {"set": ()})
    with pytest.raises(ConfigurationError) as caught:
        compare(config, "", Silent())
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("on-policy-distill with cnn:small: student cnn:small needs pictures")
    assert lines[1].startswith("teacher-v-reward with cnn:small, teacher-v-reward with linear: teacher-v-reward needs")
    assert not (tmp_path / "grid").exists()


def test_a_problem_that_all_runs_share_is_said_once(tmp_path):
    config = CompareConfig.of(values(tmp_path / "grid") | {"teacher": "nowhere.zip"})
    with pytest.raises(ConfigurationError, match=r"^there is no teacher nowhere\.zip"):
        compare(config, "", Silent())


def test_python_finds_the_same_and_passes_other_options_on(undisturbed):
    before = stamps(undisturbed)
    options = values(undisturbed) | {"evaluation_episodes": 2, "learning_rate": 1e-3, "quiet": True}
    own = {name: options.pop(name) for name in ("teacher", "env", "methods", "students", "set")}
    found = understudy.compare(own["teacher"], own["env"], own["methods"].split(","), ["mlp:8", "linear"], **options)
    assert stamps(undisturbed) == before
    assert [one.returns for one in found.runs] == [one.returns for one in read(undisturbed).runs]
    with pytest.raises(ConfigurationError, match="names here"):
        understudy.compress(lambda x: x, "CartPole-v1")


def test_compress_goes_from_the_teachers_size_to_a_linear_student(tmp_path):
    config = CompressConfig.of({"teacher": TEACHER, "env": "CartPole-v1", "out": str(tmp_path), "seeds": 1})
    cells = planned(config)
    assert [cell.student for cell in cells] == ["mlp:64,64", "mlp:32,32", "mlp:16,16", "mlp:8,8", "mlp:4,4", "linear"]
    check(cells, cells)


def test_sturdiness_is_played_once_and_kept(undisturbed):
    found = Sturdiness.from_dict(json.loads((undisturbed / "first.json").read_text(encoding="utf-8"))["sturdiness"])
    assert found.runs == {
        f"{s} by {m}": 2 for m in ("on-policy-distill", "teacher-distill") for s in ("mlp:8", "linear")
    }
    assert [trial.kind for trial in found.trials] == ["noise", "random", "dynamics"]
    plain = [trial.students[0].mean[0] for trial in found.trials]
    assert plain[0] == plain[1] == plain[2]
    before = stamps(undisturbed)
    assert len([file for file in before if file.name.startswith("sturdiness-student-")]) == len(NAMES)
    assert len([file for file in before if file.name.startswith("sturdiness-teacher-")]) == 1
    assert main(words(undisturbed, "--sturdiness", "2")) == 0
    assert stamps(undisturbed) == before
    assert Sturdiness.from_dict(read(undisturbed).sturdiness) == found


def test_the_command_prints_one_json_object(undisturbed, capsys):
    assert main(words(undisturbed, "--json", "--quiet")) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["runs"]) == 4
    assert found["verdict"]["headline"]
