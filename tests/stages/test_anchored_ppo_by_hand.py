"""``AnchoredPPO`` against PPO's loop written out with ``weight * KL`` in its loss, by PyTorch's own divergences."""

import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.distributions import kl_divergence
from torch.nn import functional as F

import understudy
from sb3_places import FLAT, PLACES, SMALL, TEACHER, Noise, same, shaken
from understudy.errors import ConfigurationError, TeacherError
from understudy.math.distributions import Family
from understudy.methods.anchor import Anchor
from understudy.policies.student import Student
from understudy.stages import anchored_ppo
from understudy.stages.stored import stored_states

sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra sb3")
from stable_baselines3 import PPO  # noqa: E402
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.vec_env import (  # noqa: E402
    DummyVecEnv,
    VecExtractDictObs,
    VecFrameStack,
    VecNormalize,
)

from understudy import AnchoredPPO  # noqa: E402

torch.set_num_threads(1)


class WrittenOut(PPO):
    """PPO's ``train`` as in Stable-Baselines3 2.9, with the anchor's KL on visited and stored states in its loss."""

    def train(self):
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip, progress = self.clip_range(self._current_progress_remaining), 1 - self._current_progress_remaining
        self.weight = 1 - 0.75 * min(progress / 0.5, 1)
        for _ in range(self.n_epochs):
            for batch in self.rollout_buffer.get(self.batch_size):
                loss, strayed = self.loss(batch, clip)
                if self.target_kl is not None and strayed > 1.5 * self.target_kl:
                    return
                self.policy.optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
                self.policy.optimizer.step()

    def loss(self, batch, clip):
        discrete = isinstance(self.action_space, spaces.Discrete)
        actions = batch.actions.long().flatten() if discrete else batch.actions
        value, log_prob, entropy = self.policy.evaluate_actions(batch.observations, actions)
        advantage = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)
        ratio = torch.exp(log_prob - batch.old_log_prob)
        gain = torch.min(advantage * ratio, advantage * ratio.clamp(1 - clip, 1 + clip)).mean()
        spread = -log_prob.mean() if entropy is None else entropy.mean()
        loss = -gain - self.ent_coef * spread + self.vf_coef * F.mse_loss(batch.returns, value.flatten())
        kl = sum(self.kl(seen) for seen in (batch.observations, self.stored))
        log_ratio = (log_prob - batch.old_log_prob).detach()
        return loss + self.weight * kl, (log_ratio.exp() - 1 - log_ratio).mean().item()

    def kl(self, seen):
        with torch.no_grad():
            held = self.lead.policy.get_distribution(seen).distribution
        pair = held, self.policy.get_distribution(seen).distribution
        pair = pair if self.direction == "forward" else pair[::-1]
        if isinstance(held, list):
            return sum(kl_divergence(p, q) for p, q in zip(*pair, strict=True)).mean()
        found = kl_divergence(*pair)
        return found.mean() if found.ndim == 1 else found.sum(-1).mean()


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size:UserWarning")
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("kind", ["flat", "numbers", "parts", "coins", "box", "gsde", "squashed", "dict"])
def test_it_learns_what_the_loop_written_out_learns(kind, direction):
    """Many clipped steps of gradient descent, three copies, minibatches of unequal sizes, schedules, an early stop."""
    observation_space, action_space, policy, options = PLACES[kind]
    network = {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {}} | options.get("policy_kwargs", {})
    settings = {"n_steps": 24, "batch_size": 16, "n_epochs": 3, "seed": 3, "device": "cpu"} | options
    settings |= {"ent_coef": 0.01, "target_kl": 0.05, "max_grad_norm": 0.3, "learning_rate": lambda p: 0.3 * p + 0.01}
    settings["policy_kwargs"] = network

    def venv():
        place = copy.deepcopy(observation_space), action_space
        return DummyVecEnv([lambda: Noise(*place)] * 3)

    lead = shaken(PPO(policy, venv(), **settings), 0.15)
    stored = stored_states(lead, lambda: Noise(observation_space, action_space), count=7, copies=2)
    row = Anchor(lead, "linear:1:0.25:0.5", direction, "both", stored)
    before = [one.clone() for one in lead.policy.parameters()]
    model = AnchoredPPO(policy, venv(), anchors=[row], **settings).learn(288)
    written = WrittenOut(policy, venv(), **settings)
    seen = stored.seen()
    plain = {k: v.numpy() for k, v in seen.items()} if isinstance(seen, dict) else seen.numpy()
    written.lead, written.direction, written.stored = lead, direction, written.policy.obs_to_tensor(plain)[0]
    start = [one.detach().clone() for one in written.policy.parameters()]
    written.learn(288)
    for mine, theirs in zip(model.policy.parameters(), written.policy.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)
    assert (
        max(float((a - b.detach()).abs().max()) for a, b in zip(start, written.policy.parameters(), strict=True)) > 0.1
    )
    assert all(torch.equal(a, b) for a, b in zip(before, lead.policy.parameters(), strict=True))


