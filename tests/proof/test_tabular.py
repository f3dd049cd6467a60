"""The tabular engine's sampled update against Eq. 1 enumerated, for every row, form and control.

Independent answers on both sides: the enumeration spells each row out by hand, the engine reads its atoms' compiled
texts. The student's values, where a row reads them, are given and held.
"""

import numpy as np
import pytest
from enumerated import ROWS, Row, World, chances, problem, softmax, updates
from sampled import FORMS

from understudy.engines.tabular.setting import Setting
from understudy.engines.tabular.train import sampled_update
from understudy.mdp.teachers import Teacher
from understudy.methods import CONTROLS, METHODS, Method, mixture, with_control

EPISODES, SEED = 120_000, 5


def sampled(world: World, method: Method, theta: np.ndarray, episodes: int = EPISODES, **changes):
    values = changes.pop("values", world.at(theta).v_s[:, 0])
    setting = Setting(method, **{"gamma": world.gamma, "value_rate": 0.0, **changes})
    teacher = Teacher(world.teacher, world.teacher_value)
    return sampled_update(world.mdp, teacher, setting, theta, episodes, SEED, values)


def enumerated(world: World, row: Row, theta: np.ndarray, discounted: bool, limit: int | None = None) -> np.ndarray:
    each = updates(world, row, softmax(theta), discounted, limit)
    return np.einsum("k,ksa->sa", chances(world, row.control), each)


def agree(found, exact: np.ndarray, within: float = 0.04) -> None:
    """Every component within five of its own standard errors, and the whole within a few per cent."""
    assert (np.abs(found.mean - exact) <= 5 * found.error + 1e-6).all()
    assert np.linalg.norm(found.mean - exact) < within * np.linalg.norm(exact) + 1e-6


EVERY_ROW = pytest.mark.parametrize("key", ROWS, ids=" ".join)


@EVERY_ROW
@pytest.mark.parametrize(("gamma", "discounted"), [(1.0, False), (0.9, False), (0.9, True)])
def test_the_sampled_update_is_eq_1_for_every_row_and_both_kinds_of_visits(key, gamma, discounted):
    world, theta = problem(SEED, gamma)
    method = FORMS[key[1]](METHODS[key[0]])
    found = sampled(world, method, theta, discounted_visits=discounted)
    agree(found, enumerated(world, ROWS[key](world.at(theta)), theta, discounted))


LOSS_ROWS = [key for key in ROWS if METHODS[key[0]].loss and not METHODS[key[0]].reward]


@pytest.mark.parametrize("key", LOSS_ROWS, ids=" ".join)
@pytest.mark.parametrize("control", ["teacher", "student", "uniform", "mixture", "all three"])
def test_every_control_acts_in_its_proportions(key, control):
    world, theta = problem(SEED, 0.9)
    mixed = {"mixture": mixture(0.3), "all three": type(mixture(0.3))(teacher=0.2, uniform=0.3)}
    acts = CONTROLS.get(control) or mixed[control]
    tables = world.at(theta)
    teacher, student, uniform = acts.at(0.0)
    policy = teacher * tables.teacher + student * tables.student + uniform / theta.shape[1]
    row = Row(policy, ROWS[key](tables).d_loss)
    found = sampled(world, with_control(FORMS[key[1]](METHODS[key[0]]), acts), theta, discounted_visits=True)
    agree(found, enumerated(world, row, theta, True))
