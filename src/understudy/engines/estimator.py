"""How Eq. 1 is estimated from windows: a second, separate piece of data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from understudy.errors import ConfigurationError, nearest
from understudy.methods.method import Method
from understudy.methods.schedule import Schedule, Weight, at, extremes
from understudy.methods.steps import Batch
from understudy.methods.surrogate import log_prob_times

KINDS = ("returns", "gae", "ppo")
TOLERANCE = 1.5  # of the KL target, as Stable-Baselines3 has it


@dataclass(frozen=True)
class Estimator:
    """``returns``: plain returns-to-go of whole episodes, one update a collection.

    ``gae``: advantages over a learned critic of the pseudo-return (Schulman et al. 2016), one pass of minibatches.
    ``ppo``: the same advantages under the clipped surrogate, several passes (Schulman et al. 2017). Advantages are
    not normalised unless asked for: the loss term and the reward term of a row keep their weights.

    ``normalise``: each minibatch's advantages to mean 0 and deviation 1. ``value_clip``: how far a value may move from
    the one that collected, in the values' unit. ``value_weight``: of the critic's error. ``target_kl``: the passes end
    as soon as a minibatch's approximate KL from the policy that collected exceeds 1.5 times this.
    """

    kind: str = "ppo"
    lam: float = 0.95
    clip: Weight = 0.2
    epochs: int = 10
    normalise: bool = False
    value_clip: float | None = None
    value_weight: float = 1.0
    target_kl: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigurationError(
                f"estimator is one of {', '.join(KINDS)}, got {self.kind!r}.{nearest(self.kind, KINDS)}"
            )
        if not 0 <= self.lam <= 1:
            raise ConfigurationError(f"gae_lambda must lie in [0, 1], got {self.lam}")
        first, last = extremes(self.clip)
        if not first > 0 or not last >= 0 or self.epochs < 1:
            raise ConfigurationError(f"ppo needs clip > 0 and epochs >= 1, got {self.clip} and {self.epochs}")
        self._check_options()

    def _check_options(self) -> None:
        for name, number in (("value_clip", self.value_clip), ("target_kl", self.target_kl)):
            if number is not None and not number > 0:
                raise ConfigurationError(f"{name} must be above 0, or left out, got {number}")
        if not self.value_weight > 0:
            raise ConfigurationError(f"value_weight must be above 0, got {self.value_weight}")
        if self.target_kl is not None and self.kind != "ppo":
            raise ConfigurationError(f"target_kl ends passes early, but {self.kind} makes one. Use --estimator ppo.")
        if self.value_clip is not None and not self.has_critic:
            raise ConfigurationError("value_clip limits a critic, which returns has not. Use --estimator ppo or gae.")

    @property
    def has_critic(self) -> bool:
        return self.kind != "returns"

    @property
    def passes(self) -> int:
        """How often each collected step is used."""
        return self.epochs if self.kind == "ppo" else 1

    def at(self, progress: float) -> Estimator:
        """With the clip's schedule read at ``progress`` in [0, 1]."""
        return replace(self, clip=at(self.clip, progress) or 1e-6) if isinstance(self.clip, Schedule) else self

    def check(self, method: Method) -> None:
        """Refuse what would bias the update (a state baseline where the student does not act), or do nothing."""
        if method.reward and self.has_critic and not method.control.is_student:
            raise ConfigurationError(
                f"{self.kind} subtracts a state baseline, which biases the update unless the student acts, but "
                f"control is {method.control}. Use --estimator returns."
            )
        idle = {"normalise": self.normalise, "value_clip": self.value_clip, "target_kl": self.target_kl}
        for name, chosen in idle.items():
            if chosen and not method.reward:
                raise ConfigurationError(
                    f"{name} does nothing: {method.name} has no reward term, and so no advantages. Leave it out, or "
                    f"use a row with a reward term, such as {method.name}+r."
                )

    def scaled(self, advantage: Tensor, valid: Tensor | None) -> Tensor:
        """The advantages ``[L, B]`` of a minibatch as the score takes them."""
        played = advantage if valid is None else advantage[valid > 0]
        if not self.normalise or played.numel() < 2:
            return advantage
        return (advantage - played.mean()) / (played.std() + 1e-8)

    def score(self, steps: Batch, advantage: Tensor) -> Tensor:
        """What stands for log πθ(a|s) times the advantage; the same gradient at the policy that collected."""
        if self.kind != "ppo":
            return log_prob_times(steps, advantage)
        clip = at(self.clip, 0.0)
        ratio = torch.exp(steps.student.policy.log_prob(steps.action) - steps.old_log_prob)  # type: ignore[attr-defined]
        return torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)

    def strayed(self, steps: Batch) -> bool:
        """Whether the policy has moved too far from the one that collected.

        Its KL(old‖new) is estimated from the actions taken as ratio − 1 − log ratio, which is never negative and, as
        those are the old policy's, right in expectation (Schulman 2020, http://joschu.net/blog/kl-approx.html).
        """
        if self.target_kl is None:
            return False
        # not under no_grad: a distribution keeps its log-probabilities, and the loss needs their gradient
        log_ratio = (steps.student.policy.log_prob(steps.action) - steps.old_log_prob).detach()  # type: ignore[attr-defined]
        return float(steps.expect(torch.expm1(log_ratio) - log_ratio)) > TOLERANCE * self.target_kl
