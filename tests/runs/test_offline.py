"""Distillation from recorded steps: held against closed forms, tables and value iteration; refused where it must be."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

import understudy
from cutter import Cut, Cutter
from understudy.cli import main
from understudy.engines.actor import PolicyActor
from understudy.envs.actions import ActionMap, family_of
from understudy.envs.of_gym import make
from understudy.envs.recording import Recording
from understudy.envs.rollout import Rollout
from understudy.errors import ConfigurationError, MethodError, RunError, SpaceError
from understudy.policies.student import Student
from understudy.policies.student_file import load_student
from understudy.policies.teachers import open_teacher
from understudy.runs import held_out, offline
from understudy.runs.checkpoints import Checkpoints
from understudy.runs.config import DistillConfig
from understudy.runs.console import Silent
from understudy.runs.data import _of_aggregate, fingerprint, fitted, open_data
from understudy.runs.execute import distill, resume
from understudy.runs.held_out import Patience
from understudy.runs.offline_parts import assemble_offline
from understudy.runs.result import Result

TEACHER = Path(__file__).resolve().parents[2] / "teachers" / "ppo-CartPole-v1.zip"
CLOCK = {"seconds", "evaluation_seconds", "final_seconds", "total_seconds", "cpu_seconds", "path"}


def learned(data: Any, out: Path, teacher: Any = None, env: Any = None, **options: Any) -> Result:
    return understudy.distill(teacher, env, data=str(data), out=str(out), quiet=True, **options)


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def trained_on(data: Path, rows: str, seed: int = 0) -> np.ndarray:
    """The rows of an array that a run with this seed does not hold out."""
    recording = open_data(str(data), None, "", True)
    pieces, _ = recording.split(0.1, seed)
    return np.load(data)[rows][np.concatenate([np.arange(*piece) for piece in pieces])]


def numbers(student: Student, states: Any) -> np.ndarray:
    with torch.no_grad():
        return student.action_values(torch.as_tensor(states)).numpy()


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the teacher does in 8 x 900 steps, of which one in five is anybody's."""
    policy, simulator = open_teacher(TEACHER), make("CartPole-v1", 8)
    actions = ActionMap(policy.family, simulator.action_space)
    generator = np.random.default_rng(0)
    own = PolicyActor(policy, lambda seen: seen, generator)

    def actor(seen: Any, start: np.ndarray) -> np.ndarray:
        anybody = generator.random(len(start)) < 0.2
        return np.where(anybody, actions.uniform(len(start), generator), own(seen, start))

    window = Rollout(simulator, actions, 0).collect(actor, 900)
    simulator.close()
    window.truncated[-1] = ~window.terminated[-1]

    def lanes(rows: Any) -> np.ndarray:
        return np.concatenate(list(np.swapaxes(rows, 0, 1)))

    return write(
        tmp_path_factory.mktemp("data") / "cartpole.npz",
        observations=lanes(window.observation), actions=lanes(window.action), rewards=lanes(window.reward),
        terminations=lanes(window.terminated), truncations=lanes(window.truncated),
    )  # fmt: skip


# Against closed forms


def test_a_linear_student_of_counted_states_comes_to_the_frequencies_of_the_actions(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    states = generator.integers(4, size=4000)
    chances = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.05, 0.05, 0.9]])
    actions = np.array([generator.choice(3, p=chances[s]) for s in states])
    data = write(tmp_path / "counted.npz", observations=states, actions=actions)
    result = learned(data, tmp_path / "run", student="linear", steps=1500, learning_rate=0.02, patience=0)
    seen, done = trained_on(data, "observations"), trained_on(data, "actions")
    counts = np.array([[np.sum((seen == s) & (done == a)) for a in range(3)] for s in range(4)])
    found = torch.as_tensor(numbers(load_student(result.path), np.arange(4))).softmax(-1).numpy()
    assert np.abs(found - counts / counts.sum(-1, keepdims=True)).max() < 0.015
    best = counts.argmax(-1)
    assert result.extra["held_out"]["agreement"] == pytest.approx(_share_of(data, best), abs=1e-9)


