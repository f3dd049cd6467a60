"""A slow simulator of one copy, written from docs/flight.md alone, follows the environment step by step.

It is told only what can be seen: of the enemy, whose plan is chance, the speed and the turn rate that it chose.
"""

import math

import gymnasium
import numpy as np
import pytest
from scipy.stats import kstest

import understudy  # noqa: F401 - registers the tasks

STEP, METRES = 0.1, 0.05
TASKS = ("Pursuit", "Evasion", "Combat")


def random(generator, seen, t):
    return generator.uniform(-1.5, 1.5, 2)


def circling(generator, seen, t):
    return np.array([1.0, 1.0])


def weaving(generator, seen, t):
    return np.array([np.sin(t / 20) * 3, 5])


def following(generator, seen, t):
    return np.array([4 * math.atan2(seen[2], seen[1]), 0.2])


def place(seen, first):
    """Metres ahead and to the left, and the heading against yours, of the body whose components begin there."""
    distance = 1000 / seen[first + 2] - 1000
    return distance * seen[first], distance * seen[first + 1], math.atan2(seen[first + 5], seen[first + 4])


def moved(x, y, heading, speed, faster, turn):
    """The mean speed, along the heading in the middle of the step."""
    way, middle = STEP * (speed + faster) / 2, heading + turn * STEP / 2
    return x + way * math.cos(middle), y + way * math.sin(middle), heading + turn * STEP


def within(x, low, high):
    return min(max(x, low), high)


def speed_of_missile(age):
    """300 m/s at the launch, +300 m/s² for 1 s, then -25, within 150 and 520."""
    speed = 300
    for step in range(round(age / STEP)):
        speed = min(speed + 30, 520) if step < 10 else max(speed - 2.5, 150)
    return speed


class Copy:
    """What the page says of one copy: where all are from what is seen, and where they are a step later."""

    def __init__(self, seen, action, later):
        turn, push = np.clip(action, -1, 1)
        self.seen, self.speed = seen, 235 + 85 * seen[0]
        self.faster = within(self.speed + 20 * push * STEP, 150, 320)
        self.you = moved(0, 0, 0, self.speed, self.faster, turn * min(0.4, 80 / self.speed))
        enemy, self.enemy_faster = 235 + 85 * seen[7], 235 + 85 * later[7]
        self.enemy = moved(*place(seen, 1), enemy, self.enemy_faster, 0.3 * later[8])
        assert 180 - 1e-3 <= self.enemy_faster <= 260 + 1e-3
        assert abs(self.enemy_faster - enemy) <= 1 + 1e-4
        assert abs(0.3 * later[8]) <= min(0.3, 60 / enemy) + 1e-6
        self.flying = seen[9] == 1
        if self.flying:
            self.missile = self.guided()

    def guided(self):
        x, y, heading = place(self.seen, 10)
        self.age = 9 * (1 - self.seen[17])
        speed, faster = speed_of_missile(self.age), speed_of_missile(self.age + STEP)
        drift = self.speed - speed * math.cos(heading), -speed * math.sin(heading)
        sight = (-x * drift[1] + y * drift[0]) / max(x * x + y * y, 1)
        if x * x + y * y > 2500:
            assert within(sight / 0.5, -1, 1) == pytest.approx(self.seen[16], abs=1e-4)
        return moved(x, y, heading, speed, faster, within(4 * sight, -0.12, 0.12))

    def from_you(self, body):
        """As ``place`` tells it after the step."""
        x, y, heading = (a - b for a, b in zip(body, self.you, strict=True))
        cos, sin = math.cos(self.you[2]), math.sin(self.you[2])
        return x * cos + y * sin, y * cos - x * sin, heading

    def nearest(self):
        """m between you and the missile on the way, both on straight lines."""
        before, after = np.array(place(self.seen, 10)[:2]), np.subtract(self.missile, self.you)[:2]
        way = after - before
        return np.hypot(*(before + within(-(before @ way) / (way @ way), 0, 1) * way))

    def off_nose(self):
        """rad: you off the missile's nose."""
        x, y = np.subtract(self.you, self.missile)[:2]
        return abs(math.remainder(math.atan2(y, x) - self.missile[2], math.tau))


def agree(mine, seen, first):
    x, y, heading = place(seen, first)
    distance = math.hypot(x, y)
    assert math.hypot(x - mine[0], y - mine[1]) < METRES * (1 + distance / 1000) ** 2
    if distance > 50:
        assert abs(math.remainder(heading - mine[2], math.tau)) < 1e-4


