"""Students that share a body: which parameters are one and the same, and which are each task's own."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from understudy.envs.actions import family_of
from understudy.errors import ConfigurationError
from understudy.policies.shared import share, shared_count, unique
from understudy.policies.student import Student
from understudy.policies.student_file import load_student, save_student


def flat(size):
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


def picture(channels):
    return spaces.Box(0, 1, (10, 10, channels), np.float32)


def students(spec, observations, actions=(3, 3), **options):
    return [
        Student(space, spaces.Discrete(count), family_of(spaces.Discrete(count)), spec, seed=seed, **options)
        for seed, (space, count) in enumerate(zip(observations, actions, strict=True))
    ]


def names_shared(made):
    """By the memory that they lie in."""
    first, second = (dict(student.network.named_parameters()) for student in made)
    return {name for name in first if name in second and first[name].data_ptr() == second[name].data_ptr()}


BODY = {"layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"}
LAST = {"layers.4.weight", "layers.4.bias"}
DUELING = {f"layers.4.{part}.{kind}" for part in ("value", "advantage") for kind in ("weight", "bias")}
MEMORY = {f"memory.{kind}_{part}_l0" for kind in ("weight", "bias") for part in ("ih", "hh")}
CONVOLUTIONS = {f"inputs.0.layers.{layer}.{kind}" for layer in (2, 5) for kind in ("weight", "bias")}
NORMED = {f"layers.{k}.{kind}" for k in (0, 1) for kind in ("weight", "bias")}
CASES = {
    "one shape": ("mlp:8,6", (flat(4), flat(4)), "own", BODY),
    "two shapes": ("mlp:8,6", (flat(4), flat(8)), "own", {"layers.2.weight", "layers.2.bias"}),
    "one head": ("mlp:8,6", (flat(4), flat(4)), "one", (BODY | LAST) - {"layers.0.bias"}),
    "one head, two shapes": ("mlp:8,6", (flat(4), flat(8)), "one", {"layers.2.weight", "layers.2.bias"} | LAST),
    "dueling": ("mlp:8,6:dueling", (flat(4), flat(4)), "own", BODY),
    "one dueling head": ("mlp:8,6:dueling", (flat(4), flat(4)), "one", (BODY | DUELING) - {"layers.0.bias"}),
    "memory": ("gru:6", (flat(4), flat(4)), "own", MEMORY),
    "memory, two shapes": ("lstm:6", (flat(4), flat(3)), "own", {"memory.weight_hh_l0", "memory.bias_hh_l0"}),
    "pictures": ("cnn:small", (picture(4), picture(7)), "own", CONVOLUTIONS),
    "layer norm": ("mlp:8:layernorm", (flat(4), flat(4)), "own", NORMED),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_layers_of_one_shape_are_one_and_the_same_and_the_others_are_not(case):
    spec, observations, heads, expected = CASES[case]
    made = students(spec, observations)
    share(made, heads)
    assert names_shared(made) == expected
    first = dict(made[0].network.named_parameters())
    assert shared_count(made) == sum(first[name].numel() for name in expected)
    alone = [student.parameter_count for student in students(spec, observations)]
    assert [student.parameter_count for student in made] == alone  # each is a whole student still
    assert sum(parameter.numel() for parameter in unique(made)) == sum(alone) - shared_count(made)


def test_heads_of_different_widths_are_each_tasks_own():
    made = students("mlp:8", (flat(4), flat(4)), actions=(2, 5))
    share(made)
    assert names_shared(made) == {"layers.0.weight", "layers.0.bias"}
    assert [student.network.layers[-1].out_features for student in made] == [2, 5]


def test_three_students_share_only_what_fits_all():
    made = students("mlp:8,6", (flat(4), flat(4), flat(5)), actions=(2, 2, 2))
    share(made)
    assert shared_count(made) == 8 * 6 + 6
    assert made[0].network.layers[0].weight is not made[1].network.layers[0].weight


def test_what_standardises_stays_each_tasks_own():
    made = students("mlp:8", (flat(4), flat(4)))
    share(made)
    made[0].network.fit_inputs(torch.randn(50, 4) * 3 + 7)
    assert bool((made[1].network.inputs[0].standardise.mean == 0).all())


@pytest.mark.parametrize("spec", ["mlp:8,6", "gru:6"])
def test_a_change_of_a_shared_layer_is_seen_by_all(spec):
    made = students(spec, (flat(4), flat(4)))
    share(made)
    seen = torch.randn(3, 2, 4)
    before = [student.flat(seen)[0].detach() for student in made]
    with torch.no_grad():
        parameter = next(iter(made[0].network.parameters()))
        parameter.add_(torch.randn_like(parameter))
    assert all(not torch.allclose(student.flat(seen)[0], old) for student, old in zip(made, before, strict=True))


def test_one_head_is_a_network_with_the_task_among_its_inputs():
    made = students("mlp:8,6", (flat(4), flat(4)))
    share(made, "one")
    asked = spaces.Dict({"seen": flat(4), "task": spaces.Discrete(2)})
    whole = Student(asked, spaces.Discrete(3), made[0].family, "mlp:8,6", seed=7)
    columns = torch.randn(8, 2)
    with torch.no_grad():
        for k, name in ((2, "layers.2"), (4, "layers.4")):
            whole.network.layers[k].load_state_dict(made[0].network.get_submodule(name).state_dict())
        shared = made[0].network.layers[0].weight
        whole.network.layers[0].weight.copy_(torch.cat([shared, columns], 1))
        for task, student in enumerate(made):
            student.network.layers[0].bias.copy_(whole.network.layers[0].bias + columns[:, task])
    seen = torch.randn(5, 4)
    for task, student in enumerate(made):
        expected = whole.flat({"seen": seen, "task": torch.full((5,), task)})[0]
        torch.testing.assert_close(student.flat(seen)[0], expected)


def test_one_head_for_different_actions_is_refused():
    with pytest.raises(ConfigurationError, match=r"Discrete\(2\) and Discrete\(5\).*--heads own"):
        share(students("mlp:8", (flat(4), flat(4)), actions=(2, 5)), "one")


@pytest.mark.parametrize(("spec", "sizes"), [("linear", (4, 4)), ("mlp:8", (4, 5))])
def test_students_that_have_nothing_in_common_are_refused(spec, sizes):
    with pytest.raises(ConfigurationError, match=r"nothing of .* can be shared.*another hidden layer"):
        share(students(spec, tuple(map(flat, sizes))))


def test_a_student_that_shares_is_saved_whole(tmp_path):
    made = students("mlp:8,6", (flat(4), flat(8)))
    share(made)
    seen = torch.randn(5, 8)
    save_student(made[1], tmp_path / "student")
    torch.testing.assert_close(load_student(tmp_path / "student").flat(seen)[0], made[1].flat(seen)[0])
