"""Students as agents of Stable-Baselines3, asked through SB3's own loading and answering."""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.envs.actions import ActionMap
from understudy.errors import ExportError, MissingExtra
from understudy.export.as_sb3 import open_file
from understudy.export.deployed import surroundings
from understudy.export.to_sb3 import convert
from understudy.policies.families import family_of
from understudy.policies.network import ACTIVATIONS, Standardiser
from understudy.policies.open_sb3 import load
from understudy.policies.policy import tensors
from understudy.policies.student import Student

sb3 = pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is what these files are for")
contrib = pytest.importorskip("sb3_contrib", reason="sb3-contrib holds the recurrent ones")
vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
torch.set_num_threads(1)

VECTOR = spaces.Box(-np.inf, np.inf, (5,))
MATRIX = spaces.Box(-np.inf, np.inf, (2, 3))
PICTURE = spaces.Box(0, 255, (40, 44, 3), np.uint8)
CHANNEL_FIRST = spaces.Box(0, 255, (4, 40, 36), np.uint8)
FLAT_MIX = spaces.Dict({"b": spaces.Box(-1, 1, (2, 2)), "a": spaces.MultiDiscrete([3, 2]), "c": spaces.Discrete(3)})
MIXED = spaces.Dict(
    OrderedDict(zoom=spaces.Box(-2, 2, (3,)), eye=PICTURE, mode=spaces.Discrete(4), bits=spaces.MultiBinary(2))
)
REACH = spaces.Box(np.array([-1, 0], np.float32), np.array([3, 0.5], np.float32))
THREE, PARTS, COINS = spaces.Discrete(3), spaces.MultiDiscrete([3, 2, 4]), spaces.MultiBinary(3)

# observations, actions, student, more of the student; algorithm asked for, algorithm that loads it
CASES: dict[str, tuple[Any, ...]] = {
    "categorical": (VECTOR, THREE, "mlp:8,6", {}, "auto", "PPO"),
    "categorical-value": (VECTOR, THREE, "mlp:8,6", {"with_value": True}, "auto", "PPO"),
    "gaussian": (VECTOR, REACH, "mlp:8", {}, "auto", "PPO"),
    "gaussian-value": (VECTOR, REACH, "mlp:8:relu", {"with_value": True}, "ppo", "PPO"),
    "multi-categorical": (VECTOR, PARTS, "mlp:8", {"with_value": True}, "auto", "PPO"),
    "bernoulli": (VECTOR, COINS, "mlp:8", {}, "auto", "PPO"),
    "linear": (VECTOR, THREE, "linear", {}, "auto", "PPO"),
    "linear-value": (VECTOR, REACH, "linear", {"with_value": True}, "auto", "PPO"),
    "matrix": (MATRIX, THREE, "mlp:8", {"with_value": True}, "auto", "PPO"),
    "discrete-observation": (spaces.Discrete(6), THREE, "mlp:8", {}, "auto", "PPO"),
    "multi-discrete-observation": (spaces.MultiDiscrete([3, 4]), THREE, "mlp:8", {}, "auto", "PPO"),
    "multi-binary-observation": (spaces.MultiBinary(4), REACH, "mlp:8", {"with_value": True}, "auto", "PPO"),
    "dict": (FLAT_MIX, REACH, "mlp:8", {"with_value": True}, "auto", "PPO"),
    "cnn": (PICTURE, THREE, "cnn:nature", {}, "auto", "PPO"),
    "cnn-value-channel-first": (CHANNEL_FIRST, REACH, "cnn:nature", {"with_value": True}, "auto", "PPO"),
    "cnn-dict": (MIXED, THREE, "cnn:nature", {}, "auto", "PPO"),
    "dqn": (VECTOR, THREE, "mlp:8,6:elu", {"with_value": True}, "dqn", "DQN"),
    "dqn-linear": (VECTOR, THREE, "linear", {}, "dqn", "DQN"),
    "dqn-cnn": (PICTURE, THREE, "cnn:nature", {}, "dqn", "DQN"),
    "dqn-dict": (FLAT_MIX, THREE, "mlp:8", {}, "dqn", "DQN"),
    "sac": (VECTOR, REACH, "mlp:8,6", {"squashed": True}, "auto", "SAC"),
    "sac-linear": (MATRIX, REACH, "linear", {"squashed": True, "with_value": True}, "sac", "SAC"),
    "sac-spread": (VECTOR, REACH, "mlp:8:gelu", {"squashed": True, "state_dependent_std": True}, "sac", "SAC"),
    "sac-cnn": (PICTURE, REACH, "cnn:nature", {"squashed": True}, "auto", "SAC"),
    **{name: (VECTOR, THREE, f"mlp:8,8:{name}", {"with_value": True}, "auto", "PPO") for name in ACTIVATIONS},
    "lstm": (VECTOR, THREE, "lstm:7", {}, "auto", "RecurrentPPO"),
    "lstm-gaussian-value": (VECTOR, REACH, "lstm:7", {"with_value": True}, "auto", "RecurrentPPO"),
    "lstm-too-narrow": (VECTOR, PARTS, "lstm:3", {"with_value": True}, "auto", "RecurrentPPO"),
    "lstm-narrower-than-what-it-sees": (
        spaces.Box(-1, 1, (90,)), COINS, "lstm:70", {"with_value": True}, "recurrent-ppo", "RecurrentPPO",
    ),
    "lstm-dict": (spaces.Dict(a=VECTOR, b=THREE), THREE, "lstm:9", {"with_value": True}, "auto", "RecurrentPPO"),
}  # fmt: skip
RECURRENT = [name for name, case in CASES.items() if case[-1] == "RecurrentPPO"]
FORWARD = [name for name in CASES if name not in RECURRENT]


