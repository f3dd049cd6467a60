"""Policies at play as pictures: one episode on film, two side by side, an animated file that is not too large.

    >>> from understudy.runs.filming import beside, film
    >>> run = reopen("runs/...")
    >>> teacher, student = (film(run, who, seed=1_000_000) for who in ("teacher", "student"))
    >>> frames = beside([teacher, student])  # uint8 [T, H, W, 3], to be shown at ``teacher.fps``

Whoever wants a video of another format takes the frames of one :class:`Film`. An environment that cannot be filmed
raises :class:`EnvironmentFailure`, whose message fits on a page.
"""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import PIL.Image

from understudy.envs.actions import ActionMap
from understudy.envs.bench import Bench
from understudy.envs.rollout import Stage
from understudy.envs.simulator import Simulator
from understudy.errors import EnvironmentFailure
from understudy.policies.policy import Observation
from understudy.runs.reopen import Reopened

SECONDS = 10.0
MOST_BYTES = 2_000_000
DEFAULT_FPS = 30.0
ATTEMPTS = ((400, 25, 70), (360, 20, 60), (300, 15, 50), (260, 12, 40), (200, 10, 30), (160, 8, 20))
"""Width of one policy's picture, frames a second and quality: the first that is small enough is kept."""
GAP = 8
TRACKING = "track"
"""What the models of Gymnasium call the camera that goes with the runner."""


@dataclass(frozen=True)
class Film:
    """One episode from its first observation on.

    ``frames``: uint8 ``[T, H, W, 3]``, the first and the last among them, to be shown at ``fps``, which is the
    environment's own pace. ``episode_return`` and ``length`` in steps: of what was filmed. ``whole``: the episode
    ended, and was not merely cut.
    """

    frames: np.ndarray
    episode_return: float
    length: int
    whole: bool
    fps: float


def film(
    run: Reopened,
    who: str,
    seed: int,
    most_steps: int | None = None,
    width: int | None = 400,
    most_fps: float = 30.0,
) -> Film:
    """One episode of ``who`` (``teacher``, ``student`` or ``random``) on ``seed``, as :meth:`Reopened.play` plays it.

    ``most_steps``: cut it there; by default after ten seconds at the environment's own pace. ``width``: of larger
    pictures, None for the size they are rendered in. ``most_fps``: of faster environments only every second (third,
    ...) picture is kept.

    Raises: EnvironmentFailure where the environment does not render here, and says why in one line.
    """
    with rendering(run) as simulator:
        rate = frame_rate(simulator)
        every = max(1, math.ceil(rate / most_fps))
        most = max(1, round(SECONDS * rate)) if most_steps is None else most_steps
        stage = Stage(simulator, run.actions(simulator))
        stage.begin([0], [seed])
        actor, frames, total, steps, over = run.actor(who, simulator), [picture(simulator, width)], 0.0, 0, False
        while not over and steps < most:
            _, outcome = stage.advance(actor)
            steps, total = steps + 1, total + float(outcome.reward[0])
            over = bool(outcome.terminated[0] or outcome.truncated[0])
            if over or steps == most or steps % every == 0:
                frames.append(picture(simulator, width))
        return Film(np.stack(frames), total, steps, over, rate / every)


def still(
    simulator: Bench, actions: ActionMap, seed: int, script: np.ndarray, width: int | None = None
) -> tuple[np.ndarray, Observation]:
    """The picture ``[H, W, 3]`` after the raw actions of a ``script`` were played on a seed, and what is observed."""
    stage, moves = Stage(simulator, actions), iter(script)
    stage.begin([0], [seed])
    for _ in script:
        stage.advance(lambda observation, start: np.asarray(next(moves))[None])
    return picture(simulator, width), stage.observation


@contextmanager
def rendering(run: Reopened) -> Iterator[Bench]:
    """A single copy of the run's environment that can show itself."""
    with headless(run):
        simulator = _rendering(run)
        with closing(simulator):
            yield simulator


def _rendering(run: Reopened) -> Bench:
    try:
        simulator = run.simulator(1, render_mode="rgb_array")
    except EnvironmentFailure:
        simulator = run.simulator(1)  # its maker takes no render_mode; perhaps it sets one itself
    if not isinstance(simulator, Bench):
        simulator.close()
        raise EnvironmentFailure(f"{simulator.spec_id} steps its copies as one and shows no pictures of them")
    mode = simulator.envs[0].render_mode
    if mode != "rgb_array":
        simulator.close()
        known = ", ".join(map(str, simulator.envs[0].metadata.get("render_modes", []))) or "no render mode"
        raise EnvironmentFailure(
            f"{simulator.spec_id} shows no pictures: it was made with render_mode {mode!r} and offers {known}; a "
            "function that makes it should take render_mode"
        )
    _follow(simulator.envs[0].unwrapped)
    return simulator


def _follow(env: Any) -> None:
    """Have MuJoCo's runners filmed by the camera that goes with them, where nobody chose another.

    Gymnasium 1.4 films them by one that stands still, and they run out of its picture.
    """
    renderer, model = getattr(env, "mujoco_renderer", None), getattr(env, "model", None)
    chosen = getattr(env, "camera_name", None) is not None or getattr(env, "camera_id", None) is not None
    if renderer is not None and model is not None and not chosen:
        ids = [at for at in range(model.ncam) if model.camera(at).name == TRACKING]
        renderer.camera_id = ids[0] if ids else renderer.camera_id


