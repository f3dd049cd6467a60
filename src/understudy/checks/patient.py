"""Who is examined: a teacher in its environment, what it does there, and what must be known to say so.

Play is costly and several checks look at the same, so that each kind is played once, when first asked for.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.checks.config import DoctorConfig
from understudy.checks.finding import Finding
from understudy.checks.known import Known, known_of
from understudy.engines.actor import PolicyActor, UniformActor, random_actor
from understudy.engines.objective import unroll
from understudy.envs.actions import ActionMap
from understudy.envs.play import play
from understudy.envs.rollout import Actor, Episodes, Rollout, Window
from understudy.envs.simulator import Simulator
from understudy.envs.versions import versions_of
from understudy.envs.views import View
from understudy.errors import EnvironmentFailure, SpaceError, TeacherError
from understudy.math.heads import Heads
from understudy.methods import Row, lookup
from understudy.policies.policy import Observation, Policy, TensorObservation, tensors
from understudy.runs.brought import gamma_of
from understudy.runs.config import DEFAULT_METHOD
from understudy.runs.evaluation import prepare
from understudy.runs.reopen import Reopened, reopen

COPIES = 20
STEPS = 200
"""Steps of every copy in the windows that are looked at."""
PATIENCE = 20_000
"""Steps after which an episode without a time limit counts as endless."""

Note = Callable[[str], None]


@dataclass
class Patient:
    """``given`` and ``env``: the teacher and the environment as they were named, or objects.

    ``mended``: the option without which their spaces do not match, and with which everything else is looked at.
    ``found``: by the checks so far. ``troubles``: what stopped a check, and which one was the first.
    """

    config: DoctorConfig
    given: Any
    env: Any
    teacher: Policy
    view: View
    wrappers: tuple[str, ...]
    simulator: Simulator
    note: Note
    mended: str = ""
    notes: list[str] = field(default_factory=list)
    trials: dict[Any, Any] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What messages call the environment."""
        return self.simulator.spec_id

    @property
    def seeds(self) -> range:
        return range(self.config.seed, self.config.seed + self.config.episodes)

    @property
    def lost(self) -> bool:
        """Whether it plays here as it should not, which other checks need not say again in their own ways."""
        return any(one.check == "return" and one.outcome == "failed" for one in self.found)

    @property
    def gamma(self) -> float:
        return gamma_of(self.teacher) or 0.99

    @cached_property
    def actions(self) -> ActionMap:
        return ActionMap(self.teacher.family, self.simulator.action_space)

    @property
    def row(self) -> Row:
        """The row whose needs and dangers count: the one asked for, the run's with all its options, or distill's."""
        if self.config.method is None and self.config.student is not None:
            return self.run.config.row()
        return lookup(self.row_name)

    @property
    def row_name(self) -> str:
        """What the row is called by, without options."""
        own = DEFAULT_METHOD if self.config.student is None else self.run.config.row_name
        return self.config.method or own

    def actor(self, sampled: bool = False) -> PolicyActor:
        """The teacher with its deterministic actions, or drawing them."""
        generator = np.random.default_rng([self.config.seed, 1]) if sampled else None
        return PolicyActor(self.teacher, self.view, generator)

    def uniform(self) -> UniformActor:
        return random_actor(self.actions)

    def play(self, actor: Actor, seeds: Sequence[int] | None = None) -> Episodes:
        """Whole episodes in the environment as it was given."""
        return episodes(self.simulator, self.actions, actor, self.seeds if seeds is None else seeds)

    @cached_property
    def teacher_episodes(self) -> Episodes:
        """With deterministic actions, which is how returns are reported."""
        return self.play(self.actor())

    @cached_property
    def random_episodes(self) -> Episodes:
        return self.play(self.uniform())

    def _window(self, actor: Actor) -> Window:
        return Rollout(self.simulator, self.actions, self.config.seed).collect(actor, STEPS)

    @cached_property
    def window(self) -> Window:
        """Where the teacher goes, drawing its actions."""
        return self._window(self.actor(sampled=True))

    @cached_property
    def wandering(self) -> Window:
        """Where the uniform policy goes."""
        return self._window(self.uniform())

    def seen(self, observation: Observation) -> TensorObservation:
        """What the teacher sees of an observation, as tensors."""
        return tensors(self.view(observation))

    @cached_property
    @torch.no_grad()
    def heads(self) -> Heads:
        """Its answers ``[L, N]`` on :attr:`window`, as training asks for them."""
        return unroll(self.teacher, self.seen(self.window.observation), None, torch.as_tensor(self.window.start))[0]

    @property
    def flat(self) -> Tensor:
        """The parameters of its answers on every step that was played, ``[M, P]``."""
        return self.heads.policy.flat[torch.as_tensor(self.window.valid)]

    @cached_property
    def known(self) -> Known | None:
        """What the teacher is known to return, where anything says so."""
        return known_of(self.config, None if not isinstance(self.given, str) else self.given)

    @cached_property
    def run(self) -> Reopened:
        """The student's run, with this teacher in this environment."""
        assert self.config.student is not None
        return reopen(
            self.config.student, teacher=self.given, env=self.env, trust=self.config.trust, note=self.notes.append
        )

    def close(self) -> None:
        self.simulator.close()


