"""From a zip's description and weights to the networks that act and value: one builder for each kind of policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import gymnasium
import torch
from gymnasium import spaces
from torch import Tensor, nn

from understudy.errors import ConfigurationError, SpaceError, TeacherError
from understudy.math.distributions import Family
from understudy.policies.families import family_of
from understudy.policies.sb3_archive import Archive
from understudy.policies.sb3_heads import (
    ChosenValue,
    Critics,
    Deterministic,
    ExpectedValue,
    FixedStd,
    GreedyValue,
    LearnedStd,
    QuantileMean,
    StateDependentStd,
    StateValue,
)
from understudy.policies.sb3_weights import NotStandard, Weights, activation, outputs, widths

DEFAULT_STD = 0.1
EXTRACTORS = tuple(
    f"<class 'stable_baselines3.common.torch_layers.{name}'>"
    for name in ("FlattenExtractor", "NatureCNN", "CombinedExtractor")
)


@dataclass(frozen=True)
class Built:
    """An agent's networks. ``critic_encoder`` is None where critic and actor share their features."""

    family: Family
    encoder: nn.Module
    actor: nn.Module
    critic: nn.Module | None = None
    critic_encoder: nn.Module | None = None
    scores: bool = False


@dataclass(frozen=True)
class Plans:
    """What the builders read."""

    archive: Archive
    observation_space: gymnasium.Space[Any]
    action_space: gymnasium.Space[Any]
    weights: Weights
    std: float | None

    @cached_property
    def kwargs(self) -> dict[str, Any]:
        return self.archive.policy_kwargs

    def activation(self, default: type[nn.Module]) -> type[nn.Module]:
        return activation(self.kwargs.get("activation_fn"), default, self.archive.path)

    @cached_property
    def actions(self) -> int:
        """How many numbers the actor answers with: logits, or components of a Box action."""
        return sum(self.family.sizes)

    @cached_property
    def family(self) -> Family:
        """By the action space alone; squashing is the builders' affair."""
        return agent_family(self.action_space, str(self.archive.path))

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        assert isinstance(self.action_space, spaces.Box)
        low, high = self.action_space.low, self.action_space.high
        return torch.as_tensor(low.reshape(-1)).float(), torch.as_tensor(high.reshape(-1)).float()

    def mlp(self, prefix: str, inputs: int, default: type[nn.Module], *, ends_linear: bool) -> nn.Sequential:
        return self.weights.mlp(prefix, inputs, self.activation(default), ends_linear=ends_linear)

    def require(self, kind: type[gymnasium.Space[Any]], name: str) -> None:
        if not isinstance(self.action_space, kind):
            raise TeacherError(
                f"{self.archive.path}: {name} acts in a {kind.__name__} space, but this zip says {self.action_space}."
            )

    def check_output(self, network: nn.Module, expected: int, name: str) -> None:
        if outputs(network, 0) != expected:
            raise TeacherError(
                f"{self.archive.path}: {name} answers with {outputs(network, 0)} numbers, but {self.action_space} "
                f"needs {expected}; weights and description don't belong together. Save the agent again."
            )

    def check_hidden(self, found: list[int], part: str) -> None:
        """The hidden layers that were found against ``net_arch``, where the zip says it readably."""
        said = _hidden(self.kwargs.get("net_arch"), part)
        if said is not None and said != found:
            raise TeacherError(
                f"{self.archive.path}: net_arch says hidden layers {said}, but policy.pth holds {found}; "
                "weights and description don't belong together. Save the agent again."
            )


def _hidden(net_arch: Any, part: str) -> list[int] | None:
    """Hidden sizes of one part in the forms ``[64, 64]``, ``{"pi": [64]}`` and ``[64, {"pi": [64]}]``."""
    if isinstance(net_arch, dict):
        net_arch = net_arch.get(part, [])
    if not isinstance(net_arch, list):
        return None
    sizes: list[int] = []
    for item in net_arch:
        sizes += item.get(part, []) or [] if isinstance(item, dict) else [item]
    return sizes if all(isinstance(size, int) for size in sizes) else None


def agent_family(space: gymnasium.Space[Any], source: str) -> Family:
    """The family of an agent's answers in an action space; Box is Gaussian."""
    several = isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary) and len(space.shape) > 1
    try:
        if not several:
            return family_of(space)
    except SpaceError:
        pass
    raise TeacherError(f"{source}: its actions are {space}, which no agent of SB3 takes.")


