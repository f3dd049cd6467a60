import numpy as np
import pytest

from understudy.mdp.families import acyclic, coin_cycle, corridor, cycle, random_mdp
from understudy.mdp.solve import Chain


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def binary(made, x):
    right = sigmoid(np.asarray(x)[made.shared])
    return np.stack([1 - right, right], axis=1)


def test_every_episode_of_an_acyclic_mdp_ends_within_three_steps():
    mdp = acyclic(7, 3, np.random.default_rng(0))
    reach = mdp.transitions.sum(1)
    assert (reach @ reach).any()
    assert not (reach @ reach @ reach).any()


@pytest.mark.parametrize("branching", [None, 1, 3])
def test_a_random_mdp_ends_with_the_given_probability_after_every_action(branching):
    mdp = random_mdp(5, 3, 0.2, np.random.default_rng(0), branching)
    np.testing.assert_allclose(mdp.transitions.sum(-1), 0.8)


def test_a_random_mdp_branches_and_shares_its_moves_as_asked():
    mdp = random_mdp(50, 8, 0.2, np.random.default_rng(0), branching=3, moves=2)
    reached = (mdp.transitions > 0).sum(-1)
    assert reached.max() == 3
    assert (mdp.moves, mdp.actions) == (2, 8)
    np.testing.assert_array_equal(mdp.rewards, np.tile(mdp.rewards[:, :2], 4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: random_mdp(5, 3, 0.0, np.random.default_rng(0)), r"end must lie in \(0, 1\]"),
        (lambda: random_mdp(5, 3, 0.1, np.random.default_rng(0), branching=0), "branching must be at least 1, got 0"),
        (lambda: acyclic(2, 3, np.random.default_rng(0)), "at least 3 states, one a layer, got 2"),
        (lambda: corridor(2), "at least 3 states, got 2"),
        (lambda: corridor(slip=1.5), r"slip must lie in \[0, 1\], got 1.5"),
        (lambda: corridor(actions=0), "actions must be at least 1, got 0"),
    ],
)
def test_a_family_refuses_what_it_cannot_draw(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_corridor_pays_one_at_the_end_that_an_action_walks_to():
    mdp = corridor(7, slip=0.2)
    assert mdp.start.tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert mdp.terminal.tolist() == [True, *[False] * 5, True]
    np.testing.assert_allclose(mdp.rewards[[1, 3, 5]], [[-0.9, -0.1], [0, 0], [0.1, 0.9]])
    np.testing.assert_allclose(mdp.transitions[3, :, [2, 4]], [[0.9, 0.1], [0.1, 0.9]])


def test_a_walk_at_random_in_a_corridor_takes_the_square_of_its_half():
    chain = Chain(corridor(21), np.full((21, 2), 0.5))
    assert chain.visits().sum() == pytest.approx(100)
    right = Chain(corridor(21, actions=40), np.tile([0.0, 1.0], (21, 20)) / 20)
    assert right.visits().tolist() == pytest.approx([0] * 10 + [1] * 10 + [0])
    assert right.values(corridor(21, actions=40).rewards)[10] == pytest.approx(1)


def test_the_cycle_pays_and_charges_as_figure_2_says():
    """The return is -(1-a)(1-b) - 2(1-a)b - 3ab, and the loss -4ab, where a and b are the odds of going right."""
    made = cycle()
    for x in ([0.3, -0.7], [2.0, 1.0]):
        a, b = sigmoid(np.array(x))
        chain = Chain(made.mdp, binary(made, x))
        assert chain.values(made.mdp.rewards)[0] == pytest.approx(-(1 - a) * (1 - b) - 2 * (1 - a) * b - 3 * a * b)
        assert chain.values(made.cost)[0] == pytest.approx(-4 * a * b)
    assert (made.mdp.states, made.mdp.observations) == (7, 2)


def test_the_coin_cycle_turns_round_and_keeps_its_radius():
    """On-policy distillation without reward, visits held fixed: 1/s'(x) + 1/s'(y) is conserved, s the sigmoid."""
    made = coin_cycle(2.0)

    def velocity(x):
        policy = binary(made, x)
        slope = policy[:, 0] * policy[:, 1] * (made.cost[:, 1] - made.cost[:, 0])
        return -np.bincount(made.shared, Chain(made.mdp, policy).visits() * slope, minlength=2)

    x, turned, step = np.array([1.0, 0.0]), 0.0, 0.1
    for _ in range(1500):
        k1 = velocity(x)
        k2 = velocity(x + step / 2 * k1)
        k3 = velocity(x + step / 2 * k2)
        new = x + step / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(x + step * k3))
        turned += np.angle(complex(*new) / complex(*x))
        x = new
    first, last = (np.sum(1 / (sigmoid(y) * sigmoid(-y))) for y in (np.array([1.0, 0.0]), x))
    assert abs(turned) / (2 * np.pi) > 2
    assert last == pytest.approx(first, rel=1e-6)
