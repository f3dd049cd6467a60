"""What one curve of a figure is made of, as data: which worlds, which teacher, which student."""

from __future__ import annotations

from dataclasses import dataclass, field

from understudy.engines.tabular.setting import Setting
from understudy.mdp.families import GridOdds


@dataclass(frozen=True)
class Ground:
    """Which MDPs: number ``index`` of a family, drawn from (seed, index) alone.

    ``kind``: ``grid``, ``random`` or ``corridor``. ``window``: odd extent of what a student sees of a grid; None: all.
    """

    kind: str = "grid"
    size: int = 20
    actions: int = 4
    window: int | None = None
    slip: float = 0.1
    end: float = 0.01
    odds: GridOdds = field(default_factory=GridOdds)


@dataclass(frozen=True)
class Tutor:
    """Which teacher, made for each MDP: ``q-learning``, ``optimal``, ``actor-critic`` or ``adversarial``.

    ``temperature``: of the softmax of its action values; 0: the best action. ``noise``: share of random actions; in
    ``noise_in`` ``actions`` it is mixed into the probabilities of every state, in ``states`` it is the share of states
    in which one action, drawn once for all, takes the teacher's place. ``floor``: least probability of an action, so
    that its logarithm is finite; the rest is rescaled. ``steps``: of learning. ``values_of``: its values are exact,
    with the setting's gamma, those of the finished ``policy`` or of the policy before any noise (``noiseless``).
    """

    kind: str = "q-learning"
    temperature: float = 0.1
    noise: float = 0.0
    floor: float = 0.0
    steps: int = 30_000
    noise_in: str = "actions"
    values_of: str = "policy"


@dataclass(frozen=True)
class Curve:
    """``mdps`` and ``iterations``: fewer than the scale's, where one curve would take too long; None: the scale's."""

    name: str
    setting: Setting
    ground: Ground = field(default_factory=Ground)
    tutor: Tutor = field(default_factory=Tutor)
    mdps: int | None = None
    iterations: int | None = None
