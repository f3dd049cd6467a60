import numpy as np
import pytest

from understudy.mdp.families import GridOdds, grid

EMPTY = GridOdds(0, 0, 0, 0, 0, 0)
REWARD = {".": 0, "S": 0, "#": 0, "-1": -1, "+10": 10, "+5": 5, "-10": -10, "-5": -5}
DENSE = GridOdds(0.2, 0.2, 0.05, 0.05, 0.05, 0.05)


def process_by_hand(world, slip, end, actions):
    """Transitions and rewards of each action, cell by cell, with no arrays of neighbours."""
    cells, size = world.cells, world.size
    transitions, rewards = np.zeros((size**2, actions, size**2)), np.zeros((size**2, actions))
    for y in range(size):
        for x in range(size):
            if cells[y][x] not in (".", "S", "-1"):
                continue
            for action in range(actions):
                for move, (dy, dx) in enumerate([(0, -1), (0, 1), (-1, 0), (1, 0)]):
                    chance = slip / 4 + (1 - slip) * (move == action % 4)
                    to_y, to_x = y + dy, x + dx
                    if not (0 <= to_y < size and 0 <= to_x < size) or cells[to_y][to_x] == "#":
                        to_y, to_x = y, x
                    transitions[y * size + x, action, to_y * size + to_x] += chance * (1 - end)
                    rewards[y * size + x, action] += chance * REWARD[cells[to_y][to_x]]
    return transitions, rewards


@pytest.mark.parametrize(("slip", "end", "actions"), [(0.1, 0.01, 4), (0.0, 0.2, 4), (1.0, 0.0, 4), (0.3, 0.01, 9)])
def test_a_world_moves_and_pays_as_its_cells_say(slip, end, actions):
    world = grid(np.random.default_rng(1), 6, DENSE, slip, end, actions)
    transitions, rewards = process_by_hand(world, slip, end, actions)
    np.testing.assert_allclose(world.mdp.transitions[:, world.mdp.action_map], transitions, atol=1e-15)
    np.testing.assert_allclose(world.mdp.rewards, rewards, atol=1e-14)


@pytest.mark.parametrize("actions", [1, 3])
def test_fewer_than_four_actions_leave_directions_out(actions):
    all_four = grid(np.random.default_rng(1), 6, DENSE).mdp
    mdp = grid(np.random.default_rng(1), 6, DENSE, actions=actions).mdp
    np.testing.assert_array_equal(mdp.transitions, all_four.transitions[:, :actions])


def test_a_slip_at_the_corner_by_hand():
    """Left from the upper left: 0.925 + 0.025 (up) stays, 0.025 each goes right and down; 0.99 of it goes on."""
    mdp = grid(np.random.default_rng(0), 3, EMPTY).mdp
    np.testing.assert_allclose(mdp.transitions[0, 0, [0, 1, 3]], [0.99 * 0.95, 0.99 * 0.025, 0.99 * 0.025])
    assert mdp.start.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]


def test_cells_come_with_their_odds_and_the_centre_is_free():
    """400 worlds of 399 cells: a chi-squared of six degrees of freedom, above 22.5 once in a thousand."""
    odds = GridOdds()
    worlds = [grid(np.random.default_rng([3, number])) for number in range(400)]
    assert {world.cells[10][10] for world in worlds} == {"S"}
    assert all(world.codes[10, 10] == 0 and world.mdp.start[210] == 1 for world in worlds)
    text = np.concatenate([np.array(world.cells).reshape(-1) for world in worlds])
    kinds = ["#", "-1", "+10", "+5", "-10", "-5"]
    share = [odds.wall, odds.minus_one, odds.plus_ten, odds.plus_five, odds.minus_ten, odds.minus_five]
    expected = np.array([*share, 1 - sum(share)]) * 400 * 399
    counts = np.array([*[(text == kind).sum() for kind in kinds], (text == ".").sum()])
    assert ((counts - expected) ** 2 / expected).sum() < 22.5


def test_the_printed_world_has_the_default_odds():
    """C19's picture: 35 walls, 41 cells of -1, and 3, 2, 6 and 4 terminal cells, each within 0.01 of our odds x 400."""
    odds = GridOdds()
    counts = np.array([35, 41, 3, 2, 6, 4])
    ours = [odds.wall, odds.minus_one, odds.plus_ten, odds.plus_five, odds.minus_ten, odds.minus_five]
    np.testing.assert_allclose(ours, counts / 400, atol=0.003)


@pytest.mark.parametrize("window", [1, 3, 5])
def test_two_cells_are_seen_alike_exactly_if_the_cells_around_them_are(window):
    world = grid(np.random.default_rng(2), 8, GridOdds(0.02, 0.02, 0, 0, 0, 0.01), window=window)
    reach, text = window // 2, np.array(world.cells)
    text[text == "S"] = "."

    def around(state):
        y, x = divmod(state, 8)
        spread = range(-reach, reach + 1)
        return tuple(
            text[y + dy, x + dx] if 0 <= y + dy < 8 and 0 <= x + dx < 8 else "#" for dy in spread for dx in spread
        )

    seen = [around(state) for state in range(64)]
    alike = np.array([[one == other for other in seen] for one in seen])
    observed = world.mdp.observed
    np.testing.assert_array_equal(observed[:, None] == observed, alike)
    assert world.mdp.observations == len(set(seen)) < 64


def test_features_tell_the_place_and_the_cells_around_it():
    world = grid(np.random.default_rng(2), 5, DENSE)
    features = world.features(window=3)
    assert features.shape == (25, 5 + 5 + 9 * 7)
    assert features.dtype == np.float32
    assert features[7, :10].nonzero()[0].tolist() == [1, 5 + 2]
    middle = features[:, 10:].reshape(25, 9, 7)[:, 4].argmax(-1)
    np.testing.assert_array_equal(middle, world.codes.reshape(-1))
    assert features[0, 10:].reshape(9, 7)[:3].argmax(-1).tolist() == [1, 1, 1]
    assert world.features(None).shape == (25, 10)
    assert world.features(3, coordinates=False).shape == (25, 63)


def test_the_same_generator_draws_the_same_world():
    one, two, other = (grid(np.random.default_rng(seed)).codes for seed in (4, 4, 5))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_a_world_of_4000_actions_keeps_four_moves():
    mdp = grid(np.random.default_rng(0), actions=4000).mdp
    assert mdp.successors.next.shape == (400, 4, 4)
    np.testing.assert_array_equal(mdp.rewards[:, :4], mdp.rewards[:, 3996:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"slip": -0.1}, r"slip must lie in \[0, 1\], got -0.1"),
        ({"end": 2}, r"end must lie in \[0, 1\], got 2"),
        ({"actions": 0}, "actions must be at least 1, got 0"),
        ({"window": 4}, "window must be odd and at least 1, got 4"),
    ],
)
def test_a_world_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        grid(np.random.default_rng(0), **options)


@pytest.mark.parametrize("odds", [{"wall": -0.1}, {"wall": 0.95}])
def test_odds_that_are_none_are_refused(odds):
    with pytest.raises(ValueError, match="must sum to at most 1, got GridOdds"):
        GridOdds(**odds)
