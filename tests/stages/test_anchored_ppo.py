"""Stable-Baselines3's PPO with anchors: PPO to the bit without them, the right gradient with them, all of it saved."""

import pickle
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import understudy
from sb3_places import PLACES, SMALL, TEACHER, Noise, same, shaken
from understudy.errors import ConfigurationError, MissingExtra, RunError, SpaceError
from understudy.math.distributions import Family
from understudy.methods.anchor import Anchor
from understudy.policies.student import Student
from understudy.stages import anchored_ppo
from understudy.stages.stored import save_store, stored_states

sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra sb3")
from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback  # noqa: E402
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.logger import configure  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize  # noqa: E402

from understudy import AnchoredPPO  # noqa: E402

torch.set_num_threads(1)


class Heard:
    """What a model logs, round by round."""

    def __init__(self, model):
        self.rounds = []
        model.set_logger(configure(None, []))
        train, names = model.train, model.logger.name_to_value

        def trained():
            train()
            self.rounds.append(dict(names))

        model.train = trained

    def of(self, name):
        return [one[name] for one in self.rounds if name in one]


def trained(model, steps, callback=None):
    """Its log while it learns."""
    heard = Heard(model)
    model.learn(steps, callback)
    del model.train
    return heard


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_with_no_anchor_or_while_all_are_off_it_is_ppo_to_the_bit(env):
    lead = shaken(PPO("MlpPolicy", env, **SMALL))
    plain, none, off, on = (  # each learns before the next is made: they share PyTorch's global generator
        kind("MlpPolicy", env, **SMALL, **anchors).learn(192)
        for kind, anchors in (
            (PPO, {}),
            (AnchoredPPO, {}),
            (AnchoredPPO, {"anchors": [Anchor(lead, "off-below:1:1e9")]}),
            (AnchoredPPO, {"anchors": [Anchor(lead, 1e-3)]}),
        )
    )
    assert same(plain, none)
    assert same(plain, off)
    assert not same(plain, on)


