"""Learning action values: targets and losses by hand, tables distilled exactly, DQN against value iteration."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from understudy.engines.actor import numpy_forward
from understudy.engines.learner import Learner
from understudy.engines.optimiser import FlatAdam
from understudy.engines.q_objective import QObjective, Target, values_of
from understudy.engines.schedule import Rhythm
from understudy.engines.source import FreshRollouts
from understudy.envs.actions import family_of
from understudy.envs.of_mdp import MDPSimulator
from understudy.envs.views import ObservationViews
from understudy.errors import MethodError, TeacherError
from understudy.math.distributions import Family
from understudy.mdp.model import MDP
from understudy.mdp.solve import optimal
from understudy.methods import Q_METHODS, Behaviour, QMethod, Schedule
from understudy.policies.student import Student

torch.set_num_threads(1)
GAMMA, STATES = 0.9, 5
VIEWS = ObservationViews()
TEMPERATURE = 0.5


def chain(chosen=True):
    """Steps left and right, and an end on the right. ``chosen`` False: right whatever is done."""
    transitions, rewards = np.zeros((STATES, 2, STATES)), np.random.default_rng(3).normal(size=(STATES, 2))
    for s in range(STATES - 1):
        for a in range(2):
            transitions[s, a, s + 1 if a or not chosen else max(s - 1, 0)] = 1
    if not chosen:
        rewards[:, 1] = rewards[:, 0]
    start, terminal = np.array([*[1 / (STATES - 1)] * (STATES - 1), 0]), np.eye(STATES, dtype=bool)[-1]
    return MDP(transitions, rewards, start, terminal)


def simulator(mdp, copies=4, most=3):
    return MDPSimulator(mdp, copies, 0, max_episode_steps=most)  # cut off, so that values go beyond


def of_table(table, temperature=TEMPERATURE):
    """A policy that answers these action values ``[S, A]`` for one-hot states."""
    space, actions = spaces.Box(0, 1, (len(table),), np.float32), spaces.Discrete(table.shape[1])
    policy = Student(space, actions, family_of(actions), "linear", temperature=temperature)
    with torch.no_grad():
        policy.network.layers[-1].weight.copy_(torch.as_tensor(table.T))
    return policy


def table_of(student):
    """What a student answers for each state, ``[S, A]``."""
    with torch.no_grad():
        return student.action_values(torch.eye(student.observation_space.shape[0])).double()


def teacher_table():
    return np.random.default_rng(1).normal(size=(STATES, 2)).astype(np.float32) + 20


def objective(method, *, teacher=None, student=None, spec="linear", **options):
    row = Q_METHODS[method] if isinstance(method, str) else method
    teacher = of_table(teacher_table()) if teacher is None else teacher
    if student is None:
        own = TEMPERATURE if row.gives_values else None
        student = Student(
            teacher.observation_space, teacher.action_space, teacher.family, spec, temperature=own, seed=4
        )
    return QObjective(row, teacher, student, VIEWS, **{"temperature": TEMPERATURE, "gamma": GAMMA} | options)


def learner(joined, mdp, *, behaviour=None, seed=0, first=0, rounds=60, **rhythm):
    beat = {"collect": 64, "updates": 16, "batch": 128, "store": 20_000, "learning_rate": 0.1, "clip": 0.0}
    pace = Rhythm(**beat | {"final_learning_rate": 1e-3} | rhythm)
    source = FreshRollouts(
        simulator(mdp), behaviour or joined.method.control, joined.teacher, joined.student, VIEWS,
        collect=pace.collect, seed=seed, greedy=True, first=first,
    )  # fmt: skip
    return Learner(source, joined, pace, budget=64 * rounds, seed=seed)


def trained(joined, mdp, rounds=60, **options):
    one = learner(joined, mdp, rounds=rounds, **options)
    for _ in range(rounds):
        one.step()
    return one


# Targets


def columns_by_hand():
    """Three transitions: one that goes on, one of two steps, one that ended."""
    eye = torch.eye(STATES)
    return {
        "observation": eye[[0, 1, 2]],
        "next": eye[[1, 2, 2]],
        "action": torch.tensor([0, 1, 1]),
        "reward": torch.tensor([1.0, -2.0, 5.0]),
        "discount": torch.tensor([0.9, 0.81, 0.0]),
        "teacher": torch.tensor([[1.0, 2.0], [3.0, 3.0], [0.0, -1.0]]),
    }


STUDENT = np.array([[1, 2], [4, 3], [0, 6], [0, 0], [0, 0]], np.float32)
HELD = np.array([[9, 9], [5, 7], [8, 2], [0, 0], [0, 0]], np.float32)


def by_hand(method, **options):
    joined = objective(method, student=of_table(STUDENT), **options)
    with torch.no_grad():
        joined.held.load_state_dict(of_table(HELD).network.state_dict())
    return joined


@pytest.mark.parametrize(
    ("double", "expected"),
    [
        (True, [1 + 0.9 * 5, -2 + 0.81 * 2, 5.0]),  # the student chooses 0 in state 1 and 1 in state 2
        (False, [1 + 0.9 * 7, -2 + 0.81 * 8, 5.0]),
    ],
)
def test_targets_are_those_by_hand(double, expected):
    joined = by_hand("dqn", target=Target(double=double))
    torch.testing.assert_close(joined.targets(columns_by_hand()), torch.tensor(expected))


@pytest.mark.parametrize(
    ("row", "huber", "expected"),
    [
        (Q_METHODS["dqn"], False, (4.5**2 + 3.38**2 + 1.0**2) / 3),
        (Q_METHODS["dqn"], True, (2 * 4.5 - 1 + 2 * 3.38 - 1 + 1.0) / 3),
        (Q_METHODS["dqn+q-mse"], False, (4.5**2 + 3.38**2 + 1.0**2) / 3 + (0 + 1 + 49) / 3),
        (QMethod("m", "mse", 0.5, 2.0), False, 2 * (4.5**2 + 3.38**2 + 1.0**2) / 3 + 0.5 * (0 + 1 + 49) / 3),
        (Q_METHODS["q-mse"], False, (0 + 1 + 49) / 3),
    ],
)
def test_the_loss_is_the_weighted_sum_by_hand(row, huber, expected):
    options = {"target": Target(huber=huber)}
    joined = by_hand(row, **options) if row.learns_by_td else objective(row, student=of_table(STUDENT))
    loss = joined.loss(columns_by_hand(), row.at(0.0))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)


def test_only_the_students_answer_for_the_action_taken_gets_a_gradient_from_td():
    joined = by_hand("dqn", target=Target(double=True))
    joined.loss(columns_by_hand(), joined.method).backward()
    weight = joined.student.network.layers[-1].weight.grad.T
    errors = torch.tensor([1 - 5.5, 3 + 0.38, 6 - 5.0])
    expected = torch.zeros(STATES, 2)
    expected[[0, 1, 2], [0, 1, 1]] = 2 * errors / 3
    torch.testing.assert_close(weight, expected)
    assert all(p.grad is None and not p.requires_grad for p in joined.held.parameters())


def test_a_huber_error_counts_as_a_square_where_it_is_small():
    columns = columns_by_hand() | {"reward": torch.tensor([-3.1, 1.2, 5.9])}  # errors of 0.4, 0.18, 0.1
    grads = []
    for huber in (False, True):
        joined = by_hand("dqn", target=Target(huber=huber))
        joined.loss(columns, joined.method).backward()
        grads.append(joined.student.network.layers[-1].weight.grad)
    torch.testing.assert_close(*grads)


def test_a_row_whose_weights_have_run_out_leaves_the_student_as_it_is():
    fading = Schedule("linear", 1.0, 0.0, 0.5)
    for row in (QMethod("m", "kl", fading), QMethod("m", "mse", fading, fading)):
        joined = objective(row)
        joined.loss(columns_by_hand(), row.at(0.9)).backward()
        assert all(not p.grad.any() for p in joined.student.parameters())


@pytest.mark.parametrize("every", [1, 3])
def test_a_hard_target_is_renewed_whole_every_so_many_updates(every):
    joined, renewed = objective("dqn", target=Target(every=every)), []
    for _ in range(7):
        with torch.no_grad():
            joined.student.network.layers[-1].weight += 1
        joined.updated()
        renewed.append(torch.equal(joined.held.layers[-1].weight, joined.student.network.layers[-1].weight))
    assert renewed == [(k + 1) % every == 0 for k in range(7)]


def test_a_soft_target_moves_by_its_share():
    joined = objective("dqn", target=Target(every=0, share=0.1))
    before = joined.held.layers[-1].weight.clone()
    with torch.no_grad():
        joined.student.network.layers[-1].weight += 1
    new = joined.student.network.layers[-1].weight.detach()
    for k in range(1, 4):
        joined.updated()
        torch.testing.assert_close(joined.held.layers[-1].weight, new + 0.9**k * (before - new))


def test_a_target_survives_a_stop():
    joined, other = (objective("dqn", target=Target(every=3)) for _ in range(2))
    for _ in range(4):
        with torch.no_grad():
            joined.student.network.layers[-1].weight += 1
        joined.updated()
    other.restore(copy.deepcopy(joined.state()))
    assert other.updates == 4
    assert torch.equal(other.held.layers[-1].weight, joined.held.layers[-1].weight)
    assert not torch.equal(other.held.layers[-1].weight, joined.student.network.layers[-1].weight)


def test_pure_distillation_keeps_no_target():
    joined = objective("q-mse")
    assert joined.held is None
    joined.updated()
    joined.restore(joined.state())


# What is asked of the teacher


def window_of(mdp, steps=10):
    world = simulator(mdp)
    everywhere = Behaviour(epsilon=1.0)
    joined = objective("q-mse")
    source = FreshRollouts(world, everywhere, joined.teacher, joined.student, VIEWS, collect=4 * steps, seed=0)
    return source.collect(0.0)


@pytest.mark.parametrize("temperature", [0.01, 1.0, 30.0])
def test_the_teachers_values_are_kept_whatever_its_temperature(temperature):
    joined = objective("q-mse", teacher=of_table(teacher_table(), temperature))
    columns, _ = joined.prepare(window_of(chain()))
    played = columns["playable"]
    state = columns["observation"][played].argmax(-1)
    torch.testing.assert_close(columns["teacher"][played], torch.as_tensor(teacher_table())[state], rtol=1e-5, atol=0)


def test_a_row_that_does_not_distil_asks_nothing():
    columns, _ = objective("dqn").prepare(window_of(chain()))
    assert "teacher" not in columns


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_values_that_are_no_numbers_are_refused(value):
    table = teacher_table()
    table[1, 0] = value
    with pytest.raises(TeacherError, match="answers action values that are infinite or not a number"):
        objective("q-kl", teacher=of_table(table)).prepare(window_of(chain()))


class Answers:
    """A teacher by its flat answers: logits, or actions alone."""

    memory_size, has_value, description = 0, False, "the teacher"
    observation_space, action_space, family = (
        spaces.Box(0, 1, (STATES,)),
        spaces.Discrete(2),
        Family("categorical", (2,)),
    )

    def __init__(self, full_support=True):
        self.full_support = full_support


def test_what_a_row_needs_of_its_teacher_is_asked_first():
    values, logits, actions = of_table(teacher_table()), Answers(), Answers(full_support=False)
    for name, row in Q_METHODS.items():
        assert values_of(values, row) == TEMPERATURE
        if row.distance == "mse":
            with pytest.raises(MethodError, match=rf"{row.name.replace('+', '.')} needs .* action values; the teacher "
                               "answers a policy. Use q-kl or q-nll"):  # fmt: skip
                values_of(logits, row)
        else:
            assert values_of(logits, row) is None
        if row.distance in ("kl", "ce"):
            with pytest.raises(MethodError, match=r"answers actions alone, or rules some out. Use q-nll"):
                values_of(actions, row)
        elif row.distance != "mse":
            assert values_of(actions, row) is None, name
    assert values_of(logits, replace(Q_METHODS["dqn+q-mse"], weight=0.0)) is None


# Beginning


@pytest.mark.parametrize("method", ["q-mse", "q-ce", "dqn+q-kl"])
@pytest.mark.parametrize("spec", ["linear", "mlp:8", "mlp:8:dueling"])
def test_answers_begin_at_the_teachers_means_with_steps_of_their_size(spec, method):
    joined = objective(method, spec=spec)
    columns, _ = joined.prepare(window_of(chain()))
    last = joined.student.network.last_layers
    before = [layer.weight.clone() for layer in last]
    optimiser = FlatAdam(joined.student.parameters(), 0.01, average=0.9)
    joined.begin(columns, optimiser)
    values = columns["teacher"][columns["playable"]]
    size = float(values.std(0, correction=0).mean())
    for layer, old in zip(last, before, strict=True):
        torch.testing.assert_close(layer.weight, size * old)
        layer.weight.data.zero_()
    torch.testing.assert_close(table_of(joined.student).float(), values.mean(0).expand(STATES, 2))
    inner = sum(p.numel() for p in joined.student.parameters()) - sum(
        p.numel() for layer in last for p in (layer.weight, layer.bias)
    )
    assert optimiser.stride[:inner].eq(1).all()
    torch.testing.assert_close(optimiser.stride[inner:], torch.full((len(optimiser.stride) - inner,), size))
    assert optimiser.mean is not optimiser.flat
    if joined.held is not None:  # all but the weights that were just made zero
        for held, layer in zip(joined.held.last_layers, last, strict=True):
            assert torch.equal(held.bias, layer.bias)


@pytest.mark.parametrize("method", ["q-kl", "q-nll", "dqn"])
def test_a_student_of_logits_or_of_td_alone_begins_as_it_is(method):
    joined = objective(method)
    columns, _ = joined.prepare(window_of(chain()))
    before, optimiser = table_of(joined.student), FlatAdam(joined.student.parameters(), 0.01)
    joined.begin(columns, optimiser)
    assert torch.equal(table_of(joined.student), before)
    assert optimiser.stride is None


def test_one_single_state_is_enough_to_begin_with():
    joined = objective("q-mse")
    columns, _ = joined.prepare(window_of(chain(), steps=1))
    one = {name: column[:1] for name, column in columns.items()}
    joined.begin(one, FlatAdam(joined.student.parameters(), 0.01))
    assert table_of(joined.student).isfinite().all()


def test_a_stretched_parameter_steps_like_one_that_is_so_many_times_smaller():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    stretched = nn.Linear(4, 2)
    small, factor = copy.deepcopy(stretched), 37.0
    with torch.no_grad():
        small.weight /= factor
    one, other = FlatAdam(stretched.parameters(), 0.02, average=0.5), FlatAdam(small.parameters(), 0.02, average=0.5)
    one.stretch(stretched.weight, factor)
    for _ in range(20):
        x, y = torch.randn(16, 4, generator=generator), torch.randn(16, 2, generator=generator)
        one.step((stretched(x) - y).square().sum())
        other.step((nn.functional.linear(x, factor * small.weight, small.bias) - y).square().sum())
        torch.testing.assert_close(stretched.weight, factor * small.weight, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(stretched.bias, small.bias, rtol=1e-4, atol=1e-5)
    again = FlatAdam(nn.Linear(4, 2).parameters(), 0.02)
    again.restore({name: value.clone() if torch.is_tensor(value) else value for name, value in one.state().items()})
    assert torch.equal(again.stride, one.stride)


# Acting


@pytest.mark.parametrize("spec", ["linear", "mlp:8", "mlp:8,6:relu:dueling", "mlp:8:silu:dueling"])
@pytest.mark.parametrize("temperature", [None, 0.01, 3.0])
def test_the_small_forward_pass_answers_what_pytorch_answers(spec, temperature):
    space, actions = spaces.Box(-1, 1, (4,)), spaces.Discrete(3)
    student = Student(space, actions, family_of(actions), spec, temperature=temperature, seed=1)
    seen = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    student.network.fit_inputs(torch.as_tensor(seen))
    fast = numpy_forward(student)
    assert fast is not None
    expected = student(torch.as_tensor(seen))[0].policy.flat.detach().numpy()
    np.testing.assert_allclose(fast(seen), expected, rtol=2e-5, atol=2e-5 / (temperature or 1))


def test_the_first_window_is_longer_and_the_teachers():
    """Its action is the greedy one of its table, where no uniform action is drawn."""
    joined = objective("dqn+q-kl")
    always = Behaviour(epsilon=0.0)
    source = FreshRollouts(
        simulator(chain()), always, joined.teacher, joined.student, VIEWS, collect=8, seed=0, greedy=True, first=40
    )
    first, second = source.collect(0.0), source.collect(0.1)
    assert (len(first.valid), len(second.valid)) == (10, 2)
    best = teacher_table().argmax(-1)
    assert (first.action == best[first.observation.argmax(-1)])[first.valid].all()


def test_without_a_teacher_to_read_the_first_window_is_the_students():
    joined = objective("dqn", student=of_table(np.tile(np.float32([1, 0]), (STATES, 1))))
    always = Behaviour(epsilon=0.0)
    source = FreshRollouts(
        simulator(chain()), always, of_table(np.tile(np.float32([0, 1]), (STATES, 1))), joined.student, VIEWS,
        collect=8, seed=0, greedy=True, first=40, first_teacher=0.0,
    )  # fmt: skip
    assert not source.collect(0.0).action.any()


# Learning


@pytest.mark.parametrize(
    "target",
    [Target(every=20), Target(every=20, double=False), Target(every=0, share=0.05)],
    ids=["double", "max", "soft"],  # under Huber's error noisy targets are brought nearer to their median
)
def test_dqn_finds_the_action_values_of_value_iteration(target):
    mdp = chain()
    expected = optimal(mdp, GAMMA)[1]
    joined = objective("dqn", target=target)
    trained(joined, mdp, behaviour=Behaviour(epsilon=1.0), rounds=100, store=4000)
    found = table_of(joined.student).numpy()
    assert np.abs(found - expected)[:-1].max() < 0.01 * np.abs(expected).max(), (found, expected)
    assert (found.argmax(-1) == expected.argmax(-1))[:-1].all()


@pytest.mark.parametrize("n_step", [1, 3])
def test_returns_of_several_steps_find_the_values_where_actions_change_nothing(n_step):
    mdp = chain(chosen=False)
    expected = optimal(mdp, GAMMA)[1]
    joined = objective("dqn", target=Target(every=20), n_step=n_step)
    trained(joined, mdp, behaviour=Behaviour(epsilon=1.0), rounds=100, store=4000)
    found = table_of(joined.student).numpy()
    assert np.abs(found - expected)[:-1].max() < 0.01 * np.abs(expected).max(), (found, expected)


def visited():
    return slice(0, STATES - 1)


@pytest.mark.parametrize("spec", ["linear", "mlp:32"])
def test_a_table_is_distilled_exactly_by_q_mse(spec):
    joined = objective("q-mse", spec=spec)
    trained(joined, chain(), behaviour=Behaviour(epsilon=1.0))
    torch.testing.assert_close(
        table_of(joined.student)[visited()], torch.as_tensor(teacher_table()).double()[visited()], rtol=0, atol=0.02
    )


@pytest.mark.parametrize(("method", "scale"), [("q-ce", 1.0), ("q-kl", 1 / TEMPERATURE)])
def test_a_table_is_distilled_up_to_a_constant_of_each_state(method, scale):
    """By q-kl the student's numbers are the teacher's over the temperature."""
    joined = objective(method)
    trained(joined, chain(), behaviour=Behaviour(epsilon=1.0), rounds=100)
    found, expected = table_of(joined.student), torch.as_tensor(teacher_table()).double() * scale
    gap, wanted = ((x[:, 1] - x[:, 0])[visited()] for x in (found, expected))
    assert gap.sub(wanted).abs().max() < 0.05 * wanted.abs().max(), (gap, wanted)


def test_q_nll_leaves_the_greedy_actions():
    joined = objective("q-nll")
    trained(joined, chain(), behaviour=Behaviour(epsilon=1.0))
    expected = torch.as_tensor(teacher_table()).argmax(-1)
    assert torch.equal(table_of(joined.student).argmax(-1)[visited()], expected[visited()])


def test_td_beside_distillation_corrects_a_teacher_that_is_wrong():
    """The teacher's table is turned upside down; a weight that runs out leaves DQN's answer."""
    mdp = chain()
    expected = optimal(mdp, GAMMA)[1]
    wrong = of_table((-expected).astype(np.float32))
    row = QMethod("m", "mse", Schedule("linear", 1.0, 0.0, 0.3), 1.0, Behaviour(epsilon=1.0))
    joined = objective(row, teacher=wrong, target=Target(every=20))
    trained(joined, mdp, rounds=80, store=1500)
    assert (table_of(joined.student).numpy().argmax(-1) == expected.argmax(-1))[:-1].all()


def test_a_learner_that_was_stopped_goes_on_to_the_same_bits():
    def fresh():
        joined = objective("dqn+q-mse", target=Target(every=7), n_step=2)
        return learner(joined, chain(), first=100, average=0.9)

    whole, first, second = fresh(), fresh(), fresh()
    for _ in range(9):
        whole.step()
    for _ in range(4):
        first.step()
    assert second.restore(copy.deepcopy(first.state()))
    for _ in range(5):
        second.step()
    assert torch.equal(whole.optimiser.flat, second.optimiser.flat)
    assert torch.equal(whole.optimiser.mean, second.optimiser.mean)
    for one, other in zip(whole.objective.held.parameters(), second.objective.held.parameters(), strict=True):
        assert torch.equal(one, other)
    for name, column in whole.store.columns.items():
        assert torch.equal(column, second.store.columns[name])


# Standardising


def test_as_states_gather_they_are_standardised_anew_and_no_answer_changes():
    joined = objective("dqn+q-mse", spec="mlp:8")
    one = learner(joined, chain(), collect=16, updates=4)
    one.step()
    network, states = joined.student.network, torch.eye(STATES)
    with torch.no_grad():  # as if the first states had told little
        network.inputs[0].standardise.mean.sub_(3)
        network.inputs[0].standardise.scale.mul_(5)
        joined.held.load_state_dict(network.state_dict())
        before = network(states)[0]
    one.next_fit = 0
    one._restandardise()
    stored = one.store.columns["observation"][one.store.columns["playable"]]
    features = network.features(stored)
    varied = stored.std(0) > 0
    assert torch.allclose(features.mean(0)[varied], torch.zeros(int(varied.sum())), atol=1e-4)
    assert torch.allclose(features.std(0, correction=0)[varied], torch.ones(int(varied.sum())), atol=1e-4)
    assert torch.allclose(network(states)[0], before, rtol=1e-3, atol=1e-2)
    assert torch.allclose(joined.held(states)[0], before, rtol=1e-3, atol=1e-2)
    assert one.next_fit == 4 * len(one.store)
