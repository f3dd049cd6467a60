"""Every row of the catalogue against METHODS.md's table, retyped."""

import pytest

from understudy.errors import ConfigurationError, MethodError
from understudy.methods import ATOMS, METHODS, Need, corrected, lookup, plus_task_reward, term_text
from understudy.methods.atoms import TEXTS

V_T, V_S, R, SUPPORT, ACTS = (
    Need.TEACHER_VALUE,
    Need.STUDENT_VALUE,
    Need.TASK_REWARD,
    Need.FULL_SUPPORT,
    Need.STUDENT_CONTROL,
)
TABLE = {
    "teacher-distill": ("teacher", "H(π‖πθ)", "0", set()),
    "on-policy-distill": ("student", "H(π‖πθ)", "0", set()),
    "entropy-regularised": ("student", "0", "log π(a)", {SUPPORT, ACTS}),
    "kl-regularised": ("student", "0", "log π(a) − log πθ(a)", {SUPPORT, ACTS}),
    "n-distill": ("student", "H(π‖πθ)", "−H(π‖πθ)′", {ACTS}),
    "exp-entropy-regularised": ("student", "H(πθ‖π)", "log π(a)′", {SUPPORT, ACTS}),
    "teacher-v-reward": ("student", "0", "r + V_T′ − V_T", {R, V_T, ACTS}),
    "teacher-v-reward-printed": ("student", "0", "r + V_T′ − V_S", {R, V_T, V_S, ACTS}),
    "v-gated": ("student", "H(π‖πθ)·1[V_T > V_S]", "r", {R, V_T, V_S, ACTS}),
    "teacher-critic": ("student", "0", "r [credit 0] + V_T′ [credit 0]", {R, V_T, ACTS}),
    "student-critic": ("student", "0", "r [credit 0] + V_S′ [credit 0]", {R, V_S, ACTS}),
    "task-reward": ("student", "0", "r", {R, ACTS}),
    "on-policy-distill+r": ("student", "H(π‖πθ)", "r", {R, ACTS}),
    "entropy-regularised+r": ("student", "0", "log π(a) + r", {SUPPORT, R, ACTS}),
    "kl-regularised+r": ("student", "0", "log π(a) − log πθ(a) + r", {SUPPORT, R, ACTS}),
    "n-distill+r": ("student", "H(π‖πθ)", "−H(π‖πθ)′ + r", {R, ACTS}),
    "exp-entropy-regularised+r": ("student", "H(πθ‖π)", "log π(a)′ + r", {SUPPORT, R, ACTS}),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_row_reads_as_the_table_has_it_and_its_needs_follow(name):
    row = METHODS[name]
    assert (str(row.control), term_text(row.loss), term_text(row.reward), set(row.needs)) == TABLE[name]


def test_no_row_is_missing_and_every_name_is_its_key():
    assert set(METHODS) == set(TABLE)
    assert all(row.name == name for name, row in METHODS.items())


@pytest.mark.parametrize("name", METHODS)
def test_every_row_names_its_source(name):
    assert METHODS[name].source


@pytest.mark.parametrize("name", METHODS)
def test_only_the_baselines_never_look_at_the_teacher(name):
    assert METHODS[name].reads_teacher == (name not in ("task-reward", "student-critic"))


TRAPPED = {"entropy-regularised", "kl-regularised", "n-distill", "exp-entropy-regularised"}


@pytest.mark.parametrize("name", METHODS)
def test_the_termination_trap_is_known_for_each_row(name):
    assert METHODS[name].charges_every_step == (name in TRAPPED)


@pytest.mark.parametrize("name", [name for name in METHODS if name.endswith("+r")])
def test_plus_r_is_the_row_without_it_and_the_task_reward(name):
    assert METHODS[name] == plus_task_reward(METHODS[name.removesuffix("+r")])


@pytest.mark.parametrize("name", [name for name in METHODS if "r" in term_text(METHODS[name].reward).split()])
def test_the_task_reward_is_not_added_twice(name):
    with pytest.raises(MethodError, match="has the task reward already"):
        plus_task_reward(METHODS[name])


def test_the_task_reward_needs_the_student_to_act():
    with pytest.raises(
        ConfigurationError, match=r"teacher-distill\+r needs the student to act, but control is teacher"
    ):
        plus_task_reward(METHODS["teacher-distill"])


def test_n_distill_is_the_correction_of_on_policy_distill_and_keeps_its_symbols():
    row = METHODS["n-distill"]
    assert row == corrected(METHODS["on-policy-distill"], "n-distill")
    assert row.objective == "E_πθ Σ H(π‖πθ)"


def test_every_atom_has_one_text_for_pytorch():
    assert set(TEXTS) == set(ATOMS)
    assert all(atom in ATOMS for a in ATOMS.values() for _, atom in a.expected)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match=r"unknown method 'n-distil'. Did you mean 'n-distill'\?"):
        lookup("n-distil")
