"""Two tasks of one step each, where what is forgotten and what is kept can be computed.

The student is linear: logits W x + b. Task 1 shows x1, task 2 shows x2, and both share W and b, so that what is learned
in task 2 moves the answers in task 1: after gradient steps at x2 alone the logits at x1 have moved by kappa =
(x1·x2 + 1) / (x2·x2 + 1) of what they moved at x2. The reward less weight * KL(student‖anchor) is largest at the tilted
distribution, which is proportional to anchor * exp(reward / weight).
"""

import copy

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.optimize import brentq
from scipy.special import rel_entr

from understudy.engines.anchored import ActiveAnchor, AnchoredObjective
from understudy.engines.critic import Critic
from understudy.engines.estimator import Estimator
from understudy.engines.learner import Learner
from understudy.engines.objective import Objective, Remedy
from understudy.engines.reservoir import Reservoir
from understudy.engines.schedule import Rhythm
from understudy.engines.source import FreshRollouts
from understudy.envs.of_gym import make
from understudy.envs.views import ObservationViews
from understudy.math.distributions import Family
from understudy.methods import METHODS
from understudy.methods.anchor import Anchor
from understudy.policies.network import value_spec
from understudy.policies.student import Student

PLANE, THREE = spaces.Box(-np.inf, np.inf, (2,), np.float32), spaces.Discrete(3)
X1, X2 = np.array([1.0, 0.2]), np.array([0.3, 1.0])
R1, R2 = np.array([1.0, 0.0, 0.3]), np.array([0.0, 1.0, 0.4])  # the best action of one is the worst of the other
KAPPA = (X1 @ X2 + 1) / (X2 @ X2 + 1)
WEIGHT = 0.7


def softmax(logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def kl(p, q):
    return float(rel_entr(p, q).sum())


def tilted(anchor, weight):
    return softmax(np.log(anchor) + R2 / weight)


def expert():
    """The student after task 1, set by hand: at x1 it prefers what task 1 pays for."""
    policy = Student(PLANE, THREE, Family("categorical", (3,)), "linear")
    (layer,) = policy.network.last_layers
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.5, 0.3], [-1.0, 0.2], [0.1, -0.2]]))
        layer.bias.copy_(torch.tensor([0.5, -0.4, 0.0]))
    return policy


def chances(policy, x):
    with torch.no_grad():
        return policy(torch.tensor(x, dtype=torch.float32)[None])[0].policy.probs[0].double().numpy()


def stored_of(policy, x):
    """A store that holds x alone, with what the policy answers there."""
    found = Reservoir(4, np.random.default_rng(0))
    found.offer({"observation": torch.tensor(x, dtype=torch.float32)[None]})
    found.label(policy)
    return found


def objective_of(anchors, student, teacher, kind="returns", critic=None):
    estimator = Estimator(kind)
    inner = Objective(
        METHODS["task-reward"], teacher, student, ObservationViews(), estimator, 0.9, Remedy(), critic, "cpu"
    )
    return AnchoredObjective(inner, anchors, seed=0)


def flown(anchors, teacher, steps=1000, rate=2.0):
    """Task 2 by gradient steps on the whole expectation: each action once, with its probability and reward as
    advantage, so that no step is sampled."""
    student = copy.deepcopy(teacher)
    objective = objective_of(anchors, student, teacher)
    for anchor in anchors:
        anchor.follow(0.0, 0.0)
    descent = torch.optim.SGD(student.parameters(), rate)
    seen, action = torch.tensor(X2, dtype=torch.float32).expand(3, 2), torch.arange(3)
    with torch.no_grad():
        columns = {"observation": seen, "action": action, "reward": torch.zeros(3)}
        columns |= {f"anchor/{k}": one.policy(seen)[0].policy.flat for k, one in enumerate(anchors) if one.visits}
    for _ in range(steps):
        columns["advantage"] = torch.tensor(3 * chances(student, X2) * R2, dtype=torch.float32)
        descent.zero_grad()
        objective.loss(columns, objective.method).backward()
        descent.step()
    return student


def test_without_an_anchor_the_first_task_is_forgotten():
    teacher = expert()
    student = flown([], teacher)
    assert chances(student, X2) @ R2 > 0.99
    assert chances(teacher, X1) @ R1 > 0.85
    assert chances(student, X1) @ R1 < 0.15  # the best of task 2 pays nothing in task 1


def test_an_anchor_on_visited_states_keeps_as_much_as_the_tilted_distribution_says():
    teacher = expert()
    student = flown([ActiveAnchor(Anchor(teacher, WEIGHT, "reverse"), teacher)], teacher)
    expected = tilted(chances(teacher, X2), WEIGHT)
    np.testing.assert_allclose(chances(student, X2), expected, atol=1e-4)
    # the sum of logits stays; what moved at x2 is the reward over the weight, and kappa of it at x1
    moved = softmax(np.log(chances(teacher, X1)) + KAPPA * (R2 - R2.mean()) / WEIGHT)
    np.testing.assert_allclose(chances(student, X1), moved, atol=1e-4)
    forgotten = (chances(teacher, X1) - chances(student, X1)) @ R1
    assert forgotten == pytest.approx(chances(teacher, X1) @ R1 - moved @ R1, abs=1e-4)
    assert 0.05 < forgotten < 0.8


