"""From a configuration to the parts of a run; everything is checked here, before anything is played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from understudy.engines.actor import PolicyActor
from understudy.engines.critic import Critic
from understudy.engines.defaults import Kind, rhythm_for
from understudy.engines.estimator import Estimator
from understudy.engines.learner import Learner
from understudy.engines.objective import Objective, Remedy, columns_needed
from understudy.engines.source import FreshRollouts
from understudy.envs.actions import ActionMap
from understudy.envs.of_gym import make
from understudy.envs.simulator import Simulator
from understudy.envs.views import ObservationViews, View, parse_view
from understudy.envs.wrappers import check_spaces, infer_wrappers
from understudy.errors import MethodError
from understudy.methods.method import Method, Need
from understudy.policies.network import Network, value_spec
from understudy.policies.policy import Policy
from understudy.policies.student import Student
from understudy.policies.teachers import open_teacher
from understudy.runs.config import DistillConfig, parse_env_args, parse_remedy
from understudy.runs.console import Console
from understudy.runs.device import available

DEFAULT_METHOD = "on-policy-distill"
TRAP = (
    "{name} charges every step and never pays, so a student may learn to end its episodes early (the termination "
    "trap). Add the task reward ({name}+r), or --remedy absorbing, or --remedy credit:0."
)


@dataclass
class Assembly:
    """The parts of a run, ready to go."""

    env: Any
    env_kwargs: dict[str, Any]
    wrappers: tuple[str, ...]
    simulator: Simulator
    teacher: Policy
    student: Student
    views: ObservationViews
    actions: ActionMap
    method: Method
    title: str
    learner: Learner
    gamma: float
    budget: int
    device: str
    critic_value: Callable[[], Network] | None
    warnings: list[str] = field(default_factory=list)

    def teacher_actor(self) -> PolicyActor:
        """The teacher playing its deterministic action."""
        return PolicyActor(self.teacher, self.views.teacher, None, self.device)

    def trap_sprung(self, student_length: float, teacher_length: float) -> str | None:
        """The warning of the report, where the student's episodes are far shorter than the teacher's."""
        if self.method.charges_every_step and student_length < 0.5 * teacher_length:
            return f"the student's episodes last {student_length:.0f} steps, the teacher's {teacher_length:.0f}. " + (
                TRAP.format(name=self.method.name)
            )
        return None

    def close(self) -> None:
        self.simulator.close()


def assemble(config: DistillConfig, teacher: Any, env: Any, console: Console) -> Assembly:
    """Open, check and join everything that ``config`` names."""
    env = config.env if env is None else env
    kwargs = parse_env_args(config.env_args)
    device = available(config.device)
    policy, wrappers = _teacher_and_wrappers(
        config, config.teacher if teacher is None else teacher, env, kwargs, console
    )
    policy = policy.to(device)
    asynchronous = config.vector == "async"
    simulator = make(env, config.copies, asynchronous=asynchronous, wrappers=wrappers, env_kwargs=kwargs)
    views = _views(config, simulator)
    check_spaces(
        policy.observation_space,
        policy.action_space,
        views.teacher.space(simulator.observation_space),
        simulator.action_space,
    )
    method = config.row(DEFAULT_METHOD)
    warnings = _check_needs(method, policy, config)
    for warning in warnings:
        console.warning(warning)
    student = _student(config, policy, views.student.space(simulator.observation_space), simulator)
    gamma = _gamma(config, policy, console)
    estimator = _estimator(config, method)
    space = views.critic.space(simulator.observation_space)
    columns = columns_needed(method, estimator)
    critic = Critic(space, value_spec(student.spec), columns, config.seed + 2).to(device) if columns else None
    learner = _learner(config, method, policy, student.to(device), views, estimator, gamma, critic, simulator, device)
    own_value = Need.STUDENT_VALUE in method.needs and critic is not None and config.critic_view == config.student_view
    return Assembly(
        env, kwargs, wrappers, simulator, policy, student, views, ActionMap(student.family, simulator.action_space),
        method, _title(method, estimator, config), learner, gamma, learner.budget, device,
        (lambda: critic.value_network(0)) if own_value else None, warnings,
    )  # fmt: skip


def _teacher_and_wrappers(
    config: DistillConfig, teacher: Any, env: Any, kwargs: dict[str, Any], console: Console
) -> tuple[Policy, tuple[str, ...]]:
    """The teacher, and the wrappers without which the environment shows less than it needs."""
    probe = make(env, 1, wrappers=config.wrap, env_kwargs=kwargs)
    probe.close()
    seen = parse_view(config.teacher_view).space(probe.observation_space)
    policy = open_teacher(
        teacher,
        observation_space=seen,
        action_space=probe.action_space,
        vecnormalize=config.vecnormalize,
        trust=config.trust,
        temperature=config.teacher_temperature,
        std=config.teacher_std,
    )
    named = getattr(policy, "facts", {}).get("wrappers", []) if not config.wrap else []
    if named:
        return policy, tuple(named)
    wanted, message = infer_wrappers(policy.observation_space, seen, probe.max_episode_steps)
    if message:
        console.note(message)
    return policy, (*config.wrap, *wanted)


def _views(config: DistillConfig, simulator: Simulator) -> ObservationViews:
    views = [parse_view(text) for text in (config.student_view, config.teacher_view, config.critic_view)]
    for view in views:
        view.space(simulator.observation_space)  # an error here says what the observation has
    return ObservationViews(*views)


def _check_needs(method: Method, teacher: Policy, config: DistillConfig) -> list[str]:
    """Refuse a row whose needs are not met; return what to warn of."""
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
    trapped = method.charges_every_step and parse_remedy(config.remedy)[0] == "none"
    return [TRAP.format(name=method.name)] if trapped else []


def _student(config: DistillConfig, teacher: Policy, space: Any, simulator: Simulator) -> Student:
    return Student(
        space,
        simulator.action_space,
        teacher.family,
        config.student,
        seed=config.seed,
    )


def _gamma(config: DistillConfig, teacher: Policy, console: Console) -> float:
    own = getattr(teacher, "gamma", None)
    if config.gamma is not None and own is not None and config.gamma != own:
        console.warning(f"--gamma {config.gamma:g}, but the teacher was trained with {own:g}; its values mean that one")
    return config.gamma or own or 0.99


def _estimator(config: DistillConfig, method: Method) -> Estimator:
    kind = config.estimator if config.estimator != "auto" else "ppo"
    return Estimator(kind, config.gae_lambda, config.clip, config.epochs)


def _learner(
    config: DistillConfig,
    method: Method,
    teacher: Policy,
    student: Student,
    views: ObservationViews,
    estimator: Estimator,
    gamma: float,
    critic: Critic | None,
    simulator: Simulator,
    device: str,
) -> Learner:
    kind = Kind(bool(method.reward), student.spec.recurrent)
    rhythm, budget = rhythm_for(
        kind,
        copies=config.copies,
        learning_rate=config.learning_rate,
        batch=config.batch_size,
        collect=config.collect,
        updates=config.updates,
        store=config.store,
    )
    remedy = parse_remedy(config.remedy)[0]
    objective = Objective(
        method, teacher, student, views, estimator, gamma, Remedy("absorbing" if remedy == "absorbing" else "none"),
        critic, device, rhythm.length,
    )  # fmt: skip
    objective.configure(precision=config.precision, compiled=config.compile)
    whole = bool(method.reward) and not estimator.has_critic
    source = FreshRollouts(
        simulator, method.control, teacher, student, views,
        collect=rhythm.collect, seed=config.seed, whole_episodes=whole, device=device,
    )  # fmt: skip
    seed = int(np.random.SeedSequence([config.seed, 3]).generate_state(1)[0])
    return Learner(source, objective, rhythm, budget=config.steps or budget, seed=seed)


def _title(method: Method, estimator: Estimator, config: DistillConfig) -> str:
    """The method's name with what changes it, as results must say."""
    if not method.reward:
        return f"{method.name} over aggregated states"
    words = [method.name, f"({estimator.kind}"]
    words += [f", {config.divergence}"] if config.divergence == "kl" else []
    words += [f", {config.remedy}"] if config.remedy != "none" else []
    return words[0] + " " + "".join(words[1:]) + ")"


__all__ = ["Assembly", "View", "assemble"]
