import itertools

import numpy as np
import pytest

from understudy.envs.of_mdp import MDPSimulator
from understudy.errors import ConfigurationError
from understudy.mdp.families import GridOdds, acyclic, corridor, grid, random_mdp
from understudy.mdp.model import MDP, Successors
from understudy.mdp.solve import Chain, optimal


def policy_of(mdp, seed=0):
    weight = np.random.default_rng(seed).random((mdp.states, mdp.actions)) ** 3
    return weight / weight.sum(-1, keepdims=True)


def dense(mdp, policy):
    """P of the chain, without the terminal states' columns: nothing happens there."""
    return np.einsum("sa,sat->st", policy, mdp.transitions[:, mdp.action_map]) * ~mdp.terminal


WORLDS = {
    "a grid": grid(np.random.default_rng(0), 7).mdp,
    "a grid of many terminal cells": grid(np.random.default_rng(1), 9, GridOdds(0.2, 0.2, 0.1, 0.1), actions=6).mdp,
    "a random process": random_mdp(9, 3, 0.1, np.random.default_rng(0)),
    "a corridor": corridor(15, slip=0.3),
    "layers": acyclic(8, 3, np.random.default_rng(2)),
    "one state": MDP(np.full((1, 2, 1), 0.5), np.ones((1, 2)), [1.0]),
    "nothing but an end": MDP(np.zeros((2, 1, 2)), np.ones((2, 1)), [1.0, 0.0]),
}


@pytest.mark.parametrize("gamma", [1.0, 0.9, 0.0])
@pytest.mark.parametrize("name", WORLDS)
def test_visits_and_values_solve_their_linear_equations(name, gamma):
    mdp = WORLDS[name]
    policy = policy_of(mdp)
    chain, matrix = Chain(mdp, policy, gamma), np.eye(mdp.states) - gamma * dense(mdp, policy)
    np.testing.assert_allclose(chain.visits(), np.linalg.solve(matrix.T, mdp.start) * ~mdp.terminal, atol=1e-11)
    paid = (policy * mdp.rewards).sum(-1)
    np.testing.assert_allclose(chain.values(mdp.rewards), np.linalg.solve(matrix, paid), atol=1e-10)
    np.testing.assert_allclose(chain.values(paid), chain.values(mdp.rewards), atol=1e-12)
    assert chain.visits() @ paid == pytest.approx(mdp.start @ chain.values(mdp.rewards), abs=1e-10)


def test_a_state_that_stays_with_probability_three_quarters_is_visited_four_times():
    mdp = MDP(np.full((1, 1, 1), 0.75), np.full((1, 1), 2.0), [1.0])
    assert Chain(mdp, np.ones((1, 1))).visits().tolist() == [4.0]
    assert Chain(mdp, np.ones((1, 1))).values(mdp.rewards).tolist() == [8.0]
    assert Chain(mdp, np.ones((1, 1)), gamma=2 / 3).visits().tolist() == pytest.approx([2.0])


def test_visits_may_begin_elsewhere_and_many_columns_are_solved_at_once():
    mdp = WORLDS["a grid"]
    chain = Chain(mdp, policy_of(mdp))
    inverse = np.linalg.inv(np.eye(mdp.states) - dense(mdp, policy_of(mdp)))
    acting = np.diag(~mdp.terminal * 1.0)
    columns = np.random.default_rng(0).random((mdp.states, 3))
    np.testing.assert_allclose(chain.accumulate(columns), inverse @ acting @ columns, atol=1e-11)
    np.testing.assert_allclose(chain.spread(columns), acting @ inverse.T @ acting @ columns, atol=1e-11)
    state = int(np.argmin(mdp.terminal))
    np.testing.assert_allclose(chain.visits(np.eye(mdp.states)[state]), inverse[state] * ~mdp.terminal, atol=1e-11)


def test_terminal_states_are_neither_visited_nor_worth_anything():
    mdp = corridor(5)
    chain = Chain(mdp, np.full((5, 2), 0.5))
    assert chain.visits()[[0, 4]].tolist() == [0, 0]
    assert chain.values(np.ones((5, 2)))[[0, 4]].tolist() == [0, 0]
    assert chain.values(np.ones((5, 2)))[2] == pytest.approx(4)


def test_simulated_episodes_have_the_chains_return_and_length_within_their_errors():
    mdp = grid(np.random.default_rng(5), 6, end=0.05).mdp
    policy, copies = policy_of(mdp), 4000
    simulator, generator = MDPSimulator(mdp, copies, seed=0), np.random.default_rng(1)
    state, sums = simulator.begin(range(copies), range(copies)).argmax(-1), policy.cumsum(-1)
    total = np.zeros((2, copies))
    alive = np.ones(copies, dtype=bool)
    while alive.any():
        action = (sums[state] <= generator.random((copies, 1))).sum(-1).clip(max=3)
        outcome = simulator.step(action)
        total += np.stack([outcome.reward, alive])
        state, alive = outcome.observation.argmax(-1), alive & ~outcome.terminated
    chain = Chain(mdp, policy)
    exact = np.array([chain.values(mdp.rewards) @ mdp.start, chain.visits().sum()])
    error = total.std(-1) / np.sqrt(copies)
    assert (np.abs(total.mean(-1) - exact) < 4 * error).all()
    assert (error < 0.05 * np.abs(exact)).all()


