"""Windows that cut episodes, hold several of them and, in some environments, fake rows: still Eq. 1."""

import numpy as np
import pytest
from enumerated import CROSS_ENTROPY, ROWS, chances, problem
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from sampled import BATCHES, SEED, agree, enumerated, gradient, objective_of, student_of, teacher_of

from understudy.engines.estimator import Estimator
from understudy.engines.source import FreshRollouts
from understudy.envs.of_gym import make
from understudy.envs.of_mdp import MDPEnv, MDPSimulator
from understudy.envs.views import ObservationViews
from understudy.methods import CONTROLS, METHODS

GAMMA, BURN_IN = 0.9, 12
# Together they read every kind of quantity: of this state and the next, of both actions, and both values.
NAMES = ["on-policy-distill", "n-distill+r", "exp-entropy-regularised", "teacher-v-reward", "student-critic", "v-gated"]


def of_arrays(mdp, copies):
    return MDPSimulator(mdp, copies, seed=0)


def of_gymnasium(mode):
    def simulator(mdp, copies):
        return make(SyncVectorEnv([lambda: MDPEnv(mdp)] * copies, autoreset_mode=mode))

    return simulator


SIMULATORS = {
    "arrays": (of_arrays, 1500, 4),
    "next-step autoreset": (of_gymnasium(AutoresetMode.NEXT_STEP), 16, 80),
    "same-step autoreset": (of_gymnasium(AutoresetMode.SAME_STEP), 16, 80),
}


@pytest.fixture(scope="module", params=SIMULATORS)
def windows(request):
    """Collected once a simulator, after a while, when copies are in all phases of their episodes."""
    build, copies, length = SIMULATORS[request.param]
    world, theta = problem(SEED, GAMMA)
    source = FreshRollouts(
        build(world.mdp, copies),
        CONTROLS["student"],
        teacher_of(world),
        student_of(theta),
        ObservationViews(),
        collect=copies * length,
        seed=SEED,
    )
    for _ in range(-(-BURN_IN // length)):
        source.collect(0.0)
    return [source.collect(0.0) for _ in range(BATCHES)]


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_over_steps_is_the_mean_over_episodes_divided_by_their_length(name, windows):
    world, theta = problem(SEED, GAMMA)
    row = ROWS[name, CROSS_ENTROPY](world.at(theta))
    objective = objective_of(world, METHODS[name], row, theta, Estimator("gae", lam=1.0))
    sampled = []
    for window in windows:
        stored, _ = objective.prepare(window)
        sampled.append(gradient(objective.loss(stored, METHODS[name]), objective.student))
    length = chances(world, row.control) @ world.trajectories.alive.sum(-1)
    agree(sampled, enumerated(world, row, theta) / length, within=0.08)


def test_no_window_holds_a_row_that_nobody_played(windows):
    world, _ = problem(SEED, GAMMA)
    for window in windows:
        state = window.observation.argmax(-1)
        paid = np.where(window.valid, world.mdp.rewards[state, window.action], 0)
        np.testing.assert_allclose(window.reward, paid, atol=1e-6)
        assert (window.observation.sum(-1)[window.valid] == 1).all()
