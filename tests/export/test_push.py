"""A run becomes a folder for the Hugging Face Hub, and the folder gets there whole, or not at all."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import imageio_ffmpeg
import numpy as np
import onnx
import pytest
import torch
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.repocard import metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results
from safetensors.torch import load_file, save_file

import understudy
from local_hub import TOKEN, LocalHub
from understudy.cli import main
from understudy.envs.rollout import Episodes
from understudy.errors import ConfigurationError, ExportError, RunError
from understudy.export import parity
from understudy.export import push as module
from understudy.export.card import Player, yaml_lines
from understudy.export.public import Publication, public_args, public_name, public_teacher
from understudy.export.push import Pushed, push
from understudy.export.push_config import PushConfig
from understudy.runs.assemble import Origin
from understudy.runs.config import DistillConfig
from understudy.runs.filming import Film, film
from understudy.runs.folder import RunFolder
from understudy.runs.reopen import reopen

TEACHER = Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip"
PLAIN = ("README.md", "config.toml", "provenance.json", "result.json", "student/config.json")
ALL = {*PLAIN, "student/model.safetensors", "model.onnx", "replay.mp4"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that nobody else should hear of, with a teacher and a run in it."""
    place = tmp_path_factory.mktemp("house-of-ada")
    shutil.copyfile(TEACHER, place / "agent.zip")
    understudy.distill(
        place / "agent.zip", "CartPole-v1", student="mlp:8", out=str(place / "run"), final_episodes=20, quiet=True
    )
    return place


@pytest.fixture(scope="module")
def pushed(home: Path) -> Pushed:
    """The folder with everything in it."""
    return push(PushConfig(run=str(home / "run"), repo="ada/small"))


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    """The run again, to be spoilt."""
    shutil.copytree(home / "run", tmp_path / "run", ignore=shutil.ignore_patterns("hub"))
    return tmp_path / "run"


def bare(run: Path, **options: Any) -> Pushed:
    """Quickly, without what takes time."""
    return push(PushConfig(**{"run": str(run), "video": False, "onnx": False} | options))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_card_s_metadata_is_what_the_hub_reads(home: Path, pushed: Pushed) -> None:
    card = pushed.folder / "README.md"
    data = ModelCardData(**metadata_load(card))
    kept = json.loads((home / "run" / "evidence" / "episodes.json").read_text())["student"]["returns"]
    assert data.library_name == "understudy"
    assert {"reinforcement-learning", "deep-reinforcement-learning", "CartPole-v1", "understudy", "PPO"} <= set(
        data.tags
    )
    assert "policy-distillation" in data.tags
    (result,) = data.eval_results
    assert (result.task_type, result.dataset_type, result.dataset_name) == (
        "reinforcement-learning",
        "CartPole-v1",
        "CartPole-v1",
    )
    assert (result.metric_type, result.metric_name, result.verified) == ("mean_reward", "mean_reward", False)
    assert result.metric_value == f"{np.mean(kept):.2f} +/- {np.std(kept):.2f}" == pushed.reward
    name, results = model_index_to_eval_results(metadata_load(card)["model-index"])
    assert (name, results) == ("PPO distilled into mlp:8", [result])
    assert ModelCard.load(card).data.to_dict() == data.to_dict()


def test_the_card_tells_the_figures_of_all_three(home: Path, pushed: Pushed) -> None:
    text = (pushed.folder / "README.md").read_text()
    result = RunFolder.open(home / "run").result
    rows = [re.findall(r"[^|]+", line) for line in text.splitlines() if re.match(r"\| (teacher|student|random) ", line)]
    told = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    assert list(told) == ["teacher", "student", "random"]
    for who, cells in told.items():
        low, high = getattr(result, f"{who}_interval")
        assert float(cells[0].split()[0]) == pytest.approx(getattr(result, f"{who}_return"), abs=0.005)
        assert cells[1] == f"{low:.2f} to {high:.2f}"
        assert float(cells[3]) == pytest.approx(getattr(result, f"{who}_length"), abs=0.5)
    assert told["teacher"][4:6] == ["4,610", f"{TEACHER.stat().st_size:,}"]
    weights = home / "run" / "student" / "model.safetensors"
    assert told["student"][4:6] == [f"{result.student_parameters:,}", f"{weights.stat().st_size:,}"]
    assert all(0 < float(told[who][6]) < 10_000 for who in ("teacher", "student"))
    assert f"**{result.recovered:.1%}**" in text
    assert f"{result.env_steps:,} environment steps" in text


