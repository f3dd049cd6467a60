import pytest

from understudy.errors import ConfigurationError
from understudy.methods.schedule import Schedule, at, extremes, parse, scaled


@pytest.mark.parametrize(
    ("text", "progress", "value"),
    [
        ("0.3", 0.7, 0.3),
        ("linear:1:0", 0.25, 0.75),
        ("linear:1:0:0.5", 0.25, 0.5),
        ("linear:1:0:0.5", 0.9, 0.0),
        ("exponential:1:0.01", 0.5, 0.1),
        ("exponential:-1:-0.01", 0.5, -0.1),
        ("constant:2:2", 0.5, 2.0),
        ("linear:0:1", -1, 0.0),
        ("linear:0:1", 2, 1.0),
    ],
)
def test_a_schedule_at_a_point_worked_out_by_hand(text, progress, value):
    assert at(parse(text), progress) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linea:1:0", "got 'linea'. Did you mean 'linear'"),
        ("linear:1", r"expected a number or SHAPE:START:END\[:UNTIL\] such as linear:1:0:0.5, got 'linear:1'"),
        ("linear:one:two", "got 'linear:one:two'"),
        ("linear:1:0:0", r"a fraction of the run in \(0, 1\], got 0.0"),
        ("linear:1:0:2", r"a fraction of the run in \(0, 1\], got 2.0"),
        ("exponential:1:0", "ends of one sign, neither 0, got 1.0 and 0.0"),
        ("linear:nan:0", "ends must be finite, got nan"),
        ("", "got ''"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_with_what_was_written(text, message):
    with pytest.raises(ConfigurationError, match=message):
        parse(text)


@pytest.mark.parametrize("text", ["linear:1:0:0.5", "exponential:1:0.01:1", "constant:2:2:1"])
def test_a_schedule_prints_as_it_is_written(text):
    assert str(parse(text)) == text


def test_a_scaled_schedule_is_scaled_at_every_moment():
    schedule = Schedule("exponential", 1.0, 0.01)
    for factor in (2.0, -1.0, 0.0):
        assert [at(scaled(schedule, factor), p) for p in (0, 0.5, 1)] == pytest.approx(
            [factor, factor * 0.1, factor * 0.01]
        )
    assert extremes(scaled(schedule, -2)) == (-2.0, -0.02)