def frame_rate(simulator: Simulator) -> float:
    """The environment's own pace in frames a second."""
    assert isinstance(simulator, Bench)
    found = simulator.envs[0].metadata.get("render_fps")
    return float(found) if isinstance(found, int | float) and found > 0 else DEFAULT_FPS


def picture(simulator: Bench, width: int | None = None) -> np.ndarray:
    """What the only copy looks like now: uint8 ``[H, W, 3]``, no wider than ``width``."""
    try:
        shown = simulator.render(0)
    except Exception as error:
        said = " ".join(str(error).split())[:160]
        raise EnvironmentFailure(
            f"{simulator.spec_id} did not render here: {type(error).__name__}{f': {said}' if said else ''}"
        ) from error
    frame = np.asarray(shown)
    if frame.ndim != 3 or frame.shape[-1] not in (3, 4) or frame.dtype != np.uint8:
        raise EnvironmentFailure(
            f"{simulator.spec_id} rendered {frame.dtype} of shape {frame.shape}, which is no picture (uint8 [H, W, 3])"
        )
    return scaled(frame[..., :3], width).copy()


@contextmanager
def headless(run: Reopened) -> Iterator[None]:
    """Let pygame and MuJoCo draw without a screen; what the user has set is kept, and nothing stays set."""
    wanted = {}
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        wanted["SDL_VIDEODRIVER"] = "dummy"
        if "mujoco" in sys.modules and "MUJOCO_GL" not in os.environ:
            backend = offscreen_mujoco()
            if backend is None:
                raise EnvironmentFailure(
                    f"{run.config.env} was not filmed: MuJoCo draws without a screen only where EGL or OSMesa is "
                    "installed (on Debian: libegl1 or libosmesa6)"
                )
            wanted["MUJOCO_GL"] = backend
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update({name: value for name, value in wanted.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


@cache
def offscreen_mujoco() -> str | None:
    """The backend that works without a screen. Tried in a process of its own, for a failed one spoils the next."""
    for name in ("egl", "osmesa"):
        code = f"from mujoco.{name} import GLContext; c = GLContext(8, 8); c.make_current(); c.free()"
        environment = os.environ | {"MUJOCO_GL": name, "PYOPENGL_PLATFORM": name}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=False
        )
        if done.returncode == 0:
            return name
    return None


def beside(films: Sequence[Film], width: int | None = None, fps: float | None = None) -> np.ndarray:
    """Films next to each other, ``[T, H, W, 3]`` at ``fps`` (of the first); one that is over stays, paler.

    ``width``: of each, where it is wider.
    """
    every = max(1.0, films[0].fps / (fps or films[0].fps))
    length = max(len(one.frames) for one in films)
    chosen = np.unique(np.append(np.arange(0, length, every).astype(int), length - 1))
    return np.concatenate(list(_columns([_chosen(one, chosen, width) for one in films])), axis=2)


def _chosen(one: Film, chosen: np.ndarray, width: int | None) -> np.ndarray:
    last = len(one.frames) - 1
    frames = np.stack([scaled(one.frames[min(t, last)], width) for t in chosen])
    over = chosen > last
    frames[over] = frames[over] // 2 + 127
    return frames


def _columns(parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """The parts in one height, with gaps between them."""
    height = max(part.shape[1] for part in parts)
    for at, part in enumerate(parts):
        if at:
            yield np.full((len(part), height, GAP, 3), 255, np.uint8)
        room = height - part.shape[1]
        yield np.pad(part, ((0, 0), (room // 2, room - room // 2), (0, 0), (0, 0)), constant_values=255)


def scaled(frame: np.ndarray, width: int | None) -> np.ndarray:
    """A frame made smaller to this width, where it is wider."""
    if width is None or width >= frame.shape[1]:
        return frame
    size = (width, max(2, round(frame.shape[0] * width / frame.shape[1])))
    return np.asarray(PIL.Image.fromarray(frame).resize(size, PIL.Image.Resampling.LANCZOS))


def animated(films: Sequence[Film], most_bytes: int = MOST_BYTES) -> bytes:
    """The films side by side as a WebP that loops: the finest attempt of at most so many bytes, else the coarsest."""
    content = b""
    for width, most_fps, quality in ATTEMPTS:
        fps = min(float(most_fps), films[0].fps)
        content = webp(beside(films, width, fps), quality, fps)
        if len(content) <= most_bytes:
            break
    return content


def webp(frames: np.ndarray, quality: int = 80, fps: float = 1.0) -> bytes:
    """A picture, or a loop of several, as a file."""
    images, file = [PIL.Image.fromarray(frame) for frame in frames], io.BytesIO()
    several = {"save_all": True, "append_images": images[1:], "duration": round(1000 / fps), "loop": 0}
    images[0].save(file, "WEBP", quality=quality, method=4, **(several if len(images) > 1 else {}))
    return file.getvalue()
