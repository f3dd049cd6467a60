"""``AnchoredPPO``: Stable-Baselines3's PPO with anchors, for those who stay with their own training script.

The class is made when it is first asked for, since only then Stable-Baselines3 is needed. PPO's own ``train`` runs
unchanged. What it asks the policy about a minibatch, ``evaluate_actions``, is watched while it does: log-probabilities,
values and entropies come back as they are, and the anchors' ``weight * KL`` hangs on the log-probabilities in the graph
alone, so that ``loss.backward()`` adds its gradient before gradients are clipped. Nothing that PPO logs changes its
meaning, and while all weights are 0 the training is PPO's to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understudy.engines.anchored import MEASURED, ActiveAnchor
from understudy.engines.objective import unroll
from understudy.engines.reservoir import Reservoir, at
from understudy.errors import ConfigurationError
from understudy.math.distributions import Distribution, Gaussian, SquashedGaussian
from understudy.math.torch_distributions import ours
from understudy.methods.anchor import Anchor
from understudy.policies import sb3_library
from understudy.policies.families import family_of
from understudy.policies.policy import Policy, tensors
from understudy.stages.stored import load_store, opened

ASKED = 4096  # observations in one question
NAME = 16  # characters of an anchor's name in SB3's log, which cuts long keys and then finds two alike


class Along(torch.autograd.Function):
    """Hands ``x`` on as it is; whoever takes a gradient through it takes that of ``penalty`` along, with factor 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, penalty: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, torch.ones((), dtype=gradient.dtype, device=gradient.device)


