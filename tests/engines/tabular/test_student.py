"""What is derived from a student's logits is kept up to date while it learns."""

import numpy as np
import pytest

from understudy.engines.tabular.episode import room, run
from understudy.engines.tabular.pack import pack
from understudy.engines.tabular.row import row_of
from understudy.engines.tabular.setting import Setting
from understudy.engines.tabular.student import refresh_all, student_of
from understudy.mdp.families import random_mdp
from understudy.mdp.model import MDP
from understudy.mdp.teachers import evaluated
from understudy.methods import METHODS, with_divergence


@pytest.mark.parametrize("observed", [None, np.array([0, 1, 0, 2, 1])], ids=["all", "partly"])
def test_after_many_episodes_everything_derived_is_as_if_made_anew(observed):
    generator = np.random.default_rng(0)
    loose = random_mdp(5, 3, 0.2, generator)
    mdp = MDP(loose.transitions, loose.rewards, loose.start, observed=observed)
    packed = pack([mdp], [evaluated(mdp, generator.dirichlet(np.ones(3), 5))])
    world, every = packed.worlds[0], np.arange(packed.observations)
    row = row_of(Setting(with_divergence(METHODS["n-distill"], "kl"), learning_rate=0.1), 50)
    student = student_of(np.zeros((packed.observations, 3)), world.teacher_value, 1, 11)
    steps = room(5, packed.observations, 3, row.max_steps)
    refresh_all(world, row, student, every, steps.buffer)
    run(world, row, student, np.zeros(1, dtype=np.uint32), steps, np.uint64(1), 0, 50, np.zeros(2, dtype=np.int64))
    kept = [array.copy() for array in student]
    refresh_all(world, row, student, every, steps.buffer)
    assert kept[0].any()
    for before, after in zip(kept, student, strict=True):
        assert (before == after).all()
