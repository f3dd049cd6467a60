"""What rows are made of, and how rows are made from rows."""

from dataclasses import replace

import pytest

from understudy.errors import ConfigurationError, MethodError
from understudy.methods import (
    CONTROLS,
    METHODS,
    Control,
    Method,
    Need,
    Part,
    Schedule,
    corrected,
    mixture,
    parse_control,
    plus_task_reward,
    term_text,
    with_control,
    with_divergence,
    with_expected_reward,
    with_weights,
)
from understudy.methods.schedule import parse

STUDENT = CONTROLS["student"]
FALLING = Schedule("linear", 1.0, 0.0, 0.5)


def row(*reward, loss=(), control=STUDENT):
    return Method("mine", control, loss, tuple(reward))


def test_a_part_without_an_atom_of_that_name_is_refused_with_the_nearest():
    with pytest.raises(MethodError, match=r"unknown atom 'teacher-valu'. Did you mean 'teacher-value'\?"):
        Part(1, "teacher-valu")


@pytest.mark.parametrize("credit", [-0.1, 1.1, float("nan")])
def test_a_credit_outside_its_range_is_refused(credit):
    with pytest.raises(MethodError, match=r"credit must lie in \[0, 1\]"):
        Part(1, "task-reward", credit=credit)


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_refused(weight):
    with pytest.raises(MethodError, match="the weight of task-reward must be finite"):
        Part(weight, "task-reward")


def test_the_task_reward_cannot_be_taken_one_step_later():
    with pytest.raises(MethodError, match="use credit instead"):
        Part(1, "task-reward", later=True)


def test_a_row_of_nothing_is_refused():
    with pytest.raises(MethodError, match="needs a loss or a reward"):
        row()


def test_a_loss_of_the_next_state_is_refused():
    with pytest.raises(MethodError, match="only reward parts may be taken one step later"):
        row(loss=(Part(1, "forward-kl", later=True),))


@pytest.mark.parametrize("control", [CONTROLS["teacher"], CONTROLS["uniform"], mixture(0.5)], ids=str)
def test_a_reward_term_needs_the_student_to_act_and_the_message_says_what_to_do(control):
    with pytest.raises(ConfigurationError, match=r"which needs the student to act, but control is .*--control student"):
        row(Part(1, "task-reward"), control=control)


@pytest.mark.parametrize("credit", [1.0, 0.5])
def test_a_bootstrapped_reward_accepts_credit_0_only(credit):
    parts = Part(1, "task-reward", credit=credit), Part(1, "teacher-value", later=True, credit=credit)
    with pytest.raises(MethodError, match="credit 0 only"):
        row(*parts)
    assert row(*(replace(part, credit=0.0) for part in parts))


def test_a_potential_must_keep_its_balance_along_the_whole_run():
    later, now = Part(FALLING, "teacher-value", later=True), Part(-1.0, "teacher-value")
    with pytest.raises(MethodError, match="credit 0 only"):
        row(later, now)
    assert row(later, Part(Schedule("linear", -1.0, 0.0, 0.5), "teacher-value"))


def test_the_charge_of_a_weight_that_grows_from_0_is_seen_before_the_run():
    growing = Part(Schedule("linear", 0.0, -1.0), "forward-kl", later=True)
    assert row(growing).charges_every_step
    assert not row(replace(growing, credit=0.0)).charges_every_step
    assert not row(growing, Part(1, "task-reward")).charges_every_step
    assert row(growing, Part(0, "task-reward")).charges_every_step


def test_control_weights_are_a_probability_vector():
    with pytest.raises(ConfigurationError, match=r"control weights must sum to 1, got 1.2"):
        Control(teacher=0.6, student=0.6)
    for teacher in (1.5, -0.5, float("nan"), Schedule("linear", 0.5, 1.5)):
        with pytest.raises(ConfigurationError, match=r"control weights must lie in \[0, 1\]"):
            mixture(teacher)


