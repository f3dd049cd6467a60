"""Where a student's tensors lie in the policies of Stable-Baselines3 and sb3-contrib. Needs neither installed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor, nn

from understudy.math.distributions import LOG_STD_MAX, LOG_STD_MIN
from understudy.policies.network import ACTIVATIONS, ImageInput, Network, VectorInput
from understudy.policies.student import Student

NO_VALUE = "the student has no value network: SB3's answers 0 until it is trained"
CRITIC_WIDTHS = [256, 256]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """One policy of SB3: the class and arguments that make it, and what it is given.

    ``tensors``: entries of its state dict; ``zeroed``: prefixes of those that become 0; others keep SB3's start.
    """

    algorithm: str
    policy: str
    policy_kwargs: Mapping[str, Any]
    tensors: Tensors
    zeroed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Standardisation:
    """``(x - mean) * scale`` of features ``[D]``, in float64."""

    mean: Tensor
    scale: Tensor

    @property
    def identity(self) -> bool:
        return not self.mean.any() and bool((self.scale == 1).all())

    @property
    def without(self) -> Standardisation:
        """The one that changes nothing."""
        return Standardisation(torch.zeros_like(self.mean), torch.ones_like(self.scale))


def standardisation(network: Network) -> Standardisation:
    """What a network's standardisers do to its features; one-hot and picture features stay as they are."""
    means, scales = [], []
    for part in network.inputs:
        own = part.standardise if isinstance(part, VectorInput) else None
        size = int(part.size)  # type: ignore[arg-type]
        means.append(torch.zeros(size) if own is None else own.mean)
        scales.append(torch.ones(size) if own is None else own.scale)
    return Standardisation(torch.cat(means).double(), torch.cat(scales).double())


@torch.no_grad()
def reading(network: Network, seen: Standardisation) -> Network:
    """A copy whose first layer takes what ``seen`` makes of the features, and answers as the network does."""
    own, turned = standardisation(network), copy.deepcopy(network)
    weight, bias = turned.first_layer
    shift, ratio = (own.mean - seen.mean) * seen.scale, own.scale / seen.scale
    scaled = weight.double() * ratio
    bias.copy_(bias.double() - scaled @ shift)
    weight.copy_(scaled)
    return turned


def actor_critic(student: Student, seen: Standardisation) -> Layout:
    """PPO: separate networks for policy and value."""
    network = reading(student.network, seen)
    *hidden, last = _linears(network)
    tensors = _stack("mlp_extractor.policy_net", hidden) | _layer("action_net", last) | _log_std(student)
    judging, critic = network, _widths(hidden)
    if student.value_network is not None:
        judging = reading(student.value_network, seen)
        *layers, value = _linears(judging)
        tensors |= _stack("mlp_extractor.value_net", layers) | _layer("value_net", value)
        critic = _widths(layers)
    for prefix, source in (("", network), ("pi_", network), ("vf_", judging)):
        tensors |= _pictures(f"{prefix}features_extractor", source)
    kwargs = _kwargs(network) | {
        "net_arch": {"pi": _widths(hidden), "vf": critic},
        "share_features_extractor": judging is network or not _has_pictures(network),
    }
    zeroed, notes = ((), ()) if student.has_value else (("value_net",), (NO_VALUE,))
    return Layout("PPO", _policy_name(network), kwargs, tensors, zeroed, notes)


def recurrent_actor_critic(student: Student, seen: Standardisation) -> Layout:
    """RecurrentPPO: the LSTM is the actor's alone; the value sees the present observation, as the student's does."""
    network = reading(student.network, seen)
    assert network.memory is not None
    (last,) = _linears(network)
    tensors = {f"lstm_actor.{name}": tensor.detach() for name, tensor in network.memory.named_parameters()}
    tensors |= _layer("action_net", last) | _log_std(student)
    value, critic = _recurrent_value(student, seen)
    kwargs = _kwargs(network if student.value_network is None else student.value_network) | {
        "net_arch": {"pi": [], "vf": critic},
        "lstm_hidden_size": network.memory.hidden_size,
        "enable_critic_lstm": False,
    }
    name, absent = _policy_name(network, "LstmPolicy"), not value
    notes = (_why_no_value(student),) if absent else ()
    return Layout("RecurrentPPO", name, kwargs, tensors | value, ("value_net",) if absent else (), notes)


def _recurrent_value(student: Student, seen: Standardisation) -> tuple[Tensors, list[int]]:
    """The value network behind ``critic``, a layer of the LSTM's width without activation that sb3-contrib puts there.

    That layer passes on the observation or, where it is too narrow for it, the first layer's sums.
    """
    if student.value_network is None:
        return {}, [64, 64]
    width = student.network.spec.widths[0]
    (weight, bias), *rest = _linears(reading(student.value_network, seen))
    *hidden, last = rest
    critic = _widths([(weight, bias), *hidden])
    sums, features = weight.shape
    if width >= features:
        before = torch.eye(width, features), torch.zeros(width)
        after = nn.functional.pad(weight, (0, width - features)), bias
    elif width >= sums:
        before = nn.functional.pad(weight, (0, 0, 0, width - sums)), nn.functional.pad(bias, (0, width - sums))
        after = torch.eye(sums, width), torch.zeros(sums)
    else:
        return {}, critic
    tensors = _layer("critic", before) | _stack("mlp_extractor.value_net", [after, *hidden])
    return tensors | _layer("value_net", last), critic


