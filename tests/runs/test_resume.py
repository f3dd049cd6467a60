"""Runs that are stopped and go on: the same bits as those of runs that never were, for every kind of run."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import understudy
from cutter import Cut, Cutter
from understudy.envs.actions import family_of
from understudy.errors import MissingExtra, RunError
from understudy.policies.student import Student
from understudy.policies.student_file import save_student
from understudy.runs import run as running
from understudy.runs.checkpoints import Checkpoints, load, save
from understudy.runs.config import DistillConfig
from understudy.runs.console import Silent
from understudy.runs.execute import distill, resume
from understudy.runs.folder import RunFolder
from understudy.runs.judge import final_seeds
from understudy.runs.reopen import reopen
from understudy.runs.result import Result

TEACHER = Path(__file__).resolve().parents[2] / "teachers" / "ppo-CartPole-v1.zip"
CLOCK = {"seconds", "evaluation_seconds", "final_seconds", "total_seconds", "cpu_seconds", "path"}
SMALL: dict[str, Any] = {
    "student": "mlp:8", "evaluation_episodes": 4, "final_episodes": 4, "target": 3.0, "seed": 3,
    "env_args": '{"max_episode_steps": 100}',
}  # fmt: skip


def asked(out: Path, **options: Any) -> DistillConfig:
    return DistillConfig.of({"teacher": str(TEACHER), "env": "CartPole-v1", **SMALL, "out": str(out), **options})


def told(path: Path) -> dict[str, Any]:
    """Everything that a run leaves, without the clock's part in it."""
    lines = (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
    result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    return {
        "student": (path / "student" / "model.safetensors").read_bytes(),
        "records": records,
        "result": {k: v for k, v in result.items() if k not in CLOCK},
        "episodes": (path / "evidence" / "episodes.json").read_bytes(),
        "files": sorted(str(file.relative_to(path)) for file in path.rglob("*")),
    }


def cut(config: DistillConfig, *rounds: int, **given: Any) -> Result:
    """A run that is cut off after so many rounds, and again after so many more, and so on."""
    assert config.out is not None
    with pytest.raises(Cut):
        distill(config, console=Cutter(rounds[0]), **given)
    for more in rounds[1:]:
        with pytest.raises(Cut):
            resume(config.out, console=Cutter(more), **given)
    return resume(config.out, console=Silent(), **given)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints after every few rounds."""
    monkeypatch.setattr(running, "RARELY", 600)


@pytest.fixture(scope="module")
def swinger(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A teacher for Pendulum: noisy, and good for nothing."""
    env = gymnasium.make("Pendulum-v1")
    family = family_of(env.action_space)
    policy = Student(env.observation_space, env.action_space, family, "mlp:8", seed=4)
    with torch.no_grad():
        policy.network.layers[-1].weight.mul_(20)  # type: ignore[operator,union-attr]
    folder = tmp_path_factory.mktemp("teachers") / "swinger"
    save_student(policy, folder, env="Pendulum-v1", wrappers=[], view="", gamma=0.9)
    return str(folder)


@pytest.fixture(scope="module")
def rememberer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A teacher with a memory."""
    env = gymnasium.make("CartPole-v1")
    policy = Student(env.observation_space, env.action_space, family_of(env.action_space), "gru:6", seed=4)
    folder = tmp_path_factory.mktemp("teachers") / "rememberer"
    save_student(policy, folder, env="CartPole-v1", wrappers=[], view="", gamma=0.9)
    return str(folder)


REWARD = {"method": "n-distill+r", "collect": 512, "steps": 3500}
RUNS: dict[str, dict[str, Any]] = {
    "aggregating": {"steps": 4000},
    "to the target": {"steps": 20_000, "target": 0.9, "student": "mlp:16,16"},
    "a critic": REWARD,
    "a critic of the task": REWARD | {"method": "v-gated"},
    "whole episodes": {"method": "n-distill+r", "estimator": "returns", "steps": 3000},
    "a memory": {"student": "gru:6", "steps": 2000},
    "a memory and a critic": REWARD | {"student": "gru:6", "steps": 2500},
    "a mixture": {"control": "mixture:linear:1:0", "steps": 4000},
    "unequal processes": {"vector": "async", "copies": 2, "steps": 2500},
    "a whole vector": {"env": "vector:CartPole-v1", "steps": 4000},
    "wrappers": {"wrap": ("time-feature",), "student_view": "0,2,4", "teacher_view": "0,1,2,3", "steps": 3000},
    "an arm": {"env": "Pendulum-v1", "env_args": "", "steps": 3000, "teacher": "swinger"},
    "an arm and a critic": REWARD | {"env": "Pendulum-v1", "env_args": "", "teacher": "swinger", "gamma": None},
    "memories on both sides": {"teacher": "rememberer", "student": "gru:5", "control": "mixture:0.5", "steps": 2000},
    "curves": {"steps": 3000, "curve_episodes": 3},
}


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_that_was_cut_off_goes_on_to_the_same_bits(
    kind: str, tmp_path: Path, often: None, request: pytest.FixtureRequest
) -> None:
    options = dict(RUNS[kind])
    if options.get("teacher"):
        options["teacher"] = request.getfixturevalue(options["teacher"])
    whole = asked(tmp_path / "whole", **options)
    distill(whole, console=Silent())
    rounds = sum(record["kind"] == "train" for record in told(tmp_path / "whole")["records"])
    cut(dataclasses.replace(whole, out=str(tmp_path / "cut")), max(1, rounds // 2), max(1, rounds // 4))
    again = RunFolder.open(tmp_path / "cut").provenance["resumed"]
    assert again[-1]["env_steps"] > 0
    for part, expected in told(tmp_path / "whole").items():
        assert told(tmp_path / "cut")[part] == expected, part


def test_a_run_cut_off_before_its_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    distill(asked(tmp_path / "whole", steps=1500), console=Silent())
    with pytest.raises(Cut):
        distill(asked(tmp_path / "cut", steps=1500), console=Cutter(4))
    console = Cutter()
    resume(tmp_path / "cut", console=console)
    assert any("has no checkpoint yet, and begins anew" in note for note in console.notes)
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_a_run_cut_off_in_its_final_episodes_repeats_only_those(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distill(asked(tmp_path / "whole", steps=1500), console=Silent())

    def killed(self: Any) -> Result:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(running.Run, "finish", killed)
        with pytest.raises(Cut):
            distill(asked(tmp_path / "cut", steps=1500), console=Silent())
    assert not (tmp_path / "cut" / "student").exists()
    before = (tmp_path / "cut" / "metrics.jsonl").read_bytes()
    resume(tmp_path / "cut", console=Cutter(1))  # not one round more
    assert (tmp_path / "cut" / "metrics.jsonl").read_bytes() == before
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, often: None) -> None:
    distill(asked(tmp_path / "whole", steps=4000), console=Silent())
    with pytest.raises(Cut):
        distill(asked(tmp_path / "cut", steps=4000), console=Cutter(25))
    checkpoints = Checkpoints(tmp_path / "cut" / "checkpoints")
    older, newer = sorted(path for path in checkpoints.folder.iterdir() if path.stem.isdigit())
    content = bytearray(newer.read_bytes())
    content[-100] ^= 1
    newer.write_bytes(content)
    (checkpoints.folder / f".{int(newer.stem) + 1:012d}.safetensors.1.tmp").write_bytes(content[:1000])
    console = Cutter()
    resume(tmp_path / "cut", console=console)
    assert console.begun == int(older.stem) > 0
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_checkpoints_change_nothing_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, rarely in (("often", 300), ("never", 10**9)):
        monkeypatch.setattr(running, "RARELY", rarely)
        distill(asked(tmp_path / name, steps=2500), console=Silent())
    assert told(tmp_path / "often") == told(tmp_path / "never")


def test_times_and_rates_count_what_was_done_before(tmp_path: Path, often: None) -> None:
    with pytest.raises(Cut):
        distill(asked(tmp_path / "run", steps=4000), console=Cutter(25))
    saved = Checkpoints(tmp_path / "run" / "checkpoints").latest(10**9)
    assert saved is not None
    before, console = saved.state["standing"], Cutter()
    result = resume(tmp_path / "run", console=console)
    assert console.begun == saved.env_steps > 1000
    assert f"from environment step {saved.env_steps:,}" in console.notes[-1]
    assert 0 < before["training"] < result.seconds
    assert 0 < before["evaluation"] < result.evaluation_seconds
    assert before["training"] + before["evaluation"] < before["total"] < result.total_seconds


def test_tensorboard_goes_on_where_the_checkpoint_was(tmp_path: Path, often: None) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    cut(asked(tmp_path / "run", steps=3000, tensorboard=True), 15)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    shown = [(event.step, event.value) for event in events.Scalars("train/loss")]
    trained = [record for record in told(tmp_path / "run")["records"] if record["kind"] == "train"]
    assert shown == [(record["env_steps"], pytest.approx(record["loss"], rel=1e-6)) for record in trained]


def test_a_finished_run_is_answered_as_it_is(tmp_path: Path) -> None:
    result = distill(asked(tmp_path / "run", steps=400), console=Silent())
    before = told(tmp_path / "run")
    console = Cutter(1)
    assert resume(tmp_path / "run", console=console) == result
    assert console.notes == [f"the run in {tmp_path / 'run'} has finished; this is its result"]
    assert told(tmp_path / "run") == before
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("spoil", ["a fact too many", "a fact too few"])
def test_a_checkpoint_of_another_shape_is_said_to_be_of_another_version(
    spoil: str, tmp_path: Path, often: None
) -> None:
    run = stopped(tmp_path / "run")
    path = sorted((run / "checkpoints").glob("0*"))[-1]
    state = load(path)
    assert state is not None
    if spoil == "a fact too many":
        state["standing"]["mood"] = "good"
    else:
        del state["judge"]
    save(state, path)
    with pytest.raises(RunError, match=r"checkpoints was written by another version of Understudy\. Go on with that"):
        understudy.resume(run)


def test_what_is_no_run_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run folder: it has no config\.toml"):
        understudy.resume(tmp_path)


def stopped(out: Path, **options: Any) -> Path:
    given = {name: options.pop(name) for name in ("teacher_object", "env_object") if name in options}
    with pytest.raises(Cut):
        distill(
            asked(out, **{"steps": 1500} | options),
            teacher=given.get("teacher_object"),
            env=given.get("env_object"),
            console=Cutter(5),
        )
    return out


def test_a_teacher_is_found_again_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    shutil.copy(TEACHER, tmp_path / "here" / "agent.zip")
    monkeypatch.chdir(tmp_path / "here")
    for name in ("agent.zip", "sb3:agent.zip", "ensemble:agent.zip,sb3:agent.zip"):
        stopped(tmp_path / "run", teacher=name)
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            result = resume(tmp_path / "run", console=Silent())
        assert result.teacher == name
        shutil.rmtree(tmp_path / "run")


def test_a_function_is_found_again_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "agents.py").write_text(
        "import numpy as np\ndef left(observation):\n    return np.zeros(len(observation), np.int64)\n"
    )
    monkeypatch.chdir(tmp_path / "here")
    stopped(tmp_path / "run", teacher="function:agents.py:left")
    monkeypatch.chdir(tmp_path)
    assert resume(tmp_path / "run", console=Silent()).teacher == "function:agents.py:left"


CODE = {
    "poles.py": "import gymnasium\ndef make():\n    return gymnasium.make('CartPole-v1', max_episode_steps=100)\n",
    "wraps.py": "from gymnasium.wrappers import ClipReward\ndef meek(env):\n    return ClipReward(env, 0.0, 0.5)\n",
    "views.py": "def turned(observation):\n    return observation[..., ::-1].copy()\n",
    "rows.toml": '[own]\nloss = [{weight = 1.0, atom = "forward-kl"}]\n',
}
NAMED: dict[str, dict[str, Any]] = {
    "poles.py": {"env": "poles.py:make"},
    "wraps.py": {"wrap": ("time-feature", "wraps.py:meek"), "teacher_view": "0,1,2,3"},
    "views.py": {
        "student_view": "views.py:turned",
        "critic_view": "views.py:turned",
        "method": "n-distill+r",
        "collect": 64,
    },
    "rows.toml": {"method": "rows.toml:own"},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with code of one's own, in which runs begin."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name, text in CODE.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


EVERYTHING = NAMED["poles.py"] | NAMED["wraps.py"] | NAMED["views.py"]


@pytest.mark.parametrize("options", [NAMED["rows.toml"], EVERYTHING, EVERYTHING | {"env": "poles:make"}])
def test_code_and_rows_of_ones_own_are_found_again_from_another_folder(
    options: dict[str, Any], tmp_path: Path, here: Path, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = options | {"env_args": ""} if "env" in options else options
    whole = asked(tmp_path / "whole", **{"steps": 1500} | options)
    distill(whole, console=Silent())
    run = stopped(tmp_path / "run", **options)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "poles", raising=False)
    resume(run, console=Silent())
    assert told(run) == told(tmp_path / "whole")
    configs = [json.loads((one / "student" / "config.json").read_text()) for one in (run, tmp_path / "whole")]
    assert configs[0] == configs[1]
    monkeypatch.delitem(sys.modules, "poles", raising=False)
    for with_teacher in (True, False):
        again = reopen(run, own=True, with_teacher=with_teacher)
        with closing(again.simulator()) as simulator:
            expected = again.folder.result.student_return
            assert again.play("student", simulator, final_seeds(4)).returns.mean() == pytest.approx(expected)


def test_a_module_of_a_package_is_not_taken_from_elsewhere(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "poles.py").write_text(CODE["poles.py"], encoding="utf-8")
    run = stopped(tmp_path / "run", env="mine.poles:make", env_args="")
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "mine.poles"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        RunError, match=rf"environment of .*run, mine\.poles:make, is not found from here: .* in {here}\."
    ):
        understudy.resume(run)


@pytest.mark.parametrize("changed", NAMED)
def test_code_that_changed_is_refused(changed: str, tmp_path: Path, here: Path) -> None:
    options = NAMED[changed] | ({"env_args": ""} if "env" in NAMED[changed] else {})
    run = stopped(tmp_path / "run", **options)
    with (here / changed).open("a") as file:
        file.write("\n# other")
    with pytest.raises(
        RunError, match=rf"{changed} is not .* of .*run any more: its contents have changed\. Put the old"
    ):
        understudy.resume(run)
    (here / changed).write_text(CODE[changed], encoding="utf-8")
    assert understudy.resume(run).env_steps >= 1500


def test_code_that_is_gone_is_said_with_its_place(tmp_path: Path, here: Path) -> None:
    run = stopped(tmp_path / "run", env="poles.py:make", env_args="")
    (here / "poles.py").unlink()
    with pytest.raises(RunError, match=rf"the environment of .*, is no longer there \(it was {here}/poles\.py\)"):
        understudy.resume(run)


def test_statistics_that_have_come_since_are_refused(tmp_path: Path, here: Path) -> None:
    shutil.copy(TEACHER, here / "agent.zip")
    run = stopped(tmp_path / "run", teacher="agent.zip")
    (here / "vecnormalize.pkl").write_bytes(b"statistics")
    with pytest.raises(RunError, match=r"the teacher's statistics, .*vecnormalize\.pkl: not as when .*run was begun"):
        understudy.resume(run)
    (here / "vecnormalize.pkl").unlink()
    assert understudy.resume(run).env_steps >= 1500


def test_a_teacher_that_changed_is_refused(tmp_path: Path, swinger: str) -> None:
    shutil.copy(TEACHER, tmp_path / "agent.zip")
    run = stopped(tmp_path / "run", teacher=str(tmp_path / "agent.zip"))
    with (tmp_path / "agent.zip").open("ab") as file:
        file.write(b"more")
    with pytest.raises(RunError, match=r"agent\.zip is not the teacher of .*run any more: its contents have changed"):
        understudy.resume(run)
    (tmp_path / "agent.zip").unlink()
    with pytest.raises(RunError, match=r"the teacher of .*run, .*agent\.zip, is no longer there.*teacher="):
        understudy.resume(run)
    assert understudy.resume(run, teacher=TEACHER).teacher == str(tmp_path / "agent.zip")


def left(observation: np.ndarray) -> np.ndarray:
    return np.zeros(len(observation), np.int64)


def test_objects_are_given_again(tmp_path: Path) -> None:
    def poles() -> Any:
        return gymnasium.make("CartPole-v1", max_episode_steps=60)

    run = stopped(tmp_path / "run", teacher_object=left, env_object=poles, env_args="")
    with pytest.raises(RunError, match=r"an environment made in Python; give it again with env="):
        understudy.resume(run)
    with pytest.raises(RunError, match=r"a teacher made in Python; give it again with teacher="):
        understudy.resume(run, env=poles)
    result = understudy.resume(run, left, poles)
    whole = distill(asked(tmp_path / "whole", steps=1500, env_args=""), teacher=left, env=poles, console=Silent())
    assert result.student_return == whole.student_return
    assert told(run) == told(tmp_path / "whole")


def test_a_run_that_would_go_on_otherwise_is_refused(tmp_path: Path) -> None:
    run = stopped(tmp_path / "run")
    facts = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    facts["resolved"]["rhythm"]["batch"] = 17
    (run / "provenance.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(RunError, match=r"cannot go on as it began: rhythm .*17.*, now .*256"):
        understudy.resume(run)


def test_another_version_of_what_computes_is_warned_of(tmp_path: Path) -> None:
    run = stopped(tmp_path / "run")
    facts = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    facts["packages"]["torch"] = "1.0"
    (run / "provenance.json").write_text(json.dumps(facts), encoding="utf-8")
    console = Cutter()
    resume(run, console=console)
    assert any(f"torch 1.0, now {torch.__version__.partition('+')[0]}" in text for text in console.warnings)


HIDDEN = '''
import os
import gymnasium, numpy

SHIFT = 0.0

class Old(gymnasium.Wrapper):
    """Shows how often it was reset."""
    resets = 0

    def reset(self, **options):
        self.resets += 1
        observation, info = self.env.reset(**options)
        return self.worn(observation), info

    def step(self, action):
        observation, *rest = self.env.step(action)
        return self.worn(observation), *rest

    def worn(self, observation):
        return observation + numpy.float32(1e-3 * self.resets)

class Aging(Old):
    """Shows how often it was reset beyond the fifteenth time."""

    def worn(self, observation):
        return observation + numpy.float32(1e-3 * max(0, self.resets - 15))

class Restless(gymnasium.Wrapper):
    """Shows what no seed decides."""

    def step(self, action):
        observation, *rest = self.env.step(action)
        return observation + numpy.float32(1e-6 * os.urandom(1)[0]), *rest

class Shifted(gymnasium.Wrapper):
    """Is another in another process."""

    def reset(self, **options):
        observation, info = self.env.reset(**options)
        return observation + numpy.float32(SHIFT), info

    def step(self, action):
        observation, *rest = self.env.step(action)
        return observation + numpy.float32(SHIFT), *rest

def pole():
    return gymnasium.make("CartPole-v1", max_episode_steps=100)

def old():
    return Old(pole())

def aging():
    return Aging(pole())

def restless():
    return Restless(pole())

def shifted():
    return Shifted(pole())
'''


@pytest.fixture
def hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DistillConfig]:
    (tmp_path / "hidden_pole.py").write_text(HIDDEN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "hidden_pole", raising=False)

    def config(out: str, kind: str, **options: Any) -> DistillConfig:
        return asked(tmp_path / out, env=f"hidden_pole:{kind}", env_args="", copies=4, **{"steps": 4000} | options)

    return config


EPISODES = {"method": "n-distill+r", "estimator": "returns"}


@pytest.mark.parametrize(
    "options",
    [{}, {"vector": "async"}, {"method": "n-distill+r", "collect": 256}, EPISODES, EPISODES | {"vector": "async"}],
)
def test_environments_that_remember_are_made_anew_at_checkpoints_and_give_the_same_bits(
    options: dict[str, Any], tmp_path: Path, often: None, hidden: Callable[..., DistillConfig]
) -> None:
    result = distill(hidden("whole", "old", **options), console=Silent())
    assert any("does not come back when it is played again" in text for text in result.warnings)
    cut(hidden("cut", "old", **options), 12 if "method" in options else 25)
    assert RunFolder.open(tmp_path / "cut").provenance["resumed"][-1]["env_steps"] > 0
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_environments_that_no_seed_decides_begin_anew_at_every_checkpoint(
    tmp_path: Path, often: None, hidden: Callable[..., DistillConfig]
) -> None:
    with pytest.raises(Cut):
        distill(hidden("run", "restless"), console=Cutter(25))
    saved = Checkpoints(tmp_path / "run" / "checkpoints").latest(10**9)
    assert saved is not None
    assert saved.state["standing"]["replays"] is False
    assert saved.state["learner"]["source"]["rollout"]["tape"] is None
    console = Cutter()
    result = resume(tmp_path / "run", console=console)
    assert not any("did not come back" in text for text in console.warnings)
    assert any("made anew, at each checkpoint" in text for text in result.warnings)
    assert saved.state["standing"]["due"] - saved.env_steps > 1500


@pytest.mark.parametrize("options", [{}, EPISODES])
def test_environments_that_come_back_as_others_are_told_of(
    options: dict[str, Any], tmp_path: Path, often: None, hidden: Callable[..., DistillConfig]
) -> None:
    with pytest.raises(Cut):
        distill(hidden("run", "shifted", **options), console=Cutter(12 if options else 25))
    sys.modules["hidden_pole"].SHIFT = 0.01  # type: ignore[attr-defined]
    console = Cutter()
    result = resume(tmp_path / "run", console=console)
    assert any("hidden_pole:shifted did not come back as it was" in text for text in console.warnings)
    assert any("did not come back as it was" in text for text in result.warnings)
    assert result.env_steps >= 4000


def test_environments_that_do_not_come_back_after_a_while_are_told_of_when_it_is_found_out(
    tmp_path: Path, often: None, hidden: Callable[..., DistillConfig]
) -> None:
    options = {"control": "uniform", "steps": 5000}
    whole = distill(hidden("whole", "aging", **options), console=Silent())
    assert any("does not come back when it is played again" in text for text in whole.warnings)
    assert not any("did not come back as it was" in text for text in whole.warnings)
    early = cut(hidden("cut", "aging", **options), 5)
    assert RunFolder.open(tmp_path / "cut").provenance["resumed"][-1]["env_steps"] > 0
    assert any("did not come back as it was" in text for text in early.warnings)


class Stopper(Cutter):
    """Asks for the run to stop after so many rounds, as Ctrl-C does."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds

    def progress(self, steps: int, recovered: float | None = None) -> None:
        self.rounds -= 1

    def __call__(self, console: Any) -> Stopper:
        return self

    def __enter__(self) -> Stopper:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def asked(self) -> bool:
        return self.rounds <= 0


def asked_to_stop(config: DistillConfig, rounds: int, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int | None]:
    """What is said, and where the last checkpoint is."""
    assert config.out is not None
    with monkeypatch.context() as patch:
        stopper = Stopper(rounds)
        patch.setattr(running, "Halt", stopper)
        with pytest.raises(KeyboardInterrupt) as caught:
            distill(config, console=stopper)
    return str(caught.value), Checkpoints(Path(config.out) / "checkpoints").newest


def test_a_run_that_is_asked_to_stop_writes_a_checkpoint_out_of_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "RARELY", 1500)
    distill(asked(tmp_path / "whole", steps=4000), console=Silent())
    said, newest = asked_to_stop(asked(tmp_path / "cut", steps=4000), 9, monkeypatch)
    assert newest is not None
    assert said == (
        f"stopped after {newest:,} environment steps. The checkpoint at {newest:,} is kept: go on with understudy "
        f"distill --resume {tmp_path / 'cut'}"
    )
    kept = [load(path) for path in (tmp_path / "cut" / "checkpoints").glob("0*")]
    assert len({state["standing"]["due"] for state in kept if state is not None}) == 1  # the second was not due
    assert len(kept) == 2
    resume(tmp_path / "cut", console=Silent())
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