def test_a_mixture_follows_its_schedule():
    control = parse_control("mixture:linear:1:0:0.5")
    assert [control.at(progress) for progress in (0.0, 0.25, 0.5, 1.0)] == [
        (1.0, 0.0, 0.0),
        (0.5, 0.5, 0.0),
        (0.0, 1.0, 0.0),
        (0.0, 1.0, 0.0),
    ]
    assert not control.is_student
    assert Control(teacher=0.25, uniform=0.25).at(0) == (0.25, 0.5, 0.25)


@pytest.mark.parametrize("text", ["teacher", "student", "uniform"])
def test_a_control_is_named_as_it_prints(text):
    assert str(parse_control(text)) == text


@pytest.mark.parametrize("text", ["techer", "mixture", "mixture:", "mixture:half", ""])
def test_a_control_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(ConfigurationError, match="linear:1:0"):
        parse_control(text)


def test_a_correction_is_made_once_and_of_a_loss_alone():
    with pytest.raises(MethodError, match="no loss term to correct"):
        corrected(METHODS["task-reward"])
    for name in ("n-distill", "exp-entropy-regularised", "n-distill+r"):
        with pytest.raises(MethodError, match="already"):
            corrected(METHODS[name])
    with pytest.raises(MethodError, match="needs the student to act, not teacher"):
        corrected(METHODS["teacher-distill"])


def test_a_correction_beside_the_task_reward_is_the_same_row_in_either_order():
    one = corrected(METHODS["on-policy-distill+r"], "n-distill+r")
    other = METHODS["n-distill+r"]
    assert (set(one.reward), one.loss, one.gradient, one.objective) == (
        set(other.reward),
        other.loss,
        other.gradient,
        other.objective,
    )


KL_FORMS = {
    "teacher-distill": ("KL(π‖πθ)", "0", "E_π Σ KL(π‖πθ)"),
    "n-distill": ("KL(π‖πθ)", "−KL(π‖πθ)′", "E_πθ Σ KL(π‖πθ)"),
    "exp-entropy-regularised": ("KL(πθ‖π)", "log π(a)′ − log πθ(a)′", "E_πθ Σ KL(πθ‖π)"),
    "entropy-regularised": ("0", "log π(a) − log πθ(a)", "E_πθ Σ KL(πθ‖π)"),
    "kl-regularised": ("0", "log π(a) − log πθ(a)", "E_πθ Σ KL(πθ‖π)"),
}


@pytest.mark.parametrize("name", KL_FORMS)
def test_a_divergence_takes_the_place_of_every_cross_entropy(name):
    changed = with_divergence(METHODS[name], "kl")
    assert (term_text(changed.loss), term_text(changed.reward), changed.objective) == KL_FORMS[name]
    assert with_divergence(METHODS[name], "cross-entropy") is METHODS[name]
    assert with_divergence(changed, "kl") == changed


def test_a_divergence_by_another_name_is_refused():
    with pytest.raises(ConfigurationError, match="cross-entropy, kl, got 'jsd'"):
        with_divergence(METHODS["n-distill"], "jsd")


EXPECTED = {"exp-entropy-regularised", "exp-entropy-regularised+r"}


@pytest.mark.parametrize("name", METHODS)
def test_the_expected_form_exists_where_the_reward_is_sampled_one_step_later(name):
    if name in EXPECTED:
        changed = with_expected_reward(METHODS[name])
        assert term_text(changed.reward[:1]) == "−H(πθ‖π)′"
        assert changed.needs == METHODS[name].needs
    else:
        with pytest.raises(ConfigurationError, match="has no expected form"):
            with_expected_reward(METHODS[name])


def test_the_expected_form_of_an_entropy_bonus_asks_nothing_of_the_teacher():
    bonus = with_expected_reward(row(Part(-1, "student-log-prob", later=True)))
    assert term_text(bonus.reward) == "H(πθ)′"
    assert not bonus.reads_teacher
    assert Need.FULL_SUPPORT not in bonus.needs