def actor_critic(plans: Plans) -> Built:
    """PPO, A2C and TRPO."""
    weights, extractor = plans.weights, plans.weights.extractor
    own = weights.any("pi_features_extractor.")
    features = extractor("pi_features_extractor" if own else "features_extractor", plans.observation_space)
    encoder: nn.Module = features
    size = features.size
    critic_encoder = None
    if own and not plans.kwargs.get("share_features_extractor", True):
        critic_encoder = extractor("vf_features_extractor", plans.observation_space)
    shared = plans.mlp("mlp_extractor.shared_net", size, nn.Tanh, ends_linear=False)
    if len(shared):  # before SB3 1.8, after the features
        encoder, size = nn.Sequential(encoder, shared), outputs(shared, size)
    latent = plans.mlp("mlp_extractor.policy_net", size, nn.Tanh, ends_linear=False)
    plans.check_hidden(widths(shared) + widths(latent), "pi")
    actor_out = weights.linear("action_net", outputs(latent, size))
    plans.check_output(actor_out, plans.actions, "action_net")
    value = plans.mlp("mlp_extractor.value_net", size, nn.Tanh, ends_linear=False)
    value.append(weights.linear("value_net", outputs(value, size)))
    family, actor = _on_policy_actor(plans, latent, actor_out)
    weights.refuse_leftovers(("features_extractor.", "vf_features_extractor."))
    return Built(family, encoder, actor, StateValue(value), critic_encoder)


def _on_policy_actor(plans: Plans, latent: nn.Sequential, last: nn.Linear) -> tuple[Family, nn.Module]:
    if plans.family.kind != "gaussian":
        return plans.family, nn.Sequential(*latent, last)
    log_std = plans.weights.take("log_std")
    if log_std.dim() == 1:
        return plans.family, FixedStd(nn.Sequential(*latent, last), log_std)
    squashed = bool(plans.kwargs.get("squash_output", False))
    family = Family("squashed-gaussian", plans.family.sizes) if squashed else plans.family
    return family, _state_dependent(plans, latent, last, log_std)


def _state_dependent(plans: Plans, latent: nn.Module, mean: nn.Module, log_std: Tensor) -> StateDependentStd:
    expln = bool(plans.kwargs.get("use_expln", False))
    return StateDependentStd(latent, mean, log_std, plans.actions, expln)


def q_network(plans: Plans) -> Built:
    """DQN: scores are Q(s, .)."""
    return _scores(plans, "q_net", "DQN", plans.actions)


def quantile_network(plans: Plans) -> Built:
    """QR-DQN: scores are the means of the quantiles."""
    quantiles = int(plans.kwargs.get("n_quantiles", 200))
    built = _scores(plans, "quantile_net", "QR-DQN", plans.actions * quantiles)
    return replace(built, actor=QuantileMean(built.actor, plans.actions))


def _scores(plans: Plans, name: str, algorithm: str, expected: int) -> Built:
    plans.require(spaces.Discrete, algorithm)
    encoder = plans.weights.extractor(f"{name}.features_extractor", plans.observation_space)
    network = plans.mlp(f"{name}.{name}", encoder.size, nn.ReLU, ends_linear=True)
    plans.check_output(network, expected, name)
    plans.check_hidden(widths(network)[:-1], "pi")
    plans.weights.refuse_leftovers((f"{name}_target.",))
    return Built(plans.family, encoder, network, GreedyValue(), scores=True)


def soft_actor_critic(plans: Plans) -> Built:
    """SAC and TQC."""
    plans.require(spaces.Box, "SAC or TQC")
    weights = plans.weights
    encoder = weights.extractor("actor.features_extractor", plans.observation_space)
    latent = plans.mlp("actor.latent_pi", encoder.size, nn.ReLU, ends_linear=False)
    plans.check_hidden(widths(latent), "pi")
    width = outputs(latent, encoder.size)
    if "actor.log_std" in weights:
        actor: nn.Module = _state_dependent(plans, latent, _clipped_mean(plans, width), weights.take("actor.log_std"))
    else:
        actor = LearnedStd(latent, weights.linear("actor.mu", width), weights.linear("actor.log_std", width))
    plans.check_output(actor.get_submodule("mean"), plans.actions, "actor.mu")
    critics, critic_encoder = _critics(plans)
    weights.refuse_leftovers(("critic_target.", "actor_target."))
    family = Family("squashed-gaussian", plans.family.sizes)
    return Built(family, encoder, actor, ExpectedValue(critics, plans.actions), critic_encoder)


def _clipped_mean(plans: Plans, width: int) -> nn.Module:
    """Under gSDE the mean is kept within +-clip_mean, unless that was 0."""
    if "actor.mu.0.weight" not in plans.weights:
        return plans.weights.linear("actor.mu", width)
    clip = float(plans.kwargs.get("clip_mean", 2.0))
    return nn.Sequential(plans.weights.linear("actor.mu.0", width), nn.Hardtanh(-clip, clip))


