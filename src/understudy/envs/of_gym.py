"""Simulators from Gymnasium ids, functions that make environments, and vector environments."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gymnasium
from gymnasium import error as refusals
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, VectorEnv

from understudy.envs import of_envpool, of_minatar
from understudy.envs.bench import Bench
from understudy.envs.mujoco_models import quiet_mujoco
from understudy.envs.of_vector import SEEDS_EACH_COPY, VectorSimulator
from understudy.envs.simulator import Simulator
from understudy.envs.wrappers import ENV_KWARGS, parse_wrapper, time_limit, wrapped
from understudy.errors import ConfigurationError, EnvironmentFailure, MissingExtra, TeacherError, nearest
from understudy.policies.open_function import named

Env = gymnasium.Env[Any, Any]
Maker = Callable[[], Env]
EXTRAS = {"box2d": ("Box2D", "box2d"), "mujoco": ("MuJoCo", "mujoco"), "ale": ("ale-py", "atari")}
"""Packages by a word in the error of an environment that lacks them."""
SINGLE = "Name its Gymnasium id, or a function that makes a single environment."


def make(
    env: str | Callable[[], Any] | VectorEnv[Any, Any, Any],
    copies: int = 8,
    *,
    asynchronous: bool = False,
    wrappers: Sequence[str] = (),
    env_kwargs: dict[str, Any] | None = None,
    layers: Sequence[Callable[[Env], Env]] = (),
) -> Simulator:
    """A simulator of N copies.

    ``env``: a Gymnasium id, ``envpool:ID``, ``vector:ID`` (Gymnasium's own vector implementation), ``module:function``
    or a function that makes one environment, or a vector environment (its own number of copies counts then).
    ``layers``: what is put around each environment, outside of its wrappers; the first innermost.
    """
    if copies < 1:
        raise ConfigurationError(f"copies must be at least 1, got {copies}.")
    for name in wrappers:
        parse_wrapper(name)
    if isinstance(env, str) and env.partition(":")[0] in WHOLE:
        _refuse("wrappers", env, wrappers)
        _refuse("perturbations", env, [str(layer) for layer in layers], SINGLE)
        scheme, _, env_id = env.partition(":")
        return WHOLE[scheme](env_id, copies, env_kwargs)
    if isinstance(env, VectorEnv):
        _refuse("wrappers", "a vector environment", wrappers)
        _refuse("keyword arguments", "a vector environment", env_kwargs)
        _refuse("perturbations", "a vector environment", [str(layer) for layer in layers], SINGLE)
        return _of_vector(env, _name(env))
    maker, name = _maker(env, tuple(wrappers), env_kwargs or {})
    if layers:
        maker = partial(_layered, maker, tuple(layers))
    if asynchronous:
        return _asynchronous(maker, copies, name)
    if isinstance(env, str) and not wrappers and not layers and _steps_together(env, env_kwargs):
        return _own_vector(env, copies, env_kwargs, env)
    return Bench([maker] * copies, name)


def _layered(maker: Maker, layers: Sequence[Callable[[Env], Env]]) -> Env:
    env = maker()
    for layer in layers:
        env = layer(env)
    return env


def _refuse(what: str, env: str, given: Any, mend: str = "Make it with them.") -> None:
    if given:
        raise ConfigurationError(f"{what} {given} cannot be added to {env}, which is complete. {mend}")


def _maker(env: str | Callable[[], Any], wrappers: tuple[str, ...], kwargs: dict[str, Any]) -> tuple[Maker, str]:
    """What makes one environment, wrapped, and its name."""
    if isinstance(env, str):
        function = _function(env)
        if function is None:
            for name in wrappers:
                kwargs = {**ENV_KWARGS.get(name, {}), **kwargs}
            return partial(_wrapped_id, env, wrappers, kwargs), env
        return partial(_wrapped_call, partial(function, **kwargs), env, wrappers), env
    if not callable(env):
        raise EnvironmentFailure(
            f"an environment is an id, a function that makes one or a vector environment, got a {type(env).__name__}."
            " Several copies are needed: give lambda: MyEnv() instead of MyEnv()."
        )
    name = getattr(env, "__name__", type(env).__name__)
    return partial(_wrapped_call, partial(env, **kwargs), name, wrappers), name


def _function(env: str) -> Callable[..., Any] | None:
    """What ``module:function`` names; None for ids, of which ``module:Name-v0`` is one too."""
    if ":" not in env or re.search(r"-v\d+$", env):
        return None
    try:
        found = named(env)
    except TeacherError as error:
        raise EnvironmentFailure(f"environment {env!r}: {error}") from None
    if not callable(found):
        raise EnvironmentFailure(f"environment {env!r} is a {type(found).__name__}, not a function that makes one.")
    return found


def _wrapped_call(make_one: Callable[[], Any], name: str, wrappers: tuple[str, ...]) -> Env:
    try:
        with quiet_mujoco():
            env = make_one()
    except Exception as error:
        raise EnvironmentFailure(f"making {name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(env, gymnasium.Env):
        raise EnvironmentFailure(f"{name} answered a {type(env).__name__}, not a Gymnasium environment.")
    return wrapped(env, wrappers)


def _wrapped_id(env_id: str, wrappers: tuple[str, ...], kwargs: dict[str, Any]) -> Env:
    spec = _spec(env_id)
    try:
        # the order of reset and step is ours to keep, and the checks of new environments cost every step
        with quiet_mujoco(str(spec.entry_point)):
            env = gymnasium.make(dataclasses.replace(spec, order_enforce=False, disable_env_checker=True), **kwargs)
    except (refusals.Error, ImportError) as error:
        raise _explained(env_id, error) from error
    except Exception as error:
        given = f" with {kwargs}" if kwargs else ""
        raise EnvironmentFailure(f"making {env_id}{given} failed: {type(error).__name__}: {error}") from error
    if spec.id.startswith(of_minatar.PREFIX):
        env = of_minatar.Mended(env)
    return wrapped(env, wrappers)


def _spec(env_id: str) -> EnvSpec:
    module, _, bare = env_id.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        if bare not in gymnasium.registry:
            _register_games(bare)
        return gymnasium.spec(bare)
    except (refusals.Error, ImportError) as error:
        raise _explained(env_id, error) from error


def _register_games(env_id: str) -> None:
    """Games that only their own package registers."""
    if env_id.startswith(of_minatar.PREFIX):
        of_minatar.register(env_id)
    elif env_id.startswith("ALE/") or "NoFrameskip-v" in env_id:
        try:
            import ale_py
        except ImportError:
            raise MissingExtra("ale-py", "atari", env_id) from None
        gymnasium.register_envs(ale_py)


def _explained(env_id: str, error: Exception) -> EnvironmentFailure | MissingExtra:
    """The refusal with its fix: an extra, the version that replaced this one, or the nearest id."""
    if isinstance(error, refusals.DependencyNotInstalled | ImportError):
        for word, (package, extra) in EXTRAS.items():
            if word in str(error).lower() and "moved" not in str(error):
                return MissingExtra(package, extra, env_id)
    newer = _newest(env_id)
    if newer is not None and newer != env_id:
        return EnvironmentFailure(f"there is no {env_id} in this Gymnasium {gymnasium.__version__}. Use {newer}.")
    if isinstance(error, refusals.Error):
        near = nearest(env_id, gymnasium.registry)
        return EnvironmentFailure(f"no environment has the id {env_id!r}.{near or f' {error}'}")
    return EnvironmentFailure(f"making {env_id} failed: {error}")


def _newest(env_id: str) -> str | None:
    """The latest registered version of the same environment."""
    name, version = re.sub(r"-v\d+$", "", env_id), re.compile(r"-v(\d+)$")
    versions = [(int(found[1]), known) for known in gymnasium.registry if (found := version.search(known))]
    same = [pair for pair in versions if version.sub("", pair[1]) == name]
    return max(same)[1] if same else None


def _asynchronous(maker: Maker, copies: int, name: str) -> Simulator:
    """One process a copy."""
    probe = maker()  # its failure here is a clear message; in a worker it would be a traceback
    limit = time_limit(probe)
    probe.close()
    env: VectorEnv[Any, Any, Any] = AsyncVectorEnv([maker] * copies, autoreset_mode=AutoresetMode.NEXT_STEP)
    return VectorSimulator(env, name, limit)


def _steps_together(env: str, env_kwargs: dict[str, Any] | None) -> bool:
    """Whether an id's own vector implementation gives what its single environments give, and nobody asks for pictures
    of those."""
    if _function(env) is not None or (env_kwargs or {}).get("render_mode") is not None:
        return False
    entry = _spec(env).vector_entry_point
    try:
        made = load_env_creator(entry) if isinstance(entry, str) else entry
    except ImportError:  # of others' vector environments; single ones need not need what these do
        return False
    return bool(getattr(made, "metadata", {}).get(SEEDS_EACH_COPY))


def _own_vector(env_id: str, copies: int, env_kwargs: dict[str, Any] | None, name: str | None = None) -> Simulator:
    """Gymnasium's own vector implementation of an id: one call for all copies."""
    spec = _spec(env_id)
    if spec.vector_entry_point is None:
        raise EnvironmentFailure(f"{env_id} has no vector implementation of its own. Use {env_id} or envpool:{env_id}.")
    try:
        env = gymnasium.make_vec(env_id, copies, vectorization_mode="vector_entry_point", **(env_kwargs or {}))
    except Exception as error:
        given = f" with {env_kwargs}" if env_kwargs else ""
        raise EnvironmentFailure(f"making {env_id}{given} failed: {type(error).__name__}: {error}") from error
    return _of_vector(env, name or f"vector:{env_id}")


def _of_vector(env: VectorEnv[Any, Any, Any], name: str) -> Simulator:
    limit = None if env.spec is None else env.spec.kwargs.get("max_episode_steps", env.spec.max_episode_steps)
    limit = None if limit == -1 else limit  # Gymnasium's word for none
    if limit is None and hasattr(env.unwrapped, "envs"):
        limit = time_limit(env.unwrapped.envs[0])
    return VectorSimulator(env, name, limit)


def _name(env: VectorEnv[Any, Any, Any]) -> str:
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__


WHOLE: dict[str, Callable[[str, int, dict[str, Any] | None], Simulator]] = {
    "envpool": of_envpool.make,
    "vector": _own_vector,
}
"""Schemes whose environments come as a whole vector."""
