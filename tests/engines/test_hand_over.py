"""Handing a distilled student over to reinforcement: what moves, what does not, and to where."""

import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.anchored import ActiveAnchor, AnchoredObjective
from understudy.engines.hand_over import begin_anew, fit_critic
from understudy.engines.reinforce import new_student, reinforcing
from understudy.envs.actions import family_of
from understudy.envs.views import ObservationViews
from understudy.errors import ConfigurationError, MethodError
from understudy.methods.anchor import Anchor
from understudy.methods.ppo import PPO

FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)
BOX = spaces.Box(-1, 1, (2,), np.float32)
DISCRETE = spaces.Discrete(3)


@pytest.fixture
def joined(simulator, teacher):
    """A student that is far from uniform, over noise that pays between 0 and 1 a step."""

    def build(action_space=DISCRETE, *, spec="mlp:8", std=False, **options):
        student = teacher(FLAT, family_of(action_space, False), action_space, spec, std)
        pace = {"n_steps": 64, "batch_size": 64, "gamma": 0.8, "learning_rate": 1e-2, "n_epochs": 4}
        played = simulator(FLAT, action_space)
        return reinforcing(PPO(**pace | options), played, student, ObservationViews(), budget=10**6, seed=0)

    return build


def error(learner):
    """How far the critic is from the returns of fresh play."""
    columns, _ = learner.objective.prepare(learner.source.collect(0.0))
    found = learner.objective.critic(columns.get("critic")[:, 0]).detach()
    return float((columns["target"][:, 0] - found).square().mean())


@pytest.mark.parametrize("spec", ["mlp:8", "gru:6"])
@pytest.mark.parametrize("action_space", [DISCRETE, BOX], ids=["discrete", "box"])
def test_only_the_critic_moves(joined, action_space, spec):
    learner = joined(action_space, spec=spec)
    learner.step()
    student, before = copy.deepcopy(learner.student.state_dict()), error(learner)
    critic = {name: value.clone() for name, value in learner.objective.critic.named_parameters()}
    fit_critic(learner, 6)
    assert all(torch.equal(value, student[name]) for name, value in learner.student.state_dict().items())
    assert all(not torch.equal(value, critic[name]) for name, value in learner.objective.critic.named_parameters())
    assert error(learner) < 0.8 * before
    assert learner.env_steps == 7 * 256


def test_a_policy_whose_optimiser_has_a_past_is_not_carried_on_by_it(joined):
    learner = joined()
    learner.step()
    assert learner.optimiser.first.any()
    before = learner.optimiser.flat.clone()
    mine = sum(parameter.numel() for parameter in learner.student.parameters())
    fit_critic(learner, 1)
    assert torch.equal(learner.optimiser.flat[:mine], before[:mine])
    assert not torch.equal(learner.optimiser.flat[mine:], before[mine:])
    assert not learner.optimiser.first.any()


def test_a_student_that_begins_is_not_standardised_by_fitting_its_critic(joined):
    learner = joined(standardise=True)
    assert "student" in learner.fits
    before = copy.deepcopy(learner.student.state_dict())
    fit_critic(learner, 1)
    assert all(torch.equal(value, before[name]) for name, value in learner.student.state_dict().items())


def test_an_adaptive_weight_begins_with_the_students_first_round_and_not_with_the_critics(joined):
    """While a policy stands still at its anchor the KL is 0, which would halve the weight in each round."""
    learner = joined()
    frozen = copy.deepcopy(learner.student)
    row = Anchor(frozen, "adaptive:0.4:0.02", name="self")
    learner.objective = AnchoredObjective(learner.objective, [ActiveAnchor(row, frozen)], seed=0)
    fit_critic(learner, 3)
    facts = learner.step().facts
    assert facts["anchor/self/kl"] == pytest.approx(0, abs=1e-6)
    assert facts["anchor/self/weight"] == 0.4


def test_the_critic_comes_to_the_true_value(joined):
    """Play pays 1/2 a step in the mean whatever is done; seeing noise, the best value is one number for all states."""
    learner = joined(gae_lambda=1.0)
    fit_critic(learner, 30)
    columns, _ = learner.objective.prepare(learner.source.collect(0.0))
    values = learner.objective.critic(columns["critic"][:, 0])
    lengths = np.arange(3, 13)
    to_go = [(1 - 0.8**left) / (1 - 0.8) / 2 for length in lengths for left in range(1, length + 1)]
    assert values.mean().item() == pytest.approx(np.mean(to_go), abs=0.1)