class Blank(gymnasium.Env[Any, Any]):
    """An environment that has spaces and nothing else."""

    def __init__(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 1.0, False, False, {}


def shaken(observations: Any, actions: Any, spec: str, squashed: bool = False, **more: Any) -> Student:
    """A student of which no part is near zero, that standardises in earnest."""
    student = Student(observations, actions, family_of(actions, squashed), spec, seed=1, **more)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in student.parameters():
            step = 0.02 if parameter.dim() == 4 else 0.2
            parameter.add_(step * torch.randn(parameter.shape, generator=generator))
        means = sum(student.family.sizes)
        student.network.layers[-1].weight[:means] *= 10
        flat = student(tensors(sampled(observations, (1, 32))))[0].policy.flat[0, :, :means]
        student.network.layers[-1].bias[:means] -= flat.mean(0)  # so that not all states ask for the same action
        for module in student.modules():
            if isinstance(module, Standardiser):
                module.mean.copy_(torch.randn(module.mean.shape, generator=generator))
                module.scale.copy_(3 * torch.rand(module.scale.shape, generator=generator) + 0.1)
    student.facts = {"gamma": 0.9375}
    return student.requires_grad_(False).eval()


def of_case(name: str) -> Student:
    observations, actions, spec, more, _, _ = CASES[name]
    return shaken(observations, actions, spec, **more)


def sampled(space: Any, shape: tuple[int, ...]) -> Any:
    """Observations ``[*shape, ...]``."""
    space.seed(3)
    rows = [space.sample() for _ in range(int(np.prod(shape)))]
    if space.dtype == np.uint8 and len(space.shape) == 3:  # else they are all alike: noise of one brightness
        rows = [(row * k / len(rows)).astype(np.uint8) for k, row in enumerate(rows)]
    if isinstance(space, spaces.Dict):
        return {k: np.stack([row[k] for row in rows]).reshape(*shape, *(part.shape or ())) for k, part in space.items()}
    return np.stack(rows).reshape(*shape, *(space.shape or ()))


class Loaded:
    """A zip and what lies beside it, by SB3 alone, in an environment of the student's spaces."""

    def __init__(self, path: Path, name: str, student: Student) -> None:
        env = Blank(student.observation_space, student.action_space)
        self.model = getattr(contrib if name == "RecurrentPPO" else sb3, name).load(path, env=env, device="cpu")
        statistics = path.with_name("vecnormalize.pkl")
        self.vec: Any = None
        if statistics.exists():
            self.vec = vec_env.VecNormalize.load(str(statistics), vec_env.DummyVecEnv([lambda: env]))

    def seen(self, observation: Any) -> Any:
        return observation if self.vec is None else self.vec.normalize_obs(observation)

    def tensor(self, observation: Any) -> Any:
        return self.model.policy.obs_to_tensor(self.seen(observation))[0]


def exported(name: str, folder: Path, **options: Any) -> tuple[Student, Loaded]:
    student, (*_, asked, algorithm) = of_case(name), CASES[name]
    agent = convert(student, asked, **options)
    assert agent.algorithm == algorithm
    agent.save(folder / "agent.zip")
    return student, Loaded(folder / "agent.zip", algorithm, student)


def agree(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FORWARD)
def test_sb3_answers_the_students_actions(name: str, tmp_path: Path) -> None:
    student, loaded = exported(name, tmp_path)
    observation = sampled(student.observation_space, (16,))
    raw = student(tensors(observation))[0].policy.mode().numpy()
    expected = ActionMap(student.family, student.action_space).to_env(raw)
    answers, _ = loaded.model.predict(loaded.seen(observation), deterministic=True)
    assert answers.shape == expected.shape
    agree(answers, expected)
    assert len(np.unique(expected.reshape(16, -1), axis=0)) > 1  # not always the same


@pytest.mark.parametrize("name", [name for name in FORWARD if CASES[name][-1] == "PPO"])
def test_ppo_has_the_students_probabilities_and_values(name: str, tmp_path: Path) -> None:
    student, loaded = exported(name, tmp_path)
    observation = sampled(student.observation_space, (16,))
    heads = student(tensors(observation))[0]
    policy, batch = loaded.model.policy, loaded.tensor(observation)
    with torch.no_grad():
        theirs, value = policy.get_distribution(batch), policy.predict_values(batch)[:, 0]
        actions = theirs.sample()
    agree(theirs.log_prob(actions), heads.policy.log_prob(actions))
    agree(theirs.entropy() if theirs.entropy().dim() == 1 else theirs.entropy().sum(-1), heads.policy.entropy())
    agree(value, heads.value if student.has_value else torch.zeros(16))


@pytest.mark.parametrize("name", [name for name in FORWARD if CASES[name][-1] == "SAC"])
def test_sac_has_the_students_distribution_and_values_of_nought(name: str, tmp_path: Path) -> None:
    student, loaded = exported(name, tmp_path)
    observation = sampled(student.observation_space, (16,))
    heads = student(tensors(observation))[0]
    policy, batch = loaded.model.policy, loaded.tensor(observation)
    with torch.no_grad():
        mean, log_std, _ = policy.actor.get_action_dist_params(batch)
        agree(torch.cat([mean, log_std], -1), heads.policy.flat)
        for critic in (policy.critic, policy.critic_target):
            assert not torch.cat(critic(batch, torch.tanh(mean)), -1).any()


@pytest.mark.parametrize("name", [name for name in FORWARD if CASES[name][-1] == "DQN"])
def test_dqns_action_values_are_the_logits(name: str, tmp_path: Path) -> None:
    student, loaded = exported(name, tmp_path)
    observation = sampled(student.observation_space, (16,))
    batch = loaded.tensor(observation)
    for network in (loaded.model.policy.q_net, loaded.model.policy.q_net_target):
        agree(network(batch).detach(), student(tensors(observation))[0].policy.flat)


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_ppo_remembers_and_forgets_as_the_student(name: str, tmp_path: Path) -> None:
    student, loaded = exported(name, tmp_path)
    steps, copies = 9, 3
    observation = sampled(student.observation_space, (steps, copies))
    start = np.zeros((steps, copies), bool)
    start[0], start[4, 1], start[6, 2] = True, True, True
    heads, _ = student(tensors(observation), None, torch.as_tensor(start))
    expected = ActionMap(student.family, student.action_space)
    state, policy = None, loaded.model.policy
    for t in range(steps):
        now = {k: v[t] for k, v in observation.items()} if isinstance(observation, dict) else observation[t]
        before = state or (np.zeros((1, copies, student.memory_size // 2), np.float32),) * 2
        answers, state = loaded.model.predict(loaded.seen(now), state, start[t], deterministic=True)
        agree(answers, expected.to_env(heads.policy.mode()[t].numpy()))
        memory = tuple(map(torch.as_tensor, before)), torch.as_tensor(start[t]).float()
        with torch.no_grad():
            theirs, _ = policy.get_distribution(loaded.tensor(now), *memory)
            value = policy.predict_values(loaded.tensor(now), *memory)[:, 0]
        actions = theirs.sample()
        log_prob = student.family(heads.policy.flat[t]).log_prob(actions)
        agree(theirs.log_prob(actions), log_prob)
        carries = student.has_value and name != "lstm-too-narrow"
        agree(value, heads.value[t] if carries else torch.zeros(copies))


@pytest.mark.parametrize("name", [name for name in FORWARD if "cnn" not in name])
def test_the_normaliser_can_be_folded_into_the_first_layer(name: str, tmp_path: Path) -> None:
    student, loaded = exported(name, tmp_path, fold_normaliser=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["agent.zip"]
    observation = sampled(student.observation_space, (16,))
    expected = ActionMap(student.family, student.action_space).to_env(
        student(tensors(observation))[0].policy.mode().numpy()
    )
    agree(loaded.model.predict(observation, deterministic=True)[0], expected)
    if student.has_value and CASES[name][-1] == "PPO":
        agree(
            loaded.model.policy.predict_values(loaded.tensor(observation)).detach()[:, 0],
            student(tensors(observation))[0].value,
        )


@pytest.mark.parametrize("scale", [1.0, 1e4, 3e5, 1e-5])
def test_vecnormalize_does_what_the_standardiser_does_and_no_more(scale: float, tmp_path: Path) -> None:
    student = shaken(VECTOR, THREE, "mlp:8")
    standardise = student.network.inputs[0].standardise
    standardise.scale.mul_(scale)
    convert(student).save(tmp_path / "agent.zip")
    loaded = Loaded(tmp_path / "agent.zip", "PPO", student)
    far = 100 * sampled(VECTOR, (200,)).astype(np.float32)  # well beyond what VecNormalize clips by default
    np.testing.assert_allclose(loaded.seen(far), standardise(torch.as_tensor(far)).numpy(), rtol=2e-6)
    assert (loaded.vec.training, loaded.vec.norm_reward) == (False, False)
    assert (loaded.vec.obs_rms.var > 0).all()


def test_a_student_that_standardises_nothing_has_no_statistics(tmp_path: Path) -> None:
    student = Student(VECTOR, THREE, family_of(THREE), "mlp:8")
    assert convert(student).save(tmp_path / "agent.zip") == [tmp_path / "agent.zip"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["agent.zip"]


def test_deviations_are_clamped_as_the_students(tmp_path: Path) -> None:
    student = shaken(VECTOR, REACH, "mlp:8")
    student.log_std.copy_(torch.tensor([-30.0, 9.0]))
    assert convert(student).model.policy.log_std.tolist() == [-20, 4]


def test_what_the_student_does_not_have_is_said_and_answers_nought(tmp_path: Path) -> None:
    assert convert(of_case("categorical-value")).notes == ()
    assert convert(of_case("lstm-gaussian-value")).notes == ()
    for name, words in {
        "categorical": "no value network: SB3's answers 0",
        "lstm": "no value network: SB3's answers 0",
        "lstm-too-narrow": "LSTM is too narrow to carry the student's value network",
        "dqn": "its probabilities are not kept",
        "sac": "critics answer 0 until they are trained",
    }.items():
        (note,) = convert(of_case(name), CASES[name][-2]).notes
        assert words in note


def test_folding_says_what_it_costs_where_there_is_something_to_fold() -> None:
    (note,) = convert(of_case("categorical-value"), fold_normaliser=True).notes
    assert "costs digits" in note
    plain = Student(VECTOR, THREE, family_of(THREE), "mlp:8", with_value=True)
    assert convert(plain, fold_normaliser=True).notes == ()


def test_what_a_zip_cannot_hold_of_the_students_surroundings_is_said() -> None:
    student = of_case("categorical-value")
    student.facts |= {"wrappers": ["time-feature:50", "frame-stack:2"], "view": "0,2"}
    wrapped, viewed = convert(student).notes
    behind = "it acts behind the wrappers time-feature:50, frame-stack:2: "
    assert wrapped == f"{behind}give SB3 an environment in the same"
    assert viewed == "it sees the part '0,2' of observations: give SB3 an environment that shows only this"
    assert surroundings(student)[0] == f"{behind}give it what they make of observations"
    student.facts |= {"wrappers": [], "view": ""}
    assert surroundings(student) == ()


@pytest.mark.parametrize("name", CASES)
def test_the_check_opens_the_file_and_finds_the_students_actions_and_distribution(name: str, tmp_path: Path) -> None:
    student, _ = exported(name, tmp_path)
    opened = open_file(tmp_path / "agent.zip", student)
    memory, actions = None, ActionMap(student.family, student.action_space)
    for t in range(5):
        if t == 4:
            opened.begin()
        start = np.array([t in (0, 4), t in (0, 2, 4)])
        now = sampled(student.observation_space, (5, 2))
        now = {k: v[t] for k, v in now.items()} if isinstance(now, dict) else now[t]
        lead = {k: v[None] for k, v in now.items()} if isinstance(now, dict) else now[None]
        heads, memory = student(tensors(lead), memory, torch.as_tensor(start)[None])
        action, flat = opened(now, start & (t != 4))
        drawn = torch.as_tensor(student.family.sample(heads.policy.flat[0].numpy(), np.random.default_rng(t)))
        agree(student.family(flat).log_prob(drawn), student.family(heads.policy.flat[0]).log_prob(drawn))
        agree(action, actions.to_env(heads.policy.mode()[0].numpy()))


@pytest.mark.parametrize("name", FORWARD)
def test_our_own_reader_opens_the_file_without_trust_and_sees_the_same_policy(name: str, tmp_path: Path) -> None:
    student, _ = exported(name, tmp_path)
    opened = load(tmp_path / "agent.zip")
    observation = tensors(sampled(student.observation_space, (16,)))
    heads, expected = opened(observation)[0], student(observation)[0]
    agree(heads.policy.flat, expected.policy.flat)
    assert opened.family == student.family
    assert (opened.algorithm, opened.gamma) == (CASES[name][-1], 0.9375)
    if CASES[name][-1] == "PPO":
        agree(heads.value, expected.value if student.has_value else torch.zeros(16))


@pytest.mark.parametrize("name", ["gaussian", "dict", "dqn", "sac", "lstm"])
def test_sb3_goes_on_training_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SB3_LOGDIR", str(tmp_path / "log"))
    student, (*_, asked, algorithm) = of_case(name), CASES[name]
    if algorithm == "RecurrentPPO":
        student = shaken(VECTOR, THREE, "lstm:7", with_value=True)
    convert(student, asked).save(tmp_path / "agent.zip")
    env = vec_env.DummyVecEnv([lambda: Blank(student.observation_space, student.action_space)])
    env = vec_env.VecNormalize.load(str(tmp_path / "vecnormalize.pkl"), env)
    short = {"n_steps": 8, "batch_size": 8} if "PPO" in algorithm else {"learning_starts": 2, "buffer_size": 50}
    model = getattr(contrib if name == "lstm" else sb3, algorithm).load(
        tmp_path / "agent.zip", env=env, device="cpu", **short
    )
    before = {key: tensor.clone() for key, tensor in model.policy.state_dict().items()}
    model.learn(16)
    assert model.gamma == 0.9375
    assert any((tensor != before[key]).any() for key, tensor in model.policy.state_dict().items())


def test_the_same_student_gives_the_same_tensors_and_leaves_the_generators_alone() -> None:
    student = of_case("categorical")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = convert(student).model.policy.state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = convert(student).model.policy.state_dict()
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


# observations, actions, student, more; algorithm; what the message says of why, and of the way out
FORMATS = "Use --format onnx or --format torch, which hold every student."
REFUSED: dict[str, tuple[Any, ...]] = {
    "layernorm": (VECTOR, THREE, "mlp:8:layernorm", {}, "auto", "SB3's networks have no LayerNorm", FORMATS),
    "gru": (VECTOR, THREE, "gru:8", {}, "auto", "memories are LSTMs, and this is a GRU", FORMATS),
    "state-dependent": (
        VECTOR, REACH, "mlp:8", {"state_dependent_std": True}, "auto",
        "its Gaussians have one vector of deviations, and this student's depend on the state", FORMATS,
    ),
    "squashed-as-ppo": (
        VECTOR, REACH, "mlp:8", {"squashed": True}, "ppo",
        "the student mlp:8, squashed-gaussian(2), does not fit PPO of SB3: it holds categorical, ",
        "Use --algorithm sac, or --format onnx or --format torch.",
    ),
    "squashed-lstm": (VECTOR, REACH, "lstm:8", {"squashed": True}, "auto", "does not fit RecurrentPPO", FORMATS),
    "gaussian-as-dqn": (VECTOR, REACH, "mlp:8", {}, "dqn", "it holds categorical policies only", "Use --algorithm ppo"),
    "gaussian-as-sac": (VECTOR, REACH, "mlp:8", {}, "sac", "it holds squashed-gaussian policies", "--algorithm ppo"),
    "parts-as-dqn": (VECTOR, PARTS, "mlp:8", {}, "dqn", "it holds categorical policies only", "Use --algorithm ppo"),
    "lstm-as-ppo": (
        VECTOR, THREE, "lstm:8", {}, "ppo", "it has no memory, and this student has an LSTM",
        "Use --algorithm recurrent-ppo, or --format onnx or --format torch.",
    ),
    "lstm-as-dqn": (VECTOR, THREE, "lstm:8", {}, "dqn", "it has no memory", "--algorithm recurrent-ppo"),
    "forward-as-recurrent": (
        VECTOR, THREE, "mlp:8", {}, "recurrent-ppo", "it needs an LSTM, and this student has no memory",
        "Use --algorithm ppo, or --format onnx or --format torch.",
    ),
    "cnn-small": (PICTURE, THREE, "cnn:small", {}, "auto", "sees pictures through NatureCNN, as", FORMATS),
    "mlp-on-pictures": (PICTURE, THREE, "mlp:8", {}, "auto", "this one's layers are others", FORMATS),
    "linear-on-pictures": (PICTURE, THREE, "linear", {}, "auto", "pictures, and this student takes them", FORMATS),
    "pictures-of-floats": (
        spaces.Box(0, 1, (40, 44, 3)), THREE, "cnn:nature", {}, "auto", "pictures of bytes from 0 to 255 only", FORMATS,
    ),
    "channels-in-doubt": (
        spaces.Box(0, 255, (44, 40, 44), np.uint8), THREE, "cnn:nature", {}, "dqn", "another axis", FORMATS,
    ),
    "actions-from-one": (VECTOR, spaces.Discrete(3, start=1), "mlp:8", {}, "auto", "counts actions from 0", FORMATS),
    "observations-from-one": (spaces.Discrete(3, start=1), THREE, "mlp:8", {}, "auto", "classes from 0", FORMATS),
    "action-table": (VECTOR, spaces.MultiBinary((2, 2)), "mlp:8", {}, "auto", "actions of one dimension only", FORMATS),
    "observation-table": (spaces.MultiDiscrete([[2, 3]]), THREE, "mlp:8", {}, "auto", "of one dimension only", FORMATS),
    "whole-actions": (VECTOR, spaces.Box(0, 9, (2,), np.int64), "mlp:8", {}, "auto", "does not round actions", FORMATS),
    "boundless-actions": (VECTOR, spaces.Box(-np.inf, 1, (2,)), "mlp:8", {}, "auto", "needs finite bounds", FORMATS),
    "lstm-classes": (spaces.MultiDiscrete([2, 3]), THREE, "lstm:8", {}, "auto", "cannot make an LSTM for", FORMATS),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_sb3_cannot_hold_is_refused_with_the_alternative(name: str) -> None:
    observations, actions, spec, more, asked, why, mend = REFUSED[name]
    with pytest.raises(ExportError) as refusal:
        convert(shaken(observations, actions, spec, **more), asked)
    assert why in str(refusal.value)
    assert mend in str(refusal.value)
    assert str(refusal.value).startswith(f"the student {spec}, ")


def test_wide_deviations_that_sac_would_clip_are_refused() -> None:
    student = of_case("sac")
    student.log_std[1] = 2.5
    with pytest.raises(ExportError, match=r"clips log-deviations at 2 .*this student's reach 2\.5"):
        convert(student)


def test_without_sb3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(MissingExtra, match=r"--format sb3 needs stable-baselines3.*pip install 'understudy\[sb3\]'"):
        convert(of_case("categorical"))
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    with pytest.raises(MissingExtra, match="needs sb3-contrib"):
        convert(of_case("lstm"))
