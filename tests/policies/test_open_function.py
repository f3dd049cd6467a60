"""Functions, and the forms in which any teacher from outside may answer."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import distributions

from understudy.errors import ConfigurationError, SpaceError, TeacherError
from understudy.policies.open_function import load, of_object

SEES = spaces.Box(-1, 1, (3,))
FOUR = spaces.Discrete(4)
ARM = spaces.Box(np.array([-2, -1], dtype=np.float32), np.array([2, 3], dtype=np.float32))
WEIGHT = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
OBSERVATIONS = np.random.default_rng(2).uniform(-1, 1, (7, 3)).astype(np.float32)


def logits(observation):
    return observation @ WEIGHT


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def opened(function, acts=FOUR, sees=SEES, **options):
    return of_object(function, observation_space=sees, action_space=acts, **options)


def answer(policy, observation=OBSERVATIONS):
    heads, memory = policy(torch.as_tensor(observation))
    assert memory is None
    assert not heads.policy.flat.requires_grad
    return heads


PROBABILITIES = torch.as_tensor(softmax(OBSERVATIONS @ WEIGHT))


@pytest.mark.parametrize(
    "function",
    [
        logits,
        lambda o: softmax(logits(o)),
        lambda o: {"logits": logits(o)},
        lambda o: {"probs": softmax(logits(o))},
        lambda o: (logits(o), None),
        lambda o: torch.as_tensor(logits(o)).double(),
        lambda o: distributions.Categorical(logits=torch.as_tensor(logits(o))),
        lambda o: distributions.Categorical(probs=torch.as_tensor(softmax(logits(o)))),
    ],
)
def test_logits_and_probabilities_give_the_same_distribution(function):
    policy = opened(function)
    assert torch.allclose(answer(policy).policy.flat.softmax(-1), PROBABILITIES, atol=1e-6)
    assert policy.full_support
    assert not policy.scores
    assert not policy.has_value


def test_leading_dimensions_are_kept():
    flat = answer(opened(lambda o: (logits(o), o.sum(-1))), OBSERVATIONS.reshape(7, 1, 3))
    assert flat.policy.flat.shape == (7, 1, 4)
    assert flat.value.shape == (7, 1)
    assert answer(opened(logits), OBSERVATIONS[0]).policy.flat.shape == (4,)
    assert answer(opened(logits), OBSERVATIONS[:0]).policy.flat.shape == (0, 4)


@pytest.mark.parametrize(
    "shape", [lambda a: a, lambda a: a[:, None], lambda a: a.astype(np.float32), lambda a: a.tolist()]
)
def test_whole_numbers_are_actions(shape):
    policy = opened(lambda o: shape(logits(o).argmax(-1) + 5), spaces.Discrete(4, start=5))
    flat = answer(policy).policy.flat
    best = torch.as_tensor((OBSERVATIONS @ WEIGHT).argmax(-1))
    assert torch.equal(flat.argmax(-1), best)
    assert torch.equal(flat.softmax(-1), torch.nn.functional.one_hot(best, 4).float())
    assert not policy.full_support


def test_an_action_outside_the_space_is_refused():
    with pytest.raises(TeacherError, match=r"Discrete\(4\), got numbers from 0 to 4"):
        opened(lambda o: np.arange(len(o)) % 5)


def test_action_values_are_scores_with_their_maximum_as_value():
    policy = opened(lambda o: {"q": logits(o)})
    heads = answer(policy)
    assert policy.scores
    assert policy.has_value
    assert np.allclose(heads.value, (OBSERVATIONS @ WEIGHT).max(-1))


@pytest.mark.parametrize("column", [False, True])
def test_a_second_array_is_the_value(column):
    policy = opened(lambda o: (logits(o), o.sum(-1, keepdims=column)))
    assert policy.has_value
    assert np.allclose(answer(policy).value, OBSERVATIONS.sum(-1))


def test_a_third_array_as_in_the_forward_of_sb3_is_left_out():
    policy = opened(lambda o: (logits(o).argmax(-1), o.sum(-1, keepdims=True), o[:, 0]))
    assert np.allclose(answer(policy).value, OBSERVATIONS.sum(-1))


def test_a_bare_continuous_action_gets_a_tenth_of_half_its_range_as_deviation():
    heads = answer(opened(lambda o: o[:, :2], ARM))
    assert np.allclose(heads.policy.mode(), OBSERVATIONS[:, :2])
    assert torch.allclose(heads.policy.log_std.exp(), torch.tensor([0.2, 0.2]))
    heads = answer(opened(lambda o: o[:, :2], ARM, std=0.5))
    assert torch.allclose(heads.policy.log_std.exp(), torch.tensor([1.0, 1.0]))


def test_unbounded_actions_take_the_fraction_itself_as_deviation():
    heads = answer(opened(lambda o: o[:, 0], spaces.Box(-np.inf, np.inf, (1,)), std=0.3))
    assert torch.allclose(heads.policy.log_std.exp(), torch.tensor(0.3))


@pytest.mark.parametrize(
    "function",
    [
        lambda o: np.concatenate([o[:, :2], np.log(np.abs(o[:, 1:]) + 1)], -1),
        lambda o: (o[:, :2], np.abs(o[:, 1:]) + 1),
        lambda o: {"mean": o[:, :2], "std": np.abs(o[:, 1:]) + 1},
        lambda o: {"mean": o[:, :2], "log_std": np.log(np.abs(o[:, 1:]) + 1)},
        lambda o: distributions.Normal(torch.as_tensor(o[:, :2]), torch.as_tensor(np.abs(o[:, 1:]) + 1)),
        lambda o: distributions.Independent(
            distributions.Normal(torch.as_tensor(o[:, :2]), torch.as_tensor(np.abs(o[:, 1:]) + 1)), 1
        ),
    ],
)
def test_every_form_of_a_gaussian_reads_the_same(function):
    policy = opened(function, ARM)
    heads = answer(policy)
    assert policy.family.kind == "gaussian"
    assert np.allclose(heads.policy.mean, OBSERVATIONS[:, :2], atol=1e-6)
    assert np.allclose(heads.policy.log_std.exp(), np.abs(OBSERVATIONS[:, 1:]) + 1, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_deviations_shared_by_all_observations_are_spread_whatever_the_batch(count):
    policy = opened(lambda o: (o[:, :2], np.array([0.5, 2.0])), ARM)
    heads = answer(policy, OBSERVATIONS[:count])
    assert torch.allclose(heads.policy.log_std.exp(), torch.tensor([0.5, 2.0]).expand(count, 2))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_value_beside_continuous_actions_stays_one_whatever_the_batch(count):
    heads = answer(opened(lambda o: (o[:, :2], o.sum(-1)), ARM), OBSERVATIONS[:count])
    assert np.allclose(heads.value, OBSERVATIONS[:count].sum(-1))


def test_a_deviation_or_a_value_of_one_action_must_be_named():
    one = spaces.Box(-1, 1, (1,))
    with pytest.raises(TeacherError, match="deviation or a value"):
        opened(lambda o: (o[:, :1], o[:, 1:2] ** 2), one)
    assert opened(lambda o: {"mean": o[:, :1], "value": o[:, 1:2]}, one).has_value
    assert not opened(lambda o: {"mean": o[:, :1], "std": o[:, 1:2] ** 2 + 1}, one).has_value


def test_a_negative_deviation_is_refused_with_the_name_for_logarithms():
    with pytest.raises(TeacherError, match="log_std"):
        opened(lambda o: (o[:, :2], o[:, 1:]), ARM)


def test_parts_of_a_multidiscrete_space_are_read_one_by_one():
    acts, cut = spaces.MultiDiscrete([3, 2], start=[1, 0]), np.random.default_rng(3).standard_normal((3, 5))
    scores = OBSERVATIONS @ cut
    expected = np.concatenate([softmax(scores[:, :3]), softmax(scores[:, 3:])], -1)

    def probabilities(o):
        return np.concatenate([softmax(o @ cut[:, :3]), softmax(o @ cut[:, 3:])], -1)

    def categoricals(o):
        parts = torch.as_tensor(o @ cut).split([3, 2], -1)
        return [distributions.Categorical(logits=part) for part in parts]

    for function in (lambda o: o @ cut, probabilities, categoricals):
        parts = answer(opened(function, acts)).policy.parts
        assert np.allclose(torch.cat([part.log_probs.exp() for part in parts], -1), expected, atol=1e-6)

    chosen = opened(lambda o: np.stack([(o @ cut)[:, :3].argmax(-1) + 1, (o @ cut)[:, 3:].argmax(-1)], -1), acts)
    mode = np.stack([scores[:, :3].argmax(-1), scores[:, 3:].argmax(-1)], -1)
    assert np.array_equal(answer(chosen).policy.mode(), mode)
    assert not chosen.full_support


def test_coins_are_read_from_logits_probabilities_and_actions():
    coins = spaces.MultiBinary(3)
    p = 1 / (1 + np.exp(-3 * OBSERVATIONS))
    for function in (lambda o: 3 * o, lambda o: 1 / (1 + np.exp(-3 * o))):
        assert np.allclose(answer(opened(function, coins)).policy.flat.sigmoid(), p, atol=1e-6)
    acts = opened(lambda o: (o > 0).astype(np.int8), coins)
    heads = answer(acts)
    assert np.array_equal(heads.policy.mode(), OBSERVATIONS > 0)
    assert torch.isfinite(heads.policy.log_prob(heads.policy.mode())).all()
    assert not acts.full_support


def test_a_probability_of_nought_takes_the_full_support_away():
    def without_the_last(o):
        return np.concatenate([softmax(logits(o)[:, :3]), np.zeros((len(o), 1))], -1)

    policy = opened(without_the_last)
    assert not policy.full_support
    assert torch.isneginf(answer(policy).policy.flat[:, 3]).all()


def test_dict_observations_arrive_as_a_dict_of_batches():
    sees = spaces.Dict({"a": SEES, "n": spaces.Discrete(5)})
    policy = opened(lambda o: o["a"] @ WEIGHT + o["n"][:, None] * [1, 0, 0, 0], sees=sees)
    given = {"a": torch.as_tensor(OBSERVATIONS), "n": torch.arange(7) % 5}
    expected = OBSERVATIONS @ WEIGHT
    expected[:, 0] += np.arange(7) % 5
    assert np.allclose(policy(given)[0].policy.flat, expected, atol=1e-6)
    with pytest.raises(SpaceError, match="'a', 'n'"):
        policy({"a": given["a"]})


def test_observations_of_another_shape_are_refused():
    with pytest.raises(SpaceError, match=r"\[7, 2\]"):
        opened(logits)(torch.zeros(7, 2))


def test_an_answer_of_another_kind_later_is_refused():
    def changing(o):
        return softmax(logits(o)) if len(o) > 7 else 2 * logits(o)

    policy = opened(changing)
    with pytest.raises(TeacherError, match="expected probabilities"):
        policy(torch.as_tensor(OBSERVATIONS))
    policy = opened(lambda o: logits(o) if len(o) > 7 else (logits(o), o[:, 0]))
    with pytest.raises(TeacherError, match="expected logits as at first"):
        policy(torch.as_tensor(OBSERVATIONS))


def test_numbers_that_are_none_are_refused():
    with pytest.raises(TeacherError, match="NaN"):
        opened(lambda o: logits(o) * np.nan)


def test_a_function_of_one_observation_is_told_of_batches():
    with pytest.raises(TeacherError, match=r"float32 \[61, 3\].*whole batches.*np.stack"):
        opened(lambda o: 1 if o[0] > 0 else 0)
    with pytest.raises(TeacherError, match="61 observations must give 61 rows"):
        opened(lambda o: o[0] @ WEIGHT)


def test_a_function_that_draws_its_actions_is_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(TeacherError, match="deterministic=True"):
        opened(lambda o: generator.integers(0, 4, len(o)))


def test_the_wrong_width_names_the_space():
    with pytest.raises(TeacherError, match=r"logits for Discrete\(5\) must be 5 numbers an observation, got 4"):
        opened(logits, spaces.Discrete(5))


def test_an_unknown_part_is_corrected():
    with pytest.raises(TeacherError, match=r"'logit'.*Did you mean 'logits'"):
        opened(lambda o: {"logit": logits(o)})


def test_a_part_that_the_space_cannot_take_is_refused():
    with pytest.raises(TeacherError, match=r"expected one of action, mean for Box"):
        opened(lambda o: {"logits": logits(o)}, ARM)


def test_std_where_it_is_of_no_use_is_an_error():
    with pytest.raises(ConfigurationError, match="bare continuous actions"):
        opened(logits, std=0.1)
    with pytest.raises(ConfigurationError, match="must be positive"):
        opened(lambda o: o[:, :2], ARM, std=0.0)


def test_spaces_that_are_missing_are_asked_for():
    with pytest.raises(TeacherError, match="--env"):
        of_object(logits)


def test_a_function_is_found_in_a_file_and_in_a_module(tmp_path, monkeypatch):
    text = "import numpy as np\ndef act(observation):\n    return (observation[:, 0] > 0).astype(int)\n"
    (tmp_path / "my_teacher_file.py").write_text(text)
    two = spaces.Discrete(2)
    by_path = load(f"{tmp_path}/my_teacher_file.py:act", observation_space=SEES, action_space=two)
    monkeypatch.chdir(tmp_path)
    by_name = load("my_teacher_file:act", observation_space=SEES, action_space=two)
    for policy in (by_path, by_name):
        assert np.array_equal(answer(policy).policy.mode(), OBSERVATIONS[:, 0] > 0)


def test_a_name_that_is_not_there_is_corrected(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def teacher(o): return o\n")
    with pytest.raises(TeacherError, match=r"no 'teachr'.*Did you mean 'teacher'"):
        load(f"{path}:teachr")
    with pytest.raises(TeacherError, match=r"no file .*min\.py.*Did you mean 'mine\.py'"):
        load(f"{tmp_path}/min.py:teacher")
    with pytest.raises(TeacherError, match="no module 'nowhere_at_all'"):
        load("nowhere_at_all.deep:teacher")


def test_a_file_that_fails_to_import_says_why(tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(TeacherError, match=r"broken\.py failed: ModuleNotFoundError.*nothing_of_this_name"):
        load(f"{tmp_path}/broken.py:act")


def test_a_builder_without_arguments_is_called(tmp_path):
    (tmp_path / "built.py").write_text(
        "import torch\ndef build():\n    torch.manual_seed(0)\n    return torch.nn.Linear(3, 4)\n"
    )
    policy = load(f"{tmp_path}/built.py:build", observation_space=SEES, action_space=FOUR)
    assert policy.parameter_count == 16


def test_something_that_is_no_function_is_refused(tmp_path):
    (tmp_path / "data.py").write_text("table = [1, 2]\n")
    with pytest.raises(TeacherError, match="is a list, not a function"):
        load(f"{tmp_path}/data.py:table")
