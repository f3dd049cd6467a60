"""Learners with shared parameters: their gradients together, whose turn it is, and what two tables come to."""

import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.joint import JointLearner
from understudy.engines.learner import Learner
from understudy.engines.q_objective import QObjective
from understudy.engines.schedule import Rhythm
from understudy.engines.source import FreshRollouts
from understudy.envs.actions import family_of
from understudy.envs.of_mdp import MDPSimulator
from understudy.envs.views import ObservationViews
from understudy.errors import ConfigurationError, RunError
from understudy.mdp.model import MDP
from understudy.methods import Q_METHODS, Behaviour
from understudy.policies.shared import share, unique
from understudy.policies.student import Student


def box(size):
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


@pytest.fixture
def pair(learner):
    """Two learners over noise, of different sizes; their students share what they can."""

    def build(sizes=(4, 6), actions=(3, 2), shared=True, **options):
        built = {
            name: learner(box(size), spaces.Discrete(count), **{"spec": "mlp:8,7", "clip": 0.0, "seed": k} | options)
            for k, (name, size, count) in enumerate(zip("ab", sizes, actions, strict=True))
        }
        if shared:
            share([one.student for one in built.values()])
        return built

    return build


def gradients(joined):
    """Of the last update, by parameter."""
    return {name: parameter.grad.clone() for name, parameter in joined.student.named_parameters()}


@pytest.mark.parametrize("sizes", [(4, 4), (4, 6)])
def test_the_gradient_of_what_is_shared_is_the_sum_of_the_tasks_gradients(pair, sizes):
    weights = {"a": 0.5, "b": 3.0}
    together, alone = pair(sizes, updates=1), pair(sizes, shared=False, updates=1)
    for name, one in alone.items():  # the same students, each with parameters of its own
        one.student.load_state_dict(together[name].student.state_dict())
    joint = JointLearner(together, weights)
    records = joint.step()
    for one in alone.values():
        one.step()
    mine = {name: gradients(one) for name, one in together.items()}
    theirs = {name: gradients(one) for name, one in alone.items()}
    shared = {
        name
        for name, parameter in together["a"].student.named_parameters()
        if any(parameter is other for other in together["b"].student.parameters())
    }
    assert len(shared) == (4 if sizes == (4, 4) else 2)
    for name in shared:
        expected = sum(weights[task] * theirs[task][name] for task in "ab")
        assert bool(theirs["a"][name].any())
        torch.testing.assert_close(mine["a"][name], expected, rtol=1e-4, atol=1e-7)
        assert mine["b"][name].data_ptr() != 0
    for task in "ab":
        for name in set(mine[task]) - shared:
            torch.testing.assert_close(mine[task][name], weights[task] * theirs[task][name], rtol=1e-4, atol=1e-7)
        assert records[task].updates == 1


