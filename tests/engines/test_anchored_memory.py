"""Anchors of students with a memory: windows are filled up with steps that nobody played, which hold nothing."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.anchored import ActiveAnchor, AnchoredObjective
from understudy.engines.learner import Learner
from understudy.math.distributions import Family
from understudy.math.divergences import kl
from understudy.methods.anchor import Anchor

FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_a_kl_is_the_mean_over_the_steps_that_were_played(learner, teacher, direction):
    guide = teacher(FLAT, Family("categorical", (3,)), spaces.Discrete(3))
    plain = learner(method="task-reward", spec="gru:8")
    anchor = ActiveAnchor(Anchor(guide, 0.7, direction, name="lead"), guide)
    objective = AnchoredObjective(plain.objective, [anchor], seed=0)
    joined = Learner(plain.source, objective, plain.rhythm, budget=10_000, seed=0)
    joined.gather()
    columns = joined.store.take(torch.arange(len(joined.store)))
    played = columns["valid"].bool()
    assert not played.all()
    student, held = objective.objective.answered(columns), guide.family(columns["anchor/0"])
    each = kl(held, student) if direction == "forward" else kl(student, held)
    assert abs(each[played].mean() - each.mean()) > 1e-4
    gained = objective.loss(columns, objective.method) - plain.objective.loss(columns, objective.method)
    assert gained.item() == pytest.approx(0.7 * each[played].mean().item(), abs=1e-5)