class Anchoring:
    """What makes PPO of Stable-Baselines3 an anchored one; stands before it among the bases."""

    anchors: list[Any]
    policy: Any
    device: Any
    logger: Any
    observation_space: Any
    action_space: Any
    rollout_buffer: Any
    _vec_normalize_env: Any
    _current_progress_remaining: float
    _last_obs: Any

    def __init__(self, policy: Any, env: Any, *args: Any, anchors: Sequence[Anchor] = (), **kwargs: Any) -> None:
        """``anchors``: rows whose policies are paths, models of Stable-Baselines3 or policies. The rest is PPO's."""
        self.anchors = list(anchors)
        self._draws = np.random.default_rng()
        self._originals: list[Any] = []
        super().__init__(policy, env, *args, **kwargs)  # type: ignore[call-arg]

    def _setup_model(self) -> None:
        super()._setup_model()  # type: ignore[misc]
        self.anchors = [one if isinstance(one, ActiveAnchor) else self._active(one) for one in self.anchors]
        labels = [one.row.label for one in self.anchors]
        for label in labels:
            if labels.count(label) > 1:
                raise ConfigurationError(f"two anchors are called {label}; give each a name of its own")
        self._move(self.device)

    def set_random_seed(self, seed: int | None = None) -> None:
        """PPO's own, and that of the draws of stored states; ``load`` calls it too, with the seed that was saved."""
        super().set_random_seed(seed)  # type: ignore[misc]
        if seed is not None:
            self._draws = np.random.default_rng(seed)

    @classmethod
    def load(
        cls,
        path: Any,
        env: Any = None,
        device: Any = "auto",
        custom_objects: dict[str, Any] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """PPO's own; ``anchors`` take the place of the saved ones, which are then not even read."""
        if "anchors" in kwargs:
            custom_objects = {**(custom_objects or {}), "anchors": kwargs["anchors"]}
        return super().load(path, env, device, custom_objects, *args, **kwargs)  # type: ignore[misc]

    def _move(self, device: Any) -> None:
        for anchor in self.anchors:
            anchor.policy = anchor.policy.to(device)
            anchor.memory = None if anchor.memory is None else anchor.memory.to(device)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """PPO's own; anchors go along whole, those that cannot be pickled (ONNX, TorchScript) as their paths."""
        self._move("cpu")  # so that the file can be loaded where there is no such device
        try:
            super().save(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._move(self.device)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_originals"]  # type: ignore[misc]

    def _active(self, row: Anchor) -> ActiveAnchor:
        """Open what a row names, and check that it can hold this policy."""
        if not isinstance(row, Anchor):
            raise ConfigurationError(
                f"anchors are rows such as understudy.Anchor('teacher.zip', 'linear:1:0'), got {row!r}"
            )
        policy = opened(row.policy, self.observation_space, self.action_space)
        named = str(row.policy) if isinstance(row.policy, str | Path) else policy.description
        stored = row.stored if isinstance(row.stored, Reservoir | None) else load_store(row.stored)
        active = ActiveAnchor(replace(row, policy=named, stored=None, name=row.label), policy, stored=stored)
        family = family_of(self.action_space, self.policy.squash_output)
        active.check_spaces(self.observation_space, self.action_space, family)
        if not pickles(active.policy):
            by_path: Any = ByPath(active.policy, named, self.observation_space, self.action_space)
            active.policy = by_path
        return active

    @property
    def _normaliser(self) -> Any:
        """The VecNormalize that changes observations, if there is one: it may only scale rewards."""
        found = self._vec_normalize_env
        return found if found is not None and found.norm_obs else None

    def collect_rollouts(self, env: Any, callback: Any, rollout_buffer: Any, n_rollout_steps: int) -> bool:
        """PPO's own; observations are kept as they were before VecNormalize, for anchors normalise by themselves."""
        normaliser, add = self._normaliser, rollout_buffer.add
        self._originals = []
        if normaliser is None or not self.anchors:
            return bool(super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps))  # type: ignore[misc]
        seen = normaliser.get_original_obs()
        if keys(seen) != keys(self._last_obs) or shapes(like(self.observation_space, seen)) != shapes(self._last_obs):
            raise ConfigurationError(
                "VecNormalize lies within a wrapper that changes observations, so that anchors cannot be shown what it "
                "was given. Let it be the outermost, as in VecNormalize(VecFrameStack(env, 4))"
            )

        def watched(*args: Any, **kwargs: Any) -> None:
            nonlocal seen
            self._originals.append(seen)
            seen = normaliser.get_original_obs()
            add(*args, **kwargs)

        with replaced(rollout_buffer, "add", watched):
            return bool(super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps))  # type: ignore[misc]

    def train(self) -> None:
        """PPO's own, on a loss with the anchors' terms; first each anchor's KL is measured, and its weight set."""
        if not self.anchors:
            super().train()  # type: ignore[misc]
            return
        answers = self._answers()
        self._measure(answers)
        buffer, policy, chosen = self.rollout_buffer, self.policy, np.zeros(0, np.int64)
        # as the buffer lines up its steps: one copy of the environment after the other
        lined = [None if flat is None else flat.transpose(0, 1).flatten(0, 1) for flat in answers]
        sample, evaluate = buffer._get_samples, policy.evaluate_actions

        def sampled(rows: np.ndarray, *args: Any, **kwargs: Any) -> Any:
            nonlocal chosen
            chosen = rows
            return sample(rows, *args, **kwargs)

        def evaluated(observations: Any, actions: Any) -> Any:
            values, log_prob, entropy = evaluate(observations, actions)
            penalty = self._penalty(observations, [None if flat is None else flat[chosen] for flat in lined])
            along: Any = Along.apply
            return values, log_prob if penalty is None else along(log_prob, penalty), entropy

        with replaced(buffer, "_get_samples", sampled), replaced(policy, "evaluate_actions", evaluated):
            super().train()  # type: ignore[misc]

    @torch.no_grad()
    def _answers(self) -> list[Tensor | None]:
        """What each anchor on visited states answers to what was collected, ``[T, N, P]``."""
        found: list[Tensor | None] = []
        observation = self._collected()
        start = torch.as_tensor(self.rollout_buffer.episode_starts > 0, device=self.device)
        for anchor in self.anchors:
            if bool(start[0].all()):  # nothing is remembered, and there may be another number of copies than before
                anchor.memory = None
            flats = []
            for part in self._parts() if anchor.visits else ():
                seen = tensors(like(anchor.policy.observation_space, some(observation, part)), self.device)
                heads, memories = unroll(anchor.policy, seen, anchor.memory, start[part])
                anchor.memory = None if memories is None else memories[-1]
                flats.append(heads.policy.flat)
            found.append(torch.cat(flats) if flats else None)
        return found

    def _parts(self) -> list[slice]:
        """The steps of a collection, in pieces that are not too large to be asked about at once."""
        steps, copies = self.rollout_buffer.episode_starts.shape
        length = max(1, ASKED // copies)
        return [slice(begin, begin + length) for begin in range(0, steps, length)]

    def _collected(self) -> Any:
        """The observations of the last collection ``[T, N, ...]``, as the environment showed them."""
        if not self._originals:
            return self.rollout_buffer.observations
        if isinstance(self._originals[0], dict):
            return {key: np.stack([one[key] for one in self._originals]) for key in self._originals[0]}
        return np.stack(self._originals)

    @torch.no_grad()
    def _measure(self, answers: list[Tensor | None]) -> None:
        """Each anchor's KL now and the weight that follows from it, both to SB3's logger."""
        self.policy.set_training_mode(False)
        visited = [0.0] * len(self.anchors)
        for part in self._parts() if any(anchor.visits for anchor in self.anchors) else ():
            held = some(self.rollout_buffer.observations, part)
            student = self._student(tensors(flattened(held), self.device))
            for number, flat in enumerate(answers):
                if flat is not None:
                    kl = self.anchors[number].distance(flat[part].flatten(0, 1), student)
                    visited[number] += float(kl.sum()) / flat.shape[:2].numel()
        for number, anchor in enumerate(self.anchors):
            label = anchor.row.label if len(anchor.row.label) <= NAME + 4 else f"{number}-{anchor.row.label[:NAME]}"
            total = visited[number]
            if anchor.visits:
                self.logger.record(f"anchor/{label}/kl", visited[number])
            if anchor.recalls:
                stored = float(self._recalled(anchor, MEASURED))
                self.logger.record(f"anchor/{label}/stored_kl", stored)
                total += stored
            anchor.follow(total, 1 - self._current_progress_remaining)
            self.logger.record(f"anchor/{label}/weight", anchor.weight)

    def _student(self, observation: Any) -> Distribution:
        """The policy's distributions at observations as it takes them, normalised ones."""
        found = ours(self.policy.get_distribution(observation).distribution)
        return SquashedGaussian(found) if self.policy.squash_output and isinstance(found, Gaussian) else found

    def _recalled(self, anchor: ActiveAnchor, count: int) -> Tensor:
        """The mean KL on so many stored states, drawn at random; on all if there are no more."""
        assert anchor.stored is not None
        assert anchor.answers is not None
        whole = len(anchor.answers) <= count
        rows: Any = slice(None) if whole else torch.from_numpy(self._draws.integers(len(anchor.answers), size=count))
        seen = at(anchor.stored.seen(), rows, "cpu")
        plain: Any = {k: v.numpy() for k, v in seen.items()} if isinstance(seen, dict) else seen.numpy()
        plain = like(self.observation_space, plain)
        if self._normaliser is not None:
            plain = self._normaliser.normalize_obs(plain)
        return anchor.distance(anchor.answers[rows].to(self.device), self._student(tensors(plain, self.device))).mean()

    def _penalty(self, observation: Any, answers: list[Tensor | None]) -> Tensor | None:
        """The sum of all weights times KLs on a minibatch; None while all weights are 0."""
        if not any(anchor.weight for anchor in self.anchors):
            return None
        student, terms = self._student(observation), []
        for anchor, flat in zip(self.anchors, answers, strict=True):
            if anchor.weight and flat is not None:
                terms.append(anchor.weight * anchor.distance(flat, student).mean())
            if anchor.weight and anchor.recalls:
                count = student.mode().shape[0]
                terms.append(anchor.weight * self._recalled(anchor, count))
        return torch.stack(terms).sum()


class ByPath:
    """A policy that is saved as its path, and opened again where it is loaded."""

    def __init__(self, policy: Policy, *source: Any) -> None:
        """``source``: what :func:`opened` takes."""
        self.policy, self.source = policy, source

    def __reduce__(self) -> Any:
        return reopened, self.source

    def __getattr__(self, name: str) -> Any:
        return getattr(self.policy, name)

    def __call__(self, *inputs: Any) -> Any:
        return self.policy(*inputs)

    def to(self, device: Any) -> Any:
        self.policy = self.policy.to(device)
        return self


def reopened(*source: Any) -> ByPath:
    return ByPath(opened(*source), *source)


def pickles(thing: Any) -> bool:
    """Whether Stable-Baselines3 can save it."""
    try:
        sb3_library.pickled(thing)
    except Exception:  # whatever a foreign object raises
        return False
    return True


@contextmanager
def replaced(thing: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """A method of one object replaced for a while."""
    before = {key: value for key, value in vars(thing).items() if key == name}  # one that somebody else put there
    setattr(thing, name, function)
    try:
        yield
    finally:
        delattr(thing, name)
        vars(thing).update(before)


def keys(observation: Any) -> Any:
    """Of a Dict; None otherwise."""
    return set(observation) if isinstance(observation, dict) else None


def shapes(observation: Any) -> Any:
    return {k: v.shape for k, v in observation.items()} if isinstance(observation, dict) else observation.shape


def some(observation: Any, part: slice) -> Any:
    return {k: v[part] for k, v in observation.items()} if isinstance(observation, dict) else observation[part]


def flattened(observation: Any) -> Any:
    """``[T, N, ...]`` to ``[T * N, ...]``."""
    if isinstance(observation, dict):
        return {key: part.reshape(-1, *part.shape[2:]) for key, part in observation.items()}
    return observation.reshape(-1, *observation.shape[2:])


def like(space: Any, observation: Any) -> Any:
    """Observations ``[..., *shape]`` as a space has them: pictures with their channels where it expects them, and
    numbers of a Discrete without the dimension that Stable-Baselines3 gives them."""
    if isinstance(observation, dict):
        return {key: like(part, observation[key]) for key, part in space.spaces.items()}
    shape = tuple(space.shape)
    if len(shape) == 3 and observation.shape[-3:] != shape:
        first = (observation.shape[-1], *observation.shape[-3:-1])
        return np.moveaxis(observation, -1, -3) if first == shape else np.moveaxis(observation, -3, -1)
    return observation[..., 0] if shape == () and observation.ndim > 2 else observation


def __getattr__(name: str) -> Any:
    if name != "AnchoredPPO":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    bases = (Anchoring, sb3_library.algorithm("PPO", "AnchoredPPO"))
    facts = {"__doc__": "PPO of Stable-Baselines3 with ``anchors``; see :class:`Anchoring`.", "__module__": __name__}
    globals()[name] = made = type(name, bases, facts)
    return made
