"""Reinforcement learning in the engine: the task reward alone, under PPO's clipped objective (Schulman et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
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
from understudy.methods.schedule import Weight, extremes, parse
from understudy.policies.families import family_of
from understudy.policies.network import Network, VectorInput, value_spec
from understudy.policies.policy import Policy
from understudy.policies.student import Student

HIDDEN_GAIN, POLICY_GAIN, VALUE_GAIN = math.sqrt(2), 0.01, 1.0
SEQUENCE = 32  # steps of the sequences that a recurrent student is trained on


@dataclass(frozen=True)
class PPO:
    """A user's options, by Stable-Baselines3's names and with its defaults where it has them.

    ``n_steps`` of each copy make a round. ``final_learning_rate``: reached in a straight line at the end of the
    budget; None: constant. ``clip_range`` and ``ent_coef``: a number, or ``linear:START:END[:UNTIL]``.
    ``clip_range_vf``: in the unit of the returns; None: off. ``target_kl``: a round's passes end where the approximate
    KL exceeds 1.5 times this; None: never. ``max_grad_norm``: joint over policy and critic; 0: none.

    ``scale_values``: a new critic learns in units of its targets' running moments (PopArt). ``standardise``: networks
    that have not learned before standardise their inputs by the first round's, for observations far from 1.
    """

    n_steps: int = 2048
    batch_size: int = 64
    n_epochs: int = 10
    learning_rate: float = 3e-4
    final_learning_rate: float | None = None
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: Weight | str = 0.2
    clip_range_vf: float | None = None
    normalize_advantage: bool = True
    ent_coef: Weight | str = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = None
    scale_values: bool = False
    standardise: bool = False

    def __post_init__(self) -> None:
        for name in SCHEDULED:
            object.__setattr__(self, name, parse(getattr(self, name)))
        unlike = _unlike(self)
        if unlike:
            raise ConfigurationError("; ".join(unlike))
        wrong = [
            f"{field.name} must be {RANGES[field.name]}, got {value}"
            for field in fields(self)
            if (value := getattr(self, field.name)) is not None
            and field.name in RANGES
            and not all(WITHIN[RANGES[field.name]](end) for end in extremes(value))
        ]
        if wrong:
            raise ConfigurationError("; ".join(wrong))
        self.estimator.check(TASK_REWARD)

    @property
    def estimator(self) -> Estimator:
        assert not isinstance(self.clip_range, str)
        return Estimator(
            "ppo",
            self.gae_lambda,
            self.clip_range,
            self.n_epochs,
            self.normalize_advantage,
            self.clip_range_vf,
            self.vf_coef,
            self.target_kl,
        )

    def rhythm(self, copies: int, recurrent: bool) -> Rhythm:
        """One round of so many copies."""
        collect, final = self.n_steps * copies, self.final_learning_rate
        if collect < 2:
            raise ConfigurationError("a round needs 2 steps at least, got n_steps 1 in one copy. Raise n_steps")
        return Rhythm(
            collect=collect,
            batch=self.batch_size,
            store=max(1_000_000, SEQUENCE * collect),
            keep=False,
            length=SEQUENCE if recurrent else 1,
            learning_rate=self.learning_rate,
            final_learning_rate=self.learning_rate if final is None else final,
            clip=self.max_grad_norm,
        )

    def row(self, method: Method) -> Method:
        """The row with the bonus for entropy."""
        assert not isinstance(self.ent_coef, str)
        return with_entropy_bonus(method, self.ent_coef) if any(extremes(self.ent_coef)) else method


WITHIN = {
    "at least 1": lambda x: x >= 1,
    "above 0": lambda x: 0 < x < math.inf,
    "0 or more": lambda x: 0 <= x < math.inf,
    "in [0, 1]": lambda x: 0 <= x <= 1,
}
RANGES = {
    "n_steps": "at least 1",
    "batch_size": "at least 1",
    "n_epochs": "at least 1",
    "learning_rate": "above 0",
    "final_learning_rate": "0 or more",
    "gamma": "in [0, 1]",
    "gae_lambda": "in [0, 1]",
    "clip_range": "0 or more",
    "clip_range_vf": "above 0",
    "ent_coef": "0 or more",
    "vf_coef": "above 0",
    "max_grad_norm": "0 or more",
    "target_kl": "above 0",
}


SCHEDULED = ("clip_range", "ent_coef")


def _unlike(options: PPO) -> list[str]:
    """What is of another type than its default, as texts in a file are."""
    found = []
    for field in fields(options):
        value, optional = getattr(options, field.name), field.default is None
        kind = float if optional else type(field.default)
        if field.name in SCHEDULED or (optional and value is None):
            continue
        number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        if not (isinstance(value, bool) if kind is bool else number):
            found.append(f"{field.name} must be {KINDS[kind]}, got {value!r}")
    return found


KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


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
    method = options.row(method)
    if method.reads_teacher and teacher is None:
        raise ConfigurationError(f"{method.name} reads a teacher, and none is given. Pass teacher=, or use task-reward")
    student, guide = student.to(device), (teacher or student)
    critic = (critic or new_critic(options, simulator, student, views, method, seed)).to(device)
    rhythm = options.rhythm(simulator.copies, student.memory_size > 0)
    objective = Objective(
        method, guide, student, views, options.estimator, options.gamma, Remedy(), critic, device, rhythm.length
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
    critic = Critic(space, value_spec(student.spec), columns_needed(method, options.estimator), seed + 2, rate)
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