def episodes(simulator: Simulator, actions: ActionMap, actor: Actor, seeds: Sequence[int]) -> Episodes:
    """Whole episodes; EnvironmentFailure where none of them comes to an end."""

    def watch(finished: int, steps: int) -> None:
        if steps > PATIENCE * len(seeds):
            raise EnvironmentFailure(
                f"after {steps:,} steps {finished} of {len(seeds)} episodes of {simulator.spec_id} have ended, and it "
                "has no time limit: no return can be measured. Wrap it in gymnasium.wrappers.TimeLimit where it is made"
            )

    return play(simulator, actions, actor, seeds, watch if simulator.max_episode_steps is None else None)


def admit(config: DoctorConfig, teacher: Any, env: Any, note: Note) -> Patient:
    """The teacher in its environment; where their spaces do not match, in what makes them match.

    Raises what opening a teacher and making an environment raise, SpaceError among it.
    """
    try:
        return joined(config, {}, teacher, env, note)
    except (SpaceError, TeacherError) as error:
        if not isinstance(error, SpaceError) and error.__cause__ is None:
            raise
        for option, changes in _candidates(config):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    patient = joined(config, changes, teacher, env, note)
            except Exception:  # a wrapper that does not suit an environment may refuse it with any error
                continue
            patient.mended, patient.notes = option, [str(error)]
            return patient
        raise


def joined(config: DoctorConfig, changes: dict[str, Any], teacher: Any, env: Any, note: Note) -> Patient:
    """The teacher in its environment, with ``changes`` to the options; both may be objects, else None."""
    play = config.play(copies=min(COPIES, config.episodes), **changes)
    simulator, policy, view, wrappers = prepare(play, teacher, None if "env" in changes else env, note)
    given = config.teacher if teacher is None else teacher
    there = play.env if env is None or "env" in changes else env
    return Patient(config, given, there, policy, view, wrappers, simulator, note)


def _candidates(config: DoctorConfig) -> list[tuple[str, dict[str, Any]]]:
    """Options that change what is seen, as the command line has them, and as changes to an evaluation."""
    stacks = [wrap for k in (4, 2, 3, 8) for wrap in ((f"frame-stack:{k}", "flatten"), (f"frame-stack:{k}",))]
    wraps = [("flatten",), ("time-feature",), ("flatten", "time-feature"), ("rescale-action",), ("atari",), *stacks]
    found: list[tuple[str, dict[str, Any]]] = [
        (" ".join(f"--wrap {one}" for one in wrap), {"wrap": (*config.wrap, *wrap)}) for wrap in wraps
    ]
    found += [(f"--env {other}", {"env": other}) for other in versions_of(config.env)]
    return found
