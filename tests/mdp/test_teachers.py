import numpy as np
import pytest

from understudy.errors import ConfigurationError
from understudy.mdp import teachers
from understudy.mdp.families import corridor, grid, random_mdp
from understudy.mdp.learning import actor_critic_steps, q_steps
from understudy.mdp.model import MDP
from understudy.mdp.solve import Chain, optimal
from understudy.mdp.teachers import Teacher, actor_critic, adversarial, evaluated, noisy, q_learning, softmax_teacher

WORD = 1 << 64


def uniform_by_hand(key):
    """SplitMix64 in whole numbers without bounds."""
    word = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % WORD
    return ((word ^ (word >> 31)) >> 11) / 2**53


class Walk:
    """The same draws as the compiled loops make, on dense transitions."""

    def __init__(self, mdp, seed):
        self.mdp, self.state = mdp, None
        self.key = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])

    def draw(self):
        self.key = (self.key + 0x9E3779B97F4A7C15) % WORD
        return uniform_by_hand(self.key)

    def begin(self):
        if self.state is None:
            self.state = int((self.mdp.start.cumsum() <= self.draw()).sum())
        return self.state

    def follow(self, action):
        sums = self.mdp.transitions[self.state, self.mdp.action_map[action]].cumsum()
        after = int((sums <= self.draw()).sum())
        self.state = None if after == self.mdp.states or self.mdp.terminal[after] else after
        return self.state


def q_learning_by_hand(mdp, seed, steps, epsilon, rate, gamma):
    q, walk = np.zeros((mdp.states, mdp.actions)), Walk(mdp, seed)
    for _ in range(steps):
        state = walk.begin()
        explore, pick = walk.draw() < epsilon, walk.draw()
        choices = np.arange(mdp.actions) if explore else np.flatnonzero(q[state] == q[state].max())
        action = choices[int(pick * len(choices))]
        after = walk.follow(action)
        target = mdp.rewards[state, action] + (0 if after is None else gamma * q[after].max())
        q[state, action] += rate * (target - q[state, action])
    return q


@pytest.fixture(scope="module")
def world():
    return random_mdp(6, 5, 0.1, np.random.default_rng(0), moves=3)


@pytest.mark.parametrize("make", [lambda: random_mdp(6, 5, 0.1, np.random.default_rng(0), moves=3), corridor])
def test_q_learning_takes_the_steps_that_a_plain_loop_takes(make):
    mdp = make()
    expected = q_learning_by_hand(mdp, 3, 1500, 0.1, 0.2, 0.95)
    found = q_learning(mdp, 3, 1500, learning_rate=0.2, gamma=0.95)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert (expected != 0).any()


def test_compiled_loops_give_the_bits_of_the_loops_as_written(world):
    steps = 500
    with np.errstate(over="ignore"):
        for loop, tables, rates in [
            (q_steps, [(6, 5)], (0.1, 0.2, 0.9)),
            (actor_critic_steps, [(6, 5), (6,)], (0.1, 0.2, 0.9, 0.01)),
        ]:
            one, two = ([np.zeros(shape) for shape in tables] for _ in range(2))
            loop(*one, teachers._process(world), np.uint64(7), steps, *rates)
            loop.py_func(*two, teachers._process(world), np.uint64(7), steps, *rates)
            for first, second in zip(one, two, strict=True):
                np.testing.assert_allclose(first, second, rtol=1e-13, atol=1e-15)


def test_q_learning_finds_the_best_action_values_of_a_process_without_chance():
    mdp = corridor(9)
    q = q_learning(mdp, 0, 50_000, epsilon=0.5, learning_rate=0.5, gamma=0.9)
    np.testing.assert_allclose(q, optimal(mdp, 0.9)[1], atol=1e-6)


