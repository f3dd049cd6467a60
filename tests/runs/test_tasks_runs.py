"""Several tasks end to end: real teachers, whole run folders, and stops that leave no trace."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cutter import Cut, Cutter
from understudy.cli import main
from understudy.engines import replay
from understudy.errors import ConfigurationError, RunError, TeacherError
from understudy.reports.run_page import write
from understudy.runs import run as running
from understudy.runs.checkpoints import Checkpoints, load, save
from understudy.runs.config import EvaluateConfig
from understudy.runs.console import Silent
from understudy.runs.evaluation import evaluate
from understudy.runs.execute import resume
from understudy.runs.folder import RunFolder
from understudy.runs.result import Result
from understudy.runs.standing import Standing
from understudy.runs.tasks import run as tasks_running
from understudy.runs.tasks.config import TasksConfig
from understudy.runs.tasks.execute import distill_tasks, resume_tasks
from understudy.runs.tasks.folder import TasksFolder
from understudy.runs.tasks.result import TasksResult

TEACHERS = Path(__file__).resolve().parents[2] / "teachers"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "teachers" / "dqn"
CARTPOLE, LANDER = TEACHERS / "ppo-CartPole-v1.zip", TEACHERS / "ppo-LunarLander-v3.zip"
CLOCK = {"seconds", "evaluation_seconds", "final_seconds", "total_seconds", "cpu_seconds", "path"}
SMALL: dict[str, Any] = {"student": "mlp:8,8", "evaluation_episodes": 4, "final_episodes": 4, "target": 3.0, "seed": 3}
SHORT = {"max_episode_steps": 100}


def asked(out: Path, **options: Any) -> TasksConfig:
    """Two tasks on CartPole: as it is, and on its side, with other observations."""
    tables = {
        "upright": {"teacher": str(CARTPOLE), "env": "CartPole-v1", "env_args": SHORT},
        "half-blind": {
            "teacher": str(CARTPOLE), "env": "CartPole-v1", "env_args": SHORT, "student_view": "0,2,3", "weight": 2.0,
        },
    }  # fmt: skip
    return TasksConfig.of({"tasks": tables, **SMALL, "out": str(out), **options})


def told(path: Path) -> dict[str, Any]:
    """Everything that a run leaves, without the clock's part in it."""
    found: dict[str, Any] = {"files": sorted(str(file.relative_to(path)) for file in path.rglob("*"))}
    for task in sorted((path / "tasks").iterdir()):
        lines = (task / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        found[task.name] = {
            "student": (task / "student" / "model.safetensors").read_bytes(),
            "records": [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines],
            "result": _timeless(json.loads((task / "result.json").read_text(encoding="utf-8"))),
            "episodes": (task / "evidence" / "episodes.json").read_bytes(),
        }
    return found | {"result": _timeless(json.loads((path / "result.json").read_text(encoding="utf-8")))}


def _timeless(result: dict[str, Any]) -> dict[str, Any]:
    left = {key: value for key, value in result.items() if key not in CLOCK}
    return left | ({"tasks": {n: _timeless(one) for n, one in left["tasks"].items()}} if "tasks" in left else {})


def shared_weights(path: Path) -> list[torch.Tensor]:
    return [
        load_file(task / "student" / "model.safetensors")["network.layers.2.weight"]
        for task in (path / "tasks").iterdir()
    ]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints after every few rounds."""
    for module in (running, tasks_running):
        monkeypatch.setattr(module, "RARELY", 1200)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CartPole and LunarLander by the command line, in one student."""
    out = tmp_path_factory.mktemp("two") / "run"
    words = ["--task", f"cartpole={CARTPOLE}@CartPole-v1", f"--task=lander={LANDER}@LunarLander-v3", "--quiet"]
    few = ["--evaluation-episodes", "10", "--final-episodes", "25", "--steps", "60000"]
    assert main(["distill", *words, "--student", "mlp:32,32", *few, "--out", str(out)]) == 0
    return out


def test_two_published_agents_become_one_student(two: Path) -> None:
    result = TasksFolder.open(two).result
    assert {name: one.recovered is not None and one.recovered >= 0.95 for name, one in result.tasks.items()} == {
        "cartpole": True,
        "lander": True,
    }
    assert result.geometric_mean is not None
    assert result.geometric_mean > 0.95
    assert result.reached
    assert result.shared_parameters == 32 * 32 + 32
    assert result.own_parameters == {"cartpole": 5 * 32 + 33 * 2, "lander": 9 * 32 + 33 * 4}
    assert result.student_parameters == result.shared_parameters + sum(result.own_parameters.values())
    assert result.env_steps == sum(one.env_steps for one in result.tasks.values())
    assert TasksResult.from_json(result.to_json()) == result
    one, other = shared_weights(two)
    assert torch.equal(one, other)


def test_each_task_is_a_run_of_its_own(two: Path) -> None:
    folder = RunFolder.open(two / "tasks" / "lander")
    result = TasksFolder.open(two).result.tasks["lander"]
    assert folder.result == result
    assert folder.provenance["resolved"]["tasks"] == {"cartpole": 1.0, "lander": 1.0}
    assert {record["kind"] for record in folder.records()} == {"train", "evaluation"}
    played = evaluate(EvaluateConfig.of({"path": str(folder.path), "env": "LunarLander-v3", "episodes": 25}))
    assert played.mean_return == pytest.approx(result.student_return)


def test_a_tasks_page_says_with_whom_it_was_learned_and_how_to_make_all_again(two: Path) -> None:
    page = write(RunFolder.open(two / "tasks" / "lander")).read_text(encoding="utf-8")
    assert "It was learned together with cartpole, with which it shares layers" in page
    assert f"understudy distill --config {two}/tasks.toml --out {two}-again" in page


def test_the_summary_has_a_table_of_the_tasks(two: Path) -> None:
    lines = TasksFolder.open(two).result.summary().splitlines()
    assert lines[0] == (
        "Distilled    2 tasks into one mlp:32,32 with on-policy-distill over aggregated states, a head for each, seed 0"
    )
    assert [line.split()[0] for line in lines[1:4]] == ["Return", "cartpole", "lander"]
    assert "held by every task; stopped: every task holds its target" in lines[4]
    assert "1,056 shared, 226 of cartpole alone, 420 of lander alone" in lines[5]


def test_the_folder_of_all_says_where_the_tasks_are(two: Path) -> None:
    with pytest.raises(RunError, match=r"holds several tasks.*tasks/NAME, of cartpole, lander"):
        RunFolder.open(two)
    with pytest.raises(RunError, match=r"is one of several tasks.*understudy distill --resume"):
        resume(two / "tasks" / "lander")
    console = Cutter()
    assert resume_tasks(two, console=console) == TasksFolder.open(two).result
    assert "has finished" in console.notes[0]


RUNS: dict[str, dict[str, Any]] = {
    "policies": {"steps": 3000},
    "turns": {"steps": 3000, "mix": "turns"},
    "action values": {"steps": 3000, "method": "q-kl", "curve_episodes": 2},
    "differences": {"steps": 1000, "method": "dqn+q-ce", "prefill": 100},
    "one head": {"steps": 2500, "heads": "one"},
    "memories": {"steps": 2400, "student": "gru:6", "collect": 100, "updates": 4},
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_that_was_cut_off_goes_on_to_the_same_bits(kind: str, tmp_path: Path, often: None) -> None:
    distill_tasks(asked(tmp_path / "whole", **RUNS[kind]), console=Silent())
    whole = told(tmp_path / "whole")
    rounds = sum(record["kind"] == "train" for record in whole["upright"]["records"])
    with pytest.raises(Cut):
        distill_tasks(asked(tmp_path / "cut", **RUNS[kind]), console=Cutter(rounds // 2))
    with pytest.raises(Cut):
        resume_tasks(tmp_path / "cut", console=Cutter(rounds // 4))
    resume_tasks(tmp_path / "cut", console=Silent())
    again = RunFolder.open(tmp_path / "cut" / "tasks" / "half-blind").provenance["resumed"]
    assert again[-1]["env_steps"] > 0
    for part, expected in whole.items():
        assert told(tmp_path / "cut")[part] == expected, part


REMEMBERS = """
import gymnasium

class Old(gymnasium.Wrapper):
    age = 0

    def reset(self, **options):
        self.age += 1
        return self.env.reset(**options)

    def step(self, action):
        seen, reward, terminated, truncated, facts = self.env.step(action)
        return seen, reward + self.age, terminated, truncated, facts

def make():
    return Old(gymnasium.make("CartPole-v1", max_episode_steps=100))
"""


def test_an_environment_that_remembers_is_made_anew_at_checkpoints_of_all(
    tmp_path: Path, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old_pole.py").write_text(REMEMBERS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    def config(name: str) -> TasksConfig:
        tables = {
            "young": {"teacher": str(CARTPOLE), "env": "CartPole-v1", "env_args": SHORT},
            "old": {"teacher": str(CARTPOLE), "env": "old_pole:make", "copies": 4},
        }
        return TasksConfig.of({"tasks": tables, **SMALL, "steps": 5000, "out": str(tmp_path / name)})

    result = distill_tasks(config("whole"), console=Silent())
    warned = {name: "does not come back" in " ".join(one.warnings) for name, one in result.tasks.items()}
    assert warned == {"young": False, "old": True}
    with pytest.raises(Cut):
        distill_tasks(config("cut"), console=Cutter(15))
    resume_tasks(tmp_path / "cut", console=Silent())
    assert RunFolder.open(tmp_path / "cut" / "tasks" / "old").provenance["resumed"][-1]["env_steps"] > 0
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(tmp_path: Path, often: None) -> None:
    distill_tasks(asked(tmp_path / "whole", steps=5000), console=Silent())
    with pytest.raises(KeyboardInterrupt, match=rf"kept: go on with understudy distill --resume .*{tmp_path.name}"):
        distill_tasks(asked(tmp_path / "cut", steps=5000), console=Cutter(12, politely=True))
    newest = Checkpoints(tmp_path / "cut" / "checkpoints").newest
    lines = (tmp_path / "cut" / "tasks" / "upright" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert newest == 2 * json.loads(lines[-1])["env_steps"]
    assert main(["distill", "--resume", str(tmp_path / "cut"), "--quiet"]) == 0
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_a_run_cut_off_between_the_tasks_results_repeats_only_those(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distill_tasks(asked(tmp_path / "whole", steps=2000), console=Silent())
    usual = running.Run.finish

    def second_is_killed(self: running.Run) -> Result:
        if self.config.student_view:
            raise Cut
        return usual(self)

    with monkeypatch.context() as patch:
        patch.setattr(running.Run, "finish", second_is_killed)
        with pytest.raises(Cut):
            distill_tasks(asked(tmp_path / "cut", steps=2000), console=Silent())
    assert (tmp_path / "cut" / "tasks" / "upright" / "result.json").exists()
    resume_tasks(tmp_path / "cut", console=Cutter(1))  # not one round more
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_a_checkpoint_that_is_younger_than_a_tasks_metrics_is_passed_over(tmp_path: Path, often: None) -> None:
    with pytest.raises(Cut):
        distill_tasks(asked(tmp_path / "run", steps=5000), console=Cutter(15))
    newest = Checkpoints(tmp_path / "run" / "checkpoints").newest
    with (tmp_path / "run" / "tasks" / "half-blind" / "metrics.jsonl").open("ab") as file:
        file.truncate(100)
    console = Cutter()
    resume_tasks(tmp_path / "run", console=console)
    assert newest is not None
    assert any("begins anew" in note for note in console.notes)


def test_the_last_parameters_are_those_with_which_the_tasks_did_best_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[tuple[float, dict[str, torch.Tensor]]]] = {"upright": [], "half-blind": []}
    usual = running.Run.judged

    def watched(self: running.Run) -> Any:
        verdict = usual(self)
        assert verdict.recovered is not None
        state = {name: value.clone() for name, value in self.parts.student.state_dict().items()}
        seen[self.folder.path.name].append((min(verdict.recovered.point, 1.0), state))
        return verdict

    monkeypatch.setattr(running.Run, "judged", watched)
    distill_tasks(asked(tmp_path / "run", steps=8000, learning_rate=0.3), console=Silent())
    scores = [(one[0] + other[0]) / 2 for one, other in zip(*seen.values(), strict=True)]
    best = scores.index(max(scores))
    assert len(scores) > 2
    assert best < len(scores) - 1  # or the last would do for the best
    for name, found in seen.items():
        kept = load_file(tmp_path / "run" / "tasks" / name / "student" / "model.safetensors")
        assert all(torch.equal(kept[key], value) for key, value in found[best][1].items())


def test_more_than_the_teachers_return_in_one_task_makes_up_for_none_of_another() -> None:
    kept: list[float] = []

    def noted(*points: float) -> None:
        run = SimpleNamespace(keep=lambda: kept.append(min(points)))
        verdicts: Any = {
            name: SimpleNamespace(recovered=SimpleNamespace(point=point))
            for name, point in zip("ab", points, strict=True)
        }
        tasks_running.TasksRun._note_best(SimpleNamespace(standing=standing, runs={"a": run}), verdicts)  # type: ignore[arg-type]

    standing = Standing()
    for points in ((1.5, 0.2), (0.7, 0.7), (1.9, 0.3), (0.8, 0.7)):
        noted(*points)
    assert kept == [0.2, 0.7, 0.7]


def test_training_goes_on_while_one_task_falls_short(tmp_path: Path) -> None:
    config = asked(tmp_path / "run", steps=6000, target=0.5)
    blind = dataclasses.replace(config.tasks[1].config, student_view="0")  # which no policy can balance by
    mixed = dataclasses.replace(
        config, tasks=(config.tasks[0], dataclasses.replace(config.tasks[1], config=blind)), steps=6000
    )
    result = distill_tasks(mixed, console=Silent())
    upright, other = result.tasks["upright"], result.tasks["half-blind"]
    assert upright.reached
    assert not other.reached
    assert result.stopped_because == "the budget of environment steps is spent"
    assert result.env_steps >= 6000
    assert upright.env_steps == other.env_steps
    assert {upright.stopped_because, other.stopped_because} == {result.stopped_because}


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"teacher": "nowhere.zip"}, TeacherError, "task half-blind: there is no teacher"),
        ({"student_view": "0,7"}, Exception, "task half-blind: .*entries run from 0 to 3"),
    ],
)
def test_what_is_wrong_with_a_task_is_said_before_anything_is_written(
    changed: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    config = asked(tmp_path / "run")
    wrong = dataclasses.replace(config.tasks[1].config, **changed)
    tasks = (config.tasks[0], dataclasses.replace(config.tasks[1], config=wrong))
    with pytest.raises(kind, match=message):
        distill_tasks(dataclasses.replace(config, tasks=tasks), console=Silent())
    assert not (tmp_path / "run").exists()


def test_one_head_for_different_actions_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    tables = {
        "cartpole": {"teacher": str(CARTPOLE), "env": "CartPole-v1"},
        "lander": {"teacher": str(LANDER), "env": "LunarLander-v3"},
    }
    config = TasksConfig.of({"tasks": tables, **SMALL, "heads": "one", "out": str(tmp_path / "run")})
    with pytest.raises(ConfigurationError, match=r"Discrete\(2\) and Discrete\(4\)"):
        distill_tasks(config, console=Silent())
    assert not (tmp_path / "run").exists()


def test_stores_that_do_not_fit_together_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = asked(tmp_path / "run", method="q-kl", store=1_000_000)
    monkeypatch.setattr(replay, "memory_available", lambda: 60_000_000)  # each takes about 40 MB
    with pytest.raises(ConfigurationError, match=r"all tasks together: the store would take 0\.1 GB.*lower --store"):
        distill_tasks(config, console=Silent())
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_empty_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("all of it")
    with pytest.raises(RunError, match="exists and is not empty"):
        distill_tasks(asked(tmp_path / "run"), console=Silent())


def test_what_is_in_a_state_twice_is_written_once(tmp_path: Path) -> None:
    whole = torch.arange(100_000.0)
    parts = {"first": whole[:50_000], "second": whole[50_000:]}
    copied = whole.clone()
    state = {"a": parts, "b": {"c": dict(parts), "d": copied}, "empty": torch.zeros(0), "none": torch.zeros(0)}
    save(state, tmp_path / "state")
    assert (tmp_path / "state").stat().st_size < 2.1 * whole.nbytes  # one, and the copy
    found = load(tmp_path / "state")
    assert found is not None
    assert torch.equal(found["b"]["d"], whole)
    for name, part in parts.items():
        assert torch.equal(found["a"][name], part)
        assert torch.equal(found["b"]["c"][name], part)
    assert len(found["empty"]) == len(found["none"]) == 0


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/teachers is not there")
def test_two_deep_q_networks_become_one(tmp_path: Path) -> None:
    words = [
        f"--task=cartpole={SHARED / 'CartPole-v1' / 'CartPole-v1.zip'}@CartPole-v1",
        f"--task=lander={SHARED / 'LunarLander-v2' / 'LunarLander-v2.zip'}@LunarLander-v3",
    ]
    few = ["--steps", "60000", "--evaluation-episodes", "10", "--final-episodes", "20", "--student", "mlp:64,64"]
    assert main(["distill", *words, *few, "--method", "q-kl", "--quiet", "--out", str(tmp_path / "run")]) == 0
    result = TasksFolder.open(tmp_path / "run").result
    assert result.tasks["cartpole"].reached
    assert result.geometric_mean is not None
    assert result.geometric_mean > 0.8