def worth(x, y, heading):
    """w of the page, and whether it is a lock; None where that hangs on the last digits."""
    distance, nose = math.hypot(x, y), math.atan2(y, x)
    tail = math.remainder(nose - heading, math.tau)
    place = ((1 + math.cos(nose)) / 2 * (1 + math.cos(tail)) / 2) ** 2
    near, far = min(distance / 300, 1), 1 / (1 + (max(distance - 800, 0) / 600) ** 2)
    margins = distance - 200, 1000 - distance, math.radians(20) - abs(nose), math.radians(45) - abs(tail)
    return place * near * far, None if min(map(abs, margins)) < 1e-3 else min(margins) > 0


def follow(task, pilot, seed):
    """One episode; how often a missile was guided, lost, and hit."""
    env, generator = gymnasium.make(f"understudy/{task}-v0"), np.random.default_rng(seed)
    seen, lock, done, counts, t = env.reset(seed=seed)[0].astype(float), 0.0, False, np.zeros(3, int), 0
    while not done:
        action = pilot(generator, seen, t).astype(np.float32)
        later, reward, terminated, truncated, info = env.step(action)
        later, t = later.astype(float), t + 1
        copy = Copy(seen, action, later)
        assert 235 + 85 * later[0] == pytest.approx(copy.faster, abs=1e-3)
        agree(copy.from_you(copy.enemy), later, 1)
        paid, locked = worth(*place(later, 1))
        lock = info["lock_time"] if locked is None else lock + STEP * locked
        assert info["lock_time"] == pytest.approx(lock)
        pay = min(math.hypot(*place(later, 1)[:2]) / 3000, 1) if task == "Evasion" else paid
        assert reward == pytest.approx(100 / 30 * STEP * pay - 20 * terminated, abs=1e-4)
        assert terminated == info["hit"]
        assert truncated == (t == 300)
        lived = t == 300 and not terminated
        success = {"Pursuit": lock > 4.95, "Evasion": lived, "Combat": lived and lock > 2.95}[task]
        assert info["success"] == success
        counts += missiles(copy, later, terminated)
        assert info["missiles_dodged"] == counts[1]
        seen, done = later, terminated or truncated
    return counts


def missiles(copy, later, hit):
    """Whether one was guided, lost, or hit in this step."""
    if not copy.flying:
        assert not hit
        return 0, 0, 0
    if abs(copy.nearest() - 10) > 0.3:
        assert hit == (copy.nearest() < 10)
    lost = not hit and not later[9]
    if not hit and abs(copy.off_nose() - math.pi / 3) > 2e-3:
        assert lost == (copy.off_nose() > math.pi / 3 or copy.age > 9 - 1e-3)
    if later[9]:
        agree(copy.from_you(copy.missile), later, 10)
        assert later[17] == pytest.approx(max(copy.seen[17] - STEP / 9, 0), abs=1e-6)
    return bool(later[9]), lost, bool(hit)


@pytest.mark.parametrize("task", TASKS)
def test_the_page_alone_tells_every_step(task):
    counts = sum(
        follow(task, pilot, seed) for pilot in (random, circling, weaving, following) for seed in range(100, 104)
    )
    assert (counts > 4).all() == (task != "Pursuit")


def test_episodes_begin_anywhere_in_the_ranges_of_the_page():
    """Distance, bearing, heading and both speeds are uniform, and nothing follows from one another."""
    seen = gymnasium.make_vec("understudy/Combat-v0", 4000).reset(seed=0)[0].T.astype(float)
    distance, bearing = 1000 / seen[3] - 1000, np.arctan2(seen[2], seen[1])
    heading, speed, enemy = np.arctan2(seen[6], seen[5]), 235 + 85 * seen[0], 235 + 85 * seen[7]
    ranges = ((1200, 2500), (-np.pi / 2, np.pi / 2), (-np.pi, np.pi), (200, 250), (200, 250))
    drawn = [distance, bearing, heading, speed, enemy]
    shares = np.array([(x - low) / (high - low) for x, (low, high) in zip(drawn, ranges, strict=True)])
    assert shares.min() > -1e-3
    assert shares.max() < 1 + 1e-3
    assert all(kstest(share, "uniform").pvalue > 1e-3 for share in shares)
    assert np.abs(np.corrcoef(shares) - np.eye(5)).max() < 0.06


