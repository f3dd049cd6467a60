"""Training many tabular students: independence, exact measurement, schedules, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from understudy.engines.tabular.pack import pack
from understudy.engines.tabular.setting import Setting
from understudy.engines.tabular.train import METRICS, facts, sampled_update, train
from understudy.errors import ConfigurationError, MethodError
from understudy.mdp.families import grid, random_mdp
from understudy.mdp.model import MDP
from understudy.mdp.solve import Chain
from understudy.mdp.teachers import Teacher, evaluated
from understudy.methods import CONTROLS, METHODS, Schedule, mixture, with_control, with_weights

SEEDS = np.array([3, 1, 4, 1, 5], dtype=np.uint64)
ROWS = ("on-policy-distill", "n-distill+r", "v-gated", "student-critic", "exp-entropy-regularised")


def softmax(x):
    weight = np.exp(x - x.max(-1, keepdims=True))
    return weight / weight.sum(-1, keepdims=True)


def random_pairs(count: int, actions: int = 3) -> list[tuple[MDP, Teacher]]:
    found = []
    for k in range(count):
        generator = np.random.default_rng(k)
        mdp = random_mdp(7, actions, 0.1, generator)
        found.append((mdp, evaluated(mdp, softmax(2 * generator.standard_normal((7, actions))))))
    return found


def packed_of(pairs):
    return pack([mdp for mdp, _ in pairs], [teacher for _, teacher in pairs])


def grids(window=None):
    found = []
    for k in range(2):
        generator = np.random.default_rng(k)
        mdp = grid(generator, size=6, window=window).mdp
        found.append((mdp, evaluated(mdp, softmax(generator.standard_normal((36, 4))))))
    return found


@pytest.mark.parametrize("name", ROWS)
def test_neither_company_nor_threads_change_a_bit(name):
    pairs, setting = random_pairs(5), Setting(METHODS[name], learning_rate=0.1, gamma=0.9)
    points = np.array([0, 7, 200])
    whole = train(packed_of(pairs), setting, 200, points, SEEDS)
    threads = train(packed_of(pairs), setting, 200, points, SEEDS, threads=3)
    parts = [train(packed_of(pairs[a:b]), setting, 200, points, SEEDS[a:b]) for a, b in ((0, 1), (1, 3), (3, 5))]
    assert whole.logits.any()
    for other in (threads.logits, np.concatenate([part.logits for part in parts])):
        assert whole.logits.tobytes() == other.tobytes()
    for metric in METRICS:
        assert whole.metrics[metric].tobytes() == threads.metrics[metric].tobytes()
        assert whole.metrics[metric].tobytes() == np.concatenate([part.metrics[metric] for part in parts]).tobytes()


def test_no_iteration_at_all_leaves_the_uniform_policy():
    setting = Setting(METHODS["task-reward"], learning_rate=Schedule("linear", 1.0, 0.0))
    packed = packed_of(random_pairs(1))
    trained = train(packed, setting, 0, np.array([0]), SEEDS[:1])
    assert trained.metrics["return"] == pytest.approx(facts(packed)["uniform-return"][:, None])


def test_measuring_does_not_disturb_the_training():
    packed, setting = packed_of(random_pairs(2)), Setting(METHODS["n-distill"], learning_rate=0.1)
    often = train(packed, setting, 50, np.arange(51), SEEDS[:2])
    never = train(packed, setting, 50, np.array([], dtype=np.int64), SEEDS[:2])
    assert often.logits.tobytes() == never.logits.tobytes()


@pytest.mark.parametrize("pairs", [random_pairs(2), grids(), grids(3)], ids=["dense", "banded", "windows"])
def test_measurements_are_those_of_the_exact_chain(pairs):
    packed = packed_of(pairs)
    trained = train(packed, Setting(METHODS["on-policy-distill"], learning_rate=0.1), 60, np.array([60]), SEEDS[:2])
    for k, (mdp, teacher) in enumerate(pairs):
        student = softmax(trained.logits[k])[mdp.observed]
        kl = (teacher.policy * np.log(teacher.policy / student)).sum(-1)
        uniform = np.full_like(student, 1 / mdp.actions)
        for name, policy in (("student", student), ("teacher", teacher.policy), ("uniform", uniform)):
            visits = Chain(mdp, policy).visits()
            assert trained.metrics[f"kl-{name}"][k, 0] == pytest.approx((visits * kl).sum() / visits.sum(), rel=1e-9)
        value = Chain(mdp, student).values(mdp.rewards) @ mdp.start
        assert trained.metrics["return"][k, 0] == pytest.approx(value, rel=1e-9)


def test_facts_are_exact_returns():
    pairs = grids()
    found = facts(packed_of(pairs))
    for k, (mdp, teacher) in enumerate(pairs):
        assert found["teacher-return"][k] == pytest.approx(mdp.start @ teacher.values)
        uniform = np.full_like(teacher.policy, 0.25)
        assert found["uniform-return"][k] == pytest.approx(mdp.start @ Chain(mdp, uniform).values(mdp.rewards))
    assert (found["optimal-return"] > np.maximum(found["teacher-return"], found["uniform-return"])).all()


def test_a_student_ends_as_a_copy_of_its_teacher():
    """Proposition 1 of C19, in the tabular case: all that the teacher reaches is copied."""
    pairs = random_pairs(2)
    setting = Setting(METHODS["on-policy-distill"], learning_rate=Schedule("exponential", 1.0, 0.001))
    trained = train(packed_of(pairs), setting, 4000, np.array([4000]), SEEDS[:2])
    assert trained.metrics["kl-student"].max() < 1e-4
    for k, (_, teacher) in enumerate(pairs):
        assert softmax(trained.logits[k]) == pytest.approx(teacher.policy, abs=0.01)


def test_a_learning_rate_that_has_reached_0_changes_nothing_any_more():
    setting = Setting(METHODS["on-policy-distill"], learning_rate=Schedule("linear", 0.5, 0.0, until=0.5))
    metric = train(packed_of(random_pairs(1)), setting, 100, np.array([49, 51, 100]), SEEDS[:1]).metrics["kl-teacher"]
    assert metric[0, 0] != metric[0, 1]
    assert metric[0, 1] == metric[0, 2]


def test_a_scheduled_weight_acts_like_a_scheduled_learning_rate():
    row, down = METHODS["on-policy-distill"], Schedule("linear", 1.0, 0.0)
    packed = packed_of(random_pairs(1))
    rate = train(packed, Setting(row, learning_rate=Schedule("linear", 0.2, 0.0)), 100, np.array([100]), SEEDS[:1])
    weight = train(packed, Setting(with_weights(row, loss=down), learning_rate=0.2), 100, np.array([100]), SEEDS[:1])
    assert weight.logits == pytest.approx(rate.logits, abs=1e-12)


def test_a_scheduled_control_hands_over_in_time():
    """At first the teacher acts alone, so nothing differs; later the student sees other states."""
    row, packed = METHODS["on-policy-distill"], packed_of(random_pairs(1))
    handing = with_control(row, mixture(Schedule("linear", 1.0, 0.0, until=0.5)))
    points = np.array([1, 200])
    by_teacher = train(packed, Setting(with_control(row, CONTROLS["teacher"])), 200, points, SEEDS[:1])
    handed = train(packed, Setting(handing), 200, points, SEEDS[:1])
    assert handed.metrics["return"][0, 0] == by_teacher.metrics["return"][0, 0]
    assert handed.metrics["return"][0, 1] != by_teacher.metrics["return"][0, 1]


def test_an_episode_that_is_cut_is_counted():
    mdp = MDP(np.ones((1, 2, 1)) * 0.9, np.ones((1, 2)), np.ones(1))
    packed = pack([mdp], [evaluated(mdp, np.array([[0.4, 0.6]]))])
    setting = Setting(METHODS["on-policy-distill"], max_steps=3)
    trained = train(packed, setting, 20_000, np.array([], dtype=np.int64), SEEDS[:1])
    assert trained.cut[0] / 20_000 == pytest.approx(0.9**3, abs=0.02)
    assert trained.steps[0] / 20_000 == pytest.approx(1 + 0.9 + 0.81, abs=0.03)


@pytest.mark.parametrize("name", ["entropy-regularised", "exp-entropy-regularised", "kl-regularised+r"])
def test_a_teacher_that_excludes_an_action_is_refused_where_its_logarithm_is_read(name):
    (mdp, _), *_ = random_pairs(1)
    teacher = evaluated(mdp, np.eye(3)[np.zeros(7, dtype=int)])
    with pytest.raises(MethodError, match=rf"{name.replace('+', '.')} reads .* in state 0 action 1 has none"):
        train(pack([mdp], [teacher]), Setting(METHODS[name]), 1, np.array([1]), SEEDS[:1])


def test_a_deterministic_teacher_can_be_cloned():
    (mdp, _), *_ = random_pairs(1)
    teacher = evaluated(mdp, np.eye(3)[np.arange(7) % 3])
    trained = train(pack([mdp], [teacher]), Setting(METHODS["n-distill"]), 2000, np.array([0, 2000]), SEEDS[:1])
    assert trained.metrics["kl-teacher"][0, 0] == pytest.approx(np.log(3))
    assert trained.metrics["kl-teacher"][0, 1] < 0.2


def test_points_out_of_order_and_missing_seeds_are_refused():
    packed, setting = packed_of(random_pairs(2)), Setting(METHODS["task-reward"])
    with pytest.raises(ConfigurationError, match="measure_at must rise"):
        train(packed, setting, 10, np.array([3, 3]), SEEDS[:2])
    with pytest.raises(ConfigurationError, match="a seed for each of 2 MDPs, got 1"):
        train(packed, setting, 10, np.array([3]), SEEDS[:1])


def test_a_seed_of_its_own_gives_another_student():
    (pair,) = random_pairs(1)
    packed = packed_of([pair, pair])
    trained = train(packed, Setting(METHODS["task-reward"]), 20, np.array([20]), SEEDS[:2])
    assert (trained.logits[0] != trained.logits[1]).any()


def test_the_settings_refuse_what_would_bias_or_diverge():
    with pytest.raises(ConfigurationError, match="baseline under control teacher"):
        Setting(METHODS["teacher-distill"], baseline=True)
    with pytest.raises(ConfigurationError, match="gamma"):
        replace(Setting(METHODS["task-reward"]), gamma=1.5)


def test_tables_of_a_wrong_shape_never_reach_compiled_code():
    (mdp, teacher), *_ = random_pairs(1)
    setting, right = Setting(METHODS["v-gated"]), np.zeros((7, 3))
    with pytest.raises(ConfigurationError, match=r"logits must be finite numbers of the shape \[7, 3\], got \[2, 3\]"):
        sampled_update(mdp, teacher, setting, right[:2], 10, 0)
    with pytest.raises(ConfigurationError, match="with 1 that are not finite"):
        sampled_update(mdp, teacher, setting, np.where(np.arange(21).reshape(7, 3) == 4, np.nan, 0.0), 10, 0)
    with pytest.raises(ConfigurationError, match=r"values must be finite numbers of the shape \[7\]"):
        sampled_update(mdp, teacher, setting, right, 10, 0, values=np.zeros(3))
    with pytest.raises(ConfigurationError, match="at least one episode, got 0"):
        sampled_update(mdp, teacher, setting, right, 0, 0)
    with pytest.raises(ConfigurationError, match=r"logits must .* \[1, 7, 3\]"):
        train(pack([mdp], [teacher]), setting, 1, np.array([1]), SEEDS[:1], logits=right)


def test_visits_that_would_vanish_are_refused():
    """A visit of weight 0 would not be told from none."""
    with pytest.raises(ConfigurationError, match="vanish within 2000 steps; use max_steps below 581"):
        Setting(METHODS["task-reward"], gamma=0.3, discounted_visits=True)
    assert Setting(METHODS["task-reward"], gamma=0.3, discounted_visits=True, max_steps=580).max_steps == 580


def test_a_learning_rate_that_is_no_number_is_refused():
    with pytest.raises(ConfigurationError, match="learning_rate must not be negative, got nan"):
        Setting(METHODS["task-reward"], learning_rate=float("nan"))
