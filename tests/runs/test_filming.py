"""Policies on film: what is seen is what was played."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import PIL.Image
import PIL.ImageSequence
import pytest

import understudy
from understudy.errors import EnvironmentFailure
from understudy.runs import filming
from understudy.runs.filming import Film, animated, beside, film, webp
from understudy.runs.reopen import Reopened, reopen

CARTPOLE = Path(__file__).parents[2] / "teachers" / "ppo-CartPole-v1.zip"
SEED = 1_000_003


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Reopened:
    """A student that was hardly taught, so that it plays otherwise than its teacher."""
    out = tmp_path_factory.mktemp("runs") / "cartpole"
    options = {"final_episodes": 2, "evaluation_episodes": 2, "steps": 200, "target": 9.0, "quiet": True}
    understudy.distill(CARTPOLE, "CartPole-v1", "mlp:4", out=out, **options)
    return reopen(out)


@pytest.fixture(scope="module")
def films(run: Reopened) -> dict[str, Film]:
    return {who: film(run, who, SEED, most_steps=120) for who in ("teacher", "student")}


def test_both_start_from_the_same_picture_and_then_move(films: dict[str, Film]) -> None:
    teacher, student = films["teacher"].frames, films["student"].frames
    assert (teacher[0] == student[0]).all()
    for frames in (teacher, student):
        assert (frames[:-1] != frames[1:]).any((1, 2, 3)).mean() > 0.5
        assert (frames[0] != frames[-1]).any()
    assert (teacher[20] != student[20]).any()


def test_a_film_has_the_return_of_the_episode_that_is_played(run: Reopened) -> None:
    simulator = run.simulator(1)
    for who in ("student", "teacher"):
        played, one = run.play(who, simulator, [SEED]), film(run, who, SEED, most_steps=10_000, width=60)
        assert (one.episode_return, one.length, one.whole) == (played.returns[0], played.lengths[0], True)
        assert len(one.frames) == 1 + -(-one.length // 2)  # at 50 frames a second every second is kept, and the last
        assert one.fps == 25
    simulator.close()


def test_a_film_is_cut_where_it_is_told_and_says_so(films: dict[str, Film]) -> None:
    one = films["teacher"]
    assert (one.length, one.whole, one.episode_return) == (120, False, 120)


def test_pictures_are_made_smaller_and_never_larger(run: Reopened) -> None:
    assert film(run, "random", SEED, most_steps=1, width=90).frames.shape[1:] == (60, 90, 3)
    assert film(run, "random", SEED, most_steps=1, width=None).frames.shape[1:] == (400, 600, 3)
    assert film(run, "random", SEED, most_steps=1, width=5000).frames.shape[1:] == (400, 600, 3)


def test_films_side_by_side_last_as_long_as_the_longer_and_the_other_stays_paler() -> None:
    short = Film(np.full((2, 4, 6, 3), 100, np.uint8), 1.0, 1, True, 10.0)
    long = Film(np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8), 4.0, 4, True, 10.0)
    frames = beside([short, long])
    assert frames.shape == (5, 4, 6 + filming.GAP + 6, 3)
    assert frames[:, 0, 0, 0].tolist() == [100, 100, 177, 177, 177]
    assert frames[:, 0, -1, 0].tolist() == [0, 1, 2, 3, 4]
    assert beside([short, long], fps=5)[:, 0, -1, 0].tolist() == [0, 2, 4]
    assert beside([long], fps=4)[:, 0, -1, 0].tolist() == [0, 2, 4]


def test_the_file_moves_and_is_no_larger_than_allowed(films: dict[str, Film]) -> None:
    both = list(films.values())
    with PIL.Image.open(io.BytesIO(animated(both))) as image:
        assert image.format == "WEBP"
        assert image.is_animated  # type: ignore[attr-defined]
        shown = []
        for frame in PIL.ImageSequence.Iterator(image):
            frame.load()
            shown.append(frame.info["duration"])
        assert len(shown) > 30  # pictures that are alike are joined
        assert sum(shown) == 61 * 40  # milliseconds
        assert image.info["loop"] == 0
    rng = np.random.default_rng(0)
    noise = Film(rng.integers(0, 256, (40, 200, 300, 3), dtype=np.uint8), 0.0, 39, True, 20.0)
    assert len(webp(noise.frames, 70, 20.0)) > 500_000
    assert len(animated([noise], most_bytes=500_000)) <= 500_000


class Blind(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Fails when it is to be shown."""

    def render(self) -> Any:
        raise OSError("no\nscreen")


def seeing(**options: Any) -> Any:
    return Blind(gymnasium.make("CartPole-v1", **options))


def unseen() -> Any:
    return gymnasium.make("CartPole-v1")


@pytest.mark.parametrize(
    ("env", "told"),
    [
        (seeing, "seeing did not render here: OSError: no screen"),
        (unseen, "unseen shows no pictures: it was made with render_mode None"),
        ("vector:CartPole-v1", "steps its copies as one"),
    ],
)
def test_what_cannot_be_filmed_says_why_in_one_line(run: Reopened, env: Any, told: str) -> None:
    other = reopen(run.folder.path, env=env)
    with pytest.raises(EnvironmentFailure) as failure:
        film(other, "teacher", SEED)
    assert told in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("env", ["HalfCheetah-v5", "Hopper-v5", "Walker2d-v5"])
@pytest.mark.parametrize("options", [{}, {"camera_id": -1}])
def test_a_runner_is_filmed_by_the_camera_that_goes_with_it_unless_another_is_chosen(
    run: Reopened, env: str, options: dict[str, Any]
) -> None:
    pytest.importorskip("mujoco")
    if filming.offscreen_mujoco() is None:
        pytest.skip("MuJoCo cannot draw here: neither EGL nor OSMesa is installed")
    other = replace(run, origin=replace(run.origin, env=env, env_kwargs=options))
    with filming.rendering(other) as simulator:
        simulator.reset(0)
        ways = []
        for distance in (0.0, 100.0):
            body = simulator.envs[0].unwrapped
            body.set_state(body.init_qpos + np.eye(len(body.init_qpos))[0] * distance, body.init_qvel)
            shown = filming.picture(simulator).astype(int)
            ways.append((shown[..., 0] - shown[..., 2] > 40).mean())  # the runner is brown; floor and sky are not
    assert ways[0] > 0.002
    assert (ways[1] > 0.002) == (not options)


def test_drawing_without_a_screen_leaves_the_surroundings_as_they_were(
    run: Reopened, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with filming.headless(run):
        assert os.environ["SDL_VIDEODRIVER"] == "dummy"
    assert dict(os.environ) == before
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")
    with filming.headless(run):
        assert os.environ["SDL_VIDEODRIVER"] == "x11"