def test_launches_come_when_and_where_the_page_says():
    """The first within 3 s and others 3 to 6 s after the last, where you are within reach; no more than there are."""
    copies, generator = 600, np.random.default_rng(0)
    env = gymnasium.make_vec("understudy/Evasion-v0", copies)
    env.reset(seed=0)
    steady = generator.uniform(-1, 1, (copies, 2)) * (5, 1)  # most turn as hard as they can, and many live
    alive, flying, count = np.ones(copies, bool), np.zeros(copies, bool), np.zeros(copies, int)
    ended, near, firsts, gaps = np.zeros(copies), np.zeros(copies, bool), [], []
    waited, pairs = np.full(copies, np.nan), []
    for t in range(1, 301):
        seen, _, terminated, truncated, _ = env.step(steady)
        distance, air = 1000 / seen[:, 3] - 1000, seen[:, 9] == 1
        near |= (distance < 320) | (distance > 4480)  # out of reach since the last one's end: it may be late
        new, gone = alive & air & ~flying, alive & flying & ~air & ~terminated
        assert ((distance[new] > 299) & (distance[new] < 4501)).all()
        firsts += (t * STEP - ended)[new & (count == 0) & ~near].tolist()
        gaps += (t * STEP - ended)[new & (count > 0) & ~near].tolist()
        count += new
        pairs += np.stack([waited, t * STEP - ended], 1)[new & ~near].tolist()
        waited[new] = np.where(near, np.nan, t * STEP - ended)[new]
        ended[gone], near[gone] = t * STEP, False
        alive, flying = alive & ~terminated & ~truncated, air
    assert 2.8 < max(firsts) < 3.1 + 1e-6
    assert min(firsts) < 0.3
    assert kstest(np.array(firsts) / 3.0 - STEP / 6, "uniform").statistic < 0.08
    assert 3.0 - 1e-6 <= min(gaps) < 3.3
    assert 5.7 < max(gaps) < 6.1 + 1e-6
    assert count.max() <= 4
    follows = np.array([pair for pair in pairs if np.isfinite(pair).all()])
    assert len(follows) > 100
    assert abs(np.corrcoef(follows.T)[0, 1]) < 0.25  # each wait is drawn anew


def test_the_enemy_turns_calmly_where_it_is_alone_and_with_all_it_has_where_you_are_near():
    def hardest(pilot):
        env, found = gymnasium.make_vec("understudy/Pursuit-v0", 200), {"far": [], "between": [], "near": []}
        seen, _ = env.reset(seed=0)
        for t in range(299):
            before = 1000 / seen[:, 3].astype(float) - 1000, 235 + 85 * seen[:, 7].astype(float)
            seen, *_ = env.step(np.stack([pilot(None, one, t) for one in seen]))
            share = 0.3 * np.abs(seen[:, 8]) / np.minimum(0.3, 60 / before[1])
            allowed = 0.35 + 0.65 * np.clip((1800 - before[0]) / 1200, 0, 1)
            assert (share < allowed + 1e-3).all()
            for name, chosen in (("far", before[0] > 1801), ("near", before[0] < 599)):
                found[name] += share[chosen].tolist()
            found["between"] += (share / allowed)[(before[0] > 1500) & (before[0] < 1700)].tolist()
        return found

    assert max(hardest(lambda *_: np.array([0.0, 1.0]))["far"]) == pytest.approx(0.35, abs=1e-3)
    following_it = hardest(following)
    assert max(following_it["between"]) == pytest.approx(1, abs=2e-3)
    near = following_it["near"]
    assert max(near) == pytest.approx(1, abs=1e-3)
    assert np.mean(near) > 0.4


def test_the_enemy_has_an_acceleration_for_each_leg_of_its_plan():
    env, speeds = gymnasium.make_vec("understudy/Pursuit-v0", 300), []
    seen, _ = env.reset(seed=0)
    for _ in range(100):
        speeds.append(235 + 85 * seen[:, 7].astype(float))
        seen, *_ = env.step(np.zeros((300, 2)))
    pushes = np.diff(speeds, axis=0) / STEP
    free = (np.abs(np.array(speeds) - 220) < 39).all(0)  # never at the limits of its speed
    assert free.sum() > 100
    changed = (np.abs(np.diff(pushes[:, free], axis=0)) > 1e-2).mean(1)
    legs = [24, 49, 50, 74, 75]  # 25 steps each; sums of steps are not exact
    assert (np.delete(changed, legs) == 0).all()
    assert changed[24] > 0.95
    assert min(changed[[49, 74]] + changed[[50, 75]]) > 0.95
    assert 9.5 < np.abs(pushes[:, free]).max() < 10.001