@pytest.mark.parametrize("options", [{}, EPISODES, {"vector": "async"}])
def test_a_run_that_is_asked_to_stop_before_a_checkpoint_was_due_writes_one(
    options: dict[str, Any], tmp_path: Path, often: None, hidden: Callable[..., DistillConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    distill(hidden("whole", "pole", steps=3000, **options), console=Silent())
    said, newest = asked_to_stop(hidden("cut", "pole", steps=3000, **options), 1, monkeypatch)
    assert said.startswith(f"stopped after {newest:,} environment steps. The checkpoint at {newest:,} is kept")
    saved = Checkpoints(tmp_path / "cut" / "checkpoints").latest(10**9)
    assert saved is not None
    assert saved.state["standing"]["replays"] is None  # as in a run that is never stopped
    resume(tmp_path / "cut", console=Silent())
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_what_comes_out_otherwise_after_an_early_stop_is_told_of(
    tmp_path: Path, often: None, hidden: Callable[..., DistillConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, newest = asked_to_stop(hidden("cut", "aging", control="uniform"), 1, monkeypatch)
    assert newest is not None
    result = resume(tmp_path / "cut", console=Silent())
    assert any("did not come back as it was when the run was stopped" in text for text in result.warnings)


def test_a_run_that_is_asked_to_stop_too_early_begins_anew_where_environments_do_not_come_back(
    tmp_path: Path, often: None, hidden: Callable[..., DistillConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"control": "uniform", "steps": 3000}
    distill(hidden("whole", "old", **options), console=Silent())
    said, newest = asked_to_stop(hidden("cut", "old", **options), 1, monkeypatch)
    assert newest is None
    assert "It was too early for a checkpoint: hidden_pole:old does not come back when it is played again" in said
    assert said.endswith(
        f"The run has no checkpoint yet and will begin anew: go on with understudy distill --resume {tmp_path / 'cut'}"
    )
    resume(tmp_path / "cut", console=Silent())
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_a_run_whose_environments_do_not_come_back_keeps_the_last_checkpoint_that_was_due(
    tmp_path: Path, hidden: Callable[..., DistillConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "RARELY", 1500)
    distill(hidden("whole", "old"), console=Silent())
    said, newest = asked_to_stop(hidden("cut", "old"), 20, monkeypatch)
    assert newest is not None
    assert "No checkpoint was written now: hidden_pole:old does not come back when it is played again" in said
    steps = int(said.split()[2].replace(",", ""))
    assert newest < steps
    assert f"The checkpoint at {newest:,} is kept: go on with understudy distill --resume" in said
    resume(tmp_path / "cut", console=Silent())
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_without_tensorboard_installed_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    run = stopped(tmp_path / "run", tensorboard=True)
    before = (run / "metrics.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch.utils.tensorboard", None)
        with pytest.raises(MissingExtra):
            understudy.resume(run)
    assert (run / "metrics.jsonl").read_bytes() == before
    assert understudy.resume(run).env_steps >= 1500