def reference(model, lead, direction):
    """The mean KL on the collected states by Stable-Baselines3's and PyTorch's own means."""
    seen = torch.as_tensor(model.rollout_buffer.observations).flatten(0, 1)
    mine, theirs = (one.policy.get_distribution(seen).distribution for one in (model, lead))
    pair = (theirs, mine) if direction == "forward" else (mine, theirs)
    kl = torch.distributions.kl_divergence(*pair)
    return kl.mean() if kl.ndim == 1 else kl.sum(-1).mean()


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_one_step_differs_from_ppos_by_the_gradient_of_weight_times_kl(env, direction):
    """One minibatch of all steps and plain gradient descent without clipping: the difference is -rate w grad KL."""
    options = {
        "n_steps": 64,
        "batch_size": 64,
        "n_epochs": 1,
        "learning_rate": 0.01,
        "max_grad_norm": 1e9,
        "seed": 3,
        "device": "cpu",
        "policy_kwargs": {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {}},
    }
    lead = shaken(PPO("MlpPolicy", env, **options), 0.1)
    expected = []

    class Look(BaseCallback):
        def _on_step(self):
            return True

        def _on_rollout_end(self):
            kl = reference(self.model, lead, direction)
            found = torch.autograd.grad(kl, list(self.model.policy.parameters()), allow_unused=True)
            expected.extend([kl.item(), *(torch.zeros(1) if one is None else one for one in found)])

    plain = PPO("MlpPolicy", env, **options)
    plain_heard = trained(plain, 64)
    model = AnchoredPPO("MlpPolicy", env, anchors=[Anchor(lead, 0.7, direction, name="lead")], **options)
    heard = trained(model, 64, Look())
    kl, *gradients = expected
    assert heard.of("anchor/lead/kl") == [pytest.approx(kl, rel=1e-5)]
    for mine, theirs, gradient in zip(model.policy.parameters(), plain.policy.parameters(), gradients, strict=True):
        torch.testing.assert_close(mine - theirs, -0.01 * 0.7 * gradient.expand_as(mine), atol=2e-7, rtol=1e-3)
    names = [name for name, _ in model.policy.named_parameters() if "value" in name]
    assert names
    for name in names:  # the critic learned what PPO's did
        assert torch.equal(model.policy.get_parameter(name), plain.policy.get_parameter(name))
    for name in ("train/entropy_loss", "train/policy_gradient_loss", "train/value_loss", "train/loss"):
        assert heard.of(name) == plain_heard.of(name)  # nothing that PPO logs means something else


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("kind", PLACES)
def test_a_model_is_at_no_distance_from_its_own_copy_at_any_minibatch(kind, normalised):
    """Every kind of space, shuffled minibatches of two copies of the environment, no learning: all KLs are 0."""
    observation_space, action_space, policy, options = PLACES[kind]
    if normalised and kind not in ("flat", "double", "box"):
        pytest.skip("the normaliser is the same")
    venv = DummyVecEnv([lambda: Noise(observation_space, action_space)] * 2)
    if normalised:
        venv = VecNormalize(venv, clip_obs=0.5)  # so that what was normalised cannot be brought back
        PPO(policy, venv, **SMALL, **options).learn(128)
        venv.training = False
    settings = SMALL | options | {"learning_rate": 1e-12}
    lead = shaken(PPO(policy, venv, **settings), 0.1)
    stored = stored_states(lead, lambda: Noise(observation_space, action_space), count=50)
    rows = [Anchor(lead, 1.0, name="seen"), Anchor(lead, 1.0, "reverse", "stored", stored, "kept")]
    model = AnchoredPPO(policy, venv, anchors=rows, **settings)
    other = trained(model, 128)
    assert other.of("anchor/seen/kl")[0] > 1e-4
    assert other.of("anchor/kept/stored_kl")[0] > 1e-4
    model = AnchoredPPO(policy, venv, anchors=rows, **settings)
    model.policy.load_state_dict(lead.policy.state_dict())
    penalties, penalty = [], model._penalty
    model._penalty = lambda *inputs: penalties.append(penalty(*inputs)) or penalties[-1]
    heard = trained(model, 256)
    assert len(heard.rounds) == 2
    assert len(penalties) == 2 * 2 * 4
    assert max(heard.of("anchor/seen/kl") + heard.of("anchor/kept/stored_kl")) < 1e-5
    assert max(float(one.detach()) for one in penalties) < 1e-5


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("states", ["visited", "both"])
def test_a_heavy_anchor_draws_the_policy_to_itself(env, states):
    lead = shaken(PPO("MlpPolicy", env, **SMALL), 0.2)
    stored = None if states == "visited" else stored_states(lead, env, count=200)
    row = Anchor(lead, 10.0, states=states, stored=stored, name="lead")
    model = AnchoredPPO("MlpPolicy", env, anchors=[row], **SMALL | {"learning_rate": 3e-3, "n_epochs": 10})
    heard = trained(model, 64 * 8)
    for name in ("kl", "stored_kl") if stored else ("kl",):
        distances = heard.of(f"anchor/lead/{name}")
        assert distances[-1] < 0.3 * distances[0]


