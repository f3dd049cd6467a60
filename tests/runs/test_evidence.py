"""What is gathered for a run's page, against answers that were found in another way."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import PIL.Image
import pytest
import torch

import understudy
from understudy.envs.rollout import Rollout
from understudy.math.heads import Heads
from understudy.math.statistics import recovered
from understudy.policies.student import Student
from understudy.runs import extent, filming, visitation
from understudy.runs.evidence import gather, kept
from understudy.runs.folder import RunFolder
from understudy.runs.reopen import Reopened, reopen

CARTPOLE = Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip"
REGION = 0.02
"""Pole angles beyond which the altered policy does the opposite."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "cartpole"
    understudy.distill(CARTPOLE, "CartPole-v1", "mlp:8", out=out, final_episodes=10, steps=2000, quiet=True)
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Reopened:
    return reopen(shutil.copytree(finished, tmp_path / "run"))


class Altered:
    """A student that turns its two logits round where the pole leans to the right."""

    memory_size, has_value, full_support, description, parameter_count = 0, False, True, "altered", 0

    def __init__(self, student: Student) -> None:
        self.student = student
        self.family, self.observation_space = student.family, student.observation_space
        self.action_space = student.action_space

    def __call__(self, observation: Any, memory: Any = None, start: Any = None) -> tuple[Heads, None]:
        flat = self.student(observation)[0].policy.flat
        return Heads(self.family(torch.where(observation[..., 2:3] > REGION, -flat, flat))), None

    def to(self, device: Any) -> Altered:
        return self


def test_the_states_that_differ_most_are_where_the_student_was_altered(run: Reopened) -> None:
    """The KL of p from (1-p) is (2p - 1) log(p / (1-p)), and 0 elsewhere."""
    found = gather(replace(run, teacher=Altered(run.student)), filmed=False)
    assert len(found["disagreements"]) == 6
    for state in found["disagreements"]:
        assert state["observation"][2] > REGION
        p = state["student"]["parts"][0][0]
        assert state["teacher"]["parts"][0] == pytest.approx([1 - p, p], abs=1e-6)
        assert state["divergence"] == pytest.approx((2 * p - 1) * np.log(p / (1 - p)), rel=1e-3)
    places = {(state["who"], state["seed"]) for state in found["disagreements"]}
    assert len(places) >= 3


def test_agreement_is_what_a_plain_loop_counts(run: Reopened) -> None:
    found = gather(run, filmed=False)["agreement"]
    counts, episodes = np.zeros((2, 2), int), found["episodes"]
    env = gymnasium.make("CartPole-v1")
    for seed in range(1_000_000, 1_000_000 + episodes):
        observation, over = env.reset(seed=seed)[0], False
        while not over:
            seen = torch.as_tensor(observation)[None]
            teacher, student = (int(one(seen)[0].policy.mode()[0]) for one in (run.teacher, run.student))  # type: ignore[misc]
            counts[teacher, student] += 1
            observation, _, terminated, truncated, _ = env.step(student)
            over = terminated or truncated
    assert found["parts"][0]["counts"] == counts.tolist()
    assert found["states"] == counts.sum()
    assert found["same"] == pytest.approx(np.trace(counts) / counts.sum())


def test_the_figures_are_those_of_the_runs_own_episodes(run: Reopened) -> None:
    found, result = gather(run, filmed=False), run.folder.result
    for who in ("teacher", "student", "random"):
        assert found["players"][who]["mean"] == pytest.approx(getattr(result, f"{who}_return"))
        assert len(found["players"][who]["returns"]) == 10
    assert found["recovered"]["point"] == pytest.approx(result.recovered)
    assert found["recovered"]["interval"] == pytest.approx(list(result.recovered_interval or ()))
    assert found["seeds"] == [1_000_000, 1_000_009]
    assert found["bytes"] == {
        "teacher": CARTPOLE.stat().st_size,
        "student": (run.folder.student / "model.safetensors").stat().st_size,
    }
    assert all(0 < found["latency"][who]["median"] < 1e5 for who in ("teacher", "student"))


def test_episodes_that_the_folder_has_lost_are_played_again_the_same(run: Reopened) -> None:
    """The random policy draws other actions than in the run, where it had played before."""
    before = gather(run, filmed=False)["players"]
    run.folder.episodes_path.unlink()
    after = gather(run, filmed=False)["players"]
    assert all(after[who] == before[who] for who in ("teacher", "student"))
    fewer = gather(run, filmed=False, episodes=4)
    assert fewer["players"]["student"]["returns"] == before["student"]["returns"][:4]
    assert fewer["seeds"] == [1_000_000, 1_000_003]
    student, teacher = (np.array(fewer["players"][who]["returns"]) for who in ("student", "teacher"))
    random = np.array(fewer["players"]["random"]["returns"])
    expected = recovered(student, teacher, random, np.random.default_rng(0))
    assert expected is not None
    assert fewer["recovered"]["point"] == pytest.approx(expected.point)


def test_a_student_is_no_distance_from_itself(run: Reopened) -> None:
    found = gather(replace(run, teacher=run.student), filmed=False)
    assert found["divergence"] == pytest.approx({"teacher": 0, "student": 0, "uniform": 0}, abs=1e-6)
    assert found["agreement"]["same"] == 1
    assert found["disagreements"] == []


