"""The losses of action values: three actions by hand, their gradients, their limits."""

import math

import pytest
import torch

from understudy.math.distributions import Family
from understudy.math.divergences import cross_entropy
from understudy.math.divergences import kl as divergence
from understudy.math.q_losses import Q_LOSSES, gaps

# softmax(STUDENT) = (1, 2, 5) / 8 and softmax(TEACHER / 0.5) = (4, 1, 5) / 10
STUDENT = [math.log(1), math.log(2), math.log(5)]
TEACHER = [0.5 * math.log(4), 0.5 * math.log(1), 0.5 * math.log(5)]
Q_STUDENT = [0.5 * x for x in STUDENT]  # softmax(Q_STUDENT / 0.5) is that of STUDENT
TAU = 0.5
BY_HAND = {
    # the student's numbers, the loss, its gradient
    "mse": (
        STUDENT,
        math.log(2) ** 2 + math.log(2) ** 2 + (0.5 * math.log(5)) ** 2,
        [-2 * math.log(2), 2 * math.log(2), math.log(5)],
    ),
    "kl": (STUDENT, 0.4 * math.log(3.2) + 0.1 * math.log(0.4) + 0.5 * math.log(0.8), [-0.275, 0.15, 0.125]),
    "ce": (
        Q_STUDENT,
        -(0.4 * math.log(0.125) + 0.1 * math.log(0.25) + 0.5 * math.log(0.625)),
        [-0.55, 0.3, 0.25],  # those of kl over tau
    ),
    "nll": (STUDENT, -math.log(0.625), [0.125, 0.25, -0.375]),
}


def at(loss, student, teacher, temperature=TAU):
    """Value and gradient."""
    mine = torch.tensor(student, dtype=torch.float64, requires_grad=True)
    value = Q_LOSSES[loss](mine, torch.tensor(teacher, dtype=torch.float64), temperature)
    (gradient,) = torch.autograd.grad(value.sum(), mine)
    return value.detach(), gradient


@pytest.mark.parametrize("loss", Q_LOSSES)
def test_three_actions_give_what_they_give_by_hand(loss):
    student, value, gradient = BY_HAND[loss]
    found, slope = at(loss, student, TEACHER)
    assert float(found) == pytest.approx(value, abs=1e-12)
    assert slope.tolist() == pytest.approx(gradient, abs=1e-12)


@pytest.mark.parametrize("loss", Q_LOSSES)
def test_states_are_taken_one_by_one_whatever_their_axes(loss):
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(4, 5, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    together = Q_LOSSES[loss](student, teacher, 0.7)
    assert together.shape == (4, 5)
    for i in range(4):
        for j in range(5):
            alone = Q_LOSSES[loss](student[i, j], teacher[i, j], 0.7)
            torch.testing.assert_close(together[i, j], alone, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("loss", Q_LOSSES)
def test_the_teacher_gets_no_gradient(loss):
    student, teacher = (torch.tensor(x, requires_grad=True) for x in (STUDENT, TEACHER))
    Q_LOSSES[loss](student, teacher, TAU).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("temperature", [0.1, 1.0, 7.0])
def test_kl_and_ce_are_those_between_policies_at_that_temperature(temperature):
    generator = torch.Generator().manual_seed(1)
    student, teacher = (torch.randn(20, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    family = Family("categorical", (4,))
    torch.testing.assert_close(
        Q_LOSSES["kl"](student, teacher, temperature), divergence(family(teacher / temperature), family(student))
    )
    torch.testing.assert_close(
        Q_LOSSES["ce"](student, teacher, temperature),
        cross_entropy(family(teacher / temperature), family(student / temperature)),
    )


def test_at_a_low_temperature_kl_is_the_likelihood_of_the_greedy_action():
    sharp, labels = at("kl", STUDENT, TEACHER, 1e-3), at("nll", STUDENT, TEACHER)
    for one, other in zip(sharp, labels, strict=True):
        torch.testing.assert_close(one, other)


def test_at_a_high_temperature_kl_asks_for_equal_values():
    value, gradient = at("kl", STUDENT, TEACHER, 1e9)
    uniform = torch.full((3,), 1 / 3, dtype=torch.float64)
    expected = -(uniform * torch.log_softmax(torch.tensor(STUDENT, dtype=torch.float64), -1)).sum() - math.log(3)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, torch.softmax(torch.tensor(STUDENT, dtype=torch.float64), -1) - uniform)


def test_at_a_high_temperature_ce_matches_centred_values():
    """Hinton et al. 2015, eq. 4: the gradient is (Q_S − Q_T) / (A τ²) once both are centred."""
    _, gradient = at("ce", STUDENT, TEACHER, 1e3)
    centred = [torch.tensor(x, dtype=torch.float64) - sum(x) / 3 for x in (STUDENT, TEACHER)]
    torch.testing.assert_close(gradient * 3 * 1e6, centred[0] - centred[1], rtol=0, atol=5e-3)


@pytest.mark.parametrize(("loss", "shifted"), [("mse", False), ("kl", True), ("ce", True), ("nll", True)])
def test_all_but_mse_leave_a_constant_of_each_state_free(loss, shifted):
    here, there = (float(at(loss, [x + c for x in STUDENT], TEACHER)[0]) for c in (0.0, 3.0))
    assert (here == pytest.approx(there, abs=1e-12)) == shifted


def test_each_loss_is_least_where_it_says():
    entropy = -(0.4 * math.log(0.4) + 0.1 * math.log(0.1) + 0.5 * math.log(0.5))
    least = {"mse": TEACHER, "kl": [x / TAU for x in TEACHER], "ce": [x + 2 for x in TEACHER]}
    for loss, student in least.items():
        value, gradient = at(loss, student, TEACHER)
        torch.testing.assert_close(gradient, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
        assert float(value) == pytest.approx({"mse": 0, "kl": 0, "ce": entropy}[loss], abs=1e-12)


def test_of_equal_values_the_first_is_the_label():
    assert at("nll", STUDENT, [1.0, 1.0, 0.0])[1].argmin() == 0


def test_sharp_targets_and_large_values_stay_finite():
    """R15's temperature on values of hundreds, in single precision."""
    teacher = torch.tensor([[350.0, 351.0, -400.0], [0.0, 0.0, 0.0]])
    for loss in Q_LOSSES.values():
        student = torch.tensor([[-300.0, 200.0, 100.0], [1.0, 2.0, 3.0]], requires_grad=True)
        value = loss(student, teacher, 0.01)
        value.sum().backward()
        assert value.isfinite().all()
        assert student.grad.isfinite().all()


@pytest.mark.parametrize("loss", ["kl", "ce", "nll"])
def test_an_action_that_the_teacher_never_takes_has_no_part_in_it(loss):
    value, gradient = at(loss, [0.3, -0.1, 0.2], [0.4, 0.1, -math.inf])
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert float(gradient[2]) > 0  # only ever less likely
    assert float(gradient.sum()) == pytest.approx(0, abs=1e-12)


def test_gaps_are_those_between_the_best_two():
    values = torch.tensor([[1.0, 4.0, 2.5], [3.0, 3.0, -1.0]])
    assert gaps(values).tolist() == [1.5, 0.0]
    assert gaps(values[:, :1]).tolist() == [0.0, 0.0]
    assert gaps(values[None]).shape == (1, 2)
