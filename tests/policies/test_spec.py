"""A student's description as text."""

import pytest

from understudy.errors import ConfigurationError
from understudy.policies.spec import Spec, parse


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("linear", Spec("linear")),
        ("mlp:64,64", Spec("mlp", (64, 64))),
        ("mlp:32:silu:layernorm", Spec("mlp", (32,), activation="silu", layernorm=True)),
        ("mlp:8:layernorm", Spec("mlp", (8,), layernorm=True)),
        ("cnn:nature", Spec("cnn", (512,), "nature", "relu")),
        ("cnn:small", Spec("cnn", (128,), "small", "relu")),
        ("cnn:small:x0.5", Spec("cnn", (64,), "small", "relu", scale=0.5)),
        ("cnn:nature:x2:dueling", Spec("cnn", (1024,), "nature", "relu", scale=2, dueling=True)),
        ("mlp:64,64:dueling", Spec("mlp", (64, 64), dueling=True)),
        ("mlp:8:relu:layernorm:dueling", Spec("mlp", (8,), activation="relu", layernorm=True, dueling=True)),
        ("gru:64", Spec("gru", (64,))),
        ("lstm:16", Spec("lstm", (16,))),
    ],
)
def test_it_is_read_and_written_back(text, spec):
    assert parse(text) == spec
    assert str(spec) == text
    assert parse(str(spec)) == spec


def test_what_is_the_default_need_not_be_written():
    assert str(parse("mlp:8:tanh")) == "mlp:8"
    assert str(parse("mlp:8:layernorm:relu")) == "mlp:8:relu:layernorm"
    assert str(parse("mlp:8:dueling:layernorm")) == "mlp:8:layernorm:dueling"
    assert str(parse("cnn:small:x1.0")) == "cnn:small"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "unknown student ''"),
        ("mpl:64", "Did you mean 'mlp'?"),
        ("mlp", "lacks its size"),
        ("mlp:", "expected positive layer widths"),
        ("mlp:64,0", "expected positive layer widths"),
        ("mlp:64,-3", "expected positive layer widths"),
        ("mlp:64,a", "got '64,a'"),
        ("mlp:64:rellu", "Did you mean 'relu'?"),
        ("cnn:natur", "Did you mean 'nature'?"),
        ("cnn:small:x0", "expected a scale above 0 such as x0.5, got 'x0'"),
        ("cnn:small:x-1", "expected a scale above 0"),
        ("cnn:small:xhalf", "expected a scale above 0"),
        ("cnn:small:xnan", "expected a scale above 0"),
        ("cnn:small:xinf", "expected a scale above 0"),
        ("mlp:8:x0.5", "unknown word 'x0.5'"),
        ("linear:dueling", "a dueling head needs a hidden layer, as in mlp:64,64:dueling"),
        ("mlp:64:duelling", "Did you mean 'dueling'?"),
        ("gru:64,64", "a gru has one width, such as gru:64"),
        ("lstm", "lacks its size"),
    ],
)
def test_what_it_cannot_be_is_said(text, words):
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert repr(text) in str(caught.value)


def test_only_gru_and_lstm_have_a_memory():
    recurrent = [text for text in ("linear", "mlp:8", "cnn:small", "gru:8", "lstm:8") if parse(text).recurrent]
    assert recurrent == ["gru:8", "lstm:8"]


@pytest.mark.parametrize("scale", ["x0.25", "x3", "x1e-06", "x0.19628907", "x1.9999999"])
def test_a_scale_comes_back_to_the_digit(scale):
    """Or a saved student's widths would not be those of its weights."""
    assert parse(str(parse(f"cnn:nature:{scale}"))) == parse(f"cnn:nature:{scale}")
    assert str(parse(f"cnn:nature:{scale}")) == f"cnn:nature:{scale}"
