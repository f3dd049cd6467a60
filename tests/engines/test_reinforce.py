"""Reinforcement learning in the engine: against Stable-Baselines3, by hand, and on CartPole."""

import copy

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.engines.reinforce import new_student, reinforcing
from understudy.envs.of_gym import make
from understudy.envs.views import ObservationViews
from understudy.errors import ConfigurationError
from understudy.methods import METHODS
from understudy.methods.ppo import PPO
from understudy.runs.checkpoints import load, save

stable_baselines3 = pytest.importorskip("stable_baselines3")

FLAT = spaces.Box(-np.inf, np.inf, (4,), np.float32)
BOX = spaces.Box(-1, 1, (2,), np.float32)


@pytest.fixture
def reinforced(simulator):
    """Joins a fresh student over noise with PPO."""

    def build(action_space=spaces.Discrete(3), *, spec="mlp:8", budget=10_000, seed=0, **options):  # noqa: B008
        played = simulator(FLAT, action_space)
        student = new_student(FLAT, action_space, spec, seed=seed)
        pace = {"n_steps": 16, "batch_size": 16, "n_epochs": 2, "gamma": 0.9}
        return reinforcing(PPO(**pace | options), played, student, ObservationViews(), budget=budget, seed=seed)

    return build


def collected(learner):
    """All steps of a round as one minibatch, after a change of the policy, so that ratios differ from 1."""
    window = learner.source.collect(0.0)
    columns, _ = learner.objective.prepare(window)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in [*learner.student.parameters(), *learner.objective.critic.parameters()]:
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return {name: column.squeeze(1) for name, column in columns.items()}


class Played(gymnasium.Env):
    """Spaces for a model that plays nothing."""

    def __init__(self, action_space):
        self.observation_space, self.action_space = FLAT, action_space

    def reset(self, *, seed=None, options=None):
        return np.zeros(4, np.float32), {}

    def step(self, action):
        return np.zeros(4, np.float32), 0.0, True, False, {}


def theirs(learner, action_space, options):
    """Stable-Baselines3's PPO with the same parameters, which makes one step of plain gradient descent at a time."""
    model = stable_baselines3.PPO(
        "MlpPolicy",
        Played(action_space),
        n_steps=64,
        batch_size=64,
        n_epochs=1,
        policy_kwargs={
            "net_arch": [8],
            "activation_fn": torch.nn.Tanh,
            "optimizer_class": torch.optim.SGD,
            "optimizer_kwargs": {},
        },
        learning_rate=1.0,
        device="cpu",
        **options,
    )
    model.policy.load_state_dict(named_like_theirs(learner))
    model._logger = stable_baselines3.common.logger.Logger(None, [])
    return model


def named_like_theirs(learner):
    student, critic = learner.student.network.layers, learner.objective.critic.network.layers
    names = {
        "mlp_extractor.policy_net.0": student[0],
        "action_net": student[2],
        "mlp_extractor.value_net.0": critic[0],
        "value_net": critic[2],
    }
    state = {f"{name}.{part}": getattr(layer, part) for name, layer in names.items() for part in ("weight", "bias")}
    if learner.student.log_std is not None:
        state["log_std"] = learner.student.log_std
    return {name: value.detach().clone() for name, value in state.items()}


