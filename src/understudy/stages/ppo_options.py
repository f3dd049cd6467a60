"""Names of PPO's options, so that a file's are checked before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.errors import nearest

PPO_OPTIONS = (
    "n_steps",
    "batch_size",
    "n_epochs",
    "learning_rate",
    "final_learning_rate",
    "gamma",
    "gae_lambda",
    "clip_range",
    "clip_range_vf",
    "normalize_advantage",
    "ent_coef",
    "vf_coef",
    "max_grad_norm",
    "target_kl",
    "standardise",
    "scale_values",
)


def check_ppo(values: Any) -> list[str]:
    """What is wrong with the names; the values are checked where they are used, by :class:`PPO` itself."""
    if not isinstance(values, Mapping):
        return [f"ppo is a table, got {values!r}"]
    return [f"ppo: unknown option {name!r}.{nearest(name, PPO_OPTIONS)}" for name in values if name not in PPO_OPTIONS]