def test_all_of_it_is_saved_and_two_that_are_loaded_go_on_alike(tmp_path):
    """Weights and schedules of anchors from a file, in memory and with memory; stored states; draws."""
    recurrent = Student(
        spaces.Box(-np.inf, np.inf, (4,), np.float32), spaces.Discrete(2), Family("categorical", (2,)), "gru:4"
    )
    stored = stored_states(TEACHER, "CartPole-v1", count=2000)
    save_store(stored, tmp_path / "stored.safetensors")
    rows = [
        Anchor(TEACHER, "linear:1:0"),
        Anchor(recurrent, "adaptive:1:0.00001", "reverse", name="recurrent"),
        Anchor(TEACHER, "adaptive:1:100", states="both", stored=str(tmp_path / "stored.safetensors"), name="kept"),
    ]
    model = AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=rows, **SMALL)
    heard = trained(model, 192)
    assert heard.of("anchor/ppo-CartPole-v1/weight") == pytest.approx([2 / 3, 1 / 3, 0])
    assert heard.of("anchor/recurrent/weight") == [1, 2, 4]
    assert heard.of("anchor/kept/weight") == [1, 0.5, 0.25]
    model.save(tmp_path / "model")
    (tmp_path / "stored.safetensors").unlink()
    loaded = [AnchoredPPO.load(tmp_path / "model", env=make_vec_env("CartPole-v1"), device="cpu") for _ in range(2)]
    for one in loaded:
        assert [anchor.weight for anchor in one.anchors] == [0, 4, 0.25]
        for name, rows in stored.rows().items():
            assert torch.equal(one.anchors[2].stored.rows()[name], rows)
        assert one._current_progress_remaining == 0
    assert torch.equal(loaded[0].anchors[1].memory, model.anchors[1].memory)
    logs = []
    for one in loaded:
        one.set_random_seed(0)
        one.learn(64, reset_num_timesteps=False)
        logs.append(dict(one.logger.name_to_value))
    assert logs[0]["anchor/recurrent/weight"] == 8
    assert {k: v for k, v in logs[0].items() if "time" not in k} == {
        k: v for k, v in logs[1].items() if "time" not in k
    }
    assert same(*loaded)


def test_a_plain_model_of_ppo_goes_on_with_anchors_in_two_lines(tmp_path):
    PPO("MlpPolicy", "CartPole-v1", **SMALL).learn(64).save(tmp_path / "first")
    env = make_vec_env("CartPole-v1")
    model = AnchoredPPO.load(tmp_path / "first", env, anchors=[Anchor(str(tmp_path / "first.zip"), 1.0)], device="cpu")
    heard = trained(model, 128)
    assert heard.of("anchor/first/kl")[0] == pytest.approx(0, abs=1e-6)
    assert heard.of("anchor/first/kl")[1] > 0


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_an_anchor_that_cannot_be_pickled_is_saved_as_its_path(tmp_path):
    module = torch.jit.script(torch.nn.Linear(4, 2))
    module.save(tmp_path / "lead.pt")
    model = AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=[Anchor(str(tmp_path / "lead.pt"))], **SMALL)
    first = trained(model, 64).of("anchor/lead/kl")
    model.save(tmp_path / "model")
    loaded = AnchoredPPO.load(tmp_path / "model", device="cpu")
    seen = torch.randn(5, 4)
    assert torch.equal(loaded.anchors[0].policy(seen)[0].policy.flat, module(seen))
    assert loaded.anchors[0].weight == 1
    assert first[0] > 0
    (tmp_path / "lead.pt").unlink()
    with pytest.raises(understudy.errors.TeacherError, match="there is no teacher"):
        AnchoredPPO.load(tmp_path / "model", device="cpu")


class Counting(gymnasium.Env):
    """Shows how many steps it has taken, and far from 0 and 1."""

    observation_space, action_space = spaces.Box(-1e6, 1e6, (2,), np.float32), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.step_count = 0
        return np.array([1000, 0], np.float32), {}

    def step(self, action):
        self.step_count += 1
        return np.array([1000, self.step_count], np.float32), 1.0, self.step_count == 7, False, {}


def test_an_anchor_is_shown_what_the_environment_showed_before_vecnormalize():
    seen = []

    def lead(observation):
        seen.append(observation.copy())
        return np.tile([0.3, 0.7], (len(observation), 1))

    venv = VecNormalize(DummyVecEnv([Counting] * 2), clip_obs=1.0)
    model = AnchoredPPO("MlpPolicy", venv, anchors=[Anchor(lead, 1.0)], **SMALL)
    seen.clear()
    model.learn(256)
    shown = np.concatenate(seen).reshape(2, 64, 2, 2)
    assert (shown[..., 0] == 1000).all()
    steps = np.arange(128) % 7
    assert np.array_equal(shown[..., 1].reshape(128, 2), np.stack([steps, steps], -1))


