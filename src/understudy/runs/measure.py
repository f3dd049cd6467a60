"""What can be measured of a teacher before it is distilled: its return and certainty, and how episodes end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import gymnasium
import numpy as np
import torch

from understudy.engines.actor import PolicyActor, random_actor
from understudy.engines.objective import unroll
from understudy.envs.actions import ActionMap
from understudy.envs.play import play
from understudy.envs.rollout import Episodes, Rollout
from understudy.envs.simulator import Simulator
from understudy.envs.views import View
from understudy.math.distributions import Family
from understudy.math.statistics import Interval, bootstrap_interval, recovered
from understudy.methods import Need
from understudy.policies.policy import Policy, tensors
from understudy.runs.config import EvaluateConfig
from understudy.runs.evaluation import prepare

STEPS = 1024
UNCHANGING = ("time-feature",)
"""Wrappers that leave the reward as the environment's own threshold means it."""


@dataclass(frozen=True)
class Play:
    """Episodes of one policy: mean undiscounted return with its 95 % interval, mean length, share of terminations."""

    mean_return: float
    interval: Interval
    mean_length: float
    terminated: float


@dataclass(frozen=True)
class Measured:
    """A teacher in an environment.

    ``threshold``: the environment's own ``reward_threshold``, None where it has none or was changed by options.
    ``entropy``: mean over visited states in nats, of ``most`` at most (None for densities). ``missing``: what rows
    may need and this teacher has not. ``beats_random``: the 95 % interval of teacher - random lies above 0.
    """

    policy: str
    env: str
    episodes: int
    teacher: Play
    random: Play
    beats_random: bool
    threshold: float | None
    entropy: float
    most: float | None
    has_value: bool
    missing: tuple[Need, ...]
    time_limit: int | None
    seconds: float


def measure(config: EvaluateConfig, note: Callable[[str], None]) -> Measured:
    """Teacher (deterministic) and uniform policy on the same seeds; the teacher's entropy where it goes, sampling."""
    torch.set_num_threads(config.threads)
    began = time.perf_counter()
    simulator, policy, view, wrappers = prepare(config, None, None, note)
    try:
        actions = ActionMap(policy.family, simulator.action_space)
        seeds = range(config.seed, config.seed + config.episodes)
        teacher = play(simulator, actions, PolicyActor(policy, view, None, config.device), seeds)
        random = play(simulator, actions, random_actor(actions), seeds)
        entropy = _entropy(simulator, actions, policy, view, config)
    finally:
        simulator.close()
    return Measured(
        policy=policy.description,
        env=config.env,
        episodes=config.episodes,
        teacher=_play(teacher),
        random=_play(random),
        beats_random=_beats(teacher, random),
        threshold=_threshold(simulator.spec_id, config, wrappers),
        entropy=entropy,
        most=_most(policy.family),
        has_value=policy.has_value,
        missing=_missing(policy),
        time_limit=simulator.max_episode_steps,
        seconds=time.perf_counter() - began,
    )


def _play(episodes: Episodes) -> Play:
    return Play(
        float(episodes.returns.mean()),
        bootstrap_interval(episodes.returns, np.random.default_rng(0)),
        float(episodes.lengths.mean()),
        float(episodes.terminated.mean()),
    )


def _beats(teacher: Episodes, random: Episodes) -> bool:
    """A fraction of the teacher's lead can be recovered only where there is one."""
    return recovered(teacher.returns, teacher.returns, random.returns, np.random.default_rng(0)) is not None


@torch.no_grad()
def _entropy(simulator: Simulator, actions: ActionMap, policy: Policy, view: View, config: EvaluateConfig) -> float:
    generator = np.random.default_rng([config.seed, 1])
    actor = PolicyActor(policy, view, generator, config.device)
    window = Rollout(simulator, actions, config.seed).collect(actor, math.ceil(STEPS / simulator.copies))
    start = torch.as_tensor(window.start, device=config.device)
    seen = tensors(view(window.observation), config.device)
    entropy = unroll(policy, seen, None, start)[0].policy.entropy()
    return float(entropy[torch.as_tensor(window.valid, device=config.device)].mean())


def _most(family: Family) -> float | None:
    """The uniform policy's entropy; a density's has no bound."""
    if family.continuous:
        return None
    sizes = (2,) * family.sizes[0] if family.kind == "bernoulli" else family.sizes
    return sum(math.log(size) for size in sizes)


def _missing(policy: Policy) -> tuple[Need, ...]:
    has = {Need.TEACHER_VALUE: policy.has_value, Need.FULL_SUPPORT: policy.full_support}
    return tuple(need for need, held in has.items() if not held)


def _threshold(spec_id: str, config: EvaluateConfig, wrappers: tuple[str, ...]) -> float | None:
    if config.env_args or any(name.partition(":")[0] not in UNCHANGING for name in wrappers):
        return None
    spec = gymnasium.registry.get(spec_id)
    return None if spec is None or spec.reward_threshold is None else float(spec.reward_threshold)
