"""An environment over any spaces whose observations are noise, a teacher for it, and a learner that joins them."""

import copy

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.critic import Critic
from understudy.engines.estimator import Estimator
from understudy.engines.learner import Learner
from understudy.engines.objective import Objective, Remedy, columns_needed, observation_of
from understudy.engines.schedule import Rhythm
from understudy.engines.source import FreshRollouts
from understudy.envs.actions import family_of
from understudy.envs.of_gym import make
from understudy.envs.views import ObservationViews
from understudy.methods import METHODS
from understudy.policies.network import value_spec
from understudy.policies.student import Student

torch.set_num_threads(1)


class Noise(gymnasium.Env):
    """Observations drawn from the space, standard normal where it has no bounds; episodes of 3 to 12 steps."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = copy.deepcopy(observation_space), action_space  # each draws its own

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.left = int(self.np_random.integers(3, 13))
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.left -= 1
        return self.observation_space.sample(), float(self.np_random.random()), self.left == 0, False, {}


FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)


@pytest.fixture
def simulator():
    """Makes simulators of noise; closes them."""
    made = []

    def build(observation_space=FLAT, action_space=spaces.Discrete(3), copies=4):  # noqa: B008 - never changed
        made.append(make(lambda: Noise(observation_space, action_space), copies))
        return made[-1]

    yield build
    for one in made:
        one.close()


def teacher_for(observation_space, family, action_space, spec="mlp:8", std=False):
    """A network far from uniform, with values; its parameters ask for gradients, and must not get any."""
    policy = Student(observation_space, action_space, family, spec, state_dependent_std=std, with_value=True, seed=99)
    with torch.no_grad():
        policy.network.layers[-1].weight.mul_(30)
        if policy.log_std is not None:
            policy.log_std.fill_(-1.0)
    return policy


@pytest.fixture
def teacher():
    return teacher_for


@pytest.fixture
def inputs():
    """What the student's layers see of stored columns; as observed, until a standardiser has been fitted."""

    def read(joined, columns):
        if "features" in columns:
            return columns["features"]
        return joined.student.network.features(observation_of("observation", columns))

    return read


@pytest.fixture
def learner(simulator):
    """Joins a teacher and a fresh student over noise."""

    def build(
        observation_space=FLAT,
        action_space=spaces.Discrete(3),  # noqa: B008 - never changed
        *,
        method="on-policy-distill",
        spec="mlp:8",
        guide=None,
        squashed=False,
        kind="ppo",
        gamma=0.9,
        remedy="none",
        budget=10_000,
        seed=0,
        device="cpu",
        teacher_spec="mlp:8",
        views=ObservationViews(),  # noqa: B008 - never changed
        **rhythm,
    ):
        method = METHODS[method] if isinstance(method, str) else method
        family = family_of(action_space, squashed)
        policy = guide or teacher_for(
            views.teacher.space(observation_space), family, action_space, teacher_spec, std=squashed
        )
        student = Student(views.student.space(observation_space), action_space, family, spec, seed=seed)
        estimator = Estimator(kind)
        columns = columns_needed(method, estimator)
        critic = (
            Critic(views.critic.space(observation_space), value_spec(student.spec), columns, 2) if columns else None
        )
        beat = {"collect": 64, "updates": 8, "batch": 64, "learning_rate": 1e-2, "keep": not method.reward}
        pace = Rhythm(**beat | ({"length": 4} if student.memory_size else {}) | rhythm)
        objective = Objective(
            method, policy, student, views, estimator, gamma, Remedy(remedy), critic, device, pace.length
        )
        source = FreshRollouts(
            simulator(observation_space, action_space),
            method.control,
            policy,
            student,
            views,
            collect=pace.collect,
            seed=seed,
            whole_episodes=bool(method.reward) and not estimator.has_critic,
            device=device,
        )
        return Learner(source, objective, pace, budget=budget, seed=seed)

    return build