def test_one_learner_alone_is_what_it_was(learner):
    options = {"spec": "mlp:8", "average": 0.9, "learning_rate": 1e-2}
    usual, joint = learner(**options), JointLearner({"a": learner(**options)}, {"a": 1.0})
    for _ in range(8):
        one, other = usual.step(), joint.step()["a"]
    assert (one.env_steps, one.updates, one.loss) == (other.env_steps, other.updates, other.loss)
    for mine, theirs in zip(usual.student.parameters(), joint.learners["a"].student.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert usual.next_fit == joint.learners["a"].next_fit > 0


def test_parameters_that_are_shared_are_optimised_once(pair):
    built = pair()
    joint = JointLearner(built, {"a": 1.0, "b": 1.0})
    wanted = sum(parameter.numel() for parameter in unique(one.student for one in built.values()))
    assert len(joint.optimiser.flat) == wanted
    first, second = (dict(one.student.network.named_parameters()) for one in built.values())
    assert first["layers.2.weight"].data_ptr() == second["layers.2.weight"].data_ptr()
    joint.step()
    assert first["layers.2.weight"].data_ptr() == second["layers.2.weight"].data_ptr()
    assert first["layers.4.weight"].data_ptr() != second["layers.4.weight"].data_ptr()


def test_turns_come_as_often_as_the_weights_say_and_are_spread(pair):
    joint = JointLearner(pair(updates=8), {"a": 1.0, "b": 3.0}, in_turn=True)
    halves = joint.order()[:8], joint.order()[8:]
    records = joint.step()
    assert {name: record.updates for name, record in records.items()} == {"a": 4, "b": 12}
    assert joint.optimiser.count == 16
    assert [half.count("a") for half in halves] == [2, 2]
    assert JointLearner(pair(updates=3), {"a": 2.0, "b": 2.0}, in_turn=True).order() == list("ababab")


@pytest.mark.parametrize(("weights", "rounds"), [({"a": 1.0, "b": 2.0}, 30), ({"a": 1.0, "b": 99.0}, 50)])
def test_turns_come_as_often_as_the_weights_say_where_a_round_has_few(pair, weights, rounds):
    joint = JointLearner(pair(updates=1), weights, in_turn=True)
    for _ in range(rounds):
        records = joint.step()
    found = {name: record.updates for name, record in records.items()}
    assert sum(found.values()) == 2 * rounds
    assert found["a"] == round(2 * rounds * weights["a"] / sum(weights.values()))


def test_in_turn_a_head_gets_no_gradient_from_the_other_task(pair):
    built = pair(updates=1)
    joint = JointLearner(built, {"a": 1.0, "b": 1.0}, in_turn=True)
    assert joint.order() == ["a", "b"]  # the last gradient is b's
    joint.step()
    assert not built["a"].student.network.layers[-1].weight.grad.any()
    assert bool(built["b"].student.network.layers[-1].weight.grad.any())


def test_a_standardiser_before_a_shared_layer_is_fitted_once_only(pair):
    for sizes, refitted in (((4, 6), True), ((4, 4), False)):
        built = pair(sizes)
        joint = JointLearner(built, {"a": 1.0, "b": 1.0})
        joint.step()
        assert [one.next_fit > 0 for one in built.values()] == [refitted] * 2
        assert bool(built["b"].student.network.inputs[0].standardise.mean.any())


def test_answers_of_one_task_do_not_depend_on_the_others_standardiser(pair):
    built = pair((4, 4))
    joint = JointLearner(built, {"a": 1.0, "b": 1.0})
    joint.step()
    seen = torch.randn(6, 4)
    before = built["b"].student.flat(seen)[0]
    built["a"].next_fit = 0
    built["a"].store.columns["features"].mul_(5)
    built["a"]._restandardise()
    torch.testing.assert_close(built["b"].student.flat(seen)[0], before)


def test_rhythms_that_differ_or_keep_no_store_are_refused(pair, learner):
    built = pair()
    for other in (learner(batch=32), learner(method="n-distill")):
        with pytest.raises(ConfigurationError, match="one rhythm, and a store that is kept"):
            JointLearner({"a": built["a"], "b": other}, {"a": 1.0, "b": 1.0})
    with pytest.raises(ConfigurationError, match="a store that is kept"):
        JointLearner({"a": learner(method="n-distill")}, {"a": 1.0})


def test_an_error_says_of_which_task_it_is(pair):
    built = pair()
    joint = JointLearner(built, {"a": 1.0, "b": 1.0})
    joint.step()
    built["b"].store.columns["teacher"].fill_(torch.nan)
    with pytest.raises(RunError, match=r"^task [ab]: .*(loss is nan|not finite)"):
        joint.step()


@pytest.mark.parametrize("in_turn", [False, True])
def test_learners_that_were_stopped_go_on_to_the_same_bits(pair, in_turn):
    def fresh():
        return JointLearner(pair(average=0.9), {"a": 1.0, "b": 2.0}, in_turn=in_turn)

    whole = fresh()
    for _ in range(3):
        whole.step()
    saved = copy.deepcopy({name: one.state() for name, one in whole.learners.items()})
    again = fresh()
    for name, one in again.learners.items():
        assert one.restore(saved[name])
    for _ in range(3):
        one, other = whole.step(), again.step()
    assert {name: record.loss for name, record in one.items()} == {name: record.loss for name, record in other.items()}
    assert torch.equal(whole.optimiser.flat, again.optimiser.flat)
    assert torch.equal(whole.optimiser.mean, again.optimiser.mean)


def walk(states, actions):
    """From each state to any other, whatever is done."""
    return MDP(np.full((states, actions, states), 1 / states), np.zeros((states, actions)), np.full(states, 1 / states))


def of_values(values, body, seed, method="q-mse"):
    """A learner of these action values ``[S, A]``."""
    states, actions = values.shape
    space, choices = spaces.Box(0, 1, (states,), np.float32), spaces.Discrete(actions)
    family, views = family_of(choices), ObservationViews()
    teacher = Student(space, choices, family, "linear", temperature=1.0)
    with torch.no_grad():
        teacher.network.layers[-1].weight.copy_(torch.as_tensor(values.T))
        teacher.network.layers[-1].bias.zero_()
    student = Student(space, choices, family, body, temperature=1.0, seed=seed)
    row = Q_METHODS[method]
    objective = QObjective(row, teacher, student, views, temperature=1.0)
    simulator = MDPSimulator(walk(states, actions), 4, seed, max_episode_steps=5)
    source = FreshRollouts(simulator, Behaviour(epsilon=0.5), teacher, student, views, collect=64, seed=seed)
    rhythm = Rhythm(collect=64, updates=40, batch=64, store=4096, learning_rate=1e-2, final_learning_rate=1e-4)
    return Learner(source, objective, rhythm, budget=64 * 40, seed=seed)


@pytest.mark.parametrize("in_turn", [False, True])
@pytest.mark.parametrize(
    ("body", "shapes", "scale"),
    [("mlp:24", ((5, 3), (5, 2)), 1), ("mlp:24,24", ((5, 3), (7, 2)), 1), ("mlp:24", ((5, 3), (5, 2)), 300)],
)
def test_two_tables_are_distilled_exactly_into_one_body(body, shapes, scale, in_turn):
    draw = np.random.default_rng(2)
    tables = [draw.normal(size=shape).astype(np.float32) * size for shape, size in zip(shapes, (1, scale), strict=True)]
    built = {name: of_values(table, body, k) for k, (name, table) in enumerate(zip("ab", tables, strict=True))}
    share([one.student for one in built.values()])
    joint = JointLearner(built, {"a": 1.0, "b": 1.0}, in_turn=in_turn)
    while joint.progress < 1:
        joint.step()
    for one, table, size in zip(built.values(), tables, (1, scale), strict=True):
        assert one.objective.updates == one.updates > 0
        with torch.no_grad():
            found = one.student.action_values(torch.eye(len(table)))
        torch.testing.assert_close(found, torch.as_tensor(table), atol=5e-3 * size, rtol=0)
