"""Each atom's compiled text against autograd of its PyTorch text."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from understudy.engines.tabular import texts
from understudy.engines.tabular.exponential import exponentials
from understudy.math.distributions import Family
from understudy.math.heads import Heads
from understudy.methods.atoms import TEXTS, of_state
from understudy.methods.method import ATOMS

ACTIONS = 5
FAMILY = Family("categorical", (ACTIONS,))
OF_ACTION = ("teacher-log-prob", "student-log-prob", "task-reward")


def drawn(seed: int, teacher_value: float = 0.7, student_value: float = 0.2) -> SimpleNamespace:
    """One step of a random student and teacher, as both texts read it."""
    generator = np.random.default_rng(seed)
    logits, taught = 1.5 * generator.standard_normal((2, ACTIONS))
    theta = torch.tensor(logits, requires_grad=True)
    action, reward = int(generator.integers(ACTIONS)), float(generator.standard_normal())
    step = SimpleNamespace(
        student=Heads(FAMILY(theta), torch.tensor(student_value, dtype=torch.float64)),
        teacher=Heads(FAMILY(torch.tensor(taught)), torch.tensor(teacher_value, dtype=torch.float64)),
        action=torch.tensor(action),
        reward=torch.tensor(reward, dtype=torch.float64),
    )
    log_p, log_q = (x - np.log(np.exp(x).sum()) for x in (logits, taught))
    rows = np.exp(log_p), log_p, np.exp(log_q), log_q
    return SimpleNamespace(
        torch=step, theta=theta, rows=rows, action=action, reward=reward, values=(teacher_value, student_value)
    )


def compiled_value(name: str, step: SimpleNamespace) -> float:
    """By the text that the kernel runs along an episode, here of one step in the second of two states."""
    atom, earned = texts.NUMBER[name], np.zeros(1)
    _, log_p, _, log_q = step.rows
    two = [np.stack([np.full(ACTIONS, np.nan), row]) for row in (np.full(ACTIONS, step.reward), log_q, log_p)]
    number = np.nan if name in OF_ACTION else texts.of_state(atom, *step.rows, *step.values)
    state, action = np.array([1]), np.array([step.action])
    texts.add_along(earned, 2.0, atom, 0, state, action, 1, *two, np.arange(2), np.array([np.nan, number]))
    return earned[0] / 2


@pytest.mark.parametrize("name", ATOMS)
@pytest.mark.parametrize("values", [(0.7, 0.2), (0.2, 0.7)], ids=["gate open", "gate shut"])
def test_both_texts_give_one_value(name, values):
    for seed in range(5):
        step = drawn(seed, *values)
        assert compiled_value(name, step) == pytest.approx(float(TEXTS[name](step.torch).detach()), abs=1e-12)


@pytest.mark.parametrize("name", ATOMS)
@pytest.mark.parametrize("values", [(0.7, 0.2), (0.2, 0.7)], ids=["gate open", "gate shut"])
def test_the_compiled_gradient_is_autograds(name, values):
    for seed in range(5):
        step = drawn(seed, *values)
        found = TEXTS[name](step.torch)
        exact = np.zeros(ACTIONS)
        if found.requires_grad:
            exact = torch.autograd.grad(found, step.theta)[0].numpy()
        mine, atom = np.zeros(ACTIONS), texts.NUMBER[name]
        gradient_into(mine, -1.5, atom, step)
        assert np.abs(mine + 1.5 * exact).max() < 1e-12


def gradient_into(out: np.ndarray, weight: float, atom: int, step: SimpleNamespace) -> None:
    """The kernel's two halves: of the row, and the score function."""
    texts.add_gradient(out, weight, atom, *step.rows, *step.values, ACTIONS)
    p = step.rows[0]
    out += weight * texts.score(atom) * (np.eye(ACTIONS)[step.action] - p)


@pytest.mark.parametrize("name", [name for name in ATOMS if name != "task-reward"])
def test_where_an_episode_was_cut_both_texts_give_the_expectation_over_the_action(name):
    for seed in range(5):
        step = drawn(seed)
        mine = texts.of_state(texts.NUMBER[name], *step.rows, *step.values)
        assert mine == pytest.approx(float(of_state(name, step.torch).detach()), abs=1e-12)


@pytest.mark.parametrize("name", ["forward-cross-entropy", "forward-kl", "gated-cross-entropy"])
def test_an_action_that_the_teacher_excludes_costs_nothing(name):
    step = drawn(0)
    p, log_p, q, _ = step.rows
    q = np.where(np.arange(ACTIONS) == 2, 0.0, q)
    q /= q.sum()
    with np.errstate(divide="ignore"):
        log_q = np.log(q)
    kept = q > 0
    by_hand = -(q[kept] * log_p[kept]).sum() + (q[kept] * log_q[kept]).sum() * (name == "forward-kl")
    assert texts.of_state(texts.NUMBER[name], p, log_p, q, log_q, 0.7, 0.2) == pytest.approx(by_hand, abs=1e-12)


def test_the_exponential_is_within_a_few_units_of_the_last_place():
    x = np.concatenate([-np.geomspace(1e-300, 708, 5000), [0.0, -0.5 * np.log(2), -1000.0]])
    mine = x.copy()
    exponentials(mine, len(x))
    assert np.abs(mine[:-1] / np.exp(x[:-1]) - 1).max() < 2e-14
    assert mine[-4] == 1 or mine[-3] == 1
    assert 0 < mine[-1] < 1e-300
