"""How Eq. 1 is estimated from windows: a second, separate piece of data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from understudy.errors import ConfigurationError, nearest
from understudy.methods.method import Method
from understudy.methods.steps import Batch
from understudy.methods.surrogate import log_prob_times

KINDS = ("returns", "gae", "ppo")


@dataclass(frozen=True)
class Estimator:
    """``returns``: plain returns-to-go of whole episodes, one update a collection.

    ``gae``: advantages over a learned critic of the pseudo-return (Schulman et al. 2016), one pass of minibatches.
    ``ppo``: the same advantages under the clipped surrogate, several passes (Schulman et al. 2017). Advantages are
    not normalised: the loss term and the reward term of a row keep their weights.
    """

    kind: str = "ppo"
    lam: float = 0.95
    clip: float = 0.2
    epochs: int = 10

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigurationError(
                f"estimator is one of {', '.join(KINDS)}, got {self.kind!r}.{nearest(self.kind, KINDS)}"
            )
        if not 0 <= self.lam <= 1:
            raise ConfigurationError(f"gae_lambda must lie in [0, 1], got {self.lam}")
        if self.clip <= 0 or self.epochs < 1:
            raise ConfigurationError(f"ppo needs clip > 0 and epochs >= 1, got {self.clip} and {self.epochs}")

    @property
    def has_critic(self) -> bool:
        return self.kind != "returns"

    @property
    def passes(self) -> int:
        """How often each collected step is used."""
        return self.epochs if self.kind == "ppo" else 1

    def check(self, method: Method) -> None:
        """Refuse what would bias the update: a state baseline where the student does not act."""
        if method.reward and self.has_critic and not method.control.is_student:
            raise ConfigurationError(
                f"{self.kind} subtracts a state baseline, which biases the update unless the student acts, but "
                f"control is {method.control}. Use --estimator returns."
            )

    def score(self, steps: Batch, advantage: Tensor) -> Tensor:
        """What stands for log πθ(a|s) times the advantage; the same gradient at the policy that collected."""
        if self.kind != "ppo":
            return log_prob_times(steps, advantage)
        ratio = torch.exp(steps.student.policy.log_prob(steps.action) - steps.old_log_prob)  # type: ignore[attr-defined]
        return torch.minimum(ratio * advantage, ratio.clamp(1 - self.clip, 1 + self.clip) * advantage)