def test_a_seed_decides_the_draws_of_stored_states_too(tmp_path):
    """Of a fresh model, of one that is loaded, and where ``set_random_seed`` gives it."""
    PPO("MlpPolicy", "CartPole-v1", **SMALL).save(tmp_path / "first")
    stored = stored_states(TEACHER, "CartPole-v1", count=500)
    rows = [Anchor(TEACHER, 1.0, states="stored", stored=stored)]

    def fresh(seed):
        model = AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=rows, **SMALL | {"seed": None})
        model.set_random_seed(seed)
        return model

    def loaded(seed):
        return AnchoredPPO.load(tmp_path / "first", make_vec_env("CartPole-v1"), "cpu", anchors=rows, seed=seed)

    for make in (fresh, loaded):
        one, two, other = (make(seed)._draws.integers(1000, size=8).tolist() for seed in (5, 5, 6))
        assert one == two != other
    assert same(loaded(5).learn(128), loaded(5).learn(128))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_anchors_given_to_load_replace_saved_ones_whose_files_are_gone(tmp_path):
    torch.jit.script(torch.nn.Linear(4, 2)).save(tmp_path / "lead.pt")
    rows = [Anchor(str(tmp_path / "lead.pt"))]
    AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=rows, **SMALL).save(tmp_path / "model")
    (tmp_path / "lead.pt").unlink()
    for anchors in ([], [Anchor(TEACHER)]):
        model = AnchoredPPO.load(tmp_path / "model", anchors=anchors, device="cpu")
        assert [one.row.policy for one in model.anchors] == [one.policy for one in anchors]


def test_a_recurrent_anchor_goes_on_with_another_number_of_copies(tmp_path):
    space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    recurrent = Student(space, spaces.Discrete(2), Family("categorical", (2,)), "gru:4")
    rows = [Anchor(recurrent, name="recurrent")]
    AnchoredPPO("MlpPolicy", make_vec_env("CartPole-v1", 2), anchors=rows, **SMALL).learn(128).save(tmp_path / "model")
    model = AnchoredPPO.load(tmp_path / "model", env=make_vec_env("CartPole-v1", 3), device="cpu").learn(192)
    assert model.anchors[0].memory.shape[0] == 3


def test_a_normaliser_of_rewards_alone_may_lie_anywhere_and_one_of_observations_may_not():
    def lead(observation):
        return np.tile([0.3, 0.7], (len(observation), 1))

    rewards = VecFrameStack(VecNormalize(make_vec_env("CartPole-v1"), norm_obs=False), 3)
    model = AnchoredPPO("MlpPolicy", rewards, anchors=[Anchor(lead)], **SMALL).learn(64)
    assert model.logger.name_to_value["anchor/function/kl"] > 0
    parts = spaces.Dict({"a": FLAT, "b": FLAT})
    inner = VecExtractDictObs(VecNormalize(DummyVecEnv([lambda: Noise(parts, spaces.Discrete(2))])), "a")
    with pytest.raises(ConfigurationError, match="Let it be the outermost"):
        AnchoredPPO("MlpPolicy", inner, anchors=[Anchor(lead)], **SMALL).learn(64)


def test_the_policy_of_a_model_alone_is_refused_by_what_to_give():
    model = PPO("MlpPolicy", "CartPole-v1", **SMALL)
    with pytest.raises(TeacherError, match=r"ActorCriticPolicy is a part of a model.*give the whole model"):
        AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=[Anchor(model.policy)], **SMALL)


def test_what_a_user_put_on_a_model_stays_there():
    model = AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=[Anchor(TEACHER)], **SMALL)
    asked, evaluate = [], model.policy.evaluate_actions
    model.policy.evaluate_actions = lambda *inputs: asked.append(1) or evaluate(*inputs)
    model.learn(128)
    assert len(asked) == 2 * 2 * 2


def test_plain_ppo_loads_what_an_anchored_one_saved(tmp_path):
    model = AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=[Anchor(TEACHER)], **SMALL).learn(64)
    model.save(tmp_path / "anchored")
    assert same(PPO.load(tmp_path / "anchored", device="cpu"), model)
    assert understudy.open_teacher(tmp_path / "anchored.zip").family == Family("categorical", (2,))


def test_a_weight_follows_the_sum_of_both_kls():
    """On from a threshold that neither reaches alone; off below one that both together do not reach."""
    lead = shaken(PPO("MlpPolicy", "CartPole-v1", **SMALL), 0.2)
    stored = stored_states(lead, "CartPole-v1", count=50)

    def first(threshold):
        row = Anchor(lead, f"off-below:2:{threshold}", states="both", stored=stored, name="lead")
        model = AnchoredPPO("MlpPolicy", "CartPole-v1", anchors=[row], **SMALL).learn(64)
        return [model.logger.name_to_value[f"anchor/lead/{name}"] for name in ("kl", "stored_kl", "weight")]

    visited, kept, _ = first(1)
    assert min(visited, kept) > 0.001
    assert first((visited + kept) * 0.99)[2] == 2
    assert first((visited + kept) * 1.01)[2] == 0


def test_it_does_not_matter_in_how_many_pieces_an_anchor_is_asked(monkeypatch):
    space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    recurrent = Student(space, spaces.Discrete(2), Family("categorical", (2,)), "gru:4")
    found = []
    for asked in (4096, 20):
        monkeypatch.setattr(anchored_ppo, "ASKED", asked)
        rows = [Anchor(recurrent, 1.0, name="recurrent"), Anchor(TEACHER, 1.0, name="lead")]
        model = AnchoredPPO("MlpPolicy", make_vec_env("CartPole-v1", 2, seed=0), anchors=rows, **SMALL).learn(256)
        found.append([model.logger.name_to_value[f"anchor/{name}/kl"] for name in ("recurrent", "lead")])
    assert found[0] == pytest.approx(found[1], rel=1e-4)
