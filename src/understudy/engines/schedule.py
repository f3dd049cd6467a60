"""When to collect and how much to update: the learner's rhythm, as data."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.errors import ConfigurationError


@dataclass(frozen=True)
class Rhythm:
    """One round: ``collect`` environment steps over all copies, then updates.

    ``keep``: past states stay in the store (aggregation), and ``updates`` minibatches are drawn from all of them.
    Otherwise the store holds one collection, and the estimator says how often each of its steps is used.
    ``batch``: steps a minibatch. ``length``: steps of a window, L; 1 for feed-forward students. ``average``: decay of
    the average of the weights that is evaluated and saved; 0: the weights themselves.
    """

    collect: int = 256
    updates: int = 32
    batch: int = 256
    store: int = 1_000_000
    keep: bool = True
    length: int = 1
    learning_rate: float = 3e-3
    final_learning_rate: float = 3e-3
    average: float = 0.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        problems = [
            f"{name} must be at least 1, got {getattr(self, name)}"
            for name in ("collect", "updates", "batch", "store", "length")
            if getattr(self, name) < 1
        ]
        if self.learning_rate <= 0:
            problems.append(f"learning_rate must be positive, got {self.learning_rate}")
        if problems:
            raise ConfigurationError("; ".join(problems))

    def learning_rate_at(self, progress: float) -> float:
        """Linear over the run's budget."""
        return self.learning_rate + (self.final_learning_rate - self.learning_rate) * min(progress, 1.0)
