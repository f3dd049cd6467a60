"""Rows of action values: what the catalogue holds, what a row refuses to be, and what options make of it."""

import math
from dataclasses import replace

import pytest

from understudy.errors import ConfigurationError, MethodError, UnderstudyError
from understudy.methods import (
    METHODS,
    Q_METHODS,
    Behaviour,
    QMethod,
    Schedule,
    from_toml,
    lookup,
    parse_control,
    with_behaviour,
    with_q_weights,
)

KL, JOINT = Q_METHODS["q-kl"], Q_METHODS["dqn+q-kl"]
FALLING = Schedule("linear", 1.0, 0.0)


def test_the_catalogue_has_four_distances_alone_and_with_td_and_dqn_alone():
    distances = ["q-mse", "q-kl", "q-ce", "q-nll"]
    assert list(Q_METHODS) == [*distances, "dqn", *(f"dqn+{name}" for name in distances)]
    for name, row in Q_METHODS.items():
        assert row.name == name == lookup(name).name
        assert row.distance == (name.rpartition("q-")[2] if "q-" in name else "")
        assert row.distils == row.reads_teacher == ("q-" in name)
        assert row.learns_by_td == name.startswith("dqn")
        assert row.weight == 1
        assert row.td == float(name.startswith("dqn"))
    assert not set(Q_METHODS) & set(METHODS)


def test_values_are_left_by_td_and_by_losses_on_the_teachers_scale():
    logits = [name for name, row in Q_METHODS.items() if not row.gives_values]
    assert logits == ["q-kl", "q-nll"]


def test_the_text_says_what_is_minimised():
    assert Q_METHODS["q-mse"].text == "Σ (Q_S − Q_T)²"
    assert Q_METHODS["dqn"].text == "(r + γ max Q_S′(θ−) − Q_S)²"
    assert with_q_weights(JOINT, 0.5, FALLING).text == (
        "linear:1:0:1·(r + γ max Q_S′(θ−) − Q_S)² + 0.5·KL(softmax(Q_T/τ)‖softmax(Q_S))"
    )
    assert with_q_weights(JOINT, 0.0, 1.0).text == Q_METHODS["dqn"].text


def test_schedules_are_read_where_the_run_is():
    row = with_q_weights(JOINT, Schedule("linear", 4.0, 0.0, 0.5), 1.0)
    assert [row.at(progress).weight for progress in (0.0, 0.25, 0.5, 1.0)] == [4.0, 2.0, 0.0, 0.0]
    assert row.at(0.25) == replace(row, weight=2.0)
    assert row.at(1.0).td == 1.0
    assert JOINT.at(0.3) is JOINT


def test_a_row_may_end_at_nothing_at_all():
    now = with_q_weights(KL, FALLING, 1.0).at(1.0)
    assert (now.name, now.distance, now.weight, now.td, now.control) == ("q-kl", "kl", 0.0, 0.0, KL.control)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distance": "kll"}, "m: the distance is one of mse, kl, ce, nll, got 'kll'. Did you mean 'kl'?"),
        ({"distance": "kl", "weight": -1.0}, "m: weight must be at least 0, got -1.0"),
        ({"distance": "kl", "weight": math.nan}, "m: weight must be at least 0, got nan"),
        ({"distance": "kl", "td": math.inf}, "m: td must be at least 0, got inf"),
        ({"distance": "kl", "td": -2.0}, "m: td must be at least 0, got -2.0"),
        ({"distance": "kl", "weight": Schedule("linear", 1.0, -1.0)}, "m: weight must be at least 0, got linear:1:-1"),
        ({}, "m: neither a distance nor a temporal-difference error has any weight"),
        ({"distance": "kl", "weight": 0.0}, "m: neither a distance nor a temporal-difference error has any weight"),
    ],
)
def test_what_a_row_cannot_be_is_refused(options, message):
    with pytest.raises(MethodError) as caught:
        QMethod("m", **options)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, Schedule("linear", 0.5, 2.0)])
@pytest.mark.parametrize("name", ["teacher", "epsilon"])
def test_shares_of_behaviour_lie_between_0_and_1(name, value):
    with pytest.raises(ConfigurationError, match=rf"{name} must lie in \[0, 1\], got "):
        Behaviour(**{name: value})


@pytest.mark.parametrize(
    ("behaviour", "progress", "weights"),
    [
        (Behaviour(), 0.5, (0.0, 0.95, 0.05)),
        (Behaviour(teacher=1.0, epsilon=0.0), 0.0, (1.0, 0.0, 0.0)),
        (Behaviour(teacher=0.25, epsilon=0.2), 1.0, (0.2, 0.6, 0.2)),
        (Behaviour(teacher=FALLING, epsilon=Schedule("linear", 1.0, 0.0, 0.5)), 0.25, (0.375, 0.125, 0.5)),
        (Behaviour(teacher=FALLING, epsilon=Schedule("linear", 1.0, 0.0, 0.5)), 0.75, (0.25, 0.75, 0.0)),
    ],
)
def test_who_acts_is_the_uniform_policy_first_and_then_the_teacher_or_the_student(behaviour, progress, weights):
    assert behaviour.at(progress) == pytest.approx(weights)
    assert sum(behaviour.at(progress)) == pytest.approx(1, abs=1e-12)


def test_behaviour_is_named():
    assert str(Behaviour()) == "student, ε 0.05"
    assert str(Behaviour(teacher=1.0, epsilon=0.0)) == "teacher, ε 0"
    assert str(Behaviour(teacher=0.5)) == "mixture(0.5), ε 0.05"
    assert str(Behaviour(teacher=FALLING, epsilon=Schedule("linear", 1.0, 0.05, 0.1))) == (
        "mixture(linear:1:0:1), ε linear:1:0.05:0.1"
    )


