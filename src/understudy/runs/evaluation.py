"""Episodes of one policy on fixed seeds, and what they come to."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from understudy.engines.actor import PolicyActor
from understudy.envs.actions import ActionMap
from understudy.envs.perturbations import parse_perturbations
from understudy.envs.perturbed import SCALE_EPISODES, in_words, layers, measured_scale
from understudy.envs.play import play
from understudy.envs.rollout import Episodes
from understudy.envs.simulator import Simulator
from understudy.envs.views import View, parse_view
from understudy.envs.wrappers import check_spaces, infer_wrappers
from understudy.math.statistics import Interval, bootstrap_interval, worst_mean
from understudy.policies.policy import Policy
from understudy.policies.teachers import open_teacher
from understudy.runs.assemble import Origin
from understudy.runs.brought import brought
from understudy.runs.config import EvaluateConfig
from understudy.runs.device import available
from understudy.runs.files import json_text
from understudy.runs.option_texts import parse_env_args

Note = Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """Undiscounted returns and lengths of whole episodes.

    ``std_return``: of the episodes, not of their mean. ``interval``: of the mean, 95 % by the bootstrap.
    ``terminated``: the share of episodes that ended otherwise than by a time limit. ``perturbations``: in words.
    ``returns``: in seed order.
    """

    mean_return: float
    std_return: float
    episodes: int
    mean_length: float
    interval: Interval
    median_return: float
    min_return: float
    max_return: float
    worst_5_percent: float
    terminated: float
    seconds: float
    policy: str
    parameters: int
    env: str
    wrappers: tuple[str, ...]
    seed: int
    deterministic: bool
    perturbations: tuple[str, ...]
    returns: tuple[float, ...]

    def to_json(self) -> str:
        """One object, on one line."""
        return json_text(asdict(self), indent=None)

    def summary(self) -> str:
        """Three lines for people, and one for each perturbation."""
        low, high = self.interval
        how = "deterministic" if self.deterministic else "sampled"
        perturbed = "".join(f"Under    {one}\n" for one in self.perturbations)
        return (
            f"{self.policy} ({self.parameters:,} parameters) on {self.env}, {how} actions\n{perturbed}"
            f"Return   {self.mean_return:.2f} ± {self.std_return:.2f} over {self.episodes} episodes; mean within "
            f"[{low:.2f}, {high:.2f}]; median {self.median_return:.2f}, worst 5 % {self.worst_5_percent:.2f}, "
            f"from {self.min_return:.2f} to {self.max_return:.2f}\n"
            f"Length   {self.mean_length:.1f} steps, {self.terminated:.0%} ended by termination; "
            f"{self.seconds:.1f} s"
        )


def evaluate(config: EvaluateConfig, *, policy: Any = None, env: Any = None, note: Note | None = None) -> Evaluation:
    """Play as ``config`` says. ``policy`` and ``env`` may be objects, which then stand for the names in it."""
    torch.set_num_threads(config.threads)
    available(config.device)
    note = note or (lambda text: None)
    simulator, acting, view, wrappers = prepare(config, policy, env, note)
    perturbations: tuple[str, ...] = ()
    try:
        if config.perturb:
            simulator.close()
            simulator, perturbations = _perturbed(config, env, acting, view, wrappers)
        actions = ActionMap(acting.family, simulator.action_space)
        generator = np.random.default_rng([config.seed, 1]) if config.stochastic else None
        actor = PolicyActor(acting, view, generator, config.device)
        began = time.perf_counter()
        episodes = play(simulator, actions, actor, range(config.seed, config.seed + config.episodes))
        seconds = time.perf_counter() - began
    finally:
        simulator.close()
    return _evaluation(config, acting, wrappers, perturbations, episodes, seconds)


def run(config: EvaluateConfig) -> int:
    """Play, and print lines for people or one JSON object; answers the exit code."""
    found = evaluate(config, note=lambda text: print(text, file=sys.stderr))
    print(found.to_json() if config.json else found.summary(), end="" if config.json else "\n")
    return 0


def prepare(
    config: EvaluateConfig, policy: Any, env: Any, note: Note
) -> tuple[Simulator, Policy, View, tuple[str, ...]]:
    """The environment in the wrappers that the policy needs, and the policy; a misfit is an error."""

    def made(wrappers: tuple[str, ...]) -> Simulator:
        return _origin(config, env, wrappers).make(min(config.copies, config.episodes), config.vector == "async")

    simulator, wrappers = made(config.wrap), config.wrap
    try:
        view = parse_view(config.view)
        acting = _open(config, policy, simulator, view)
        own = brought(acting, config.wrap, config.view, "--view", config.trust)
        if own is not None:
            needed, view = own
        else:
            seen = view.space(simulator.observation_space)
            more, why = infer_wrappers(acting.observation_space, seen, simulator.max_episode_steps)
            needed = wrappers + more
            if why:
                note(why)
        if needed != wrappers:
            simulator.close()
            simulator, wrappers = made(needed), needed
        seen = view.space(simulator.observation_space)
        squashed = acting.family.kind == "squashed-gaussian"
        check_spaces(acting.observation_space, acting.action_space, seen, simulator.action_space, squashed)
    except BaseException:
        simulator.close()
        raise
    return simulator, acting.to(config.device), view, wrappers


def _origin(config: EvaluateConfig, env: Any, wrappers: tuple[str, ...]) -> Origin:
    return Origin(config.env if env is None else env, parse_env_args(config.env_args), wrappers)


def _perturbed(
    config: EvaluateConfig, env: Any, policy: Policy, view: View, wrappers: tuple[str, ...]
) -> tuple[Simulator, tuple[str, ...]]:
    """The environment under the perturbations, and these in words; the noise's scale is that of the policy's own
    unperturbed play."""
    origin, chosen = _origin(config, env, wrappers), parse_perturbations(config.perturb)
    with closing(origin.make(SCALE_EPISODES)) as plain:
        words = tuple(in_words(one.kind, plain, one.size) for one in chosen)
        noisy = any(one.kind == "noise" and one.size for one in chosen)
        actions, actor = ActionMap(policy.family, plain.action_space), PolicyActor(policy, view, None, config.device)
        scale = measured_scale(plain, actions, actor) if noisy else None
    copies = min(config.copies, config.episodes)
    return origin.make(copies, config.vector == "async", layers(chosen, scale)), words


def _open(config: EvaluateConfig, policy: Any, simulator: Simulator, view: View) -> Policy:
    return open_teacher(
        config.path if policy is None else policy,
        observation_space=view.space(simulator.observation_space),
        action_space=simulator.action_space,
        vecnormalize=config.vecnormalize,
        trust=config.trust,
        temperature=config.teacher_temperature,
        std=config.teacher_std,
    )


def _evaluation(
    config: EvaluateConfig,
    policy: Policy,
    wrappers: tuple[str, ...],
    perturbations: tuple[str, ...],
    episodes: Episodes,
    seconds: float,
) -> Evaluation:
    returns = episodes.returns
    return Evaluation(
        mean_return=float(returns.mean()),
        std_return=float(returns.std()),
        episodes=len(returns),
        mean_length=float(episodes.lengths.mean()),
        interval=bootstrap_interval(returns, np.random.default_rng(0)),
        median_return=float(np.median(returns)),
        min_return=float(returns.min()),
        max_return=float(returns.max()),
        worst_5_percent=worst_mean(returns),
        terminated=float(episodes.terminated.mean()),
        seconds=seconds,
        policy=policy.description,
        parameters=policy.parameter_count,
        env=config.env,
        wrappers=wrappers,
        seed=config.seed,
        deterministic=not config.stochastic,
        perturbations=perturbations,
        returns=tuple(float(x) for x in returns),
    )
