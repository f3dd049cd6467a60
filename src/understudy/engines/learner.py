"""The one learner of all deep work: collect, store, update."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from understudy.engines.actor import View
from understudy.engines.critic import Critic
from understudy.engines.optimiser import FlatAdam
from understudy.engines.schedule import Rhythm
from understudy.engines.source import Source
from understudy.engines.store import Columns
from understudy.envs.rollout import Episodes, Window
from understudy.envs.views import ObservationViews
from understudy.errors import RunError
from understudy.policies.policy import Policy, TensorObservation, tensors
from understudy.policies.student import Student

NO_EPISODES = Episodes(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool))


@dataclass(frozen=True)
class Record:
    """What one round did. ``finished``: the episodes that ended in it."""

    env_steps: int
    updates: int
    loss: float
    finished: Episodes
    facts: dict[str, float] = field(default_factory=dict)


class Objective(Protocol):
    """What is learned: windows become columns of a store, and minibatches of these a scalar that is minimised.

    ``passes`` over a collection, ``at_once``: all of it in one minibatch; where the rhythm does not keep the store.
    ``strayed``: the minibatch whose loss was just asked for says that the round's passes have to end.
    """

    method: Any
    student: Student
    teacher: Policy
    views: ObservationViews
    critic: Critic | None
    device: torch.device | str

    @property
    def strayed(self) -> bool: ...
    @property
    def passes(self) -> int: ...
    @property
    def at_once(self) -> bool: ...

    def new_store(self, rhythm: Rhythm, copies: int) -> Any: ...
    def prepare(self, window: Window, progress: float = 0.0) -> tuple[Columns, dict[str, float]]: ...
    def begin(self, columns: Columns, optimiser: FlatAdam) -> None: ...
    def loss(self, columns: Columns, method: Any) -> torch.Tensor: ...
    def updated(self) -> None: ...
    def restandardised(self, mean: torch.Tensor, scale: torch.Tensor) -> None: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: dict[str, Any]) -> None: ...


class Learner:
    """Rounds of collecting from a source and updating a student by an objective.

    ``budget`` in environment steps gives schedules their progress; nothing here knows of logs or clocks. ``window``:
    what was collected last. ``fits``: the modules whose standardisers are fitted to the first window; one that has
    learned before keeps its own.
    """

    def __init__(self, source: Source, objective: Objective, rhythm: Rhythm, *, budget: int, seed: int) -> None:
        self.source, self.objective, self.rhythm, self.budget = source, objective, rhythm, budget
        self.student = objective.student
        self.generator = torch.Generator().manual_seed(seed)
        self.store = objective.new_store(rhythm, source.copies)
        self.modules: dict[str, torch.nn.Module] = {"student": self.student}
        if objective.critic is not None:
            self.modules["critic"] = objective.critic
        self.optimiser = self.new_optimiser()
        self.env_steps = self.updates = self.next_fit = 0
        self.restandardises = True
        self.fits = set(self.modules)
        self.window: Window | None = None

    def new_optimiser(self) -> FlatAdam:
        """Adam over all parameters, with no past."""
        parameters = [parameter for module in self.modules.values() for parameter in module.parameters()]
        return FlatAdam(parameters, self.rhythm.learning_rate, self.rhythm.clip, self.rhythm.average)

    @property
    def progress(self) -> float:
        """The fraction of the budget that is spent."""
        return min(1.0, self.env_steps / self.budget)

    def step(self) -> Record:
        """One round."""
        progress = self.progress
        return self.study(progress, *self.gather())

    def study(self, progress: float, finished: Episodes = NO_EPISODES, facts: dict[str, float] | None = None) -> Record:
        """The second half of a round: learn from what is stored."""
        self.optimiser.learning_rate = self.rhythm.learning_rate_at(progress)
        return self.settle(self._update(self.objective.method.at(progress)), finished, facts or {})

    def gather(self) -> tuple[Episodes, dict[str, float]]:
        """The first half of a round: collect and store. The episodes that ended, and what was noticed."""
        progress = self.progress
        window = self.window = self.source.collect(progress)
        if not self.env_steps:
            self._begin(window)
        columns, facts = self.objective.prepare(window, progress)
        if not self.env_steps:
            self.objective.begin(columns, self.optimiser)
        if not self.rhythm.keep:
            self.store.clear()
        self.store.add(columns)
        self._restandardise()
        self.env_steps += int(window.valid.sum())
        return window.finished, facts

    def settle(self, losses: list[torch.Tensor], finished: Episodes, facts: dict[str, float]) -> Record:
        """The end of a round whose minibatches had these ``losses``: look whether it went well, and tell of it."""
        loss = float(torch.stack(losses).mean()) if losses else 0.0
        self.updates += len(losses)
        self._check_numbers(loss)
        return Record(self.env_steps, self.updates, loss, finished, facts)

    def _check_numbers(self, loss: float) -> None:
        """Refuse to go on with a loss or parameters that are not finite; says what else is not, which came first."""
        finite = bool(self.optimiser.flat.isfinite().all())
        if finite and math.isfinite(loss):
            return
        what = "a gradient was not finite" if math.isfinite(loss) else f"the loss is {loss}"
        columns = self.store.columns.items()
        # minus infinity is a logit like any other: an action that the teacher never takes
        guilty = [name for name, rows in columns if rows.is_floating_point() and not (rows < torch.inf).all()]
        cause = f"; so is, or contains, the stored {', '.join(guilty)}" if guilty else ""
        raise RunError(
            f"{what} after {self.env_steps:,} environment steps and {self.updates:,} updates{cause}. Lower "
            "--learning-rate, or look for extreme rewards, observations or answers of the teacher"
        )

    def state(self, whole: bool = True) -> dict[str, Any]:
        """Everything that rounds change, to be read before the next; else only what outlasts the training."""
        state: dict[str, Any] = {name: module.state_dict() for name, module in self.modules.items()}
        state |= {"env_steps": self.env_steps, "updates": self.updates}
        if not whole:
            return state
        state |= {"next_fit": self.next_fit, "generator": self.generator.get_state()}
        parts: dict[str, Any] = {"optimiser": self.optimiser, "objective": self.objective, "source": self.source}
        if self.rhythm.keep:  # else the store is filled anew in every round
            parts["store"] = self.store
        return state | {name: part.state() for name, part in parts.items()}

    def restore(self, state: dict[str, Any]) -> bool:
        """Go on from there. False where the environments could not be brought back, and new episodes follow."""
        for name, module in self.modules.items():
            module.load_state_dict(state[name])
        self.env_steps, self.updates = state["env_steps"], state["updates"]
        if "source" not in state:
            return True
        self.next_fit = state["next_fit"]
        self.generator.set_state(state["generator"])
        self.optimiser.restore(state["optimiser"])
        self.objective.restore(state["objective"])
        if self.rhythm.keep:
            self.store.restore(state["store"])
        return self.source.restore(state["source"])

    @torch.no_grad()
    def _begin(self, window: Window) -> None:
        """Fit what depends on data and not on learning: standardisers, and a Gaussian's first deviations."""
        objective, valid = self.objective, torch.as_tensor(window.valid)

        def picked(view: View) -> TensorObservation:
            seen = tensors(view(window.observation), objective.device)
            return {k: v[valid] for k, v in seen.items()} if isinstance(seen, dict) else seen[valid]

        if objective.critic is not None and "critic" in self.fits:
            objective.critic.network.fit_inputs(picked(objective.views.critic))
        if "student" not in self.fits:
            return
        self.student.network.fit_inputs(picked(objective.views.student))
        if self.student.family.continuous and objective.method.reads_teacher and not objective.teacher.memory_size:
            self.student.begin_like(objective.teacher(picked(objective.views.teacher))[0].policy.flat)

    def _restandardise(self) -> None:
        """As the aggregated states become four times as many, standardise by all of them; no answer changes."""
        kept = self.rhythm.keep and self.restandardises
        if not kept or len(self.store) < self.next_fit:
            return
        self.next_fit = 4 * len(self.store)
        network = self.student.network
        change = self.store.standardise(network) if network.plain else None
        if change is None:
            return
        mean, scale = change
        network.restandardise(mean, scale)
        self.optimiser.on_both(lambda: network.absorb(mean, scale))
        self.optimiser.rescale(network.first_layer[0], scale)
        self.objective.restandardised(mean, scale)

    def _update(self, method: Any) -> list[torch.Tensor]:
        """Draw minibatches and step, until the objective says that this is enough; the losses."""
        losses = []
        for columns in self.minibatches():
            loss = self.objective.loss(columns, method)
            if self.objective.strayed:
                break
            self.optimiser.step(loss)
            self.objective.updated()
            losses.append(loss.detach())
        return losses

    def minibatches(self, updates: int | None = None) -> Iterator[Columns]:
        """A round's; ``updates``: of a store that is kept, so many instead of the rhythm's number."""
        batch = max(1, self.rhythm.batch // self.rhythm.length)
        if self.rhythm.keep:
            yield from self.store.draws(updates or self.rhythm.updates, batch, self.generator)
            return
        for _ in range(self.objective.passes):
            for rows in self.store.passes(len(self.store) if self.objective.at_once else batch, self.generator):
                yield self.store.take(rows)
