import numpy as np

from understudy.envs.flight import enemy

DRAWS = np.random.default_rng(0).random((enemy.NUMBERS, 2000))


def steered(time, distance, plan=None):
    copies = DRAWS.shape[1]
    plan = enemy.drawn(DRAWS) if plan is None else plan
    return enemy.steer(plan, np.full(copies, time), np.full(copies, distance), np.full(copies, 220.0))


def test_it_turns_harder_the_nearer_you_are_and_never_harder_than_it_can():
    limit = enemy.BODY.turn_limit(np.array([220.0]))[0]
    for time in (0.0, 7.3, 40.0):
        near, middle, far = (np.abs(steered(time, distance)[0]) for distance in (300.0, 1200.0, 5000.0))
        np.testing.assert_allclose(far, enemy.CALM * near)
        assert (far <= middle).all()
        assert (middle <= near).all()
        assert near.max() <= limit * (1 + 1e-12)
        assert near.max() > 0.99 * limit


def test_it_turns_left_as_often_as_right_and_half_of_its_legs_are_straight():
    plan = enemy.drawn(DRAWS)
    assert abs((plan.turn > 0).mean() - 0.25) < 0.02
    assert abs((plan.turn < 0).mean() - 0.25) < 0.02
    low, high = enemy.RELOAD
    assert ((plan.wait >= low) & (plan.wait <= high)).all()
    assert np.abs(steered(1.0, 500.0)[1]).max() <= enemy.BODY.thrust


def test_plans_of_some_copies_leave_the_others_alone():
    plan, new = enemy.drawn(DRAWS), enemy.drawn(DRAWS[:, ::-1][:, :2].copy())
    before = steered(3.0, 800.0, plan)[0]
    plan.put(np.array([4, 7]), new)
    after = steered(3.0, 800.0, plan)[0]
    assert set(np.flatnonzero(before != after)) <= {4, 7}
    assert after[4] == steered(3.0, 800.0)[0][-1]
