"""From a stage's configuration to what trains it: environments, the policy it goes on from, anchors, the learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from understudy.engines.actor import PolicyActor, random_actor
from understudy.engines.anchored import ActiveAnchor, AnchoredObjective
from understudy.engines.critic import Critic
from understudy.engines.learner import Learner
from understudy.engines.reinforce import new_critic, new_student, reinforcing
from understudy.engines.reservoir import ANSWER, Reservoir, merged
from understudy.engines.source import FreshRollouts
from understudy.envs.actions import ActionMap
from understudy.envs.of_gym import make
from understudy.envs.play import play
from understudy.envs.rollout import Actor, Episodes
from understudy.envs.side_by_side import SideBySide
from understudy.envs.simulator import Simulator
from understudy.envs.views import EVERYTHING, ObservationViews
from understudy.envs.wrappers import check_spaces
from understudy.errors import ConfigurationError, SpaceError, said_of
from understudy.methods.anchor import Anchor
from understudy.methods.catalogue import TASK_REWARD
from understudy.methods.method import CONTROLS
from understudy.methods.ppo import PPO
from understudy.policies.gated import Gated
from understudy.policies.policy import Policy
from understudy.policies.progressive import add_column
from understudy.policies.shared import share, unique
from understudy.policies.spec import Spec
from understudy.policies.spec import parse as parse_student
from understudy.policies.student import Student
from understudy.policies.student_file import load_student
from understudy.policies.teachers import open_teacher
from understudy.runs.option_texts import parse_env_args
from understudy.stages.config import FRESH, LAST, Stage, StagesConfig
from understudy.stages.folder import StagesFolder

BENCH = 25
VIEWS = ObservationViews(EVERYTHING, EVERYTHING, EVERYTHING)


@dataclass(frozen=True)
class Origin:
    """How environments are made: those of one stage, or of several side by side, with each one's share of copies."""

    stages: tuple[Stage, ...]
    shares: tuple[float, ...] = (1.0,)

    @property
    def env(self) -> str:
        """The stage's own."""
        return self.stages[0].env

    def make(self, copies: int, asynchronous: bool = False) -> Simulator:
        """A new simulator of so many copies."""
        counts = self.counts(copies)
        found: list[Simulator] = []
        try:
            for stage, count in zip(self.stages, counts, strict=True):
                if count:
                    found.append(made(stage, count))
            return found[0] if len(found) == 1 else SideBySide(found)
        except BaseException:
            for one in found:
                one.close()
            raise

    def counts(self, copies: int) -> list[int]:
        """Whole numbers near the shares, each at least 1 where there are enough copies."""
        others = [max(1, round(copies * share)) for share in self.shares[1:]]
        first = copies - sum(others)
        if first < 1:
            raise ConfigurationError(
                f"{copies} copies do not go round {len(self.stages)} tasks with a share of "
                f"{1 - self.shares[0]:g} for the earlier ones; raise copies"
            )
        return [first, *others]


def made(stage: Stage, copies: int) -> Simulator:
    with said_of(f"stage {stage.name}"):
        return make(stage.env, copies, wrappers=stage.wrap, env_kwargs=parse_env_args(stage.env_args))


def origin_of(config: StagesConfig, number: int) -> Origin:
    """The environments of a stage: its own task's, and those that are trained on beside it."""
    stage = config.stages[number]
    earlier = {one.name: one for one in config.stages[:number]}
    others = tuple(earlier[name] for name in stage.joint)
    share_each = stage.share / max(1, len(others))
    return Origin((stage, *others), (1 - stage.share if others else 1.0, *(share_each for _ in others)))


def spec_of(config: StagesConfig, number: int) -> Spec:
    """What the student of a stage is made of."""
    stage, source = config.stages[number], begins_from(config, number)
    names = [one.name for one in config.stages[:number]]
    if stage.distil or source is None:
        return parse_student(stage.distil or config.student)
    return spec_of(config, names.index(source)) if source in names else load_student(source).spec


def open_outside(row: Anchor, simulator: Simulator) -> Any:
    """The policy of an anchor that is no earlier stage."""
    if not isinstance(row.policy, str):
        return row.policy
    return open_teacher(row.policy, observation_space=simulator.observation_space, action_space=simulator.action_space)


def recalled_stages(row: Anchor, names: list[str]) -> list[str]:
    """The stages whose states an anchor recalls: those named, else all up to its own."""
    if row.states == "visited":
        return []
    own = [str(row.policy)] if row.policy in names else names[-1:]
    wanted = str(row.stored).split(",") if row.stored else names[: names.index(own[0]) + 1 if own else 0]
    unknown = next((name for name in wanted if name not in names), None)
    if unknown is not None:
        raise ConfigurationError(f"anchor {row.label}: stored names {unknown!r}, which is no earlier stage")
    return wanted


