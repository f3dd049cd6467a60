"""Train tabular students on many MDPs, and measure them exactly; or sample one update at fixed logits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from understudy.engines.tabular.draws import UNIT
from understudy.engines.tabular.episode import room, run, sample
from understudy.engines.tabular.measure import earned, measure, visits
from understudy.engines.tabular.pack import Packed, World, pack
from understudy.engines.tabular.row import Row, check, row_of
from understudy.engines.tabular.setting import Setting
from understudy.engines.tabular.student import refresh_all, student_of
from understudy.engines.tabular.texts import NUMBER, STUDENT_VALUE
from understudy.errors import ConfigurationError
from understudy.mdp.model import MDP
from understudy.mdp.solve import optimal
from understudy.mdp.teachers import Teacher

METRICS = ("return", "kl-student", "kl-teacher", "kl-uniform")


@dataclass(frozen=True, eq=False)
class Trained:
    """``metrics``: name to ``[N, P]``. ``logits [N, O, A]``. ``steps``, ``cut [N]``: steps taken, episodes cut."""

    metrics: dict[str, np.ndarray]
    logits: np.ndarray
    steps: np.ndarray
    cut: np.ndarray


@dataclass(frozen=True, eq=False)
class SampledUpdate:
    """Mean and standard error ``[O, A]`` of g over episodes; ``variance``: of one episode's g, summed over entries."""

    mean: np.ndarray
    error: np.ndarray
    variance: float


def train(
    packed: Packed,
    setting: Setting,
    iterations: int,
    measure_at: np.ndarray,
    seeds: np.ndarray,
    threads: int = 1,
    logits: np.ndarray | None = None,
) -> Trained:
    """One episode an iteration for every MDP; measured after ``measure_at [P]`` iterations (0: before the first).

    ``seeds [N]`` uint64: each MDP's result depends on its own seed alone, not on its company or on ``threads``.
    ``logits [N, O, A]``: where to begin; None: all 0, which is the uniform policy.
    """
    check(setting, packed)
    points = np.asarray(measure_at, dtype=np.int64)
    if len(seeds) != len(packed):
        raise ConfigurationError(f"train needs a seed for each of {len(packed)} MDPs, got {len(seeds)}")
    if len(points) and (points.min() < 0 or points.max() > iterations or (np.diff(points) <= 0).any()):
        raise ConfigurationError(f"measure_at must rise from 0 at least to {iterations} at most, got {points}")
    row, n = row_of(setting, iterations), len(packed)
    shape = n, packed.observations, packed.worlds[0].reward.shape[1]
    theta = np.zeros(shape) if logits is None else _table(logits, shape, "logits")
    found, counts = np.zeros((n, len(points), len(METRICS))), np.zeros((n, 2), dtype=np.int64)
    random = np.asarray(seeds, dtype=np.uint64)

    def one(k: int) -> None:
        _train_one(packed.worlds[k], row, theta[k], random[k], iterations, points, found[k], counts[k])

    if threads == 1:
        for k in range(n):
            one(k)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, range(n)))
    metrics = {name: found[..., k] for k, name in enumerate(METRICS)}
    return Trained(metrics, theta, counts[:, 0], counts[:, 1])


def _train_one(
    world: World,
    row: Row,
    logits: np.ndarray,
    random: np.uint64,
    iterations: int,
    points: np.ndarray,
    found: np.ndarray,
    counts: np.ndarray,
) -> None:
    states, actions = world.reward.shape
    student = student_of(logits, world.teacher_value, len(row.credits), len(NUMBER))
    steps = room(states, len(logits), actions, row.max_steps)
    others = _visits_of_others(world) if len(points) else np.zeros((2, states))
    thresholds = _teacher_thresholds(world, row)
    refresh_all(world, row, student, np.arange(len(logits)), steps.buffer)
    done = 0
    for point, until in enumerate([*points, iterations]):
        random = np.uint64(run(world, row, student, thresholds, steps, random, done, until, counts))
        done = until
        if point < len(points):
            measure(world, student, others, found[point])


def _table(numbers: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """A copy, checked: compiled code would write past the end of a table that is too small."""
    table = np.array(numbers, dtype=np.float64)
    if table.shape != shape or not np.isfinite(table).all():
        raise ConfigurationError(
            f"{name} must be finite numbers of the shape {list(shape)}, got {list(table.shape)}"
            + (f" with {int((~np.isfinite(table)).sum())} that are not finite" if table.shape == shape else "")
        )
    return table


def _teacher_thresholds(world: World, row: Row) -> np.ndarray:
    """``[S * A]``; nearly empty where the teacher never acts."""
    if not row.control[:, 0].any():
        return np.zeros(1, dtype=np.uint32)
    return (np.cumsum(world.teacher, axis=-1) * UNIT).astype(np.uint32).reshape(-1)


def _visits_of_others(world: World) -> np.ndarray:
    """Of the teacher and of the uniform policy, ``[2, S]``."""
    states, actions = world.reward.shape
    every = np.arange(states)
    uniform = np.full((1, actions), 1 / actions)
    return np.stack([visits(world, world.teacher, every), visits(world, uniform, np.zeros_like(every))])


def sampled_update(
    mdp: MDP,
    teacher: Teacher,
    setting: Setting,
    logits: np.ndarray,
    episodes: int,
    seed: int,
    values: np.ndarray | None = None,
) -> SampledUpdate:
    """g of Eq. 1 at fixed ``logits [O, A]``, from ``episodes`` episodes, by the code that trains.

    ``values [S]``: the student's, where the row reads them; they are fixed where ``value_rate`` is 0. Schedules are
    read at the beginning.
    """
    packed = pack([mdp], [teacher])
    check(setting, packed)
    if episodes < 1:
        raise ConfigurationError(f"sampled_update needs at least one episode, got {episodes}")
    world, row = packed.worlds[0], row_of(setting, 1)
    logits = _table(logits, (packed.observations, mdp.actions), "logits")
    student = student_of(logits, world.teacher_value, len(row.credits), len(NUMBER))
    if values is not None:
        student.state_value[STUDENT_VALUE] = np.where(mdp.terminal, 0.0, _table(values, (mdp.states,), "values"))
    steps = room(mdp.states, len(logits), mdp.actions, row.max_steps)
    sums = np.zeros((2, *student.logits.shape))
    refresh_all(world, row, student, np.arange(len(logits)), steps.buffer)
    thresholds, g = _teacher_thresholds(world, row), np.zeros(student.logits.shape)
    sample(world, row, student, thresholds, steps, np.uint64(seed), episodes, g, sums)
    mean = sums[0] / episodes
    variance = np.maximum(sums[1] / episodes - mean**2, 0.0) * episodes / max(1, episodes - 1)
    return SampledUpdate(mean, np.sqrt(variance / episodes), float(variance.sum()))


def facts(packed: Packed) -> dict[str, np.ndarray]:
    """Exact returns ``[N]`` per episode, undiscounted: of the teachers, of the uniform policy, and the best."""
    return {
        "teacher-return": np.array([_return(world, world.teacher) for world in packed.worlds]),
        "uniform-return": np.array([_return(world, None) for world in packed.worlds]),
        "optimal-return": np.array([float(mdp.start @ optimal(mdp)[0]) for mdp in packed.mdps]),
    }


def _return(world: World, policy: np.ndarray | None) -> float:
    states, actions = world.reward.shape
    rows = np.arange(states) if policy is not None else np.zeros(states, dtype=np.int64)
    chosen = np.full((1, actions), 1 / actions) if policy is None else policy
    return float(earned(world, chosen, rows, visits(world, chosen, rows)))
