"""A student as an agent of Stable-Baselines3 or sb3-contrib: a zip for ``PPO.load``, and ``vecnormalize.pkl``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from understudy.errors import ExportError
from understudy.export.deployed import surroundings
from understudy.export.sb3_fit import ALTERNATIVE, NAMES, algorithm_for
from understudy.export.sb3_layout import LAYOUTS, Layout, Standardisation, standardisation
from understudy.policies import sb3_library
from understudy.policies.network import Dueling, VectorInput
from understudy.policies.student import Student

PURPOSE = "--format sb3"
STATISTICS = "vecnormalize.pkl"
GAMMA = 0.99
FOLDED = "the normaliser is in the first layer, which costs digits where means are large: vecnormalize.pkl costs none"
AROUND = "give SB3 an environment in the same", "give SB3 an environment that shows only this"
# Steps that the statistics are said to come from: should training go on, they move slowly.
COUNT = 1e6
# SB3's own million would ask for 56 GB where observations are pictures.
REPLAY = {"dqn": {"buffer_size": 100_000}, "sac": {"buffer_size": 100_000}}


class Spaces(gymnasium.Env[Any, Any]):
    """An environment that is only asked for its spaces."""

    def __init__(self, observation_space: gymnasium.Space[Any], action_space: gymnasium.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space


@dataclass(frozen=True)
class Sb3Agent:
    """A ``model`` of SB3 that acts as the student, and its VecNormalize, None if it needs none.

    ``notes``: what the user should know of it.
    """

    algorithm: str
    model: Any
    normaliser: Any | None
    notes: tuple[str, ...]

    def save(self, path: Path) -> list[Path]:
        """Write the zip and, beside it, the statistics."""
        files = {path: self.model, path.with_name(STATISTICS): self.normaliser}
        written = [file for file, part in files.items() if part is not None]
        for file in written:
            files[file].save(file)
        return written


def convert(student: Student, algorithm: str = "auto", fold_normaliser: bool = False) -> Sb3Agent:
    """The agent of SB3 that acts as ``student``.

    ``algorithm``: ``ppo``, ``recurrent-ppo``, ``dqn``, ``sac``, or ``auto``: the one of the student's kind.
    ``fold_normaliser``: put the standardisation into the first layer's weights instead of a VecNormalize.

    Raises: ExportError, with the alternative, for what SB3 cannot hold; MissingExtra without SB3.
    """
    name = algorithm_for(student, algorithm)
    student = _one_head(student)
    own = standardisation(student.network)
    seen = own.without if fold_normaliser else own
    layout = LAYOUTS[name](student, seen)
    model = _model(student, layout, float(student.facts.get("gamma") or GAMMA), REPLAY.get(name, {}))
    normaliser = None if seen.identity else _normaliser(student, seen, model.gamma)
    folded = [FOLDED] if fold_normaliser and not own.identity else []
    return Sb3Agent(NAMES[name], model, normaliser, (*layout.notes, *folded, *surroundings(student, *AROUND)))


def _one_head(student: Student) -> Student:
    """With one layer in place of a dueling head, which SB3 does not have."""
    last = student.network.layers[-1]
    if not isinstance(last, Dueling):
        return student
    student = copy.deepcopy(student)
    student.network.layers[-1] = last.collapsed()
    return student


def _model(student: Student, layout: Layout, gamma: float, options: Mapping[str, Any]) -> Any:
    """Made by SB3 itself, with what the student does not have as SB3 starts it, always the same."""
    algorithm = sb3_library.algorithm(layout.algorithm, PURPOSE)
    env, kwargs = Spaces(student.observation_space, student.action_space), dict(layout.policy_kwargs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            model = algorithm(layout.policy, env, policy_kwargs=kwargs, gamma=gamma, device="cpu", **options)
        except (AssertionError, NotImplementedError, ValueError) as error:
            raise ExportError(f"SB3 refuses to make a {layout.algorithm} for it: {error}. {ALTERNATIVE}.") from error
    state = model.policy.state_dict()
    zeroed = {name: torch.zeros_like(tensor) for name, tensor in state.items() if name.startswith(layout.zeroed)}
    model.policy.load_state_dict({**state, **zeroed, **layout.tensors})
    return model


def _normaliser(student: Student, seen: Standardisation, gamma: float) -> Any:
    """A VecNormalize that does what ``seen`` says; it clips nothing, and learns nothing more."""
    moments = _moments(student, seen)
    least = min(float(variance.min()) for _, variance in moments.values())
    epsilon = min(1e-8, least / 2)
    several = isinstance(student.observation_space, spaces.Dict)
    vec_env = sb3_library.vec_env(PURPOSE)
    made = vec_env.VecNormalize(
        vec_env.DummyVecEnv([lambda: Spaces(student.observation_space, student.action_space)]),
        training=False,
        norm_reward=False,
        clip_obs=np.inf,
        gamma=gamma,
        epsilon=epsilon,
        norm_obs_keys=list(moments) if several else None,
    )
    for key, (mean, variance) in moments.items():
        running = made.obs_rms[key] if several else made.obs_rms
        running.mean, running.var, running.count = mean, variance - epsilon, COUNT
    return made


def _moments(student: Student, seen: Standardisation) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and variance by key, ``""`` where there is none, of the standardised parts."""
    found, at = {}, 0
    network = student.network
    for key, part in zip(network.keys, network.inputs, strict=True):
        piece, at = slice(at, at + int(part.size)), at + int(part.size)  # type: ignore[arg-type]
        if isinstance(part, VectorInput) and part.standardise is not None:
            space = student.observation_space[key] if key else student.observation_space  # type: ignore[index]
            mean, scale = (x[piece].numpy().reshape(space.shape) for x in (seen.mean, seen.scale))
            found[key] = mean, scale**-2
    return found
