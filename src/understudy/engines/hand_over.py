"""Between distillation and reinforcement: a critic that fits the policy, and an optimiser and noise with no past."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from understudy.engines.anchored import AnchoredObjective
from understudy.engines.critic import Critic
from understudy.engines.learner import Learner, Record
from understudy.engines.objective import observation_columns, observation_of, unroll
from understudy.engines.store import Columns
from understudy.envs.rollout import Window
from understudy.errors import ConfigurationError, MethodError
from understudy.policies.policy import Policy, tensors

COLDEST, HOTTEST = 1.0, 1e4  # temperatures that are looked among
HALVINGS = 40


def fit_critic(learner: Learner, rounds: int, *, teacher: Policy | None = None) -> list[Record]:
    """Collect with the policy frozen, and fit the critic alone; nothing of the policy changes, to the bit.

    ``teacher``: the critic learns that policy's values of the states in place of the returns found there.
    """
    critic = learner.objective.critic
    if critic is None:
        raise ConfigurationError("there is no critic to fit: the estimator is returns. Use ppo or gae")
    if teacher is not None and not teacher.has_value:
        raise MethodError(f"a critic cannot begin from {teacher.description}, which has no values. Fit it to returns")
    if rounds < 1:
        raise ConfigurationError(f"a critic is fitted in 1 round at least, got {rounds}")
    learner.fits.discard("student")
    learner.optimiser = learner.new_optimiser()  # without moments and gradients, Adam leaves the policy where it is
    learner.optimiser.learning_rate = learner.rhythm.learning_rate
    told = _told_by(learner, critic, teacher) if teacher is not None else learner.minibatches
    records = []
    for _ in range(rounds):
        finished, facts = learner.gather()
        records.append(learner.settle([_step(learner, critic, columns) for columns in told()], finished, facts))
    learner.optimiser = learner.new_optimiser()
    if isinstance(learner.objective, AnchoredObjective):
        learner.objective.weigh_anew()
    return records


def _step(learner: Learner, critic: Critic, columns: Columns) -> Tensor:
    loss = critic.loss(observation_of("critic", columns), columns["target"], columns.get("valid"))
    learner.optimiser.step(loss)
    return loss.detach()


def _told_by(learner: Learner, critic: Critic, teacher: Policy) -> Callable[[], Iterator[Columns]]:
    """Minibatches of the last window with a teacher's values as targets; its memory goes on from window to window."""
    objective, memory = learner.objective, None

    @torch.no_grad()
    def labelled(window: Window) -> Columns:
        nonlocal memory
        guide = tensors(objective.views.teacher(window.observation), objective.device)
        start, valid = (torch.as_tensor(x, device=objective.device) for x in (window.start, window.valid))
        heads, memories = unroll(teacher, guide, memory, start)
        memory = None if memories is None else memories[-1]
        seen = observation_columns("critic", tensors(objective.views.critic(window.observation), objective.device))
        targets = heads.value[..., None].expand(*valid.shape, len(critic.mean))
        critic.rescale(targets[valid])
        return {name: column[valid] for name, column in (seen | {"target": targets}).items()}

    def minibatches() -> Iterator[Columns]:
        assert learner.window is not None
        columns = labelled(learner.window)
        size, batch = len(columns["target"]), learner.rhythm.batch
        for _ in range(objective.passes):
            order = torch.randperm(size, generator=learner.generator).to(objective.device)
            for rows in order.chunk(max(1, size // batch)):
                yield {name: column[rows] for name, column in columns.items()}

    return minibatches


@torch.no_grad()
def begin_anew(learner: Learner, std: float | None = None, entropy: float | None = None) -> None:
    """Forget the optimiser's past, and give the student room to explore.

    ``std``: of a Gaussian's noise from now on, in the action's unit before any squashing; None: as it is. ``entropy``:
    nats that a student over discrete actions has at least, on average over the states collected last; its logits are
    divided by what brings it there, so that its best action stays the best.
    """
    for name, number in (("std", std), ("entropy", entropy)):
        if number is not None and not 0 < number < math.inf:
            raise ConfigurationError(f"{name} must be above 0, or left out, got {number}")
    continuous = learner.student.family.continuous
    if (std if not continuous else entropy) is not None:
        other, kind = ("std", "continuous") if continuous else ("entropy", "discrete")
        raise ConfigurationError(f"the student's actions are {kind}: begin anew with {other} in place of the other")
    if std is not None:
        _spread(learner, math.log(std))
    if entropy is not None:
        _temper(learner, entropy)
    learner.optimiser = learner.new_optimiser()


def _spread(learner: Learner, log_std: float) -> None:
    """Set a Gaussian's log-deviations; those that depend on the state, on average over the last window."""
    student = learner.student
    if student.log_std is not None:
        student.log_std.fill_(log_std)
        return
    actions = student.family.sizes[0]
    flat = _last_answers(learner)
    (last,) = student.network.last_layers
    last.bias[actions:] += log_std - flat[..., actions:].flatten(0, -2).mean(0)


def _temper(learner: Learner, entropy: float) -> None:
    """Divide the logits by the temperature that brings the mean entropy to at least this, found by bisection."""
    student, flat = learner.student, _last_answers(learner)

    def mean(temperature: float) -> float:
        return float(student.family(flat / temperature).entropy().mean())

    if entropy >= (most := mean(math.inf)):
        raise ConfigurationError(
            f"entropy must be below {most:.3f}, that of chance, for {student.family}, got {entropy}"
        )
    low, high = COLDEST, HOTTEST
    if mean(low) >= entropy:
        return
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if mean(middle) < entropy else (low, middle)
    for layer in student.network.last_layers:
        layer.weight.div_(high)
        layer.bias.div_(high)


def _last_answers(learner: Learner) -> Tensor:
    """What the student answers on the steps of the last window ``[M, P]``."""
    if learner.window is None:
        raise ConfigurationError("nothing was collected on which to measure the student's noise. Fit the critic first")
    window, objective = learner.window, learner.objective
    seen = tensors(objective.views.student(window.observation), objective.device)
    start = torch.as_tensor(window.start, device=objective.device)
    return unroll(learner.student, seen, None, start)[0].policy.flat[torch.as_tensor(window.valid)]
