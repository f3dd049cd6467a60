"""Anchors as data: what their weights are, in every form and at every moment, and what is refused."""

import math

import pytest

from understudy.errors import ConfigurationError
from understudy.methods.anchor import Adaptive, Anchor, OffBelow, following, parse
from understudy.methods.schedule import Schedule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5", 0.5),
        (2, 2),
        ("constant:0.25", 0.25),
        ("linear:1:0", Schedule("linear", 1, 0)),
        ("linear:0:1:0.5", Schedule("linear", 0, 1, 0.5)),
        ("exponential:1:0.01", Schedule("exponential", 1, 0.01)),
        ("adaptive:0.1:0.02", Adaptive(0.1, 0.02)),
        ("adaptive:0.1:0.02:0.05:4", Adaptive(0.1, 0.02, 0.05, 4)),
        ("off-below:1:0.05", OffBelow(1, 0.05)),
    ],
)
def test_a_weight_is_read_and_its_text_reads_the_same(text, expected):
    found = parse(text)
    assert found == expected
    assert parse(str(found)) == found


def moments(weight, kls, progresses):
    number, found = None, []
    for kl, progress in zip(kls, progresses, strict=True):
        number = following(weight, number, kl, progress)
        found.append(number)
    return found


def test_schedules_follow_the_budget_whatever_the_kl():
    at = (0, 0.25, 0.5, 1)
    assert moments(parse("linear:1:0:0.5"), (9, 0, 9, 0), at) == [1, 0.5, 0, 0]
    assert moments(parse("exponential:1:0.0625"), (9, 0, 9, 0), at) == pytest.approx([1, 0.5, 0.25, 0.0625])
    assert moments(parse("0.3"), (9, 0, 9, 0), at) == [0.3] * 4


def test_an_adaptive_weight_doubles_and_halves_outside_its_band_as_in_ppo_and_keeps_its_bounds():
    weight = parse("adaptive:1:0.1:0.5:4")
    kls = (0, 0.149, 0.151, 9, 9, 0.1, 0.067, 0.066, 0.01, 0, 0)
    assert moments(weight, kls, [0] * 11) == [1, 1, 2, 4, 4, 4, 4, 2, 1, 0.5, 0.5]
    far = parse("adaptive:1:0.1")
    assert moments(far, [9] * 12, [0] * 12)[-1] == 1024
    assert moments(far, [0] * 12, [0] * 12)[-1] == 1 / 1024


def test_off_below_is_off_below_and_on_from_there():
    assert moments(parse("off-below:2:0.1"), (0, 0.099, 0.1, 5, 0.01), [0] * 5) == [0, 0, 2, 2, 0]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("linear:0:0", "linear:0:0 is 0 throughout: it never acts. Raise it, or leave the anchor out"),
        (0, "never acts"),
        ("constant:0", "never acts"),
        ("off-below:0:1", "never acts"),
        (Schedule("constant", 0, 5), "never acts"),
        ("-1", "must not be negative"),
        ("linear:1:-1", "must not be negative"),
        ("nan", "must be finite"),
        (None, "is a number or a text such as 'linear:1:0', got None"),
        ([1, 0], r"a number or a text such as 'linear:1:0', got \[1, 0\]"),
        (math.inf, "must be finite"),
        ("adaptive:0:0.1", "starts above 0"),
        ("adaptive:1:0", "must be above 0, got 0"),
        ("adaptive:1:0.1:2:4", "0 < LOW <= START <= HIGH, got 2, 1 and 4"),
        ("adaptive:1", "adaptive:START:TARGET.*got 'adaptive:1'"),
        ("adaptive:1:2:3", "adaptive:START:TARGET"),
        ("off-below:1:0", "write the number alone"),
        ("off-below:1:a", "off-below:WEIGHT:KL"),
        ("adaptve:1:1", "Did you mean 'adaptive'"),
        ("exponential:1:0", "neither 0"),
        ("linear:1:0:2", "a fraction of the run"),
        ("", "a number or one of"),
    ],
)
def test_a_weight_that_cannot_be_used_is_refused_and_said_of_which_anchor(weight, message):
    with pytest.raises(ConfigurationError, match=f"anchor chase: .*{message}"):
        Anchor("runs/chase", weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "backward"}, "anchor chase: direction is one of forward, reverse, got 'backward'"),
        ({"states": "store"}, "Did you mean 'stored'"),
        ({"stored": "states.safetensors"}, "say states = 'both'"),
        ({"policy": ""}, "names no policy"),
        ({"policy": None}, "names no policy"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Anchor(**{"policy": "runs/chase/", **options})


def test_an_anchor_is_called_by_its_name_or_by_its_policy():
    assert Anchor("runs/chase/").label == "chase"
    assert Anchor("teachers/ppo-CartPole-v1.zip").label == "ppo-CartPole-v1"
    assert Anchor("a.zip", name="first").label == "first"
    assert Anchor(object()).label == "object"