def test_stored_states_of_the_first_task_keep_it_whole_at_the_same_return_of_the_second():
    teacher = expert()
    row = Anchor(teacher, WEIGHT, "reverse", states="both")
    student = flown([ActiveAnchor(row, teacher, stored=stored_of(teacher, X1))], teacher)
    np.testing.assert_allclose(chances(student, X1), chances(teacher, X1), atol=1e-4)
    np.testing.assert_allclose(chances(student, X2), tilted(chances(teacher, X2), WEIGHT), atol=1e-4)


def test_stored_states_alone_leave_the_second_task_free():
    teacher = expert()
    row = Anchor(teacher, WEIGHT, "forward", states="stored")
    student = flown([ActiveAnchor(row, teacher, stored=stored_of(teacher, X1))], teacher)
    np.testing.assert_allclose(chances(student, X1), chances(teacher, X1), atol=0.01)
    assert chances(student, X2) @ R2 > 0.99


def test_the_forward_direction_has_its_own_fixed_point():
    """Where the gradient vanishes student_a = weight anchor_a / (level - r_a), with the level that makes the sum 1."""
    teacher = expert()
    student = flown([ActiveAnchor(Anchor(teacher, WEIGHT, "forward"), teacher)], teacher)
    anchor = chances(teacher, X2)

    def answer(level):
        return WEIGHT * anchor / (level - R2)

    level = brentq(lambda level: answer(level).sum() - 1, R2.max() + 1e-9, R2.max() + 10 * WEIGHT)
    np.testing.assert_allclose(chances(student, X2), answer(level), atol=1e-4)
    assert np.abs(answer(level) - tilted(anchor, WEIGHT)).max() > 0.02


def test_two_anchors_pull_together_with_the_sum_of_their_weights():
    teacher = expert()
    other = copy.deepcopy(teacher)
    with torch.no_grad():
        other.network.last_layers[0].bias.copy_(torch.tensor([-1.0, 0.0, 1.0]))
    anchors = [ActiveAnchor(Anchor(p, w, "reverse", name=n), p) for p, w, n in ((teacher, 0.3, "a"), (other, 0.5, "b"))]
    student = flown(anchors, teacher)
    # the largest of r - 0.3 KL(.‖a) - 0.5 KL(.‖b): a^(0.3/0.8) b^(0.5/0.8) exp(r / 0.8)
    mixed = 0.3 / 0.8 * np.log(chances(teacher, X2)) + 0.5 / 0.8 * np.log(chances(other, X2))
    np.testing.assert_allclose(chances(student, X2), softmax(mixed + R2 / 0.8), atol=1e-4)


class SecondTask(gymnasium.Env):
    """Shows x2 and pays for one action."""

    observation_space, action_space = PLANE, THREE

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return X2.astype(np.float32), {}

    def step(self, action):
        return X2.astype(np.float32), float(R2[action]), True, False, {}


def sampled(anchors, teacher, final_rate, rounds=50):
    """Task 2 by the learner itself, from sampled steps; the last rounds' facts too."""
    student = copy.deepcopy(teacher)
    critic = Critic(PLANE, value_spec(student.spec), 1, 2)
    objective = objective_of(anchors, student, teacher, "ppo", critic)
    pace = Rhythm(collect=512, batch=256, learning_rate=2e-2, final_learning_rate=final_rate, keep=False)
    simulator = make(SecondTask, 8)
    source = FreshRollouts(
        simulator, METHODS["task-reward"].control, teacher, student, ObservationViews(), collect=512, seed=0
    )
    learner = Learner(source, objective, pace, budget=512 * rounds, seed=0)
    facts = [learner.step().facts for _ in range(rounds)]
    simulator.close()
    return student, facts


def test_the_learner_comes_to_the_tilted_distribution_from_sampled_steps():
    teacher = expert()
    row = Anchor(teacher, WEIGHT, "reverse", states="both", name="first")
    student, _ = sampled([ActiveAnchor(row, teacher, stored=stored_of(teacher, X1))], teacher, 1e-3)
    np.testing.assert_allclose(chances(student, X2), tilted(chances(teacher, X2), WEIGHT), atol=0.03)
    np.testing.assert_allclose(chances(student, X1), chances(teacher, X1), atol=0.03)


@pytest.mark.parametrize("start", [WEIGHT * 8, WEIGHT / 8])
def test_an_adaptive_weight_settles_where_the_tilted_distribution_has_the_kl_it_aims_at(start):
    """Of the weights start * 2^k one alone has a KL within a factor 1.5 of the target: WEIGHT itself.

    Rounds have to be long enough for the policy to follow: else weight and KL swing about it.
    """
    teacher = expert()
    anchor = chances(teacher, X2)
    target = kl(tilted(anchor, WEIGHT), anchor)
    inside = [k for k in range(-9, 10) if 1 / 1.5 < kl(tilted(anchor, start * 2.0**k), anchor) / target < 1.5]
    assert [start * 2.0**k for k in inside] == [WEIGHT]
    row = Anchor(teacher, f"adaptive:{start}:{target}", "reverse", name="first")
    _, facts = sampled([ActiveAnchor(row, teacher)], teacher, 2e-2)
    assert facts[0]["anchor/first/weight"] == start
    assert [one["anchor/first/weight"] for one in facts[-10:]] == pytest.approx([WEIGHT] * 10)
    assert facts[-1]["anchor/first/kl"] == pytest.approx(target, rel=0.2)
