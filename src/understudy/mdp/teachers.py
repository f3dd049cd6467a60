"""Teachers of a finite MDP: learned, best, worst, softened, noisy. Their values are exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.errors import ConfigurationError
from understudy.mdp.learning import Process, actor_critic_steps, q_steps
from understudy.mdp.model import MDP
from understudy.mdp.solve import Chain
from understudy.mdp.solve import optimal as best_values

_TOLERANCE = 1e-6
_TIE = 1e-9  # relative: what two equal action values may differ by after a solve


@dataclass(frozen=True, eq=False)
class Teacher:
    """``policy [S, A]``: probabilities. ``values [S]``: its expected return of the task reward from each state."""

    policy: np.ndarray
    values: np.ndarray

    def __post_init__(self) -> None:
        for name in ("policy", "values"):
            array = np.array(getattr(self, name), dtype=np.float64)
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.policy.ndim != 2 or self.values.shape != self.policy.shape[:1]:
            shapes = f"{list(self.policy.shape)} and {list(self.values.shape)}"
            raise ConfigurationError(f"a teacher's policy and values have the shapes [S, A] and [S], got {shapes}")
        if not (self.policy >= 0).all():
            s, a = np.argwhere(~(self.policy >= 0))[0]
            raise ConfigurationError(f"policy must be probabilities, got {self.policy[s, a]} in state {s}, action {a}")
        off = np.abs(self.policy.sum(-1) - 1)
        if off.max() > _TOLERANCE:
            s = int(off.argmax())
            raise ConfigurationError(f"policy must sum to 1, got {self.policy[s].sum():.6g} in state {s}")
        if not np.isfinite(self.values).all():
            s = int(np.argmin(np.isfinite(self.values)))
            raise ConfigurationError(f"values must be finite, got {self.values[s]} in state {s}")


def evaluated(mdp: MDP, policy: np.ndarray, gamma: float = 1.0) -> Teacher:
    """A teacher with these probabilities ``[S, A]``, and their exact values."""
    return Teacher(policy, Chain(mdp, policy, gamma).values(mdp.rewards))


def softmax_teacher(q: np.ndarray, temperature: float, mdp: MDP | None = None, gamma: float = 1.0) -> Teacher:
    """softmax(q / temperature) of the action values ``q [S, A]``.

    At temperature 0 the best actions share the probability, which is the limit; they are those within rounding of
    the best. The values are exact where ``mdp`` is given, and otherwise ``sum_a policy q``: those that ``q`` claims.
    """
    policy = soften(q, temperature)
    return Teacher(policy, (policy * q).sum(-1)) if mdp is None else evaluated(mdp, policy, gamma)


def soften(q: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(q / temperature) ``[S, A]``; its limit at 0."""
    if not (temperature >= 0 and np.isfinite(temperature)):
        raise ConfigurationError(f"temperature must be finite and not negative, got {temperature}")
    below = q - q.max(-1, keepdims=True)
    if temperature > 0:
        with np.errstate(over="ignore"):  # a tiny temperature: -inf, and so exactly 0
            weight = np.exp(below / temperature)
    else:
        weight = np.asarray(below >= -_TIE * (1 + np.abs(q.max(-1, keepdims=True))), dtype=np.float64)
    return weight / weight.sum(-1, keepdims=True)


def noisy(teacher: Teacher, share: float, mdp: MDP | None = None, gamma: float = 1.0) -> Teacher:
    """The teacher, but a uniformly random action with probability ``share``.

    The values are exact where ``mdp`` is given, and otherwise still those of the teacher without noise.
    """
    if not 0 <= share <= 1:
        raise ConfigurationError(f"share must lie in [0, 1], got {share}")
    policy = (1 - share) * teacher.policy + share / teacher.policy.shape[1]
    return Teacher(policy, teacher.values) if mdp is None else evaluated(mdp, policy, gamma)


def optimal(mdp: MDP, gamma: float = 1.0, temperature: float = 0.0) -> Teacher:
    """The policy of the greatest return; or, at a temperature, a softmax of the best action values.

    Among actions of equal return it takes those that end the episode soonest, and shares between equals: undiscounted,
    a walk there and back is worth as much as the straight one. The softmax does not tell these two apart.
    """
    policy = soften(best_values(mdp, gamma)[1], temperature)
    if temperature == 0:
        best = policy > 0
        hurried = MDP(mdp.successors, -np.ones_like(mdp.rewards), mdp.start, mdp.terminal, mdp.action_map)
        soonest = best_values(hurried, gamma, best)[1]
        policy = soften(np.where(best, soonest, -np.inf), 0.0)
    return evaluated(mdp, policy, gamma)


def adversarial(mdp: MDP, gamma: float = 1.0, temperature: float = 0.0) -> Teacher:
    """The policy of the least return; or a softmax of minus its action values."""
    opposed = MDP(mdp.successors, -mdp.rewards, mdp.start, mdp.terminal, mdp.action_map, mdp.observed)
    return evaluated(mdp, optimal(opposed, gamma, temperature).policy, gamma)


def q_learning(
    mdp: MDP,
    seed: int,
    steps: int = 30_000,
    epsilon: float = 0.1,
    learning_rate: float = 0.1,
    gamma: float = 0.99,
) -> np.ndarray:
    """Tabular Q-learning (Watkins 1989) from zeros: the action values ``[S, A]``.

    ``epsilon``-greedy, with equal best actions chosen among at random. Each action is paid its expected reward; an
    ended episode begins again at the start. The same seed gives the same values on any machine.
    """
    _check_learning(steps, {"epsilon": epsilon, "learning_rate": learning_rate, "gamma": gamma})
    q = np.zeros((mdp.states, mdp.actions))
    q_steps(q, _process(mdp), _key(seed), steps, epsilon, learning_rate, gamma)
    return q


def actor_critic(
    mdp: MDP,
    seed: int,
    steps: int = 100_000,
    actor_rate: float = 0.1,
    critic_rate: float = 0.1,
    gamma: float = 0.99,
    entropy: float = 0.0,
    value_gamma: float = 1.0,
) -> Teacher:
    """A tabular one-step actor-critic (A2C's update, one copy): its softmax policy, with exact values.

    ``gamma`` is what it learns with, ``value_gamma`` what the teacher's values are told with.
    """
    shares = {"actor_rate": actor_rate, "critic_rate": critic_rate, "gamma": gamma}
    _check_learning(steps, shares)
    logits, values = np.zeros((mdp.states, mdp.actions)), np.zeros(mdp.states)
    actor_critic_steps(logits, values, _process(mdp), _key(seed), steps, actor_rate, critic_rate, gamma, entropy)
    return evaluated(mdp, soften(logits, 1.0), value_gamma)


def _process(mdp: MDP) -> Process:
    """What the compiled loops follow; the cumulative sums of a row that cannot end pass 1."""
    lists = mdp.successors
    sums = lists.probability.cumsum(-1)
    sums[sums >= 1 - _TIE] = 2.0
    first = np.flatnonzero(mdp.start)
    first_sums = mdp.start[first].cumsum()
    first_sums[-1] = 2.0
    return Process(lists.next, sums, mdp.rewards, mdp.action_map, mdp.terminal, first, first_sums)


def _key(seed: int) -> np.uint64:
    return np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]


def _check_learning(steps: int, shares: dict[str, float]) -> None:
    if steps < 0:
        raise ConfigurationError(f"steps must not be negative, got {steps}")
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ConfigurationError(f"{name} must lie in [0, 1], got {share}")