def test_weights_scale_a_loss_and_its_correction_together():
    halved = with_weights(METHODS["n-distill+r"], loss=0.5, task=2.0)
    assert term_text(halved.loss) == "0.5·H(π‖πθ)"
    assert term_text(halved.reward) == "−0.5·H(π‖πθ)′ + 2·r"
    assert term_text(with_weights(METHODS["entropy-regularised+r"], loss=0.5).reward) == "0.5·log π(a) + r"
    assert term_text(with_weights(METHODS["teacher-v-reward"], task=2.0).reward) == "2·r + V_T′ − V_T"


@pytest.mark.parametrize("shape", ["linear", "exponential"])
def test_a_scheduled_weight_keeps_the_correction_opposite_to_its_loss(shape):
    weight = Schedule(shape, 1.0, 0.01)
    scheduled = with_weights(METHODS["n-distill+r"], loss=weight)
    for progress in (0.0, 0.3, 1.0):
        now = scheduled.at(progress)
        assert now.loss[0].weight == pytest.approx(weight.at(progress))
        assert now.reward[0].weight == pytest.approx(-weight.at(progress))
        assert now.reward[1].weight == 1.0


def test_a_weight_for_what_a_row_lacks_is_refused_with_the_row_that_has_it():
    with pytest.raises(ConfigurationError, match="Use n-distill\\+r"):
        with_weights(METHODS["n-distill"], task=2.0)
    with pytest.raises(ConfigurationError, match="no divergence to weigh"):
        with_weights(METHODS["task-reward"], loss=2.0)


def test_another_control_is_another_claim():
    uniform = with_control(METHODS["on-policy-distill"], CONTROLS["uniform"])
    assert (uniform.gradient, uniform.objective) == (True, "E_q Σ H(π‖πθ)")
    mixed = with_control(METHODS["teacher-distill"], mixture(0.5))
    assert (mixed.gradient, mixed.objective) == (False, "none exists")
    assert with_control(METHODS["n-distill"], STUDENT) is METHODS["n-distill"]
    with pytest.raises(ConfigurationError, match="needs the student to act"):
        with_control(METHODS["n-distill"], CONTROLS["teacher"])


def test_a_weighted_task_reward_is_printed_with_its_weight():
    assert term_text(plus_task_reward(METHODS["n-distill"], 0.1).reward) == "−H(π‖πθ)′ + 0.1·r"


def test_a_row_whose_weights_are_all_zero_is_refused_but_a_schedule_may_end_there():
    with pytest.raises(MethodError, match="weight 0 throughout"):
        Method("idle", CONTROLS["student"], loss=(Part(0, "forward-kl"),), reward=(Part(0.0, "task-reward"),))
    with pytest.raises(MethodError, match="weight 0 throughout"):
        with_weights(METHODS["n-distill"], loss=0.0)
    fading = with_weights(METHODS["n-distill"], loss=parse("linear:1:0"))
    assert [part.weight for part in fading.at(1.0).parts] == [0, 0]
    assert [part.weight for part in fading.at(1.0).divergence_only().parts] == [0, 0]
    assert with_weights(METHODS["n-distill+r"], loss=0.0).loss[0].weight == 0


def test_mixtures_that_only_begin_and_end_alike_are_not_taken_for_one_another():
    slow, fast = (with_control(METHODS["on-policy-distill"], mixture(parse(f"linear:1:0:{x}"))) for x in (1.0, 0.5))
    changed = with_control(slow, fast.control)
    assert changed.control.at(0.5) == (0.0, 1.0, 0.0)
    assert slow.control.at(0.5) == (0.5, 0.5, 0.0)
    assert with_control(slow, slow.control) is slow


def test_a_student_that_acts_only_on_the_way_is_no_fixed_control():
    control = Control(teacher=parse("linear:1:0:0.5"), uniform=parse("linear:0:1"))
    assert control.at(0.5) == (0.0, 0.5, 0.5)
    assert with_control(METHODS["teacher-distill"], control).gradient is False


def test_two_schedules_for_one_weight_are_refused():
    row = with_weights(METHODS["on-policy-distill"], loss=parse("linear:1:0"))
    with pytest.raises(ConfigurationError, match="two schedules"):
        with_weights(row, loss=parse("linear:2:1"))
    assert with_weights(row, loss=2.0).loss[0].weight == parse("linear:2:0")