def test_q_learning_repeats_itself_for_the_same_seed_only(world):
    one, two, other = (q_learning(world, seed, 1000) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_a_q_learning_teacher_does_far_better_than_chance_on_grids():
    made = [grid(np.random.default_rng([9, number])).mdp for number in range(20)]
    q = [q_learning(mdp, number) for number, mdp in enumerate(made)]
    returned = [evaluated(mdp, teachers.soften(one, 0.1)).values @ mdp.start for mdp, one in zip(made, q, strict=True)]
    best = [optimal(mdp)[0] @ mdp.start for mdp in made]
    chance = [evaluated(mdp, np.full((400, 4), 0.25)).values @ mdp.start for mdp in made]
    assert (np.array(returned) <= np.array(best) + 1e-9).all()
    assert np.mean(returned) > np.mean(chance) + 0.6 * (np.mean(best) - np.mean(chance))


def test_an_actor_critic_step_is_the_gradient_of_its_surprise():
    """One state, pays 0 and 1, ends at once; first step from zeros: error r, logits += 0.1 r (onehot - 1/2)."""
    bandit = MDP(np.zeros((1, 2, 1)), np.array([[0.0, 1.0]]), [1.0])
    logits, values = np.zeros((1, 2)), np.zeros(1)
    for key in range(1, 20):
        logits[:], values[:] = 0, 0
        actor_critic_steps(logits, values, teachers._process(bandit), np.uint64(key), 1, 0.1, 0.3, 1.0, 0.0)
        assert [logits.tolist()[0], values[0]] in ([[0.0, 0.0], 0.0], [[-0.05, 0.05], 0.3])


def test_entropy_holds_an_actor_at_the_softmax_of_what_actions_pay():
    bandit = MDP(np.zeros((1, 2, 1)), np.array([[0.0, 1.0]]), [1.0])
    held = actor_critic(bandit, 0, 200_000, actor_rate=0.005, critic_rate=0.02, entropy=1.0)
    assert held.policy[0, 1] == pytest.approx(1 / (1 + np.exp(-1)), abs=0.02)
    assert actor_critic(bandit, 0, 20_000).policy[0, 1] > 0.95


def test_an_actor_critic_learns_the_corridor_and_repeats_itself():
    mdp = corridor(9)
    one, two = actor_critic(mdp, 4), actor_critic(mdp, 4)
    assert one.values @ mdp.start > 0.98
    np.testing.assert_array_equal(one.policy, two.policy)


def test_at_temperature_zero_the_best_actions_share():
    q = np.array([[1.0, 2.0, 2.0], [0.0, -1.0, -1.0]])
    assert softmax_teacher(q, 0).policy.tolist() == [[0, 0.5, 0.5], [1, 0, 0]]
    warm = softmax_teacher(q, 0.5).policy
    np.testing.assert_allclose(warm[0], np.exp([2.0, 4, 4]) / np.exp([2.0, 4, 4]).sum())
    np.testing.assert_allclose(softmax_teacher(q, 1e-320).policy, softmax_teacher(q, 0).policy)
    assert softmax_teacher(q, 0).values.tolist() == [2.0, 0.0]


def test_a_teachers_values_are_its_returns(world):
    teacher = softmax_teacher(q_learning(world, 0, 2000), 0.1, world, gamma=0.9)
    np.testing.assert_allclose(teacher.values, Chain(world, teacher.policy, 0.9).values(world.rewards))


def test_noise_is_a_share_of_uniform_actions(world):
    sure = Teacher(np.eye(5)[[0, 1, 2, 3, 4, 0]], np.zeros(6))
    with_noise = noisy(sure, 0.25, world)
    np.testing.assert_allclose(with_noise.policy[0], [0.8, 0.05, 0.05, 0.05, 0.05])
    np.testing.assert_allclose(with_noise.values, Chain(world, with_noise.policy).values(world.rewards))
    np.testing.assert_array_equal(noisy(sure, 0.25).values, sure.values)


def test_no_policy_does_better_than_the_optimal_or_worse_than_the_adversarial_teacher(world):
    best, worst = teachers.optimal(world), adversarial(world)
    generator = np.random.default_rng(0)
    for _ in range(50):
        policy = generator.dirichlet(np.full(5, 0.3), 6)
        values = evaluated(world, policy).values
        assert (values <= best.values + 1e-12).all()
        assert (values >= worst.values - 1e-12).all()


def test_the_adversarial_teacher_walks_to_the_wrong_end():
    walk = adversarial(corridor(9))
    assert walk.policy[1:8].tolist() == [[1, 0]] * 7
    assert walk.values[4] == -1


def test_the_best_teacher_of_an_undiscounted_corridor_does_not_dawdle_and_its_equal_actions_share():
    """Of 40 actions, 20 go right; going left first would be worth as much, only later."""
    policy = teachers.optimal(corridor(9, actions=40)).policy
    np.testing.assert_allclose(policy[1:8], np.tile([0, 0.05], (7, 20)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Teacher(np.array([[0.5, 0.4]]), np.zeros(1)), "must sum to 1, got 0.9 in state 0"),
        (lambda: Teacher(np.array([[1.5, -0.5]]), np.zeros(1)), "got -0.5 in state 0, action 1"),
        (lambda: Teacher(np.array([[1.0, 0.0]]), np.zeros(2)), r"got \[1, 2\] and \[2\]"),
        (lambda: Teacher(np.array([[1.0, 0.0]]), np.array([np.nan])), "finite, got nan in state 0"),
        (lambda: softmax_teacher(np.zeros((1, 2)), -1), "temperature must be finite and not negative, got -1"),
        (lambda: noisy(Teacher(np.ones((1, 1)), np.zeros(1)), 1.5), r"share must lie in \[0, 1\], got 1.5"),
        (lambda: q_learning(corridor(), 0, -1), "steps must not be negative, got -1"),
        (lambda: q_learning(corridor(), 0, epsilon=2), r"epsilon must lie in \[0, 1\], got 2"),
    ],
)
def test_what_is_no_teacher_is_refused(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()