def test_the_reward_is_the_mean_and_the_deviation_of_the_episodes_worked_out_by_hand() -> None:
    returns = np.array([1.0, 2.0, 4.0])  # mean 7/3; variance (16 + 1 + 25) / 9 / 3 = 14/9, as SB3 computes it
    player = Player(
        "student", Episodes(returns, np.array([10, 20, 40]), np.ones(3, bool)), (1.0, 4.0), 1.0, 386, 2248, 7.4
    )
    assert player.reward == "2.33 +/- 1.25"
    assert list(player.row().values()) == [
        "student",
        "2.33 +/- 1.25",
        "1.00 to 4.00",
        "1.00",
        "23",
        "386",
        "2,248",
        "7",
    ]


def test_nothing_tells_where_or_on_what_the_run_was_made(home: Path, pushed: Pushed) -> None:
    files = contents(pushed.folder)
    facts = json.loads((home / "run" / "provenance.json").read_text())
    typed = [facts["command"]] if len(facts["command"]) > 3 else []  # "-c" in a process of pytest-xdist
    secrets = (str(home), home.name, str(Path.cwd()), str(Path.home()), facts["platform"], *typed)
    assert set(files) == ALL == set(pushed.files)
    assert [(name, secret) for name, content in files.items() for secret in secrets if secret.encode() in content] == []
    told = json.loads(files["provenance.json"])
    assert told["teacher"] == {"uri": "agent.zip", "sha256": facts["teacher"]["sha256"]}
    assert set(told) == {"understudy", "python", "packages", "seeds", "resolved", "teacher", "vecnormalize", "env"}


def test_a_file_that_would_tell_is_refused(home: Path, tmp_path: Path) -> None:
    publication = Publication(RunFolder.open(home / "run"))
    (tmp_path / "model.onnx").write_bytes(b"\0\1traced in " + str(home).encode() + b"/model.py\2")
    with pytest.raises(RunError, match=f"model.onnx would tell everybody of the folder {home}"):
        publication.check(tmp_path)
    (tmp_path / "model.onnx").write_bytes(str(home).encode() + b"-of-others")
    publication.check(tmp_path)


def test_no_folder_is_made_where_a_file_would_tell(copy: Path) -> None:
    weights = copy / "student" / "model.safetensors"
    save_file(load_file(weights), weights, {"made in": str(copy.parent)})
    with pytest.raises(RunError, match=r"student/model.safetensors would tell everybody of the folder .*no-onnx"):
        bare(copy)
    assert [path for path in copy.iterdir() if "hub" in path.name] == []


def test_descriptions_lose_folders_too(copy: Path) -> None:
    facts = json.loads((copy / "provenance.json").read_text())
    described = f"PPO of SB3 ({copy.parent}/nets/agent.zip), unlike {copy.parent}-too"
    edit(copy / "provenance.json", resolved=facts["resolved"] | {"teacher": described, "wrappers": ["/data/w.py:wrap"]})
    made = bare(copy)
    assert f"PPO of SB3 (nets/agent.zip), unlike {copy.parent}-too" in (made.folder / "README.md").read_text()
    assert json.loads((made.folder / "provenance.json").read_text())["resolved"]["wrappers"] == ["w.py:wrap"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("sb3:/data/nets/agent.zip", "sb3:agent.zip"),
        ("../nets/agent.zip", "agent.zip"),
        ("..\\nets\\agent.zip", "agent.zip"),
        ("runs/small", "small"),
        ("function:/data/agents.py:act", "agents.py:act"),
        ("my.agents:act", "my.agents:act"),
        ("sb3:hf://me/nets/agent.zip", "sb3:hf://me/nets@abc/agent.zip"),
    ],
)
def test_a_teacher_s_name_loses_its_folders_and_keeps_its_meaning(name: str, shown: str) -> None:
    assert public_teacher(name, {"revision": "abc"}) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("CartPole-v1", "CartPole-v1"),
        ("ALE/Pong-v5", "ALE/Pong-v5"),
        ("my.module:make", "my.module:make"),
        ("/home/ada/envs.py:make", "envs.py:make"),
        ("..\\envs.py:make", "envs.py:make"),
        ("rows/mine.toml:best", "mine.toml:best"),
    ],
)
def test_names_of_code_lose_their_folders_and_others_stay(name: str, shown: str) -> None:
    assert public_name(name) == shown


