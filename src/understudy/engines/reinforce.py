"""Reinforcement learning in the engine: the task reward alone, under PPO's clipped objective (Schulman et al. 2017)."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

from understudy.engines.critic import RATE, Critic
from understudy.engines.estimator import Estimator
from understudy.engines.learner import Learner
from understudy.engines.objective import Objective, Remedy, columns_needed
from understudy.engines.schedule import Rhythm
from understudy.engines.source import FreshRollouts
from understudy.envs.simulator import Simulator
from understudy.envs.views import ObservationViews
from understudy.errors import ConfigurationError
from understudy.methods.catalogue import TASK_REWARD
from understudy.methods.method import Method, with_entropy_bonus
from understudy.methods.ppo import PPO
from understudy.methods.schedule import extremes
from understudy.policies.families import family_of
from understudy.policies.network import Network, VectorInput, value_spec
from understudy.policies.policy import Policy
from understudy.policies.student import Student

HIDDEN_GAIN, POLICY_GAIN, VALUE_GAIN = math.sqrt(2), 0.01, 1.0
SEQUENCE = 32  # steps of the sequences that a recurrent student is trained on


def estimator_of(options: PPO) -> Estimator:
    """How Eq. 1 is estimated under these options."""
    assert not isinstance(options.clip_range, str)
    return Estimator(
        "ppo",
        options.gae_lambda,
        options.clip_range,
        options.n_epochs,
        options.normalize_advantage,
        options.clip_range_vf,
        options.vf_coef,
        options.target_kl,
    )


def rhythm_of(options: PPO, copies: int, recurrent: bool) -> Rhythm:
    """One round of so many copies."""
    collect, final = options.n_steps * copies, options.final_learning_rate
    if collect < 2:
        raise ConfigurationError("a round needs 2 steps at least, got n_steps 1 in one copy. Raise n_steps")
    return Rhythm(
        collect=collect,
        batch=options.batch_size,
        store=max(1_000_000, SEQUENCE * collect),
        keep=False,
        length=SEQUENCE if recurrent else 1,
        learning_rate=options.learning_rate,
        final_learning_rate=options.learning_rate if final is None else final,
        clip=options.max_grad_norm,
    )


def with_bonus(options: PPO, method: Method) -> Method:
    """``method`` with the bonus for entropy."""
    assert not isinstance(options.ent_coef, str)
    return with_entropy_bonus(method, options.ent_coef) if any(extremes(options.ent_coef)) else method


def reinforcing(
    options: PPO,
    simulator: Simulator,
    student: Student,
    views: ObservationViews,
    *,
    critic: Critic | None = None,
    budget: int,
    seed: int,
    device: torch.device | str = "cpu",
    method: Method = TASK_REWARD,
    teacher: Policy | None = None,
) -> Learner:
    """A learner of ``method`` under PPO; the student goes on from what it is.

    ``critic`` None: a new one beside the student. ``teacher``: for rows that read one. ``options.standardise`` is for
    what :func:`new_student` and :func:`new_critic` made; a network that has learned goes on seeing as it did.
    """
    method = with_bonus(options, method)
    if method.reads_teacher and teacher is None:
        raise ConfigurationError(f"{method.name} reads a teacher, and none is given. Pass teacher=, or use task-reward")
    student, guide = student.to(device), (teacher or student)
    critic = (critic or new_critic(options, simulator, student, views, method, seed)).to(device)
    rhythm = rhythm_of(options, simulator.copies, student.memory_size > 0)
    objective = Objective(
        method, guide, student, views, estimator_of(options), options.gamma, Remedy(), critic, device, rhythm.length
    )
    source = FreshRollouts(
        simulator, method.control, guide, student, views, collect=rhythm.collect, seed=seed, device=device
    )
    draws = int(np.random.SeedSequence([seed, 3]).generate_state(1)[0])
    learner = Learner(source, objective, rhythm, budget=budget, seed=draws)
    networks = {"student": student.network, "critic": critic.network}
    learner.fits = {name for name, network in networks.items() if options.standardise and _is_new(network)}
    return learner


def _is_new(network: Network) -> bool:
    """Whether nothing was learned: such a network has no biases yet, and standardises nothing."""
    own = [module.standardise for module in network.inputs if isinstance(module, VectorInput)]
    standardises = any(bool(one.mean.any() or (one.scale != 1).any()) for one in own if one is not None)
    return not standardises and not any(bool(layer.bias.any()) for layer in network.last_layers)


def new_student(
    observation_space: gymnasium.Space[Any],
    action_space: gymnasium.Space[Any],
    spec: str,
    *,
    seed: int,
    state_dependent_std: bool = False,
) -> Student:
    """A student that has learned nothing, begun as reinforcement learning likes it: orthogonal, and all but uniform."""
    family = family_of(action_space, False)
    student = Student(observation_space, action_space, family, spec, seed=seed, state_dependent_std=state_dependent_std)
    _begin_orthogonal(student.network, POLICY_GAIN, seed)
    return student


def new_critic(
    options: PPO, simulator: Simulator, student: Student, views: ObservationViews, method: Method, seed: int
) -> Critic:
    """A critic of what ``method`` rewards, of the student's size."""
    space, rate = views.critic.space(simulator.observation_space), RATE if options.scale_values else 0.0
    critic = Critic(space, value_spec(student.spec), columns_needed(method, estimator_of(options)), seed + 2, rate)
    _begin_orthogonal(critic.network, VALUE_GAIN, seed + 2)
    return critic


@torch.no_grad()
def _begin_orthogonal(network: Network, last_gain: float, seed: int) -> None:
    """Orthogonal weights (Saxe et al. 2014) and no biases, as most implementations of PPO begin."""
    generator = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            last = any(layer is one for one in network.last_layers)
            nn.init.orthogonal_(layer.weight, last_gain if last else HIDDEN_GAIN, generator)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