def deterministic_actor(plans: Plans) -> Built:
    """TD3 and DDPG."""
    plans.require(spaces.Box, "TD3 or DDPG")
    encoder = plans.weights.extractor("actor.features_extractor", plans.observation_space)
    network = plans.mlp("actor.mu", encoder.size, nn.ReLU, ends_linear=True)
    plans.check_output(network, plans.actions, "actor.mu")
    plans.check_hidden(widths(network)[:-1], "pi")
    critics, critic_encoder = _critics(plans)
    plans.weights.refuse_leftovers(("critic_target.", "actor_target."))
    low, high = plans.bounds
    actor = Deterministic(network, low, high, plans.std or DEFAULT_STD, squashed=True)
    return Built(plans.family, encoder, actor, ChosenValue(critics, low, high), critic_encoder)


def _critics(plans: Plans) -> tuple[Critics, nn.Module | None]:
    """All critic networks, and their feature extractor; the actor's may be shared, with equal weights then."""
    encoder = plans.weights.extractor("critic.features_extractor", plans.observation_space)
    networks: list[nn.Module] = []
    while plans.weights.any(f"critic.qf{len(networks)}."):
        prefix = f"critic.qf{len(networks)}"
        networks.append(plans.mlp(prefix, encoder.size + plans.actions, nn.ReLU, ends_linear=True))
    if not networks:
        plans.weights.take("critic.qf0.0.weight")
    of_tqc = plans.archive.policy_class[0] == "sb3_contrib.tqc.policies"
    for network in networks:
        plans.check_output(network, outputs(networks[0], 0) if of_tqc else 1, "each critic")
    shared = plans.kwargs.get("share_features_extractor", False) or not any(True for _ in encoder.parameters())
    return Critics(networks, quantiles=of_tqc), None if shared else encoder


def random_search(plans: Plans) -> Built:
    """ARS, linear or not. It has no value."""
    linear = plans.archive.policy_class[1] == "ARSLinearPolicy"
    encoder = plans.weights.extractor("features_extractor", plans.observation_space)
    network: nn.Module
    if "action_net.weight" in plans.weights:  # linear, before sb3-contrib 1.7
        network = plans.weights.linear("action_net", encoder.size)
    else:
        network = plans.mlp("action_net", encoder.size, nn.ReLU, ends_linear=True)
    plans.check_output(network, plans.actions, "action_net")
    if not linear:
        plans.check_hidden(widths(network)[:-1], "pi")
    plans.weights.refuse_leftovers(())
    if isinstance(plans.action_space, spaces.Discrete):
        return Built(plans.family, encoder, network, scores=True)
    plans.require(spaces.Box, "ARS")
    squashed = bool(plans.kwargs.get("squash_output", not linear))
    actor = Deterministic(network, *plans.bounds, plans.std or DEFAULT_STD, squashed)
    return Built(plans.family, encoder, actor)


BUILDERS: dict[str, Callable[[Plans], Built]] = {
    "stable_baselines3.common.policies": actor_critic,
    "stable_baselines3.dqn.policies": q_network,
    "stable_baselines3.sac.policies": soft_actor_critic,
    "stable_baselines3.td3.policies": deterministic_actor,
    "sb3_contrib.qrdqn.policies": quantile_network,
    "sb3_contrib.tqc.policies": soft_actor_critic,
    "sb3_contrib.ars.policies": random_search,
}


def build(archive: Archive, std: float | None = None) -> tuple[Plans, Built]:
    """The networks of a standard policy; :class:`NotStandard` where its author's code would be needed."""
    module, name = archive.policy_class
    if module not in BUILDERS:
        raise NotStandard(f"{archive.path}: its policy class is {module}.{name}, not one of SB3's own.")
    extractor = archive.policy_kwargs.get("features_extractor_class")
    if extractor is not None and extractor not in EXTRACTORS:
        raise NotStandard(f"{archive.path}: its feature extractor is {extractor}, not one of SB3's own.")
    spaces_ = archive.space("observation_space"), archive.space("action_space")
    plans = Plans(archive, *spaces_, Weights(archive.weights, archive.path), std)
    built = BUILDERS[module](plans)
    if std is not None and not isinstance(built.actor, Deterministic):
        raise ConfigurationError(
            f"{archive.path}: a standard deviation can be chosen for TD3, DDPG and ARS in Box spaces only; "
            f"{archive.algorithm} has its own or needs none. Drop the option."
        )
    return plans, built
