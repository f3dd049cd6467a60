"""The deep engine's three operators and its masks against a loop over a window that was drawn at random."""

import numpy as np
import pytest
import torch

from understudy.engines.steps import StoredSteps, WindowSteps
from understudy.math.distributions import Family
from understudy.math.heads import Heads

L, N, GAMMA = 12, 5, 0.9
TERMINATED, TRUNCATED, CUT = "terminated", "truncated", "cut"


@pytest.fixture
def window():
    """Ends of every kind, and after some of them the fake row of a next-step autoreset."""
    generator = np.random.default_rng(3)
    kind = np.full((L, N), "", dtype=object)
    valid = np.ones((L, N), dtype=bool)
    for n in range(N):
        for t in range(L):
            if not valid[t, n]:
                continue
            chance = generator.random()
            if chance < 0.3:
                kind[t, n] = TERMINATED if chance < 0.15 else TRUNCATED
                if t + 1 < L and generator.random() < 0.7:
                    valid[t + 1, n] = False
            elif t == L - 1:
                kind[t, n] = CUT
    assert {*kind.ravel()} == {"", TERMINATED, TRUNCATED, CUT}
    assert not valid.all()
    return kind, valid, generator.standard_normal((L, N))


def steps_of(kind, valid, episodes=None):
    nobody = Heads(Family("categorical", (2,))(torch.zeros(L, N, 2)))
    unseen = torch.as_tensor(np.argwhere((kind == TRUNCATED) | (kind == CUT)))
    zeros, mask = torch.zeros(L, N), torch.as_tensor(valid, dtype=torch.float64)
    return WindowSteps(nobody, nobody, zeros, zeros, mask, kind != "", GAMMA, None, unseen, episodes), unseen


def test_the_next_step_is_0_after_a_terminal_and_what_is_beyond_a_limit_or_a_cut(window):
    kind, valid, x = window
    steps, unseen = steps_of(kind, valid)
    beyond = {(int(t), int(n)): 10.0 + i for i, (t, n) in enumerate(unseen)}
    expected = np.zeros((L, N))
    for t, n in np.argwhere(valid):
        after = beyond.get((t, n), 0.0) if kind[t, n] else x[t + 1, n]
        expected[t, n] = GAMMA * after
    found = steps.next(torch.tensor(x), torch.tensor(list(beyond.values()), dtype=torch.float64))
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("credit", [1.0, 0.5, 0.0])
def test_what_is_to_go_ends_with_the_episode_and_skips_what_nobody_played(window, credit):
    kind, valid, x = window
    steps, _ = steps_of(kind, valid)
    found = steps.to_go(torch.tensor(x), credit).numpy()
    for t, n in np.argwhere(valid):
        total, factor = 0.0, 1.0
        for i in range(t, L):
            total += factor * x[i, n]
            factor *= GAMMA * credit
            if kind[i, n]:
                break
        assert found[t, n] == pytest.approx(total)


def test_the_mean_counts_played_steps_only(window):
    kind, valid, x = window
    steps, _ = steps_of(kind, valid)
    total = sum(x[t, n] for t, n in np.argwhere(valid))
    assert steps.expect(torch.tensor(x)).item() == pytest.approx(total / valid.sum())
    per_episode, _ = steps_of(kind, valid, episodes=7)
    assert per_episode.expect(torch.tensor(x)).item() == pytest.approx(total / 7)
    stored = StoredSteps(steps.student, steps.teacher, steps.action, steps.reward, steps.valid)
    assert stored.expect(torch.tensor(x)).item() == pytest.approx(total / valid.sum())
