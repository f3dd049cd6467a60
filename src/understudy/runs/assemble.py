"""From a configuration to the parts of a run; everything is checked here, before anything is played."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.vector import VectorEnv

from understudy.engines.actor import PolicyActor
from understudy.engines.critic import Critic
from understudy.engines.defaults import Kind, rhythm_for
from understudy.engines.estimator import Estimator
from understudy.engines.learner import Learner
from understudy.engines.objective import Objective, Remedy, columns_needed
from understudy.engines.q_objective import values_of
from understudy.engines.schedule import Rhythm
from understudy.engines.source import FreshRollouts
from understudy.envs.actions import ActionMap
from understudy.envs.of_gym import make
from understudy.envs.perturbed import Layer
from understudy.envs.simulator import Simulator
from understudy.envs.views import ObservationViews, View, parse_view
from understudy.envs.wrappers import check_spaces, infer_wrappers
from understudy.errors import ConfigurationError, MethodError
from understudy.methods import QMethod, Row, lookup
from understudy.methods.method import Method, Need
from understudy.methods.schedule import parse
from understudy.policies.network import Network, value_spec
from understudy.policies.policy import Policy
from understudy.policies.student import Student
from understudy.policies.teachers import open_teacher
from understudy.runs.brought import brought, gamma_of
from understudy.runs.config import DistillConfig
from understudy.runs.console import Console
from understudy.runs.device import available
from understudy.runs.option_texts import parse_env_args, parse_remedy
from understudy.runs.options import chosen_estimator
from understudy.runs.q_parts import at_temperature, check_fit, look, q_objective, q_source, weigh_store

TRAP = (
    "{name} charges every step and never pays, so a student may learn to end its episodes early (the termination "
    "trap). Use --remedy absorbing or --remedy credit:0."
)
TRAP_DESPITE_REWARD = (
    "{name} charges every step; where that is more than the task pays, a student learns to end its episodes early "
    "(the termination trap). Use --remedy absorbing or --remedy credit:0, or raise --task-weight."
)


@dataclass(frozen=True)
class Origin:
    """How environments are made: ``env`` and the options of :func:`understudy.envs.of_gym.make`."""

    env: Any
    env_kwargs: dict[str, Any]
    wrappers: tuple[str, ...]

    def make(self, copies: int, asynchronous: bool = False, layers: Sequence[Layer] = ()) -> Simulator:
        """Another simulator of the same environment, in this process or in one a copy; ``layers`` perturb it."""
        return make(
            self.env,
            copies,
            asynchronous=asynchronous,
            wrappers=self.wrappers,
            env_kwargs=self.env_kwargs,
            layers=layers,
        )


@dataclass
class Assembly:
    """The parts of a run, ready to go.

    ``title``: the method with what changes it. ``trap``: the warning of a row that may fall into the termination
    trap. ``critic_value``: makes a network of the student's learned value.
    """

    origin: Origin
    simulator: Simulator
    teacher: Policy
    student: Student
    views: ObservationViews
    actions: ActionMap
    method: Row
    title: str
    learner: Learner
    gamma: float
    budget: int
    device: str
    critic_value: Callable[[], Network] | None
    trap: str | None = None
    warnings: list[str] = field(default_factory=list)

    def teacher_actor(self) -> PolicyActor:
        """The teacher playing its deterministic action."""
        return PolicyActor(self.teacher, self.views.teacher, None, self.device)

    def trap_sprung(self, student_length: float, teacher_length: float) -> str | None:
        """The warning of the report, where the student's episodes in training's last evaluation were far too short."""
        if self.trap is None or student_length >= 0.5 * teacher_length:
            return None
        lengths = f"episodes of {student_length:.0f} steps, the teacher's last {teacher_length:.0f}"
        return f"training ended with {lengths}: too early to tell, or the trap. {self.trap}"

    def close(self) -> None:
        self.simulator.close()


def assemble(config: DistillConfig, teacher: Any, env: Any, console: Console) -> Assembly:
    """Open, check and join everything that ``config`` names."""
    env = config.env if env is None else env
    if isinstance(env, VectorEnv):
        raise ConfigurationError(
            "a vector environment cannot both be trained in and evaluated in between. Give a function that makes one "
            "environment, or an id"
        )
    kwargs = parse_env_args(config.env_args)
    device = available(config.device)
    teacher = config.teacher if teacher is None else teacher
    policy, wrappers, view = opened_teacher(config, teacher, env, kwargs, console)
    origin = Origin(env, kwargs, wrappers)
    simulator = origin.make(config.copies, asynchronous=config.vector == "async")
    try:
        views = ObservationViews(parse_view(config.student_view), view, parse_view(config.critic_view))
        return _joined(config, policy.to(device), simulator, views, origin, device, console)
    except BaseException:
        simulator.close()
        raise


def _joined(
    config: DistillConfig,
    teacher: Policy,
    simulator: Simulator,
    views: ObservationViews,
    origin: Origin,
    device: str,
    console: Console,
) -> Assembly:
    """Check that the parts fit, and build what learns from them."""
    space, teacher_space, critic_space = (
        view.space(simulator.observation_space) for view in (views.student, views.teacher, views.critic)
    )
    squashed = teacher.family.kind == "squashed-gaussian"
    check_spaces(teacher.observation_space, teacher.action_space, teacher_space, simulator.action_space, squashed)
    method = config.row()
    if isinstance(method, QMethod):
        return _joined_q(config, method, teacher, space, simulator, views, origin, device, console)
    check_needs(method, teacher)
    trap = _trap(method, config)
    if trap is not None:
        console.warning(trap)
    student = Student(space, simulator.action_space, teacher.family, config.student, seed=config.seed).to(device)
    gamma = gamma_for(config, teacher, console)
    estimator = _estimator(config)
    columns = columns_needed(method, estimator)
    critic = Critic(critic_space, value_spec(student.spec), columns, config.seed + 2).to(device) if columns else None
    rhythm, budget = _rhythm(config, method, student)
    objective = Objective(
        method, teacher, student, views, estimator, gamma, _remedy(config), critic, device, rhythm.length
    )
    objective.configure(precision=config.precision, compiled=config.compile)
    learner = _learner(config, objective, simulator, rhythm, budget, device)
    own_value = Need.STUDENT_VALUE in method.needs and config.critic_view == config.student_view
    return Assembly(
        origin, simulator, teacher, student, views, ActionMap(student.family, simulator.action_space), method,
        _title(method, estimator, config), learner, gamma, budget, device,
        partial(critic.value_network, 0) if critic is not None and own_value else None,
        trap, [] if trap is None else [trap],
    )  # fmt: skip


def _joined_q(
    config: DistillConfig,
    method: QMethod,
    teacher: Policy,
    space: Space[Any],
    simulator: Simulator,
    views: ObservationViews,
    origin: Origin,
    device: str,
    console: Console,
) -> Assembly:
    """The same for a row of action values."""
    check_fit(method, teacher, config)
    values_of(teacher, method)
    seen = look(config, teacher, views, simulator)
    teacher = at_temperature(teacher, seen.temperature)
    gamma = gamma_for(config, teacher, console)
    objective = q_objective(config, method, teacher, space, simulator.action_space, views, seen, gamma, device)
    student = objective.student
    rhythm, budget = _rhythm(config, method, student)
    objective.configure(precision=config.precision, compiled=config.compile)
    weigh_store(objective, space, simulator, rhythm.store, console)
    learner = Learner(
        q_source(config, objective, simulator, rhythm, device), objective, rhythm, budget=budget, seed=_draws(config)
    )
    return Assembly(
        origin, simulator, teacher, student, views, ActionMap(student.family, simulator.action_space), method,
        _q_title(method, config), learner, gamma, budget, device, None,
    )  # fmt: skip


def opened_teacher(
    config: DistillConfig, teacher: Any, env: Any, kwargs: dict[str, Any], console: Console
) -> tuple[Policy, tuple[str, ...], View]:
    """The teacher, the wrappers without which the environment shows less than it needs, and what it sees of that.

    A student of an earlier run brings its own wrappers and its view; options win over them.
    """
    probe = make(env, 1, wrappers=config.wrap, env_kwargs=kwargs)
    probe.close()
    view = parse_view(config.teacher_view)
    policy = open_teacher(
        teacher,
        observation_space=view.space(probe.observation_space),
        action_space=probe.action_space,
        vecnormalize=config.vecnormalize,
        trust=config.trust,
        temperature=config.teacher_temperature,
        std=config.teacher_std,
    )
    own = brought(policy, config.wrap, config.teacher_view, "--teacher-view", config.trust)
    if own is not None:
        return policy, *own
    seen = view.space(probe.observation_space)
    wanted, message = infer_wrappers(policy.observation_space, seen, probe.max_episode_steps)
    if message:
        console.note(message)
    return policy, (*config.wrap, *wanted), view


def check_needs(method: Method, teacher: Policy) -> None:
    """Refuse a row whose needs are not met."""
    if Need.TEACHER_VALUE in method.needs and not teacher.has_value:
        raise MethodError(
            f"{method.name} needs {Need.TEACHER_VALUE.value}; {teacher.description} has none. "
            "Use a row without V_T, such as on-policy-distill (see `understudy methods`)."
        )
    if Need.FULL_SUPPORT in method.needs and not teacher.full_support:
        raise MethodError(
            f"{method.name} needs {Need.FULL_SUPPORT.value}; {teacher.description} answers actions alone. "
            "Use on-policy-distill or n-distill, or let the teacher answer probabilities."
        )


def _trap(method: Method, config: DistillConfig) -> str | None:
    """What to say of a row that charges every step, where no remedy was chosen."""
    if not method.charges or parse_remedy(config.remedy)[0] != "none":
        return None
    return (TRAP if method.charges_every_step else TRAP_DESPITE_REWARD).format(name=method.name)


def gamma_for(config: DistillConfig, teacher: Policy, console: Console) -> float:
    """The discount: the option's, else the teacher's own."""
    own = gamma_of(teacher)
    if config.gamma is not None and own is not None and config.gamma != own:
        console.warning(f"--gamma {config.gamma:g}, but the teacher was trained with {own:g}; its values mean that one")
    return config.gamma or own or 0.99


def _estimator(config: DistillConfig) -> Estimator:
    return Estimator(
        chosen_estimator(config.estimator),
        config.gae_lambda,
        config.clip,
        config.epochs,
        config.normalise_advantages,
        config.value_clip,
        target_kl=config.target_kl,
    )


def _remedy(config: DistillConfig) -> Remedy:
    """A credit is part of the row by now."""
    kind = parse_remedy(config.remedy)[0]
    return Remedy("none" if kind == "credit" else kind)


def _rhythm(config: DistillConfig, method: Row, student: Student) -> tuple[Rhythm, int]:
    """The rhythm and the budget of environment steps."""
    differences = isinstance(method, QMethod) and method.learns_by_td
    pictures = student.spec.image if isinstance(method, QMethod) and student.spec.body == "cnn" else ""
    rhythm, budget = rhythm_for(
        Kind(bool(method.reward), student.spec.recurrent, differences, pictures),
        learning_rate=config.learning_rate,
        batch=config.batch_size,
        collect=config.collect,
        updates=config.updates,
        store=config.store,
    )
    return rhythm, config.steps or budget


def _learner(
    config: DistillConfig, objective: Objective, simulator: Simulator, rhythm: Rhythm, budget: int, device: str
) -> Learner:
    method = objective.method
    source = FreshRollouts(
        simulator,
        method.control,
        objective.teacher,
        objective.student,
        objective.views,
        collect=rhythm.collect,
        seed=config.seed,
        whole_episodes=bool(method.reward) and not objective.estimator.has_critic,
        device=device,
    )
    return Learner(source, objective, rhythm, budget=budget, seed=_draws(config))


def _draws(config: DistillConfig) -> int:
    """The seed of what is drawn from the store."""
    return int(np.random.SeedSequence([config.seed, 3]).generate_state(1)[0])


def _q_title(method: QMethod, config: DistillConfig) -> str:
    """The row's name with what changes it."""
    words = [f"behaviour {method.control}"] if method.control != lookup(config.row_name).control else []
    words += [f"λ {config.loss_weight}"] if parse(config.loss_weight) != 1 else []
    words += [f"TD weight {config.task_weight}"] if parse(config.task_weight) != 1 else []
    words += [f"{config.n_step}-step returns"] if config.n_step > 1 else []
    return f"{method.name} ({', '.join(words)})" if words else method.name


def _title(method: Method, estimator: Estimator, config: DistillConfig) -> str:
    """The method's name with what changes it, as results must say."""
    name = method.name if method.reward else f"{method.name} over aggregated states"
    words = [estimator.kind] if method.reward else []
    words += [f"control {method.control}"] if method.control != lookup(config.row_name).control else []
    words += [f"loss weight {config.loss_weight}"] if parse(config.loss_weight) != 1 else []
    words += [f"task weight {config.task_weight}"] if parse(config.task_weight) != 1 else []
    words += [f"entropy bonus {config.entropy_bonus}"] if parse(config.entropy_bonus) else []
    words += ["expected reward"] if config.expected_reward else []
    words += [config.divergence] if config.divergence == "kl" else []
    words += [config.remedy] if config.remedy != "none" else []
    return f"{name} ({', '.join(words)})" if words else name
