import numpy as np
import pytest
from gymnasium import spaces

from understudy.envs.views import View, parse_view
from understudy.errors import ConfigurationError, SpaceError

FLAT = spaces.Box(np.array([-1, -2, -3, -4], np.float32), np.array([1, 2, 3, 4], np.float32))
DICT = spaces.Dict({"near": FLAT, "far": spaces.Box(0, 255, (2, 2, 3), np.uint8), "kind": spaces.Discrete(3)})


def doubled(observation):
    return 2 * observation[..., :3]


def flattened(observation):
    return observation.reshape(len(observation), -1)


@pytest.mark.parametrize("leading", [(5,), (3, 5), ()])
def test_entries_are_taken_from_any_leading_dimensions(leading):
    seen = np.random.default_rng(0).normal(size=(*leading, 4)).astype(np.float32)
    np.testing.assert_array_equal(parse_view("2, 0")(seen), np.stack([seen[..., 2], seen[..., 0]], -1))
    assert parse_view("")(seen) is seen


def test_one_key_is_bare_and_several_are_a_dict():
    seen = {"near": np.zeros((2, 4)), "far": np.ones((2, 2, 2, 3)), "kind": np.zeros(2)}
    assert parse_view("key:far")(seen) is seen["far"]
    assert set(parse_view("key:near,kind")(seen)) == {"near", "kind"}


def test_the_space_is_that_of_what_is_seen():
    assert parse_view("").space(DICT) == DICT
    assert parse_view("2,0").space(FLAT) == spaces.Box(np.array([-3, -1], np.float32), np.array([3, 1], np.float32))
    assert parse_view("key:far").space(DICT) == DICT["far"]
    assert parse_view("key:near,kind").space(DICT) == spaces.Dict({"near": FLAT, "kind": spaces.Discrete(3)})


def test_functions_are_tried_on_zeros():
    view = View("here:doubled", function=doubled)
    assert view.space(FLAT) == spaces.Box(-np.inf, np.inf, (3,), np.float32)
    assert view(np.ones((2, 4))).tolist() == [[2, 2, 2]] * 2


def test_functions_are_found_by_name():
    assert parse_view("numpy:negative")(np.ones((2, 4))).tolist() == [[-1] * 4] * 2


@pytest.mark.parametrize(
    ("view", "space", "says"),
    [
        (parse_view("key:nera"), DICT, "Did you mean 'near'"),
        (parse_view("key:near"), FLAT, "Select entries"),
        (parse_view("0,1"), DICT, "Select keys"),
        (parse_view("0,4"), FLAT, "from 0 to 3"),
        (parse_view("0"), DICT["far"], "Use module:function"),
        (View("here:flattened", function=flattened), FLAT, "leading dimensions"),
    ],
)
def test_views_that_do_not_fit_say_how_they_would(view, space, says):
    with pytest.raises(SpaceError, match=says):
        view.space(space)


@pytest.mark.parametrize("text", ["near", "0,0", "0,,1", "key:", "key:a,a", "-1", "nowhere:at_all", "numpy:pi"])
def test_texts_that_are_no_view_are_refused(text):
    with pytest.raises(ConfigurationError, match="view"):
        parse_view(text)