def _why_no_value(student: Student) -> str:
    if student.value_network is None:
        return NO_VALUE
    return "the LSTM is too narrow to carry the student's value network in SB3, whose value answers 0 until trained"


LOGITS = "logits stand for action values: the greedy action is the student's, its probabilities are not kept"


def q_network(student: Student, seen: Standardisation) -> Layout:
    """DQN: the student's action values, or its logits in their place, whose greedy action is the same."""
    network = reading(student.network, seen)
    layers = _linears(network)
    tensors: Tensors = {}
    for name in ("q_net", "q_net_target"):
        tensors |= _pictures(f"{name}.features_extractor", network) | _stack(f"{name}.q_net", layers)
    kwargs = _kwargs(network) | {"net_arch": _widths(layers[:-1])}
    notes = () if student.temperature is not None else (LOGITS,)
    return Layout("DQN", _policy_name(network), kwargs, tensors, notes=notes)


def soft_actor(student: Student, seen: Standardisation) -> Layout:
    """SAC: its actor is a squashed Gaussian; a deviation that is one vector becomes the bias of a layer of zeros."""
    network = reading(student.network, seen)
    *hidden, (weight, bias) = _linears(network)
    size = student.family.sizes[0]
    if student.log_std is None:
        log_std = weight[size:], bias[size:]
    else:
        log_std = torch.zeros_like(weight), student.log_std.detach()
    tensors = _stack("actor.latent_pi", hidden) | _pictures("actor.features_extractor", network)
    tensors |= _layer("actor.mu", (weight[:size], bias[:size])) | _layer("actor.log_std", log_std)
    kwargs = _kwargs(network) | {"net_arch": {"pi": _widths(hidden), "qf": CRITIC_WIDTHS}}
    last = 2 * len(CRITIC_WIDTHS)
    zeroed = tuple(f"{name}.qf{k}.{last}." for name in ("critic", "critic_target") for k in (0, 1))
    notes = ("a student has no action values: SAC's critics answer 0 until they are trained",)
    return Layout("SAC", _policy_name(network), kwargs, tensors, zeroed, notes)


LAYOUTS: dict[str, Callable[[Student, Standardisation], Layout]] = {
    "ppo": actor_critic,
    "recurrent-ppo": recurrent_actor_critic,
    "dqn": q_network,
    "sac": soft_actor,
}

Layer = tuple[Tensor, Tensor]


def _linears(network: Network) -> list[Layer]:
    return [(m.weight.detach(), m.bias.detach()) for m in network.layers if isinstance(m, nn.Linear)]


def _widths(layers: Sequence[Layer]) -> list[int]:
    return [len(bias) for _, bias in layers]


def _layer(name: str, layer: Layer) -> Tensors:
    return {f"{name}.weight": layer[0], f"{name}.bias": layer[1]}


def _stack(name: str, layers: Sequence[Layer]) -> Tensors:
    """Layers with activations between them."""
    named = [_layer(f"{name}.{2 * k}", layer) for k, layer in enumerate(layers)]
    return {key: tensor for one in named for key, tensor in one.items()}


def _log_std(student: Student) -> Tensors:
    return {} if student.log_std is None else {"log_std": student.log_std.detach().clamp(LOG_STD_MIN, LOG_STD_MAX)}


def _pictures(name: str, network: Network) -> Tensors:
    """The convolutions of ``cnn:nature`` as SB3's NatureCNN; what is not a picture has no tensors there."""
    found: Tensors = {}
    for key, part in zip(network.keys, network.inputs, strict=True):
        if isinstance(part, ImageInput):
            home = f"{name}.extractors.{key}" if isinstance(network.space, spaces.Dict) else name
            last = str(len(part.layers) - 2)
            for local, tensor in part.layers.named_parameters():
                index, _, kind = local.partition(".")
                found[f"{home}.linear.0.{kind}" if index == last else f"{home}.cnn.{local}"] = tensor.detach()
    return found


def _has_pictures(network: Network) -> bool:
    return any(isinstance(part, ImageInput) for part in network.inputs)


def _policy_name(network: Network, ending: str = "Policy") -> str:
    if isinstance(network.space, spaces.Dict):
        return f"MultiInput{ending}"
    return f"{'Cnn' if _has_pictures(network) else 'Mlp'}{ending}"


def _kwargs(network: Network) -> dict[str, Any]:
    kwargs: dict[str, Any] = {"activation_fn": ACTIVATIONS[network.spec.activation]}
    if _has_pictures(network):
        width = "cnn_output_dim" if isinstance(network.space, spaces.Dict) else "features_dim"
        kwargs["features_extractor_kwargs"] = {width: network.spec.widths[0]}
    return kwargs