def test_an_episode_that_never_ends_is_named_by_a_state():
    """States 0, 1 go on to each other for ever; 2 would end."""
    mdp = MDP(np.array([[[0, 1.0, 0]], [[1, 0, 0]], [[0, 0, 0.5]]]), np.zeros((3, 1)), [0, 0, 1.0])
    with pytest.raises(ConfigurationError, match=r"from state 0 this policy never ends one; use gamma below 1"):
        Chain(mdp, np.ones((3, 1)))
    assert Chain(mdp, np.ones((3, 1)), 0.5).values(np.ones((3, 1))).tolist() == pytest.approx([2, 2, 4 / 3])


def test_whether_episodes_end_depends_on_the_policy():
    stay_or_end = MDP(np.array([[[1.0], [0.0]]]), np.ones((1, 2)), [1.0])
    with pytest.raises(ConfigurationError, match="from state 0"):
        Chain(stay_or_end, np.array([[1.0, 0.0]]))
    seldom = Chain(stay_or_end, np.array([[1 - 2.0**-38, 2.0**-38]]))
    assert seldom.visits().tolist() == [2.0**38]


@pytest.mark.parametrize(
    ("policy", "gamma", "message"),
    [
        (np.ones((15, 3)), 1.0, r"shape \[15, 2\], got \[15, 3\]"),
        (np.full((15, 2), np.nan), 1.0, "finite, got nan in state 0, action 0"),
        (np.full((15, 2), 0.5), 1.1, r"gamma must lie in \[0, 1\], got 1.1"),
    ],
)
def test_what_is_no_policy_or_discount_is_refused(policy, gamma, message):
    with pytest.raises(ConfigurationError, match=message):
        Chain(WORLDS["a corridor"], policy, gamma)


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_the_best_values_are_the_best_of_all_deterministic_policies(gamma):
    for seed in range(5):
        mdp = random_mdp(4, 3, 0.1, np.random.default_rng(seed))
        unit = np.eye(3)
        every = [
            np.linalg.solve(np.eye(4) - gamma * dense(mdp, unit[list(one)]), (unit[list(one)] * mdp.rewards).sum(-1))
            for one in itertools.product(range(3), repeat=4)
        ]
        values, action_values = optimal(mdp, gamma)
        np.testing.assert_allclose(values, np.max(every, axis=0), atol=1e-12)
        bellman = mdp.rewards + gamma * mdp.transitions @ values
        np.testing.assert_allclose(action_values, bellman, atol=1e-12)
        np.testing.assert_allclose(action_values.max(-1), values, atol=1e-12)


def test_the_best_values_of_a_grid_satisfy_bellmans_equation():
    for number in range(10):
        mdp = grid(np.random.default_rng(number), actions=6).mdp
        values, action_values = optimal(mdp)
        np.testing.assert_allclose(action_values.max(-1), values, atol=1e-9)
        bellman = mdp.rewards + np.einsum("sat,t->sa", mdp.transitions[:, mdp.action_map], values)
        np.testing.assert_allclose(action_values, bellman, atol=1e-9)


def test_the_best_walk_in_a_corridor_is_worth_its_prize_without_any_discount():
    values, action_values = optimal(corridor(9))
    np.testing.assert_allclose(values, [0, 1, 1, 1, 1, 1, 1, 1, 0])
    assert action_values[1].tolist() == pytest.approx([-1, 1])
    np.testing.assert_allclose(optimal(corridor(9), 0.5)[0][1:8], 0.5 ** np.arange(6, -1, -1.0))


def test_a_return_without_bound_is_refused():
    paid_for_staying = MDP(np.array([[[1.0], [0.0]]]), np.array([[1.0, 0.0]]), [1.0])
    with pytest.raises(ConfigurationError, match=r"best return has no bound: .*from state 0"):
        optimal(paid_for_staying)
    costly = MDP(np.array([[[1.0], [0.0]]]), np.array([[-1.0, -3.0]]), [1.0])
    assert optimal(costly)[0].tolist() == [-3.0]
    trapped = MDP(Successors(np.array([[[0]], [[1]]]), np.ones((2, 1, 1))), np.zeros((2, 1)), [1.0, 0], [False, True])
    with pytest.raises(ConfigurationError, match="from state 0"):
        optimal(trapped)


def test_the_best_values_among_some_actions_are_those_of_the_process_without_the_others():
    mdp = random_mdp(5, 4, 0.1, np.random.default_rng(3))
    among = np.tile([True, False, True, False], (5, 1))
    fewer = MDP(mdp.transitions[:, ::2], mdp.rewards[:, ::2], mdp.start)
    np.testing.assert_allclose(optimal(mdp, among=among)[0], optimal(fewer)[0], atol=1e-12)


def test_of_the_actions_that_move_alike_the_best_paid_counts():
    mdp = random_mdp(5, 3, 0.1, np.random.default_rng(3))
    paid = np.random.default_rng(4).standard_normal((5, 9))
    mapped = np.array([0, 1, 1, 0, 1, 1, 0, 0, 1])
    shared = MDP(mdp.transitions, paid, mdp.start, action_map=mapped)
    plain = MDP(mdp.transitions[:, mapped], paid, mdp.start)
    for among in (None, np.random.default_rng(5).random((5, 9)) < 0.5):
        for one, other in zip(optimal(shared, 0.9, among), optimal(plain, 0.9, among), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-12)
