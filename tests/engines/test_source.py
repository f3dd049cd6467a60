"""Fresh rollouts: who acts in them, and that the student who acts is the one that learns."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.optimiser import FlatAdam
from understudy.engines.source import FreshRollouts
from understudy.envs.views import ObservationViews
from understudy.math.distributions import Family
from understudy.methods import CONTROLS, Schedule, mixture
from understudy.policies.student import Student

FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)


def always(action, spec="linear"):
    policy = Student(FLAT, spaces.Discrete(3), Family("categorical", (3,)), spec)
    with torch.no_grad():
        policy.network.layers[-1].bias[action] = 50.0
    return policy


def source(simulator, control, student, collect=64, **options):
    return FreshRollouts(
        simulator(), control, always(0), student, ObservationViews(), collect=collect, seed=0, **options
    )


@pytest.mark.parametrize("spec", ["linear", "mlp:8", "gru:8"])
def test_the_student_who_acts_is_the_one_that_learns(simulator, spec):
    """The optimiser moves the parameters to storage of its own, after the actor was made."""
    student = always(1, spec)
    fresh = source(simulator, CONTROLS["student"], student)
    optimiser = FlatAdam(student.parameters(), learning_rate=200.0)
    assert (fresh.collect(0.0).action == 1).all()
    optimiser.step(-student.flat(torch.zeros(1, 1, 4))[0][..., 2].sum())
    assert (fresh.collect(0.0).action == 2).all()


def test_windows_are_as_long_as_asked_over_all_copies(simulator):
    fresh = source(simulator, CONTROLS["student"], always(1), collect=40)
    assert fresh.collect(0.0).reward.shape == (10, 4)
    assert source(simulator, CONTROLS["student"], always(1), collect=1).collect(0.0).reward.shape == (1, 4)


def test_whole_episodes_run_from_their_start_to_their_end(simulator):
    fresh = source(simulator, CONTROLS["student"], always(1), whole_episodes=True)
    window = fresh.collect(0.0)
    assert window.start[0].all()
    assert len(window.finished.returns) == 4
    assert not len(window.beyond_index)


@pytest.mark.parametrize(("name", "action"), [("teacher", 0), ("student", 1)])
def test_control_says_who_acts(simulator, name, action):
    assert (source(simulator, CONTROLS[name], always(1)).collect(0.0).action == action).all()


def test_the_uniform_policy_plays_everything(simulator):
    window = source(simulator, CONTROLS["uniform"], always(1), collect=600).collect(0.0)
    assert (np.bincount(window.action.ravel()) > 150).all()


def test_a_scheduled_mixture_goes_from_the_teacher_to_the_student(simulator):
    fresh = source(simulator, mixture(Schedule("linear", 1.0, 0.0, 0.5)), always(1), collect=2000)
    shares = [(fresh.collect(progress).action == 0).mean() for progress in (0.0, 0.25, 0.5, 1.0)]
    assert shares[0] == 1
    assert shares[1] == pytest.approx(0.5, abs=0.05)
    assert shares[2] == shares[3] == 0


def test_the_same_seed_plays_the_same(simulator):
    one, two = (source(simulator, mixture(0.5), always(1)) for _ in range(2))
    for _ in range(3):
        a, b = one.collect(0.0), two.collect(0.0)
        np.testing.assert_array_equal(a.action, b.action)
        np.testing.assert_array_equal(a.observation, b.observation)