@pytest.mark.parametrize("spec", ["mlp:8", "gru:5"])
def test_the_critic_can_begin_from_a_teachers_values(joined, teacher, spec):
    guide = teacher(FLAT, family_of(DISCRETE), DISCRETE, spec)
    learner = joined()
    before = copy.deepcopy(learner.student.state_dict())
    fit_critic(learner, 20, teacher=guide)
    assert all(torch.equal(value, before[name]) for name, value in learner.student.state_dict().items())
    seen = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = guide.value_network(seen)[0][:, 0]
        found = learner.objective.critic(seen)[:, 0]
    assert (found - wanted).square().mean() < 0.1 * wanted.var()


def test_after_it_the_learner_goes_on(joined):
    learner = joined()
    fit_critic(learner, 2)
    begin_anew(learner)
    before = learner.optimiser.flat.clone()
    learner.step()
    assert not torch.equal(learner.optimiser.flat, before)
    assert all(
        parameter.data_ptr() == learner.optimiser.flat[at:].data_ptr()
        for at, parameter in zip(
            np.cumsum([0, *(p.numel() for p in learner.optimiser.parameters)]),
            learner.optimiser.parameters,
            strict=False,
        )
    )


@pytest.mark.parametrize("std", [False, True], ids=["one vector", "of the state"])
def test_a_gaussians_noise_begins_anew(joined, std):
    learner = joined(BOX, std=std)
    learner.step()
    begin_anew(learner, std=0.5)
    seen = torch.as_tensor(learner.window.observation)
    policy = learner.student.distribution(seen)[0]
    torch.testing.assert_close(policy.log_std.expand_as(policy.mean).flatten(0, 1).mean(0).exp(), torch.full((2,), 0.5))
    assert not learner.optimiser.first.any()
    assert learner.optimiser.count == 0


@pytest.mark.parametrize("action_space", [DISCRETE, spaces.MultiDiscrete([3, 2]), spaces.MultiBinary(3)], ids=str)
def test_a_student_that_is_sure_is_tempered_and_keeps_its_choices(joined, action_space):
    learner = joined(action_space)
    with torch.no_grad():
        learner.student.network.last_layers[0].weight.mul_(5)
        learner.student.network.last_layers[0].bias.normal_(generator=torch.Generator().manual_seed(0))
    learner.gather()
    seen = torch.as_tensor(learner.window.observation).flatten(0, 1)
    before = learner.student.distribution(seen)[0]
    wanted = 1.5 * before.entropy().mean().item()
    choices = before.mode()
    begin_anew(learner, entropy=wanted)
    after = learner.student.distribution(seen)[0]
    assert after.entropy().mean().item() == pytest.approx(wanted, rel=1e-4)
    assert torch.equal(after.mode(), choices)
    kept = copy.deepcopy(learner.student.state_dict())
    begin_anew(learner, entropy=wanted / 2)  # it has more than that already
    assert all(torch.equal(value, kept[name]) for name, value in learner.student.state_dict().items())


def test_what_cannot_be_is_said(joined, teacher, simulator):
    learner, arm = joined(), joined(BOX)
    with pytest.raises(ConfigurationError, match="actions are discrete: begin anew with entropy"):
        begin_anew(learner, std=0.5)
    with pytest.raises(ConfigurationError, match="actions are continuous: begin anew with std"):
        begin_anew(arm, entropy=0.5)
    with pytest.raises(ConfigurationError, match="std must be above 0, or left out, got -1"):
        begin_anew(arm, std=-1.0)
    with pytest.raises(ConfigurationError, match="nothing was collected"):
        begin_anew(learner, entropy=0.5)
    learner.gather()
    with pytest.raises(ConfigurationError, match=r"below 1.099, that of chance, for categorical\(3\), got 2"):
        begin_anew(learner, entropy=2.0)
    with pytest.raises(ConfigurationError, match="in 1 round at least, got 0"):
        fit_critic(learner, 0)
    with pytest.raises(MethodError, match="has no values"):
        fit_critic(learner, 1, teacher=new_student(FLAT, DISCRETE, "mlp:8", seed=0))
    learner.objective.critic = None
    with pytest.raises(ConfigurationError, match="no critic to fit"):
        fit_critic(learner, 1)