class Benches:
    """A simulator for each task's evaluations, made when first used."""

    def __init__(self, config: StagesConfig) -> None:
        self.config, self.made = config, dict[str, Simulator]()

    def of(self, stage: Stage) -> Simulator:
        if stage.name not in self.made:
            self.made[stage.name] = made(stage, min(BENCH, max(2, self.config.evaluation_episodes)))
        return self.made[stage.name]

    def play(self, stage: Stage, policy: Policy, seeds: Sequence[int]) -> Episodes:
        """One episode a seed, with deterministic actions."""
        actor = PolicyActor(policy, EVERYTHING, None, self.config.device)
        return self.play_actor(stage, actor, ActionMap(policy.family, self.of(stage).action_space), seeds)

    def play_random(self, stage: Stage, policy: Policy, seeds: Sequence[int]) -> Episodes:
        """By a policy that acts at random; ``policy``: whose kind of actions."""
        actions = ActionMap(policy.family, self.of(stage).action_space)
        return self.play_actor(stage, random_actor(actions), actions, seeds)

    def play_actor(self, stage: Stage, actor: Actor, actions: ActionMap, seeds: Sequence[int]) -> Episodes:
        return play(self.of(stage), actions, actor, seeds)

    def close(self) -> None:
        """Let go of all; they are made anew where they are used again."""
        for one in self.made.values():
            one.close()
        self.made.clear()


@dataclass
class Parts:
    """A stage, ready to go. ``players``: who plays each task; with one head the student plays them all.

    ``gated``: who plays all tasks at the end of a stage with a gate.
    """

    stage: Stage
    origin: Origin
    simulator: Simulator
    student: Student
    learner: Learner
    gamma: float
    goes_on: bool
    teacher: Policy | None
    players: dict[str, Student] = field(default_factory=dict)
    gated: Gated | None = None

    def player(self, task: str) -> Policy:
        return self.gated or self.players.get(task, self.student)

    def close(self) -> None:
        self.simulator.close()


def assemble(config: StagesConfig, number: int, folder: StagesFolder, begun: Student | None) -> Parts:
    """Open, check and join what stage ``number`` needs. ``begun``: the policy that it goes on from.

    A column that is added is a policy that has learned nothing: nothing is handed over to it.
    """
    stage, origin = config.stages[number], origin_of(config, number)
    simulator = origin.make(config.copies)
    try:
        with said_of(f"stage {stage.name}"):
            options = PPO(**config.options(stage))
            student, players = _policies(config, number, folder, simulator, begun)
            goes_on = begun is not None and not stage.adapters
            learner = _learner(config, number, folder, simulator, student, players, options, goes_on)
            teacher = teacher_of(stage, simulator)
        return Parts(stage, origin, simulator, student, learner, options.gamma, goes_on, teacher, players)
    except BaseException:
        simulator.close()
        raise


def teacher_of(stage: Stage, simulator: Simulator) -> Policy | None:
    """Whose values the critic begins with."""
    if not stage.teacher:
        return None
    teacher = open_teacher(
        stage.teacher, observation_space=simulator.observation_space, action_space=simulator.action_space
    )
    if not teacher.has_value:
        raise ConfigurationError(f"a critic cannot begin from {teacher.description}, which has no values")
    return teacher


def _policies(
    config: StagesConfig, number: int, folder: StagesFolder, simulator: Simulator, begun: Student | None
) -> tuple[Student, dict[str, Student]]:
    """Who learns, and who else plays with its body."""
    stage = config.stages[number]
    spaces = simulator.observation_space, simulator.action_space
    if begun is None:
        fresh = new_student(*spaces, config.student, seed=config.seed, state_dependent_std=config.own_std)
        return fresh.to(config.device), {}
    check_fits(begun, simulator)
    if stage.adapters:
        seed = config.seed + 1000 * number
        own = new_student(*spaces, str(begun.spec), seed=seed, state_dependent_std=config.own_std)
        column = add_column(begun, own, seed=seed)
        return column.to(config.device), _heads(config, number, folder)
    student = trainable(begun).to(config.device)
    if stage.heads != "own":
        return student, {}
    players = _heads(config, number, folder)
    share([student, *players.values()], "own")
    learned = {id(parameter) for parameter in student.parameters()}
    for parameter in unique(players.values()):
        parameter.requires_grad_(id(parameter) in learned)  # earlier heads stay as they are
    return student, players


def _heads(config: StagesConfig, number: int, folder: StagesFolder) -> dict[str, Student]:
    """Earlier stages' students as the last one left them: of a head or a column of their own, or of its one head."""
    last = folder.stage(config.stages[number - 1].name)
    found = {}
    for stage in config.stages[:number]:
        own = last.heads / stage.name
        path = own if own.is_dir() else last.student
        found[stage.name] = trainable(load_student(path)).to(config.device)
    return found


