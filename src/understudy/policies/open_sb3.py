"""Opens agents saved by Stable-Baselines3 and sb3-contrib, without either, and without running what they contain."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from understudy.errors import ConfigurationError
from understudy.policies import sb3_vecnormalize
from understudy.policies.policy import Policy
from understudy.policies.sb3_archive import Archive, read_archive
from understudy.policies.sb3_build import Built, Plans, build
from understudy.policies.sb3_observation import prepare
from understudy.policies.sb3_policy import Sb3Policy
from understudy.policies.sb3_vecnormalize import VecNormalize
from understudy.policies.sb3_weights import NotStandard, widths


def load(
    path: str | Path, *, vecnormalize: str | Path | None = None, trust: bool = False, std: float | None = None
) -> Policy:
    """An agent of PPO, A2C, TRPO, DQN, QR-DQN, SAC, TD3, DDPG, TQC or ARS with one of SB3's own policies.

    ``vecnormalize``: the normalisation statistics; without it they are looked for beside the zip. ``trust``: load
    agents with policy classes of their own through SB3 itself, which runs code from the file. ``std``: the standard
    deviation to give TD3, DDPG and ARS, as a fraction of half the action range (default 0.1).

    Values are in the unit of the task reward: SAC's and TQC's are E_pi Q without the entropy bonus of the present
    step, DQN's and QR-DQN's max_a Q, TD3's and DDPG's Q(s, pi(s)); ARS has none. Raises
    :class:`understudy.errors.TeacherError` for what cannot be read, ConfigurationError for a ``std`` out of place.
    """
    if std is not None and not 0 < std < float("inf"):
        raise ConfigurationError(f"the teacher's standard deviation must be positive and finite, got {std:g}")
    archive = read_archive(Path(path).expanduser())
    statistics = _statistics(archive, vecnormalize, trust)
    with torch.random.fork_rng(devices=[]):  # layers are made with random weights before they get the file's
        return _opened(archive, statistics, trust, std)


def _opened(archive: Archive, statistics: VecNormalize | None, trust: bool, std: float | None) -> Policy:
    try:
        plans, built = build(archive, std)
    except NotStandard as error:
        if not trust:
            raise NotStandard(
                f"{error} Its own code is needed: pass --trust to load it through Stable-Baselines3 if you trust the "
                "file, because that runs code stored in it."
            ) from None
        from understudy.policies import sb3_trusted

        return sb3_trusted.load(archive, statistics, std)
    return _policy(archive, plans, built, statistics)


def _policy(archive: Archive, plans: Plans, built: Built, statistics: VecNormalize | None) -> Sb3Policy:
    space = plans.observation_space
    normalisers = statistics.normalisers(space) if statistics else {}
    return Sb3Policy(
        prepare=prepare(space, normalisers, bool(plans.kwargs.get("normalize_images", True))),
        encoder=built.encoder,
        actor=built.actor,
        critic=built.critic,
        critic_encoder=built.critic_encoder,
        value_scale=statistics.reward_scale if statistics else 1.0,
        family=built.family,
        observation_space=space,
        action_space=plans.action_space,
        scores=built.scores,
        algorithm=archive.algorithm,
        gamma=archive.gamma,
        description=_describe(archive, built, statistics),
    )


def _statistics(archive: Archive, named: str | Path | None, trust: bool) -> VecNormalize | None:
    found = Path(named).expanduser() if named is not None else sb3_vecnormalize.find(archive.path)
    if found is not None:
        return sb3_vecnormalize.read(found, lenient=trust)
    if archive.used_vecnormalize:
        warnings.warn(
            f"{archive.path} was trained under VecNormalize, but its vecnormalize.pkl is not beside it. Unless only "
            "rewards were normalised, the agent plays badly without it. Name the file with --vecnormalize.",
            stacklevel=3,
        )
    return None


def _describe(archive: Archive, built: Built, statistics: VecNormalize | None) -> str:
    layers = "-".join(map(str, (widths(built.encoder) + widths(built.actor))[:-1])) or "linear"
    normalised = ", normalised" if statistics and statistics.moments else ""
    return f"{archive.algorithm} of SB3, {layers}{normalised} ({archive.path.name})"
