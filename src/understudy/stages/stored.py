"""States of an earlier stage: played by its policy, kept in one safetensors file, and read without running code."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from understudy.engines.actor import PolicyActor
from understudy.engines.reservoir import ANSWER, OBSERVATION, Reservoir
from understudy.envs.actions import ActionMap
from understudy.envs.of_gym import make
from understudy.envs.rollout import Rollout
from understudy.envs.views import EVERYTHING
from understudy.errors import RunError, TeacherError
from understudy.policies.policy import Policy
from understudy.policies.teachers import open_teacher
from understudy.policies.whole_files import write_atomically
from understudy.runs.checkpoints import load, save


def save_store(reservoir: Reservoir, path: str | Path) -> None:
    """Write it with its answers, if a policy was asked for them, and where its draws had got to."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: save({"reservoir": reservoir.state()}, temporary))


def load_store(path: str | Path) -> Reservoir:
    """What ``save_store`` wrote, to the bit. RunError: missing, damaged, or something else."""
    path = Path(path)
    if not path.exists():
        raise RunError(
            f"there are no stored states {path}; a stage writes them, as does understudy.stages.stored.save_store"
        )
    state = load(path)
    if state is None:
        raise RunError(f"the stored states in {path} are damaged, or it is no such file; write them anew")
    found = Reservoir(1, np.random.default_rng(0))
    try:
        found.restore(state["reservoir"])
        names = set(found.columns) - {ANSWER}
        lengths = {len(rows) for rows in found.columns.values()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} holds no stored states but another file of Understudy's ({error!r})") from None
    if not names or any(name.partition("/")[0] != OBSERVATION for name in names) or lengths != {len(found)}:
        raise RunError(f"{path} holds no stored states: expected observations and answers of one length")
    return found


def stored_states(
    policy: Any,
    env: Any,
    *,
    count: int = 10_000,
    steps: int | None = None,
    seed: int = 0,
    copies: int = 8,
    wrappers: Sequence[str] = (),
    **env_kwargs: Any,
) -> Reservoir:
    """States that a finished policy visits in its own environment, with what it answers there.

    policy: what :func:`understudy.open_teacher` takes, or a model of Stable-Baselines3; it samples its actions.
    env: an id or a function that makes an environment. count: how many are kept, a uniform sample of those of ``steps``
    environment steps (``count`` of them by default). env_kwargs: for the environment.
    """
    simulator = make(env, copies, wrappers=wrappers, env_kwargs=env_kwargs)
    try:
        player = opened(policy, simulator.observation_space, simulator.action_space)
        acting, keeping = (np.random.default_rng([seed, number]) for number in range(2))
        actor = PolicyActor(player, EVERYTHING, acting)
        rollout = Rollout(simulator, ActionMap(player.family, simulator.action_space), seed)
        found = Reservoir(count, keeping)
        steps = count if steps is None else steps
        while found.offered < steps:
            found.watch(rollout.collect(actor, min(256, -(-(steps - found.offered) // copies))))
        found.label(player)
        return found
    finally:
        simulator.close()


def opened(thing: Any, observation_space: Any, action_space: Any) -> Policy:
    """A teacher of any kind, or a model of Stable-Baselines3 as it is now, with the statistics of its VecNormalize."""
    if hasattr(thing, "get_distribution") and hasattr(thing, "evaluate_actions"):
        raise TeacherError(f"{type(thing).__name__} is a part of a model of Stable-Baselines3; give the whole model")
    if not all(hasattr(thing, name) for name in ("policy", "save", "get_vec_normalize_env")):
        return open_teacher(thing, observation_space=observation_space, action_space=action_space)
    with tempfile.TemporaryDirectory() as folder:
        path, statistics, normaliser = Path(folder) / "model.zip", None, thing.get_vec_normalize_env()
        thing.save(path)
        if normaliser is not None:
            statistics = Path(folder) / "vecnormalize.pkl"
            normaliser.save(str(statistics))
        return open_teacher(path, vecnormalize=statistics)