def check_fits(student: Student, simulator: Simulator) -> None:
    """SpaceError where a policy cannot go on in this environment."""
    if student.observation_space.shape != simulator.observation_space.shape:
        raise SpaceError(
            f"the policy sees {student.observation_space}, {simulator.spec_id} shows {simulator.observation_space}: "
            "stages share their observations. Wrap the environments alike, or begin = 'fresh'"
        )
    check_spaces(
        student.observation_space, student.action_space, simulator.observation_space, simulator.action_space, False,
        "the policy", "Stages share their spaces: wrap the environments alike, or begin = 'fresh'.",
    )  # fmt: skip


def trainable(student: Student) -> Student:
    """A student from a file learns on."""
    student.train()
    student.requires_grad_(True)
    return student


def _learner(
    config: StagesConfig,
    number: int,
    folder: StagesFolder,
    simulator: Simulator,
    student: Student,
    players: Mapping[str, Student],
    options: PPO,
    goes_on: bool,
) -> Learner:
    stage, seed = config.stages[number], config.seed + 1000 * number
    learner = reinforcing(
        options, simulator, student, VIEWS,
        critic=_critic(config, number, folder, simulator, student, options) if goes_on else None,
        budget=stage.steps, seed=seed, device=config.device,
    )  # fmt: skip
    if stage.anchors:
        anchors = [one for row in stage.anchors for one in _anchors(row, config, number, folder, simulator, players)]
        learner.objective = AnchoredObjective(
            learner.objective,  # type: ignore[arg-type]
            anchors,
            seed=seed,
            observation_space=simulator.observation_space,
        )
    return learner


def _critic(
    config: StagesConfig, number: int, folder: StagesFolder, simulator: Simulator, student: Student, options: PPO
) -> Critic | None:
    """The critic of the stage whose policy this one goes on from, where it is kept."""
    if config.stages[number].critic != "keep":
        return None
    source = str(begins_from(config, number))
    state = folder.stage(source).kept("critic")
    if state is None:
        raise ConfigurationError(f"critic = 'keep', but stage {source} has none; use critic = 'fit'")
    critic = new_critic(options, simulator, student, VIEWS, TASK_REWARD, config.seed)
    try:
        critic.load_state_dict(state)
    except RuntimeError:
        raise ConfigurationError(
            f"critic = 'keep', but the critic of stage {source} is not of {student.spec}; use critic = 'fit'"
        ) from None
    return critic


def _anchors(
    row: Anchor,
    config: StagesConfig,
    number: int,
    folder: StagesFolder,
    simulator: Simulator,
    players: Mapping[str, Student],
) -> list[ActiveAnchor]:
    """A row's policy, opened: an earlier stage's or a file's; with the states of the stages up to it.

    Where earlier tasks have heads of their own, one for each of these, that holds it and no other.
    """
    names = [one.name for one in config.stages[:number]]
    own = row.policy in names
    policy = load_student(folder.stage(str(row.policy)).student) if own else open_outside(row, simulator)
    recalled = {name: _stored_of(folder, name, answered=own) for name in recalled_stages(row, names)}
    if not players:
        generator = np.random.default_rng([config.seed, len(names)])
        kept = list(recalled.values())
        return [ActiveAnchor(row, policy, stored=merged(kept, sum(map(len, kept)), generator) if kept else None)]
    found = []
    visited = [row.policy] if row.states != "stored" else []
    for name in dict.fromkeys([*visited, *recalled]):
        states = "both" if name in visited and name in recalled else "visited" if name in visited else "stored"
        label = row.label if name == row.policy else f"{row.label} ({name})"
        one = replace(row, name=label, states=states, stored=None)
        found.append(ActiveAnchor(one, policy, stored=recalled.get(name), holds=players.get(name)))
    return found


def _stored_of(folder: StagesFolder, name: str, answered: bool) -> Reservoir:
    """The states of a stage, with its policy's answers; or without, so that another policy is asked."""
    found = folder.stage(name).stored()
    if not answered:
        found.columns.pop(ANSWER, None)
    return found


def collect_states(parts: Parts, config: StagesConfig, seed: int) -> Reservoir | None:
    """States of the stage's own task under its final policy, as it acts in training, with its answers."""
    stage, student = parts.stage, parts.student
    if not stage.store or student.memory_size:
        return None
    simulator = Origin((stage,)).make(config.copies)
    try:
        source = FreshRollouts(
            simulator, CONTROLS["student"], student, student, VIEWS, collect=2 * stage.store, seed=seed,
            device=config.device,
        )  # fmt: skip
        reservoir = Reservoir(stage.store, np.random.default_rng([seed, 8]))
        with torch.no_grad():
            reservoir.watch(source.collect(0.0))
            reservoir.label(student, device=config.device)
        return reservoir
    finally:
        simulator.close()


def begins_from(config: StagesConfig, number: int) -> str | None:
    """The earlier stage, or the folder, whose policy this one goes on from; None: it begins afresh."""
    stage = config.stages[number]
    if stage.begin == FRESH or (stage.begin == LAST and number == 0):
        return None
    return config.stages[number - 1].name if stage.begin == LAST else stage.begin
