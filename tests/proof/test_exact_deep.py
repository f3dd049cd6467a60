"""The deep engine against the exact update in an MDP with cycles.

A linear student on one-hot states is a softmax table. The deep engine leaves out the discounting of visits and takes
the mean over steps: the exact update with plain visits, divided by the 1 / END steps of an episode.
"""

from functools import cache

import numpy as np
import pytest
import torch
from enumerated import softmax
from sampled import BATCHES, COPIES, TablePolicy, agree, gradient, student_of

from understudy.engines import exact
from understudy.engines.source import FreshRollouts
from understudy.engines.steps import window_steps
from understudy.envs.of_mdp import MDPSimulator
from understudy.envs.views import ObservationViews
from understudy.math.heads import Heads
from understudy.mdp.families import random_mdp
from understudy.methods import CONTROLS, METHODS, with_divergence
from understudy.methods.surrogate import surrogate

GAMMA, END = 0.9, 0.4


@cache
def problem():
    generator = np.random.default_rng(8)
    mdp = random_mdp(6, 3, END, generator)
    teacher = softmax(1.5 * generator.standard_normal((6, 3)))
    return mdp, teacher, 0.7 * generator.standard_normal((6, 3))


def values(policy):
    return exact.values(problem()[0], policy, GAMMA).float()


@cache
def teacher_policy():
    """With its own exact values."""
    teacher = problem()[1]
    return TablePolicy(torch.tensor(np.log(teacher)).float(), values(teacher))


@cache
def windows(control):
    mdp, _, theta = problem()
    source = FreshRollouts(
        MDPSimulator(mdp, COPIES, seed=0, max_episode_steps=200),
        CONTROLS[control],
        teacher_policy(),
        student_of(theta),
        ObservationViews(),
        collect=1,
        seed=3,
        whole_episodes=True,
    )
    return [source.collect(0.0) for _ in range(BATCHES)]


@pytest.mark.parametrize("divergence", ["cross-entropy", "kl"])
@pytest.mark.parametrize("name", METHODS)
def test_the_deep_engines_mean_over_steps_is_the_exact_update_per_step(name, divergence):
    mdp, teacher, theta = problem()
    method = with_divergence(METHODS[name], divergence)
    student, found = student_of(theta), []
    for window in windows(str(method.control)):
        seen = torch.as_tensor(window.observation)
        mine = Heads(student(seen)[0].policy, seen @ values(softmax(theta)))
        steps = window_steps(window, mine, teacher_policy()(seen)[0], GAMMA)
        found.append(gradient(surrogate(method, steps), student))
    wanted = exact.update(method, mdp, teacher, theta, gamma=GAMMA, discounted_visits=False)
    agree(found, wanted.numpy() * END, within=0.1)