def test_the_folder_repeats_the_run_to_the_same_bits(
    home: Path, pushed: Pushed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    config = DistillConfig.from_toml(pushed.folder / "config.toml")
    assert (config.teacher, config.out) == ("agent.zip", None)
    again = understudy.distill(**{key: value for key, value in vars(config).items() if value is not None})
    own, other = Path(again.path) / "student", pushed.folder / "student"
    assert (own / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert understudy.load_student(pushed.folder).facts["env"] == "CartPole-v1"


def test_the_film_shows_the_student_at_play(home: Path, pushed: Pushed) -> None:
    frames = imageio_ffmpeg.read_frames(str(pushed.folder / "replay.mp4"))
    facts = next(frames)
    width, height = facts["size"]
    shown = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in frames]
    assert facts["codec"] == "h264"
    assert (width, height, facts["fps"]) == (400, 266, 25)
    assert 240 <= len(shown) <= 252  # 500 steps, every other one
    parts = reopen(home / "run")
    returns = parts.folder.episodes()["student"].returns
    seed = 1_000_000 + int(np.argsort(returns, kind="stable")[len(returns) // 2])
    played = {who: film(parts, who, seed).frames[: len(shown), :266] for who in ("teacher", "student")}
    off = {who: np.abs(np.stack(shown[: len(frames)]) - frames.astype(float)).mean() for who, frames in played.items()}
    assert len(played["student"]) == len(shown)
    card = (pushed.folder / "README.md").read_text()
    assert "`replay.mp4` shows the student's episode of middle return, from beginning to end." in card
    assert off["student"] < min(2, off["teacher"])


def test_what_is_missing_is_said_and_left_out(
    copy: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("imageio_ffmpeg", "onnx"):
        monkeypatch.setitem(sys.modules, package, None)
    shutil.rmtree(copy / "evidence")
    made = push(PushConfig(run=str(copy), out=str(tmp_path / "shared" / "hub")))
    assert set(made.files) == {*PLAIN, "student/model.safetensors"}
    notes = "\n".join(made.notes)
    assert "no model.onnx: " in notes
    assert "pip install 'understudy[onnx]'" in notes
    assert "no replay.mp4: writing a video needs imageio-ffmpeg" in notes
    assert "the run has kept no episodes: 20 were played anew" in notes
    text = (made.folder / "README.md").read_text()
    assert "replay.mp4" not in text
    assert "onnxruntime" not in text
    assert made.reward in text


def test_a_film_that_was_cut_is_called_the_beginning_of_its_episode(tmp_path: Path) -> None:
    frames = np.zeros((251, 2, 2, 3), np.uint8)
    cut = Film(frames, 120.0, 500, False, 25.0)
    assert module._shown(cut, 1000) == (
        "the first 10 seconds of the student's episode of middle return: 500 of its 1,000 steps"
    )
    assert module._shown(replace(cut, whole=True), 500).endswith(", from beginning to end")


class Blind(gymnasium.Wrapper[Any, Any, Any, Any]):
    """CartPole as it would be without a way to show itself."""

    metadata = {"render_modes": []}  # noqa: RUF012


def test_an_environment_that_does_not_render_gives_no_film(home: Path, tmp_path: Path) -> None:
    parts = reopen(home / "run")
    unseen = replace(parts, origin=Origin(lambda: Blind(gymnasium.make("CartPole-v1")), {}, ()))
    notes: list[str] = []
    module._film(tmp_path / "replay.mp4", unseen, parts.folder.episodes()["student"], notes.append)
    assert len(notes) == 1
    assert notes[0].startswith("no replay.mp4: ")
    assert "render" in notes[0]
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_teacher_is_gone_can_still_be_shared(copy: Path) -> None:
    facts = json.loads((copy / "provenance.json").read_text())
    edit(copy / "provenance.json", teacher=facts["teacher"] | {"path": "/nowhere/agent.zip"})
    config = (copy / "config.toml").read_text()
    (copy / "config.toml").write_text(re.sub(r'(?m)^teacher = ".*"$', 'teacher = "/nowhere/agent.zip"', config))
    made = bare(copy)
    assert any(note.startswith("the card does not say how fast the teacher is: ") for note in made.notes)
    row = next(line for line in (made.folder / "README.md").read_text().splitlines() if line.startswith("| teacher"))
    assert row.endswith("| 4,610 |  |  |")


def test_an_unfinished_run_is_refused(copy: Path) -> None:
    (copy / "result.json").unlink()
    with pytest.raises(RunError, match=r"unfinished run.* Only finished runs can be shared"):
        bare(copy)
    assert not (copy / "hub").exists()


def test_an_export_that_acts_otherwise_than_the_student_stops_it(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match="To share the student without it: --no-onnx") as refused:
        bare(copy, onnx=True)
    assert [path for path in copy.iterdir() if "hub" in path.name] == []
    said = str(refused.value)
    assert "does not act as its student" in said
    assert ".hub-" not in said  # a folder that is gone by now
    (again,) = re.findall(r"For a look at it: (understudy export .*?)\. To share", said)
    assert main(shlex.split(again)[1:]) == 2
    assert [path.name for path in (copy / "export").iterdir()] == ["run.onnx.rejected"]


def test_a_sprung_trap_and_a_missed_target_are_said_here_and_on_the_card(copy: Path) -> None:
    edit(copy / "result.json", termination_trap="training ended with episodes of 9 steps", recovered=0.5)
    made = bare(copy)
    text = (made.folder / "README.md").read_text()
    assert any("think twice before you share this student: training ended with" in note for note in made.notes)
    assert "**Mind:** training ended with episodes of 9 steps" in text
    assert "**Mind:** the student missed its target, 95% of the teacher" in text
    edit(copy / "result.json", termination_trap=None)
    assert any("the student missed its target: 50.0% of 95%" in note for note in bare(copy).notes)


def test_a_second_push_replaces_the_first_and_nothing_else(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "README.md").write_text("# thesis")
    with pytest.raises(RunError, match=r"mine is in the way: it was not made by `understudy push`\. Choose another"):
        bare(copy, out=str(out))
    assert contents(out) == {"README.md": b"# thesis"}
    made = bare(copy)
    (made.folder / "replay.mp4").write_bytes(b"of an earlier push")
    assert set(bare(copy).files) == {*PLAIN, "student/model.safetensors"}


def test_a_teacher_from_the_hub_is_named_with_its_commit_and_as_the_base_model(copy: Path) -> None:
    facts = json.loads((copy / "provenance.json").read_text())
    commit = "c" * 40
    edit(copy / "provenance.json", teacher=facts["teacher"] | {"file": "ppo-CartPole-v1.zip", "revision": commit})
    config = (copy / "config.toml").read_text()
    (copy / "config.toml").write_text(re.sub(r'(?m)^teacher = ".*"$', 'teacher = "hf://sb3/ppo-CartPole-v1"', config))
    publication = Publication(RunFolder.open(copy))
    assert publication.teacher == f"hf://sb3/ppo-CartPole-v1@{commit}"
    assert f'teacher = "hf://sb3/ppo-CartPole-v1@{commit}"' in publication.config_toml()
    parts = reopen(copy, with_teacher=False)
    players = module._players(parts, print)
    card = module._card(copy, PushConfig(run=str(copy)), parts, publication, players, "")
    assert card.metadata()["base_model"] == "sb3/ppo-CartPole-v1"


def test_a_method_of_one_s_own_goes_along_and_trust_does_not(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows.toml"
    rows.write_text('[mine]\ncontrol = "student"\nloss = [{atom = "forward-kl"}]\n')
    config = (copy / "config.toml").read_text().replace("trust = false", "trust = true")
    (copy / "config.toml").write_text(f'method = "{rows}:mine"\n{config}')
    made = bare(copy)
    assert (made.folder / "rows.toml").read_text() == rows.read_text()
    monkeypatch.chdir(made.folder)
    shown = DistillConfig.from_toml("config.toml")
    assert (shown.method, shown.trust) == ("rows.toml:mine", False)
    assert shown.row().loss == RunFolder.open(copy).config.row().loss


def test_a_run_begun_with_an_object_is_shared_with_the_same_object(copy: Path) -> None:
    edit(copy / "provenance.json", env="<object of type function>")
    config = PushConfig(run=str(copy), video=False)
    with pytest.raises(RunError, match="begun with an environment made in Python"):
        push(config)
    made = push(config, env=lambda: gymnasium.make("CartPole-v1"))
    assert "model.onnx" in made.files


def test_the_python_function_makes_the_folder_of_the_command(copy: Path, tmp_path: Path) -> None:
    wanted = bare(copy, repo="ada/small", out=str(tmp_path / "command"))
    found = understudy.push(copy, "ada/small", out=str(tmp_path / "function"), video=False, onnx=False)
    assert (found.reward, found.files, found.uploaded) == (wanted.reward, wanted.files, None)
    assert f"understudy push {copy} --repo ada/small --upload" in found.summary()
    with pytest.raises(ConfigurationError, match=r"unknown key 'vidoe'.*video"):
        understudy.push(copy, vidoe=False)
    with pytest.raises(ConfigurationError, match="--upload needs the name of a repository"):
        understudy.push(copy, upload=True)


def test_an_environment_given_by_name_is_the_one_of_the_check(copy: Path) -> None:
    """The run's own was an object, which nobody gives again."""
    edit(copy / "provenance.json", env="<object of type function>")
    config = (copy / "config.toml").read_text()
    (copy / "config.toml").write_text(config.replace('env = "CartPole-v1"', 'env = "gone"'))
    made = understudy.push(copy, video=False, env="CartPole-v1")
    said = {one.key: one.value for one in onnx.load(str(made.folder / "model.onnx")).metadata_props}
    assert said["env"] == "CartPole-v1"


def test_latency_is_measured_on_one_thread(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, own = [], module.latency

    def watched(*arguments: Any) -> Any:
        threads.append(torch.get_num_threads())
        return own(*arguments)

    monkeypatch.setattr(module, "latency", watched)
    torch.set_num_threads(2)
    try:
        bare(copy)
    finally:
        torch.set_num_threads(1)
    assert threads == [1, 1]  # the teacher's and the student's


ROOM = """
import gymnasium

def make(level, render_mode=None):
    assert open(level).read() == "flat"
    return gymnasium.make("CartPole-v1", render_mode=render_mode)
"""


def test_folders_in_the_environment_s_own_name_and_arguments_are_not_told(home: Path, tmp_path: Path) -> None:
    code, levels = tmp_path / "code-of-ada" / "rooms.py", tmp_path / "levels-of-ada" / "two words" / "flat.txt"
    for path, text in ((code, ROOM), (levels, "flat")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    out = home / "room"
    understudy.distill(
        home / "agent.zip", f"{code}:make", student="linear", env_args=json.dumps({"level": str(levels)}),
        out=str(out), steps=256, final_episodes=2, evaluation_episodes=2, quiet=True,
    )  # fmt: skip
    made = understudy.push(out, trust=True, video=False)
    files = contents(made.folder)
    assert [name for name, content in files.items() if b"of-ada" in content or b"two words" in content] == []
    said = {one.key: one.value for one in onnx.load(str(made.folder / "model.onnx")).metadata_props}
    assert (said["env"], json.loads(said["env_args"])) == ("rooms.py:make", {"level": "flat.txt"})
    config = DistillConfig.from_toml(made.folder / "config.toml")
    assert (config.env, json.loads(config.env_args)) == ("rooms.py:make", {"level": "flat.txt"})
    assert """--env rooms.py:make --env-args '{"level": "flat.txt"}'""" in files["README.md"].decode()


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        ('{"gravity":-5, "mode": "easy/hard"}', '{"gravity":-5, "mode": "easy/hard"}'),
        ('{"map": "/srv/ada/my maps/a.xml"}', '{"map": "a.xml"}'),
        ('{"map": ["~/maps/a", {"b": "../maps/b.xml"}]}', '{"map": ["a", {"b": "b.xml"}]}'),
        (r'{"map": "C:\\Users\\ada\\a.xml"}', '{"map": "a.xml"}'),
        ('{"map": "file:///srv/ada/maps/a.xml"}', '{"map": "a.xml"}'),
        ('{"map": "FILE://host/srv/ada/a.xml"}', '{"map": "a.xml"}'),
        ('{"/srv/ada/keys": {"~ada/b": 1}}', '{"keys": {"b": 1}}'),
        ('{"flag": "--cfg=/srv/ada/my maps/c.yaml"}', '{"flag": "--cfg=c.yaml"}'),
        ('{"flag": "--cfg=maps/of-ada/c.yaml", "n": "1.0/2.5"}', '{"flag": "--cfg=c.yaml", "n": "1.0/2.5"}'),
        (
            '{"at": "https://ada.org/a/b.html", "id":"ALE/Pong-v5"}',
            '{"at": "https://ada.org/a/b.html", "id":"ALE/Pong-v5"}',
        ),
        ('{"k":"/", "l": "x / y"}', '{"k":"/", "l": "x / y"}'),
        ("", ""),
    ],
)
def test_arguments_that_are_paths_lose_their_folders(args: str, shown: str) -> None:
    assert public_args(args) == shown


def test_a_relative_name_of_what_is_there_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "maps" / "of-ada" / "flat").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert (
        public_args('{"map": "maps/of-ada/flat", "flag": "-m maps/of-ada/flat"}')
        == '{"map": "flat", "flag": "-m flat"}'
    )
    assert public_args('{"map": "maps/of-ada/steep"}') == '{"map": "maps/of-ada/steep"}'


def with_args(run: Path, **args: Any) -> Publication:
    config = (run / "config.toml").read_text()
    text = json.dumps(json.dumps(args))
    (run / "config.toml").write_text(config.replace('env_args = ""', f"env_args = {text}"))
    return Publication(RunFolder.open(run))


@pytest.mark.parametrize(
    "args",
    [
        {"map": "/srv/maps-of-ada/a.xml"},
        {"/srv/maps-of-ada/keys": 1},
        {"map": ["file:///srv/maps-of-ada/a.xml"]},
        {"flag": "--cfg=/srv/maps-of-ada/c.yaml"},
    ],
)
def test_a_file_named_in_the_arguments_is_looked_for_in_every_file(args: dict[str, Any], copy: Path) -> None:
    publication = with_args(copy, **args)
    assert "/srv/maps-of-ada" in publication.private
    assert "maps-of-ada" not in publication.config_toml()


def test_recorded_data_are_named_without_their_folders(copy: Path) -> None:
    config = (copy / "config.toml").read_text()
    (copy / "config.toml").write_text(config + 'data = "store:/srv/runs-of-ada/fast"\nsteps = 10\n')
    publication = Publication(RunFolder.open(copy))
    assert publication.config()["data"] == "store:fast"
    assert "/srv/runs-of-ada" in publication.private


def test_relative_folders_in_the_arguments_are_not_told_either(copy: Path) -> None:
    publication = with_args(copy, map="../maps-of-ada/a.xml")
    assert "maps-of-ada" not in publication.config_toml()
    assert json.loads(publication.config()["env_args"]) == {"map": "a.xml"}


@pytest.mark.parametrize(
    "repo", ["small", "ada/", "ada/a b", "ada/-x", "ada/x.", "a--b/c", "ada/x/y", "ada/" + "x" * 97]
)
def test_a_repository_s_name_is_checked_before_anything_is_made(repo: str) -> None:
    with pytest.raises(ConfigurationError, match="repo is owner/name"):
        PushConfig(run="run", repo=repo)
    with pytest.raises(ConfigurationError, match="--upload needs the name of a repository: --repo owner/name"):
        PushConfig(run="run", upload=True)


@pytest.mark.parametrize(
    "data",
    [
        {"name": "yes", "tags": ["no", "a: b", "# c", "PPO", "- x", "1.5", "", "ALE/Pong-v5", 'quote " and \\ back']},
        {"index": [{"a": {"b": [1, 2.5, True, None]}, "c": []}, {"d": "ünïcode +/- 0"}], "empty": {}},
    ],
)
def test_the_metadata_survives_a_yaml_reader(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\n" + "\n".join(yaml_lines(data)) + "\n---\n", encoding="utf-8")
    assert metadata_load(tmp_path / "README.md") == data


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    made = LocalHub()
    yield made
    made.close()


SEND = """
import sys, json
from pathlib import Path
from understudy.errors import UnderstudyError
from understudy.export.upload import upload
for name, private in json.loads(sys.argv[2]):
    try:
        print(json.dumps(list(vars(upload(Path(sys.argv[1]), name, private)).values())))
    except UnderstudyError as error:
        print(json.dumps(str(error)))
"""


def send(hub: LocalHub, home: Path, folder: Path, *wanted: tuple[str, bool], **more: str) -> list[Any]:
    done = hub.python("-c", SEND, folder, json.dumps(wanted), home=home, **{"HF_TOKEN": TOKEN} | more)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_nothing_is_sent_unless_asked_and_logged_in(hub: LocalHub, home: Path, copy: Path, tmp_path: Path) -> None:
    words = ("push", copy, "--repo", "ada/small", "--no-video", "--no-onnx")
    done = hub.shell(*words, home=tmp_path / "home", HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert hub.requests == []
    assert "nothing was sent" in done.stdout
    assert f"understudy push {copy} --repo ada/small --upload --no-video --no-onnx" in done.stdout
    assert f"hf upload ada/small {copy / 'hub'} ." in done.stdout
    shutil.rmtree(copy / "hub")
    nobody = hub.shell(*words, "--upload", home=tmp_path / "home")
    assert nobody.returncode == 2
    assert "nobody is logged in to the Hub. First log in with `hf auth login`, or set HF_TOKEN" in nobody.stderr
    assert hub.requests == []
    assert not (copy / "hub").exists()
    code = "from understudy.export.upload import signed_in; signed_in()"
    wrong = hub.python("-c", code, home=tmp_path / "home", HF_TOKEN="hf_wrong")
    assert "the Hub does not accept your token: log in with" in wrong.stderr
    assert {line for line in hub.requests if "agent-harness" not in line} == {"GET /api/whoami-v2"}


RUN_CARD = """
import re, sys
for block in re.findall("```python\\n(.*?)```", open(sys.argv[1]).read(), re.S):
    exec(block, {})
"""


def test_what_arrives_is_the_folder_and_it_works_from_there(
    hub: LocalHub, pushed: Pushed, home: Path, tmp_path: Path
) -> None:
    words = ("push", home / "run", "--repo", "ada/small", "--upload", "--out", tmp_path / "out")
    done = hub.shell(*words, home=tmp_path / "home", HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    assert f"Uploaded     {hub.url}/ada/small" in done.stdout
    there = hub.files("ada/small")
    assert there == contents(tmp_path / "out") | {".gitattributes": b""}
    assert set(there) == {*ALL, ".gitattributes"}
    assert len(hub.repositories["ada/small"].commits) == 2  # made, and filled at once
    assert hub.tokens == {"127.0.0.1"}
    done = hub.python("-c", RUN_CARD, tmp_path / "out" / "README.md", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert f"mlp:8 {RunFolder.open(home / 'run').result.student_parameters}" in done.stdout
    assert "{'obs': ((1, 4), dtype('float32'))}" in done.stdout


def test_an_upload_replaces_what_is_its_own_and_nothing_else(hub: LocalHub, pushed: Pushed, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shutil.copytree(pushed.folder, folder)
    (folder / "replay.mp4").unlink()
    hub.add("ada/old", {"student/config.json": b"{}", "replay.mp4": b"stale", "LICENSE": b"MIT", "README.md": b"#"})
    hub.add("ada/thesis", {"README.md": b"# mine", "thesis.pdf": b"%PDF"})
    hub.add("ada/hidden", {".gitattributes": b""}, gate="private")
    plain = [("ada/old", False), ("ada/thesis", False), ("bob/x", False)]
    private = [("ada/new", True), ("ada/old", True), ("ada/hidden", True)]
    old, thesis, other, new, public, hidden = send(hub, tmp_path / "home", folder, *plain, *private)
    assert old[0] == f"{hub.url}/ada/old"
    assert hub.files("ada/old") == contents(folder) | {"LICENSE": b"MIT"}
    assert "holds something else (thesis.pdf)" in thesis
    assert "nothing was changed there" in thesis
    assert hub.files("ada/thesis") == {"README.md": b"# mine", "thesis.pdf": b"%PDF"}
    assert new[1] in hub.repositories["ada/new"].commits
    assert (hub.repositories["ada/new"].gate, hub.repositories["ada/old"].gate) == ("private", "")
    assert "is there already and is public" in public
    assert hidden[0] == f"{hub.url}/ada/hidden"
    assert hub.files("ada/hidden").keys() == {*ALL, ".gitattributes"} - {"replay.mp4"}
    assert "the Hub refuses hf://bob/x (403)" in other
    assert "the rights" in other


def test_a_hub_that_fails_on_the_way_changes_nothing(hub: LocalHub, pushed: Pushed, tmp_path: Path) -> None:
    hub.add("ada/small", {".gitattributes": b""})
    hub.broken = "/storage/"
    (told,) = send(hub, tmp_path / "home", pushed.folder, ("ada/small", False))
    assert "nothing was changed there; the folder is" in told
    assert hub.files("ada/small") == {".gitattributes": b""}
    hub.close()
    (told,) = send(hub, tmp_path / "home", pushed.folder, ("ada/small", False))
    assert "the Hub cannot be reached" in told
