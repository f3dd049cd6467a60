"""The Python interface: ``understudy.distill`` and ``understudy.evaluate``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from understudy.errors import ConfigurationError
from understudy.runs import evaluation, execute
from understudy.runs.config import FINAL_SEED, DistillConfig, EvaluateConfig
from understudy.runs.evaluation import Evaluation
from understudy.runs.result import Result


def distill(teacher: Any, env: Any, student: str = "mlp:64,64", method: str | None = None, **options: Any) -> Result:
    """Distil ``teacher`` into a new ``student`` and measure what was kept.

    teacher: what :func:`understudy.open_teacher` takes: a path, ``scheme:path``, a policy, an ``nn.Module`` or a
    function. env: a Gymnasium id, ``envpool:ID``, ``module:function``, or a function that makes one environment.
    method: a row of :data:`understudy.methods.METHODS`; by default on-policy-distill. options: the other
    options of ``understudy distill --help``, with underscores (``seed``, ``out``, ``steps``, ``target`` ...).

    The run folder is ``result.path``; ``understudy.load_student(result.path)`` opens the student. Raises subclasses
    of :class:`understudy.errors.UnderstudyError`, a ConfigurationError with all problems of the options at once.

        >>> result = understudy.distill("ppo-CartPole-v1.zip", "CartPole-v1", student="mlp:16,16", seed=1)
        >>> print(result.summary())
    """
    if not isinstance(method, str | None):
        raise ConfigurationError(
            f"method is a name or FILE.toml:NAME, got a {type(method).__name__}. Write a row of your own to a file, so "
            "that the run's configuration can name it: see docs/methods"
        )
    values = {"teacher": _name(teacher), "env": _name(env), "student": student, "method": method}
    config = DistillConfig.of(values | options)
    return execute.distill(config, teacher=_object(teacher), env=_object(env))


def evaluate(
    policy: Any,
    env: Any,
    *,
    episodes: int = 100,
    seed: int = FINAL_SEED,
    deterministic: bool = True,
    wrappers: Sequence[str] = (),
    **options: Any,
) -> Evaluation:
    """Play ``episodes`` episodes in parallel, the first on ``seed``, the next on ``seed + 1``, and so on.

    policy: what :func:`understudy.open_teacher` takes, among it a run folder. env: as for :func:`distill`.
    wrappers: names, the first innermost; those that the policy needs are found where they can be. options: the other
    options of ``understudy evaluate --help`` with underscores (``copies``, ``vecnormalize``, ``trust``, ``view`` ...).

        >>> understudy.evaluate("runs/ppo-CartPole-v1-mlp-64-64-s0", "CartPole-v1", episodes=20).mean_return
    """
    own = {"path": _name(policy), "env": _name(env), "episodes": episodes, "seed": seed}
    config = EvaluateConfig.of(own | {"stochastic": not deterministic, "wrap": tuple(wrappers)} | options)
    return evaluation.evaluate(config, policy=_object(policy), env=_object(env))


def _name(thing: Any) -> str:
    """What messages and the run folder call it."""
    if isinstance(thing, str | os.PathLike):
        return os.fspath(thing)
    if isinstance(thing, list | tuple):
        return ",".join(_name(one) for one in thing)
    return getattr(thing, "__name__", None) or type(thing).__name__


def _object(thing: Any) -> Any:
    """The thing itself where it is no name."""
    return None if isinstance(thing, str | os.PathLike) else thing