class Clock(gymnasium.Env[Any, Any]):
    """Shows the time as the angle of a pole, t / 100, whatever is done; episodes have 100 steps."""

    observation_space = gymnasium.make("CartPole-v1").observation_space
    action_space = gymnasium.spaces.Discrete(2)

    def _seen(self) -> np.ndarray:
        return np.array([0, 0, self.time / 100, 0], np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        self.time = 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.time += 1
        return self._seen(), 1.0, self.time == 100, False, {}


def test_divergences_are_means_over_whole_episodes(run: Reopened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever plays comes through the times 0 to 99 once an episode; the first steps alone would say otherwise."""
    seen = torch.zeros(100, 4)
    seen[:, 2] = torch.arange(100) / 100
    p = torch.sigmoid(run.student(seen)[0].policy.flat.double() @ torch.tensor([-1.0, 1.0]).double())
    apart = torch.where(seen[:, 2] > REGION, (2 * p - 1) * torch.log(p / (1 - p)), 0.0).tolist()
    assert np.mean(apart) != pytest.approx(np.mean(apart[:51]), rel=0.05)
    other = replace(reopen(run.folder.path, env=Clock), teacher=Altered(run.student))
    found = gather(other, filmed=False, episodes=5)
    assert found["divergence"] == pytest.approx(
        dict.fromkeys(("teacher", "student", "uniform"), np.mean(apart)), rel=1e-4
    )
    whole = {"states": 4000, "episodes": 40, "wanted": 40, "cut": 0, "steps": 1250}
    assert found["looked"]["divergence"] == dict.fromkeys(("teacher", "student", "uniform"), whole)
    monkeypatch.setattr(visitation, "PART", 64)  # asked in parts
    assert gather(other, filmed=False, episodes=5)["divergence"] == pytest.approx(found["divergence"], rel=1e-6)
    monkeypatch.setattr(extent, "MOST_BYTES", 30 * 16)
    found = gather(other, filmed=False, episodes=5)
    cut = {"states": 30, "episodes": 1, "wanted": 40, "cut": 1, "steps": 30}
    assert found["looked"]["divergence"] == dict.fromkeys(("teacher", "student", "uniform"), cut)
    assert found["divergence"]["student"] == pytest.approx(np.mean(apart[:30]), rel=1e-4)
    assert found["looked"]["actions"]["student"] == cut | {"wanted": 5}
    assert found["agreement"]["states"] == 30


def test_a_memory_goes_on_where_a_policy_is_asked_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"final_episodes": 2, "evaluation_episodes": 2, "steps": 200, "target": 9.0, "quiet": True}
    understudy.distill(CARTPOLE, "CartPole-v1", "gru:4", out=tmp_path / "run", **few)
    run = reopen(tmp_path / "run")
    with closing(run.simulator(3)) as simulator:
        pair = visitation.Pair(run.teacher, run.student, run.views, run.actions(simulator))  # type: ignore[arg-type]
        window = Rollout(simulator, pair.actions, 5).collect(run.actor("teacher", simulator), 90)
    window.start[40, 1] = True  # an episode begins amidst
    seen = visitation.Seen(window.observation, window.start, window.valid)
    whole = [one.flat.numpy() for one in visitation.answers(pair, seen)]
    monkeypatch.setattr(visitation, "PART", 20)
    for one, at_once in zip(visitation.answers(pair, seen), whole, strict=True):
        np.testing.assert_allclose(one.flat.numpy(), at_once, atol=1e-5)


def test_evidence_is_kept_for_the_episodes_that_it_was_gathered_with(run: Reopened) -> None:
    own = gather(run)
    pictures = {path: path.read_bytes() for path in run.folder.evidence.glob("*.webp")}
    anew = gather(run, episodes=3)
    assert kept(run.folder) == json.loads(json.dumps(own))
    assert {path: path.read_bytes() for path in run.folder.evidence.glob("*.webp")} == pictures != {}
    assert (anew["film"]["file"], own["film"]["file"]) == ("anew/film.webp", "film.webp")
    named = [anew["film"]["file"], anew["film"]["still"], *(one["picture"] for one in anew["disagreements"])]
    assert all((run.folder.evidence / name).is_file() and name.startswith("anew/") for name in named)
    assert kept(run.folder, 4) is None
    found = kept(run.folder, 3)
    assert found is not None
    assert len(found["players"]["random"]["returns"]) == 3
    assert found["anew"]
    assert not own["anew"]


def test_evidence_of_another_student_is_not_kept(run: Reopened) -> None:
    assert kept(run.folder) is None
    found = gather(run, filmed=False)
    assert kept(RunFolder(run.folder.path)) == json.loads(json.dumps(found))
    config = run.folder.student / "config.json"
    config.write_text(config.read_text() + "\n")
    assert kept(run.folder) is None
    (run.folder.evidence / "evidence.json").write_text("{")
    assert kept(run.folder) is None


def test_pictures_show_the_states_that_were_chosen(run: Reopened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one is drawn from the state itself: CartPole's cart stands where its position says."""
    monkeypatch.setattr(filming, "SECONDS", 0.5)
    found = gather(replace(run, teacher=Altered(run.student)))
    assert found["film"]["file"] == "film.webp"
    for state in found["disagreements"]:
        with PIL.Image.open(io.BytesIO((run.folder.evidence / state["picture"]).read_bytes())) as image:
            pixels = np.asarray(image.convert("L"))
        cart = np.nonzero((pixels < 60).sum(0) > 8)[0]  # columns of the black cart
        width = pixels.shape[1]
        expected = width / 2 + state["observation"][0] * width / 4.8  # the window is 4.8 wide
        assert cart.mean() == pytest.approx(expected, abs=4)