def _share_of(data: Path, best: np.ndarray) -> float:
    """How often the held-out action of a state is the one that was most frequent in those learned from."""
    _, pieces = open_data(str(data), None, "", True).split(0.1, 0)
    rows = np.concatenate([np.arange(*piece) for piece in pieces])
    file = np.load(data)
    return float((best[file["observations"][rows]] == file["actions"][rows]).mean())


def test_a_linear_student_of_amounts_comes_to_the_least_squares(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    seen = generator.normal(size=(3000, 3)) * [1, 10, 0.1] + [0, 5, 0]
    done = seen @ [[0.4, 0.0], [-0.03, 0.05], [2.0, 1.0]] + 0.2 + generator.normal(size=(3000, 2)) * 0.3
    data = write(tmp_path / "amounts.npz", observations=seen, actions=done)
    result = learned(
        data, tmp_path / "run", student="linear", steps=3000, learning_rate=0.01, patience=0, teacher_std=0.05
    )
    x, y = trained_on(data, "observations"), trained_on(data, "actions")
    x = np.concatenate([x, np.ones((len(x), 1))], -1)
    weights, *_ = np.linalg.lstsq(x, y, rcond=None)
    student = load_student(result.path)
    with torch.no_grad():
        flat = student.flat(torch.as_tensor(x[:500, :3], dtype=torch.float32))[0].numpy()
    assert np.abs(flat[:, :2] - x[:500] @ weights).max() < 0.03
    label = 0.05 * (done.max(0) - done.min(0)) / 2  # the deviation given to a recorded action
    assert np.allclose(np.exp(flat[0, 2:]), np.sqrt(label**2 + (y - x @ weights).var(0)), rtol=0.05)


def table(seen: np.ndarray) -> dict[str, np.ndarray]:
    """Action values of a teacher that knows them."""
    return {"q": TABLE[np.asarray(seen, int)]}


TABLE = np.random.default_rng(5).normal(50, 20, (6, 3)).astype(np.float32)


def test_q_mse_on_counted_states_comes_to_the_table(tmp_path: Path) -> None:
    states = np.random.default_rng(0).integers(6, size=2000)
    data = write(tmp_path / "states.npz", observations=states, actions=np.arange(2000) % 3)
    result = learned(data, tmp_path / "run", table, student="linear", method="q-mse", steps=2500, patience=0)
    assert np.abs(numbers(load_student(result.path), np.arange(6)) - TABLE).max() < 0.05
    assert result.extra["held_out"]["agreement"] == 1
    assert "q-mse on recorded steps" in result.summary()


def chain(path: Path, rows: int = 6000) -> Path:
    """A walk on 0..4: left or right, 1 for leaving to the right, which ends it; broken off after 12 steps."""
    generator = np.random.default_rng(0)
    seen, done, paid, over, cut = ([] for _ in range(5))
    state, age = 0, 0
    for _ in range(rows):
        action = int(generator.integers(2))
        ended = state == 4 and action == 1
        age += 1
        for column, value in zip(
            (seen, done, paid, over, cut), (state, action, float(ended), ended, age == 12 and not ended), strict=True
        ):
            column.append(value)
        state = min(4, max(0, state + (1 if action else -1)))
        if ended or age == 12:
            state, age = int(generator.integers(5)), 0
    return write(path, observations=seen, actions=done, rewards=paid, terminations=over, truncations=cut)


@pytest.mark.parametrize("n_step", [1, 3])
def test_dqn_on_a_recorded_walk_comes_to_value_iteration(tmp_path: Path, n_step: int) -> None:
    gamma, q = 0.8, np.zeros((5, 2))
    for _ in range(200):
        best = q.max(-1)
        q = np.array([[gamma * best[max(0, s - 1)], 1.0 if s == 4 else gamma * best[s + 1]] for s in range(5)])
    result = learned(
        chain(tmp_path / "walk.npz"), tmp_path / "run", student="linear", method="dqn", gamma=gamma, steps=3000,
        target_update="hard:50", n_step=n_step, learning_rate=0.01, batch_size=64,
    )  # fmt: skip
    found = numbers(load_student(result.path), np.arange(5))
    if n_step == 1:
        assert np.abs(found - q).max() < 0.03
    else:  # sums of what a random walk was paid are no values of the best policy, and below them
        assert (found < q + 0.02).all()
        assert found[4, 1] == pytest.approx(1, abs=0.02)
    assert result.stopped_because == "the budget of updates is spent"
    assert any("guesses" in text for text in result.warnings)


# Against play


@pytest.mark.parametrize("method", ["on-policy-distill", "q-nll"])
def test_a_clone_of_recorded_cartpole_earns_what_the_recorded_one_would(
    cartpole: Path, tmp_path: Path, method: str
) -> None:
    result = learned(cartpole, tmp_path / "run", env="CartPole-v1", student="mlp:16,16", method=method)
    assert result.student_return >= 0.95 * 500
    assert result.env_steps == 0
    assert 0.7 < result.extra["held_out"]["agreement"] < 0.95  # a fifth of the actions was anybody's
    assert result.extra["coverage"]["share"] > 0.7
    assert result.recovered is None
    assert "looks at what is held out" in result.stopped_because


def test_a_teacher_is_asked_in_recorded_states_and_measured_beside_the_student(cartpole: Path, tmp_path: Path) -> None:
    result = learned(cartpole, tmp_path / "run", TEACHER, "CartPole-v1", student="mlp:16,16", final_episodes=30)
    assert result.recovered is not None
    assert result.recovered >= 0.95
    assert result.extra["held_out"]["agreement"] > 0.97
    assert result.extra["kl_teacher"] < 0.1
    assert result.teacher_parameters > 4000
    assert result.extra["data"]["rows"] == 7200
    played = json.loads((tmp_path / "run" / "evidence" / "episodes.json").read_text())
    assert played.keys() == {"seeds", "teacher", "student", "random"}


def test_a_student_that_goes_elsewhere_is_told_so(tmp_path: Path) -> None:
    """One that was shown only states near the middle, and told to leave it."""
    seen = np.random.default_rng(0).normal(size=(2000, 4)) * 0.01
    data = write(tmp_path / "still.npz", observations=seen, actions=np.ones(2000, int))
    result = learned(data, tmp_path / "run", env="CartPole-v1", student="linear", steps=100, final_episodes=20)
    assert result.student_return < 15  # always to the right
    assert result.extra["coverage"]["share"] < 0.3
    assert "Covered" in result.summary()


# A run without an environment


@pytest.fixture(scope="module")
def alone(cartpole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    learned(cartpole, out, student="mlp:8", steps=300)
    return out


def test_no_return_is_told_where_nobody_played(alone: Path) -> None:
    told = json.loads((alone / "result.json").read_text())
    assert told["student_return"] is None
    assert told["recovered"] is None
    result = Result.from_json((alone / "result.json").read_text())
    assert np.isnan(result.student_return)
    text = result.summary()
    assert "Return       not measured" in text
    assert "nan" not in text
    assert "environment steps" not in text


def test_such_a_student_is_evaluated_and_exported_where_an_environment_is_named(alone: Path, tmp_path: Path) -> None:
    found = understudy.evaluate(str(alone), "CartPole-v1", episodes=5)
    assert found.mean_return > 50
    with pytest.raises(RunError, match="knows of no environment; name one with --env"):
        understudy.export_student(alone, out=tmp_path / "a.onnx")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert understudy.export_student(alone, out=tmp_path / "a.onnx", env="CartPole-v1").files


def test_the_page_of_such_a_run_says_what_is_missing(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(alone), "--quiet"]) == 0
    page = (alone / "report.html").read_text()
    assert "What the student earns was not measured" in page
    assert "name one with --env" in page
    assert "undefined" not in page.partition("<h2>Words")[0].replace("undefined where", "")


def test_the_rows_held_out_are_not_learned_from(cartpole: Path, tmp_path: Path) -> None:
    config = DistillConfig.of({"data": str(cartpole), "out": str(tmp_path / "run"), "student": "mlp:8"})
    parts = assemble_offline(config, None, None, Silent())
    while parts.source.left:
        parts.learner.gather()
    kept = parts.learner.store.columns["features"][: len(parts.learner.store), 0]
    file = np.load(cartpole)["observations"]
    held = np.concatenate([np.arange(*piece) for piece in parts.pieces[1]])
    shown = parts.student.network.encoded(torch.as_tensor(file[held]))
    assert shown is not None
    assert len(kept) + len(held) == len(file)
    assert float(torch.cdist(shown.features, kept).min()) > 1e-6


def test_the_best_look_counts_and_patience_is_counted_in_looks() -> None:
    patience = Patience(3)
    assert [patience.note(loss) for loss in (1.0, 0.5, 0.6, 0.4999, 0.7)] == [True, True, False, True, False]
    assert (patience.waited, patience.over) == (3, True)
    assert Patience(0, waited=99).over is False
    slow = Patience(3)  # each step is less than a thousandth, and three are more
    assert not any(slow.note(1 - 4e-4 * k) and slow.over for k in range(30))
    assert [slow.note(slow.best) or slow.over for _ in range(4)][-1]


def test_the_student_that_is_saved_is_the_best_of_those_looked_at(cartpole: Path, tmp_path: Path) -> None:
    small = np.load(cartpole)
    data = write(tmp_path / "few.npz", **{key: small[key][:300] for key in small.files})
    result = learned(data, tmp_path / "run", student="mlp:64,64", steps=1500, patience=0)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    looks = [one["loss"] for one in lines if one["kind"] == "held-out"]
    assert result.extra["held_out"]["loss"] == pytest.approx(min(looks), abs=1e-6)
    assert looks[-1] > 1.05 * min(looks)  # it learned by heart afterwards


# Stopped and gone on


@pytest.mark.parametrize(
    "more", [{}, {"method": "dqn+q-nll"}, {"method": "dqn", "light_checkpoints": True}, {"teacher": str(TEACHER)}]
)
def test_a_run_on_data_that_is_cut_off_goes_on_to_the_same_bits(
    cartpole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    monkeypatch.setattr(offline, "RARELY", 1)
    monkeypatch.setattr(offline, "BYTES", 10**9)
    values = {"data": str(cartpole), "student": "mlp:8", "steps": 240, "updates": 30, "seed": 2} | more
    ways = []
    for name in ("whole", "cut"):
        config = DistillConfig.of(values | {"out": str(tmp_path / name)})
        if name == "whole":
            distill(config, console=Silent())
        else:
            with pytest.raises(Cut):
                distill(config, console=Cutter(5))
            resume(tmp_path / name, console=Silent())
        ways.append(left(tmp_path / name))
    assert ways[0] == ways[1]


def left(path: Path) -> tuple[bytes, list[Any], dict[str, Any]]:
    lines = (path / "metrics.jsonl").read_text().splitlines()
    records = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
    result = {k: v for k, v in json.loads((path / "result.json").read_text()).items() if k not in CLOCK}
    return (path / "student" / "model.safetensors").read_bytes(), records, result


def test_patience_goes_on_where_it_was(cartpole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "RARELY", 1)
    monkeypatch.setattr(held_out, "BETTER", 1e9)  # so that no look but the first is any better
    config = DistillConfig.of(
        {"data": str(cartpole), "student": "mlp:8", "updates": 5, "patience": 6, "out": str(tmp_path / "run")}
    )
    with pytest.raises(Cut):
        distill(config, console=Cutter(5))
    result = resume(tmp_path / "run", console=Silent())
    assert (result.updates, result.stopped_because[:7]) == (35, "6 looks")


def test_a_run_does_not_go_on_with_other_data(cartpole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "RARELY", 1)
    file = dict(np.load(cartpole))
    data = write(tmp_path / "mine.npz", **file)
    config = DistillConfig.of({"data": str(data), "student": "mlp:8", "steps": 200, "out": str(tmp_path / "run")})
    with pytest.raises(Cut):
        distill(config, console=Cutter(3))
    file["actions"][7] = 1 - file["actions"][7]
    write(data, **file)
    with pytest.raises(RunError, match="cannot go on as it began: data"):
        resume(tmp_path / "run", console=Silent())


def test_every_part_of_the_data_counts_in_what_they_are_known_by(tmp_path: Path) -> None:
    file: dict[str, Any] = {
        "observations": np.array([[0.0], [1], [2], [3]]), "actions": np.array([0, 1, 1, 0]), "rewards": np.arange(4.0),
        "terminations": np.array([0, 0, 0, 1]), "truncations": np.array([0, 1, 0, 0]),
        "next_observations": np.array([[1.0], [9], [3], [0]]),
    }  # fmt: skip

    def known_by(**changed: Any) -> str:
        return fingerprint(open_data(str(write(tmp_path / "a.npz", **file | changed)), None, "", True))

    found = [known_by(), known_by(observations=file["observations"] + [[1], [0], [0], [0]])]
    found += [known_by(**{key: 1 - file[key]}) for key in ("actions", "rewards")]
    found += [known_by(terminations=np.zeros(4)), known_by(truncations=np.array([0, 1, 1, 0]))]
    found += [known_by(next_observations=np.array([[1.0], [8], [3], [0]]))]
    assert len(set(found)) == len(found) == 7


# Stores


def stopped(out: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Path:
    """A run that was cut off and left a checkpoint."""
    from understudy.runs import run as running

    monkeypatch.setattr(running, "RARELY", 1)
    config = DistillConfig.of({"teacher": str(TEACHER), "env": "CartPole-v1", "out": str(out), **options})
    with pytest.raises(Cut):
        distill(config, console=Cutter(12))
    return out


SHORT: dict[str, Any] = {"student": "mlp:8", "evaluation_episodes": 2, "target": 3.0, "collect": 64}


def test_the_replay_store_of_a_stopped_run_is_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = '{"max_episode_steps": 40}'
    run = stopped(tmp_path / "run", monkeypatch, method="dqn+q-kl", prefill=400, env_args=limit, **SHORT)
    found: Recording = open_data(f"store:{run}", None, "", True)
    assert found.reward is not None
    assert (found.reward == 1).all()
    assert found.action_space == spaces.Discrete(2)
    physics = _cartpole_after(np.asarray(found.observation), found.action)
    inside = np.flatnonzero(~found.last)
    assert len(inside) > 300
    lengths = np.diff(found.episodes).ravel()
    assert lengths.max() == 40
    after = found.after_row[lengths[np.searchsorted(found.episodes[:, 1], found.after_row, side="right")] == 40]
    assert len(after) >= 8
    assert np.allclose(physics[after], np.asarray(found.after_these(after)), atol=1e-4)
    assert np.allclose(physics[inside], np.asarray(found.observation)[inside + 1], atol=1e-4)
    counted_from_3 = open_data(
        f"store:{run}", (found.observation_space, spaces.Discrete(2, start=3)), "environment", True
    )
    assert np.array_equal(counted_from_3.action, np.asarray(found.action) + 3)
    again = learned(f"store:{run}", tmp_path / "again", TEACHER, "CartPole-v1", student="mlp:16", final_episodes=10)
    assert again.extra["held_out"]["agreement"] > 0.9


def _cartpole_after(seen: np.ndarray, done: np.ndarray) -> np.ndarray:
    """Euler's step of the pole on the cart, as Barto, Sutton and Anderson (1983) have it."""
    x, v, angle, spin = seen.astype(float).T
    force = np.where(done == 1, 10.0, -10.0)
    push = (force + 0.05 * spin**2 * np.sin(angle)) / 1.1
    turn = (9.8 * np.sin(angle) - np.cos(angle) * push) / (0.5 * (4 / 3 - 0.1 * np.cos(angle) ** 2 / 1.1))
    pull = push - 0.05 * turn * np.cos(angle) / 1.1
    return np.stack([x + 0.02 * v, v + 0.02 * pull, angle + 0.02 * spin, spin + 0.02 * turn], -1)


def test_the_aggregated_states_of_a_stopped_run_are_a_data_set_for_a_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped(tmp_path / "run", monkeypatch, **SHORT)
    policy = open_teacher(TEACHER)
    found = open_data(f"store:{run}", (policy.observation_space, policy.action_space), "teacher", False)
    assert np.abs(np.asarray(found.observation)).max(0)[2] < 0.5  # angles, not deviations of them
    with pytest.raises(RunError, match="holds states and no actions; name the teacher"):
        open_data(f"store:{run}", None, "", True)
    again = learned(f"store:{run}", tmp_path / "again", TEACHER, student="mlp:16")
    assert again.extra["held_out"]["agreement"] > 0.9


def test_stored_features_become_the_observations_that_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stopped(tmp_path / "run", monkeypatch, **SHORT)
    parts = Checkpoints(run / "checkpoints").latest(10**9)
    assert parts is not None
    learner, spaces_given = parts.state["learner"], (spaces.Box(-np.inf, np.inf, (4,)), spaces.Discrete(2))
    student, held = Student(*spaces_given, family_of(spaces_given[1]), "mlp:8", seed=0), learner["store"]["columns"]
    moved = {
        name: value + 3.0 if name.endswith("standardise.mean") else value for name, value in learner["student"].items()
    }
    student.load_state_dict(moved)
    found = _of_aggregate("run", learner["store"], moved, spaces_given).observation
    encoded = student.network.encoded(torch.as_tensor(found))
    assert encoded is not None
    torch.testing.assert_close(encoded.features, held["features"].flatten(0, 1), rtol=1e-3, atol=1e-3)


def test_a_finished_run_has_no_store(alone: Path) -> None:
    with pytest.raises(RunError, match="its store went with its checkpoints"):
        open_data(f"store:{alone}", None, "", True)


def test_a_minari_data_set_teaches(tmp_path: Path, cartpole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    from minari.data_collector.episode_buffer import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    file, buffers = np.load(cartpole), []
    ends = np.flatnonzero(file["terminations"] | file["truncations"]) + 1
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        rows = slice(begin, end)
        after = file["observations"][end - 1 : end]  # what came after was not kept; it is not read here
        seen = np.concatenate([file["observations"][rows], after])
        columns = {key: list(file[key][rows]) for key in ("actions", "rewards", "terminations", "truncations")}
        buffers.append(EpisodeBuffer(observations=seen, **columns))
    space = spaces.Box(-np.inf, np.inf, (4,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of authors and the like, which it has none of
        minari.create_dataset_from_buffers(
            "cart/pole-v0", buffers, observation_space=space, action_space=spaces.Discrete(2)
        )
    result = learned("minari:cart/pole-v0", tmp_path / "run", student="mlp:16", steps=300)
    assert result.extra["data"]["rows"] == 7200
    assert result.extra["held_out"]["agreement"] > 0.7
    assert result.summary().startswith("Distilled    what was done into mlp:16 on minari:cart/pole-v0")
    with pytest.raises(SpaceError, match="do not match"):
        learned("minari:cart/pole-v0", tmp_path / "other", env="LunarLander-v3")


# Refusals


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "n-distill"], "recorded data hold what others did"),
        (["--method", "q-mse"], "needs numbers for all actions"),
        (["--method", "q-kl"], "or use q-nll"),
        (["--method", "dqn+q-kl"], "or use dqn+q-nll"),
        (["--student", "gru:8"], "Use mlp, cnn or linear"),
        (["--copies", "4"], "--copies is of no use with --data"),
        (["--control", "student"], "--control is of no use with --data"),
        (["--target", "0.5"], "--target is for an environment (--env)"),
        (["--vecnormalize", "x.pkl"], "--vecnormalize is for a teacher"),
        (["--env", "Acrobot-v1"], "a row of observations has the shape [4]"),
        (["--env", "MountainCarContinuous-v0"], "do not match"),
        (["--held-out", "1.5"], "held"),
    ],
)
def test_what_cannot_be_learned_from_data_is_refused_before_any_work(
    cartpole: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["distill", "--data", str(cartpole), "--out", str(out), *words]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_rows_that_learn_from_rewards_need_them(tmp_path: Path) -> None:
    data = write(tmp_path / "a.npz", observations=np.zeros((50, 2)), actions=np.arange(50) % 2)
    with pytest.raises(MethodError, match="has none \\(an array 'rewards'\\)"):
        learned(data, tmp_path / "run", method="dqn")


def test_steps_that_are_all_broken_off_teach_no_differences(tmp_path: Path) -> None:
    file: dict[str, Any] = {"observations": np.arange(50) % 3, "actions": np.arange(50) % 2, "rewards": np.ones(50)}
    data = write(tmp_path / "a.npz", **file, truncations=np.ones(50))
    with pytest.raises(ConfigurationError, match="no step of which the next one is known"):
        learned(data, tmp_path / "run", method="dqn", student="linear")
    file["next_observations"] = (np.arange(50) + 1) % 3
    data = write(tmp_path / "b.npz", **file, truncations=np.ones(50))
    assert learned(data, tmp_path / "run", method="dqn", student="linear", steps=50).updates >= 50


def test_actions_that_the_teacher_or_the_environment_has_not_are_named_by_their_row(
    cartpole: Path, tmp_path: Path
) -> None:
    file = dict(np.load(cartpole))
    file["actions"][11] = 2
    data = write(tmp_path / "a.npz", **file)
    for teacher, env in ((TEACHER, None), (None, "CartPole-v1")):
        with pytest.raises(SpaceError, match=r"actions of row 11 are 2, and the \w+ has Discrete\(2\)"):
            learned(data, tmp_path / "run", teacher, env)


def test_amounts_beyond_the_bounds_and_pictures_that_are_no_bytes_are_named_by_their_row() -> None:
    def recording(seen: Any, done: Any) -> Recording:
        ends, none = np.zeros(len(done), bool), np.zeros(0, np.int64)
        return Recording(
            "made", seen, done, None, ends, ends.copy(), none, seen[:0], spaces.Box(0, 1, seen.shape[1:]),
            spaces.Discrete(2), declared=False,
        )  # fmt: skip

    states, amounts = np.zeros((4, 3), np.float32), np.array([[2.0], [-2.0005], [1.0], [50.0]])
    torque, pixels = spaces.Box(-2, 2, (1,)), spaces.Box(0, 255, (2, 2, 1), np.uint8)
    with pytest.raises(SpaceError, match=r"the actions of row 3 are 50\.0, and the environment has Box\(1 of float32"):
        fitted(recording(states, amounts), spaces.Box(-1, 1, (3,)), torque, "environment")
    fitted(recording(states[:3] + 5, amounts[:3]), spaces.Box(-1, 1, (3,)), torque, "environment")
    column = recording(np.arange(4)[:, None], np.arange(4) % 2)
    assert fitted(column, spaces.Discrete(4), spaces.Discrete(2), "environment").observation.tolist() == [0, 1, 2, 3]  # type: ignore[union-attr]
    shades, done = np.full((4, 2, 2, 1), 7 / 255, np.float32), np.arange(4) % 2
    with pytest.raises(
        SpaceError, match=r"the observations of row 0 are 0\.027\d*, and the teacher has Box\(2x2x1 of uint8"
    ):
        fitted(recording(shades, done), pixels, spaces.Discrete(2), "teacher")
    fitted(recording(np.rint(255 * shades), done), pixels, spaces.Discrete(2), "teacher")
    with pytest.raises(SpaceError, match=r"the observations of row 0 are 7, and the teacher has Box\(2x2x1 of float32"):
        fitted(
            recording(np.full((4, 2, 2, 1), 7, np.uint8), done),
            spaces.Box(0, 1, (2, 2, 1)),
            spaces.Discrete(2),
            "teacher",
        )


@pytest.mark.parametrize("name", ["steps.csv", "minari:", "stores:run", "store:"])
def test_a_data_set_has_one_of_three_names(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"data is minari:NAME, store:RUN or FILE\.npz"):
        DistillConfig.of({"data": name})


def test_without_data_teacher_and_environment_are_needed_and_its_options_are_not() -> None:
    with pytest.raises(ConfigurationError) as caught:
        DistillConfig.of({"teacher": "", "env": "", "patience": 3})
    assert all(word in str(caught.value) for word in ("teacher is missing", "env is missing", "--patience is for"))