def test_a_normaliser_within_another_wrapper_is_refused_and_around_it_works():
    def lead(observation):
        return np.tile([0.3, 0.7], (len(observation), 1))

    inner = VecFrameStack(VecNormalize(DummyVecEnv([Counting])), 3)
    with pytest.raises(ConfigurationError, match="Let it be the outermost"):
        AnchoredPPO("MlpPolicy", inner, anchors=[Anchor(lead)], **SMALL).learn(64)
    outer = VecNormalize(VecFrameStack(DummyVecEnv([Counting]), 3))
    AnchoredPPO("MlpPolicy", outer, anchors=[Anchor(lead)], **SMALL).learn(64)


def test_it_works_with_callbacks(tmp_path):
    venv = make_vec_env("CartPole-v1", 2, seed=0)
    rows = [Anchor(TEACHER, "adaptive:0.1:0.02", name="lead")]
    model = AnchoredPPO("MlpPolicy", venv, anchors=rows, **SMALL)
    callbacks = [
        EvalCallback(
            make_vec_env("CartPole-v1"), eval_freq=64, n_eval_episodes=2, verbose=0, best_model_save_path=tmp_path
        ),
        CheckpointCallback(64, str(tmp_path), "step"),
    ]
    model.learn(384, callback=callbacks)
    loaded = AnchoredPPO.load(tmp_path / "step_384_steps", env=venv)
    assert [one.row.label for one in loaded.anchors] == ["lead"]
    best = AnchoredPPO.load(tmp_path / "best_model", env=venv)
    best.learn(128)
    assert best.logger.name_to_value["anchor/lead/weight"] > 0
    assert "evaluate_actions" not in vars(model.policy)
    assert not {"add", "_get_samples"} & set(vars(model.rollout_buffer))


@pytest.mark.parametrize(
    ("env", "row", "error", "message"),
    [
        ("Pendulum-v1", {"policy": TEACHER}, SpaceError, "anchor ppo-CartPole-v1 and the student do not match"),
        ("CartPole-v1", {"policy": "nowhere.zip"}, understudy.errors.TeacherError, "there is no teacher nowhere.zip"),
        (
            "CartPole-v1",
            {"policy": TEACHER, "states": "both"},
            ConfigurationError,
            "states is 'both' but there are no stored states",
        ),
        (
            "CartPole-v1",
            {"policy": TEACHER, "states": "both", "stored": "nowhere.safetensors"},
            RunError,
            "there are no stored states nowhere",
        ),
    ],
)
def test_an_anchor_that_cannot_hold_is_refused_before_anything_is_played(env, row, error, message):
    with pytest.raises(error, match=message):
        AnchoredPPO("MlpPolicy", env, anchors=[Anchor(**row)], **SMALL)


def test_what_is_no_row_or_has_another_ones_name_is_refused():
    with pytest.raises(ConfigurationError, match=r"rows such as understudy\.Anchor.*got 'x\.zip'"):
        AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=["x.zip"], **SMALL)
    with pytest.raises(ConfigurationError, match="two anchors are called ppo-CartPole-v1"):
        AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=[Anchor(TEACHER)] * 2, **SMALL)


def test_long_names_of_anchors_do_not_run_into_one_another_in_the_log():
    names = ["a very long name of an anchor, number one", "a very long name of an anchor, number two"]
    rows = [Anchor(TEACHER, name=name) for name in names]
    model = AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=rows, verbose=1, **SMALL)
    model.learn(128)
    assert sum("very long" in key and key.endswith("/kl") for key in model.logger.name_to_value) == 2


def test_the_class_is_one_and_can_be_pickled_by_its_name():
    assert AnchoredPPO is anchored_ppo.AnchoredPPO is understudy.AnchoredPPO
    assert pickle.loads(pickle.dumps(AnchoredPPO)) is AnchoredPPO
    assert issubclass(AnchoredPPO, PPO)


def test_without_stable_baselines3_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(vars(anchored_ppo), "AnchoredPPO")
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(MissingExtra, match=r"AnchoredPPO needs stable-baselines3.*understudy\[sb3\]"):
        understudy.AnchoredPPO  # noqa: B018