@pytest.mark.parametrize(
    ("control", "epsilon", "expected"),
    [
        (None, None, JOINT.control),
        ("teacher", None, replace(JOINT.control, teacher=1.0)),
        ("mixture:linear:1:0", None, replace(JOINT.control, teacher=FALLING)),
        ("student", 0.3, Behaviour(epsilon=0.3)),
        ("uniform", None, Behaviour(epsilon=1.0)),
        (None, FALLING, Behaviour(epsilon=FALLING)),
    ],
)
def test_options_change_who_acts_and_leave_the_rest(control, epsilon, expected):
    row = with_behaviour(JOINT, None if control is None else parse_control(control), epsilon)
    assert row == replace(JOINT, control=expected)


def test_a_row_without_a_distance_reads_the_teacher_only_where_it_acts():
    assert not Q_METHODS["dqn"].reads_teacher
    assert with_behaviour(Q_METHODS["dqn"], parse_control("mixture:linear:1:0"), None).reads_teacher
    assert not with_q_weights(JOINT, 0.0, 1.0).reads_teacher


def test_weights_multiply_the_rows_own():
    row = QMethod("m", "mse", weight=3.0, td=FALLING)
    changed = with_q_weights(row, FALLING, 2.0)
    assert changed.weight == Schedule("linear", 3.0, 0.0)
    assert changed.td == Schedule("linear", 2.0, 0.0)
    with pytest.raises(ConfigurationError, match="schedule linear:1:0:1 already; it cannot be multiplied by"):
        with_q_weights(row, 1.0, FALLING)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("dqn", (2.0, 1.0), "dqn has no distillation loss that --loss-weight could change"),
        ("q-kl", (1.0, 2.0), "q-kl has no temporal-difference error that --task-weight could change"),
        ("q-kl", (0.0, 1.0), "q-kl: neither a distance nor"),
        ("dqn", (1.0, 0.0), "dqn: neither a distance nor"),
        ("dqn+q-kl", (0.0, 0.0), r"dqn\+q-kl: neither a distance nor"),
        ("q-kl", (math.nan, 1.0), "q-kl: weight must be at least 0, got nan"),
        ("q-kl", (-1.0, 1.0), "q-kl: weight must be at least 0, got -1"),
    ],
)
def test_weights_that_mean_nothing_are_refused(name, weights, message):
    with pytest.raises(UnderstudyError, match=message):
        with_q_weights(Q_METHODS[name], *weights)


def written(row):
    """A row as a person would write it; its two words of behaviour are an option's."""
    control = {0.0: "student", 1.0: "teacher"}.get(row.control.teacher, f"mixture:{row.control.teacher}")
    lines = [f'["{row.name}"]', f'control = "{control}"', f'epsilon = "{row.control.epsilon}"']
    lines += [f'weight = "{row.weight}"', f'td = "{row.td}"', f'source = "{row.source}"']
    return "\n".join([*lines, f'distance = "{row.distance}"'])


def test_the_catalogue_and_rows_with_schedules_go_there_and_back(tmp_path):
    rows = {
        **Q_METHODS,
        "own": QMethod("own", "ce", FALLING, Schedule("exponential", 0.1, 1.0), Behaviour(FALLING, 0.5)),
    }
    path = tmp_path / "mine.toml"
    path.write_text("\n\n".join(map(written, rows.values())), encoding="utf-8")
    assert from_toml(path) == rows


def test_what_a_file_leaves_out_is_the_default(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[a]\ndistance = "kl"\n[b]\ntd = 2\nepsilon = 0.3\n[c]\nloss = [{atom = "forward-kl"}]\n')
    rows = from_toml(path)
    assert rows["a"] == QMethod("a", "kl", source=str(path))
    assert rows["b"] == QMethod("b", td=2.0, control=Behaviour(epsilon=0.3), source=str(path))
    assert not isinstance(rows["c"], QMethod)
    assert lookup(f"{path}:b") == rows["b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[m]\ndistance = "kll"', r"\[m\]: m: the distance is one of .* Did you mean 'kl'\?"),
        ("[m]\ntd = 0", r"\[m\]: m: neither a distance nor a temporal-difference error"),
        ("[m]\ntd = nan", r"\[m\]: m: td must be at least 0, got nan"),
        ("[m]\ntd = -1", r"\[m\]: m: td must be at least 0, got -1"),
        ("[m]\ntd = true", r"\[m\]: td must be int or float or str, got True"),
        ('[m]\ntd = "linear:1"', r"\[m\]: expected a number or SHAPE:START:END"),
        ("[m]\ntd = 1\nepsilon = 2", r"\[m\]: epsilon must lie in \[0, 1\], got 2"),
        ("[m]\ntd = 1\nepsilom = 0.1", r"\[m\]: unknown key 'epsilom'. Did you mean 'epsilon'\?"),
        ("[m]\ntd = 1\nloss = []", r"\[m\]: unknown key 'loss'"),
        ('[m]\ntd = 1\ncontrol = "mixture:2"', r"\[m\]: control weights must lie in \[0, 1\]"),
        ('[m]\nloss = [{atom = "forward-kl"}]\nepsilon = 0.1', r"\[m\]: unknown key 'epsilon'"),
    ],
)
def test_a_mistake_in_a_file_is_refused_with_its_place(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(UnderstudyError, match=message) as caught:
        from_toml(path)
    assert str(path) in str(caught.value)
