"""Fig. 2: on-policy distillation that turns round for ever, and the corrected row that arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from understudy.engines import exact
from understudy.lab.effects import every, mean_of, short, told
from understudy.lab.experiment import Bench, Experiment
from understudy.lab.findings import Claim, Findings, Flow, Panel, Series
from understudy.mdp.families import Cycle, coin_cycle, cycle
from understudy.methods import METHODS, Part, corrected
from understudy.methods.method import Method

# The loss is linear in the student's probabilities: the atom H(πθ‖·) with a cost in the place of -log π.
LOSS = (Part(1, "reverse-cross-entropy"),)
TURNING = replace(METHODS["on-policy-distill+r"], loss=LOSS)
TURNING_WITHOUT_REWARD = replace(METHODS["on-policy-distill"], loss=LOSS)
ARRIVING = corrected(TURNING, "n-distill+r")
ARRIVING_WITHOUT_REWARD = corrected(TURNING_WITHOUT_REWARD, "n-distill")

RADII = (0.05, 0.2, 0.35)
DURATION, MOMENTS, TOLERANCE = 250.0, 101, 1e-6
COIN = 2.0  # with this weight small turns take as long as in the first cycle
BATCH, SAMPLED_DURATION, SHOWN = 64, 250.0, 500
MOST_ITERATIONS, RUNS = 6000, 16
AXES = ("probability of right at the start", "probability of right, shared")


@dataclass(frozen=True)
class Path:
    """``times [T]``, ``points [T, 2]``: the two probabilities."""

    times: np.ndarray
    points: np.ndarray

    @property
    def turns(self) -> np.ndarray:
        """``[T]``: turns made round (0.5, 0.5) so far."""
        x, y = (self.points - 0.5).T
        angle = np.unwrap(np.arctan2(y, x))
        return np.abs(angle - angle[0]) / (2 * np.pi)

    @property
    def radii(self) -> np.ndarray:
        """Distance from (0.5, 0.5) at the start and after each whole turn."""
        distance = np.hypot(*(self.points - 0.5).T)
        return np.interp(np.arange(int(self.turns[-1]) + 1), self.turns, distance)

    @property
    def period(self) -> float:
        """Time that one turn takes, over all whole turns."""
        whole = int(self.turns[-1])
        return float(np.interp(whole, self.turns, self.times)) / whole if whole else float("inf")


def logit(probability: np.ndarray | Sequence[float]) -> np.ndarray:
    p = np.asarray(probability, dtype=np.float64)
    return np.log(p / (1 - p))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def follow(method: Method, world: Cycle, start: Sequence[float]) -> Path:
    """The expected update, integrated from the probabilities ``start``."""
    costs, share = exact.Costs(world.cost), np.linspace(0.0, 1.0, MOMENTS)
    times = DURATION * (share**2 if method.gradient else share)  # what arrives is fast at first
    student = _student(world)
    found = exact.flow(method, world.mdp, costs, logit(start), times, tolerance=TOLERANCE, student=student)
    return Path(found.times.numpy(), sigmoid(found.parameters.numpy()))


def slope(method: Method, world: Cycle, point: Sequence[float]) -> np.ndarray:
    """``[2]``: the speed of the two probabilities."""
    g = exact.update(method, world.mdp, exact.Costs(world.cost), logit(point), student=_student(world)).numpy()
    return -g * np.asarray(point) * (1 - np.asarray(point))


def descent(method: Method, world: Cycle, path: Path, every_nth: int = 8) -> np.ndarray:
    """What a corrected row minimises, along a path."""
    costs, student = exact.Costs(world.cost), _student(world)
    thetas = logit(path.points[::every_nth])
    return np.array([exact.objective(method, world.mdp, costs, theta, student=student) for theta in thetas])


def _student(world: Cycle) -> exact.SharedSigmoids:
    return exact.SharedSigmoids(torch.tensor(world.shared))


def sampled(correct: bool, iterations: int, seed: int) -> list[Path]:
    """The first cycle with episodes in place of expectations: Eq. 1 by hand, ``BATCH`` episodes an iteration.

    ``correct``: with the reward 4 πθ(R|sR) for arriving in sR, which is Theorem 2's.
    """
    generator, rate = np.random.default_rng(seed), SAMPLED_DURATION / iterations
    theta = np.tile(logit([0.5 + RADII[1], 0.5]), (RUNS, 1))
    path = [theta]
    for _ in range(iterations):
        p, q = sigmoid(theta).T[:, :, None]
        first, second = generator.random((2, RUNS, BATCH)) < np.stack([p, q])
        reward = np.where(first, np.where(second, -3.0, 0.0), np.where(second, -2.0, -1.0))
        arrival = 4 * q * first if correct else 0.0
        up = (first - p) * (reward + arrival), (second - q) * reward + first * 4 * q * (1 - q)
        theta = theta + rate * np.stack([step.mean(-1) for step in up], -1)
        path.append(theta)
    kept = np.linspace(0, iterations, min(iterations, SHOWN) + 1).astype(int)
    points = sigmoid(np.array(path)[kept])
    return [Path(kept * rate, points[:, run]) for run in range(RUNS)]


def field_figure(title: str, method: Method, world: Cycle, paths: Sequence[Path], row: int) -> Flow:
    """Arrows of one length on a grid, and the paths."""
    ticks = np.linspace(0.04, 0.96, 15)
    grid = np.array([(x, y) for y in ticks for x in ticks])
    speed = np.array([slope(method, world, point) for point in grid])
    length = np.maximum(np.hypot(*speed.T), 1e-12)[:, None]
    (x, y), (u, v) = grid.T, (0.03 * speed / length).T
    return Flow(title, *AXES, short(x), short(y), short(u), short(v), paths=_drawn(paths, MOMENTS), row=row)


def _drawn(paths: Sequence[Path], most: int) -> tuple[Series, ...]:
    series = []
    for path in paths:
        kept = np.linspace(0, len(path.points) - 1, min(most, len(path.points))).astype(int)
        x, y = path.points[kept].T
        series.append(Series(f"from ({x[0]:.2g}, {y[0]:.2g})", short(x), short(y)))
    return tuple(series)


def radius_panel(found: dict[str, list[Path]]) -> Panel:
    """Distance from the centre against time: level or a wave where a path turns, a rise to a corner where not."""
    series = []
    for name, paths in found.items():
        path = paths[1]
        distance = np.hypot(*(path.points - 0.5).T)
        series.append(Series(name, short(path.times), short(distance)))
    return Panel("Distance from (0.5, 0.5)", "time (learning rate x iterations)", "distance", tuple(series), row=2)


def turning_claim(number: str, title: str, paper: str, paths: list[Path]) -> Claim:
    kept = [path.radii[-1] / path.radii[0] for path in paths]
    effects = (
        every("turns made", np.array([path.turns[-1] for path in paths]), above=3.0),
        every("last radius / first radius", np.array(kept), above=0.99, below=1.01),
        every("period of the smallest turn", np.array([paths[0].period]), unit="time"),
    )
    text = (
        f"From each of {len(paths)} starting points the integrated update comes back to where it began, again and "
        "again: it neither approaches anything nor flies apart. No learning rate helps, because this is the expected "
        "update itself."
    )
    return Claim(number, title, paper, told(effects, text), effects)


def arriving_claim(
    number: str, title: str, paper: str, method: Method, world: Cycle, paths: list[Path], corner: tuple[float, float]
) -> Claim:
    rises = np.concatenate([np.diff(descent(method, world, path)) for path in paths])
    ends = np.array([np.abs(path.points[-1] - corner).max() for path in paths])
    effects = (
        every(f"distance of the end from {corner}", ends, below=0.02),
        every("turns made", np.array([path.turns[-1] for path in paths]), below=1.0),
        every("change of the objective between two moments", rises, below=1e-9),
    )
    text = (
        "With the loss of the next state as a penalty (Theorem 2) the same problem has an objective; it falls all "
        f"along every path, and all paths end at {corner}."
    )
    return Claim(number, title, paper, told(effects, text), effects)


def sampled_claim(turning: list[Path], arriving: list[Path], iterations: int) -> Claim:
    ends = np.array([path.points[-1].min() for path in arriving])
    effects = (
        mean_of("on-policy-distill+r: turns made", np.array([path.turns[-1] for path in turning]), above=1.0),
        mean_of("on-policy-distill+r: end's distance from (0.5, 0.5)", _ends(turning)),
        mean_of("n-distill+r: turns made", np.array([path.turns[-1] for path in arriving]), below=0.75),
        mean_of("n-distill+r: smaller of the two probabilities at the end", ends, above=0.9),
    )
    text = (
        f"{RUNS} runs of {iterations} iterations of {BATCH} episodes, simulated apart from the engines. With the noise "
        "of samples and steps of finite size on-policy-distill+r still turns, and the corrected row still arrives. The "
        f"turning paths began at {RADII[1]:g} from (0.5, 0.5) and ended at {effects[1].value:.2g} on average."
    )
    return Claim(
        "4d",
        "The same with sampled episodes",
        "Not in the paper's figure, which integrates.",
        told(effects, text),
        effects,
    )


def _ends(paths: list[Path]) -> np.ndarray:
    return np.array([np.hypot(*(path.points[-1] - 0.5)) for path in paths])


STARTS = tuple((0.5 + radius, 0.5) for radius in RADII)
PAPER = "Fig. 2: the on-policy distillation update with reward circles round (0.5, 0.5), and never converges."
PAPER_ARRIVES = "Fig. 2: with the correction (n-distill) the same problem converges to the one optimum, (1, 1)."
PAPER_COIN = "The proof of Theorem 1 needs no reward: a loss alone can turn."

PAPER_COIN_ARRIVES = "Theorem 2: the correction makes any loss of the current state the gradient of an objective."


Paths = dict[tuple[str, str], list[Path]]


def integrated_claims(worlds: dict[str, Cycle], paths: Paths) -> tuple[Claim, ...]:
    """Of both cycles and both rows."""
    with_reward, coin = worlds.values()
    return (
        turning_claim("4", "on-policy-distill+r goes round for ever", PAPER, paths["with reward", TURNING.name]),
        arriving_claim(
            "4a",
            "n-distill+r arrives",
            PAPER_ARRIVES,
            ARRIVING,
            with_reward,
            paths["with reward", ARRIVING.name],
            (1, 1),
        ),
        turning_claim(
            "4b",
            "on-policy-distill goes round without any reward",
            PAPER_COIN,
            paths["without reward", TURNING_WITHOUT_REWARD.name],
        ),
        arriving_claim(
            "4c",
            "n-distill without reward arrives",
            PAPER_COIN_ARRIVES,
            ARRIVING_WITHOUT_REWARD,
            coin,
            paths["without reward", ARRIVING_WITHOUT_REWARD.name],
            (0, 1),
        ),
    )


def run(bench: Bench) -> Findings:
    """Both cycles, both rows, and samples."""
    worlds = {"with reward": cycle(), "without reward": coin_cycle(COIN)}
    rows = {"with reward": (TURNING, ARRIVING), "without reward": (TURNING_WITHOUT_REWARD, ARRIVING_WITHOUT_REWARD)}
    jobs = [(kind, method) for kind in worlds for method in rows[kind]]
    paths: Paths = {}
    for (kind, method), _ in zip(jobs, bench.track(jobs, "paths"), strict=True):
        paths[kind, method.name] = [follow(method, worlds[kind], start) for start in STARTS]
    iterations = min(bench.scale.iterations, MOST_ITERATIONS)
    turning, arriving = (sampled(correct, iterations, bench.scale.seed) for correct in (False, True))
    figures = [
        field_figure(
            f"{method.name} ({kind})", method, worlds[kind], paths[kind, method.name], int(kind != "with reward")
        )
        for kind, method in jobs
    ]
    named = {f"{name} ({kind})": found for (kind, name), found in paths.items()}
    return Findings(
        "cycle",
        "The cycle: an update that goes round for ever",
        SUMMARY,
        (*integrated_claims(worlds, paths), sampled_claim(turning, arriving, iterations)),
        (*figures, radius_panel(named), *_sampled_figures(turning, arriving)),
        _settings(iterations, bench.scale.seed),
        NOTES,
    )


def _sampled_figures(turning: list[Path], arriving: list[Path]) -> tuple[Panel, ...]:
    titles = {"on-policy-distill+r, three sampled runs": turning, "n-distill+r, three sampled runs": arriving}
    panels = []
    for title, paths in titles.items():
        series = [replace(one, label=f"run {k + 1}") for k, one in enumerate(_drawn(paths[:3], MOMENTS // 2))]
        panels.append(Panel(title, *AXES, tuple(series), row=3))
    return tuple(panels)


def _settings(iterations: int, seed: int) -> dict[str, object]:
    return {
        "starting points": [list(start) for start in STARTS],
        "time integrated": DURATION,
        "weight of the loss without reward": COIN,
        "sampled iterations": iterations,
        "episodes an iteration": BATCH,
        "runs": RUNS,
        "learning rate of the samples": SAMPLED_DURATION / iterations,
        "seed": seed,
    }


SUMMARY = (
    "Seven states: the first action goes left or right, the second ends the episode. The student has two numbers to "
    "learn: how likely right is at first, and how likely right is afterwards, on either side. The task reward asks for "
    "left in the end; the distillation loss, which counts on the right side only, asks for right. Because the "
    "distillation loss is not charged for where the first action leads, the two pull the student round in a circle."
)
NOTES = (
    (
        "The second cycle has no reward at all: a coin picks one of two branches, and in each the first choice decides "
        "between two states with opposite losses. In the second branch the two parameters change places."
    ),
    (
        "By hand, with x and y the two logits: both cycles keep cosh x + cosh y constant, and a small turn of the "
        "first takes the time 16 pi = 50.3."
    ),
)

CYCLE = Experiment("cycle", "Fig. 2", "on-policy distillation that turns round for ever, and its correction", run)