CASES = {
    "plain": {},
    "without normalised advantages": {"normalize_advantage": False},
    "values clipped": {"clip_range_vf": 0.02},
    "entropy": {"ent_coef": 0.1},
    "a narrow range": {"clip_range": 0.02},
    "the gradient clipped": {"max_grad_norm": 0.01},
    "all": {"ent_coef": 0.05, "clip_range_vf": 0.05, "clip_range": 0.1, "vf_coef": 0.3},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("action_space", [spaces.Discrete(3), BOX], ids=["discrete", "box"])
def test_a_step_is_the_one_that_stable_baselines3_takes(reinforced, action_space, case):
    """Plain gradient descent with the same parameters on the same steps ends at the same parameters."""
    options = {"max_grad_norm": 1e9} | CASES[case]
    learner = reinforced(action_space, **options)
    columns = collected(learner)
    old_values = columns.pop("old_value", None)
    model = theirs(learner, action_space, options)
    buffer = model.rollout_buffer
    buffer.reset()
    with torch.no_grad():
        before = columns["target"][:, 0] - columns["advantage"]  # what the critic said when these steps were played
    if old_values is not None:
        torch.testing.assert_close(old_values[:, 0], before, atol=1e-5, rtol=1e-5)
        columns["old_value"] = old_values
    shape = (64, 1)
    buffer.observations[:] = columns["features"].numpy().reshape(64, 1, 4)
    buffer.actions[:] = columns["action"].numpy().reshape(64, 1, -1)
    buffer.values[:], buffer.log_probs[:] = before.numpy().reshape(shape), columns["old_log_prob"].reshape(shape)
    buffer.advantages[:] = columns["advantage"].reshape(shape)
    buffer.returns[:] = columns["target"].reshape(shape)
    buffer.full, buffer.pos = True, 64
    model.train()

    optimiser = learner.optimiser
    optimiser._adam = lambda: optimiser.flat.sub_(optimiser.grad)
    optimiser.step(learner.objective.loss(columns, learner.objective.method))
    mine, expected = named_like_theirs(learner), model.policy.state_dict()
    for name, value in mine.items():
        torch.testing.assert_close(value, expected[name], atol=2e-5, rtol=2e-4, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("action_space", [spaces.Discrete(3), BOX], ids=["discrete", "box"])
def test_a_new_student_begins_as_stable_baselines3s_does(reinforced, action_space):
    """Gains √2, 0.01 for the actions and 1 for the value, as singular values; no biases, deviations of 1."""
    learner = reinforced(action_space, spec="mlp:8,6")
    for network, last in ((learner.student.network, 0.01), (learner.objective.critic.network, 1.0)):
        layers = [layer for layer in network.layers if isinstance(layer, torch.nn.Linear)]
        for layer, gain in zip(layers, (2**0.5, 2**0.5, last), strict=True):
            found = torch.linalg.svdvals(layer.weight)
            torch.testing.assert_close(found, torch.full_like(found, gain))
            assert not layer.bias.any()
    assert learner.student.log_std is None or not learner.student.log_std.any()


def test_learning_goes_on_from_a_file_in_the_middle(reinforced, tmp_path):
    """Annealed rates and ranges, an entropy bonus, clipped values and passes that end early included."""
    options = {
        "final_learning_rate": 0.0,
        "clip_range": "linear:0.2:0",
        "ent_coef": "linear:0.1:0",
        "clip_range_vf": 0.5,
        "target_kl": 1e-4,
        "learning_rate": 1e-2,
        "budget": 640,
    }
    whole = reinforced(**options)
    counts = [whole.step().updates for _ in range(4)]
    save({"learner": whole.state()}, tmp_path / "state.safetensors")
    expected = [(record.env_steps, record.updates, record.loss) for record in (whole.step() for _ in range(5))]
    again = reinforced(**options)
    assert again.restore(load(tmp_path / "state.safetensors")["learner"])
    assert [(record.env_steps, record.updates, record.loss) for record in (again.step() for _ in range(5))] == expected
    assert torch.equal(again.optimiser.flat, whole.optimiser.flat)
    assert np.diff([0, *counts, *(updates for _, updates, _ in expected)]).min() < 8  # some rounds did end early


def test_a_round_ends_at_the_first_minibatch_that_strayed(reinforced):
    """The first minibatch is always at the policy that collected; the second has moved, and is not learned from."""
    assert reinforced(target_kl=1e-12).step().updates == 1
    assert reinforced(target_kl=1e3).step().updates == reinforced().step().updates == 8


def test_the_kl_that_ends_a_round_is_the_one_by_hand(reinforced):
    learner = reinforced(target_kl=1.0)
    columns = collected(learner)
    logits = learner.student.network(columns["features"])[0].detach().double()
    new = torch.log_softmax(logits, -1).gather(-1, columns["action"][:, None])[:, 0]
    log_ratio = (new - columns["old_log_prob"].double()).numpy()
    drift = float(np.mean(np.exp(log_ratio) - 1 - log_ratio))
    assert drift > 1e-5
    for target, ends in ((drift / 1.5 * 1.001, False), (drift / 1.5 * 0.999, True)):
        again = reinforced(target_kl=target)
        again.objective.loss(collected(again), again.objective.method)
        assert again.objective.strayed == ends


def test_rates_fall_in_a_straight_line(reinforced):
    learner = reinforced(learning_rate=1e-2, final_learning_rate=2e-3, clip_range="linear:0.2:0", budget=640)
    rates, clips = [], []
    for _ in range(11):
        learner.step()
        rates.append(learner.optimiser.learning_rate)
        clips.append(learner.objective._estimate.clip)
    np.testing.assert_allclose(rates, [1e-2 - 8e-4 * k for k in range(10)] + [2e-3])
    np.testing.assert_allclose(clips, [0.2 - 0.02 * k for k in range(10)] + [0.0], atol=1e-5)


def test_a_bonus_moves_the_policy_along_the_gradient_of_its_entropy(reinforced):
    """With the bonus alone: the gradient in a softmax's logits is -p (log p + H), worked out by hand."""
    with_bonus, without = reinforced(ent_coef=0.3), reinforced()
    columns = collected(with_bonus)
    with_bonus.student.load_state_dict(without.student.state_dict())
    found = []
    for learner in (with_bonus, without):
        logits = learner.student.network(columns["features"])[0].detach().requires_grad_()
        policy = learner.student.family(logits)
        loss = learner.objective.loss_of(policy, columns, learner.objective.method)
        found.append(torch.autograd.grad(loss, logits)[0])
    p = torch.softmax(logits.detach(), -1)
    entropy = -(p * p.log()).sum(-1, keepdim=True)
    torch.testing.assert_close(found[0] - found[1], 0.3 * p * (p.log() + entropy) / len(p), atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("spec", ["gru:6", "mlp:8"])
@pytest.mark.parametrize("action_space", [spaces.Discrete(3), spaces.MultiDiscrete([3, 2]), BOX], ids=str)
def test_every_kind_of_student_is_reinforced(reinforced, spec, action_space):
    learner = reinforced(action_space, spec=spec, clip_range_vf=1.0, target_kl=0.1, ent_coef=0.01)
    before = copy.deepcopy(learner.student.state_dict())
    records = [learner.step() for _ in range(2)]
    assert all(np.isfinite(record.loss) and record.updates for record in records)
    assert any(not torch.equal(value, before[name]) for name, value in learner.student.state_dict().items())


def test_what_a_student_has_learned_to_see_stays(reinforced):
    """Standardisers are fitted where nothing was learned before; carried ones keep their numbers."""
    fresh = reinforced(standardise=True)
    fresh.step()
    own = fresh.student.network.inputs[0].standardise
    assert (own.scale != 1).all()
    kept = own.scale.clone()
    simulator = fresh.source.rollout.simulator
    next_stage = reinforcing(
        PPO(standardise=True, n_steps=16), simulator, fresh.student, ObservationViews(), budget=64, seed=1
    )
    next_stage.step()
    assert torch.equal(own.scale, kept)
    assert (next_stage.objective.critic.network.inputs[0].standardise.scale != 1).all()
    raw = reinforced()
    raw.step()
    simulator = raw.source.rollout.simulator
    late = reinforcing(PPO(standardise=True, n_steps=16), simulator, raw.student, ObservationViews(), budget=64, seed=1)
    late.step()
    assert (raw.student.network.inputs[0].standardise.scale == 1).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_steps": 0}, "n_steps must be at least 1, got 0"),
        ({"gamma": 1.2, "ent_coef": -1}, r"gamma must be in [0, 1], got 1.2; ent_coef must be 0 or more, got -1"),
        ({"target_kl": 0.0}, "target_kl must be above 0, got 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0, got nan"),
        ({"clip_range": "sometimes"}, "expected a number or SHAPE:START:END"),
        ({"clip_range": "linear:0:0.2"}, "clip_range must begin above 0"),
    ],
)
def test_options_that_cannot_be_are_said(options, words):
    with pytest.raises(ConfigurationError) as caught:
        PPO(**options)
    assert words in str(caught.value)


def test_a_row_that_reads_a_teacher_needs_one(reinforced):
    learner = reinforced()
    simulator, student = learner.source.rollout.simulator, learner.student
    with pytest.raises(ConfigurationError, match=r"n-distill\+r reads a teacher, and none is given"):
        reinforcing(PPO(), simulator, student, ObservationViews(), budget=1, seed=0, method=METHODS["n-distill+r"])


def test_cartpole_is_learned():
    simulator = make("CartPole-v1", 8)
    student = new_student(simulator.observation_space, simulator.action_space, "mlp:64,64", seed=0)
    options = PPO(
        n_steps=32,
        batch_size=256,
        n_epochs=20,
        gamma=0.98,
        gae_lambda=0.8,
        learning_rate=1e-3,
        clip_range="linear:0.2:0",
    )
    learner = reinforcing(options, simulator, student, ObservationViews(), budget=40_000, seed=0)
    returns = []
    while learner.env_steps < 40_000 and np.mean(returns[-20:] or [0]) < 195:
        returns += learner.step().finished.returns.tolist()
    simulator.close()
    assert np.mean(returns[:20]) < 60
    assert np.mean(returns[-20:]) >= 195
