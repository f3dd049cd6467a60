"""The rhythm of collecting and updating."""

import pytest

from understudy.engines.defaults import Kind, rhythm_for
from understudy.engines.schedule import Rhythm
from understudy.errors import ConfigurationError


def test_all_problems_of_a_rhythm_are_told_at_once():
    with pytest.raises(ConfigurationError) as caught:
        Rhythm(collect=0, length=0, learning_rate=-1.0)
    assert str(caught.value) == (
        "collect must be at least 1, got 0; length must be at least 1, got 0; learning_rate must be positive, got -1.0"
    )


def test_the_learning_rate_goes_down_a_straight_line_and_stays():
    rhythm = Rhythm(learning_rate=1.0, final_learning_rate=0.2)
    assert [rhythm.learning_rate_at(p) for p in (0.0, 0.5, 1.0, 2.0)] == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_only_rows_without_a_reward_aggregate_and_only_recurrent_students_have_sequences():
    kinds = {(reward, recurrent): rhythm_for(Kind(reward, recurrent))[0] for reward in (0, 1) for recurrent in (0, 1)}
    assert {kind: rhythm.keep for kind, rhythm in kinds.items()} == {kind: not kind[0] for kind in kinds}
    assert {kind: rhythm.length > 1 for kind, rhythm in kinds.items()} == {kind: bool(kind[1]) for kind in kinds}


def test_what_the_user_chose_is_put_in():
    rhythm, _ = rhythm_for(Kind(False, False), learning_rate=0.5, batch=7, collect=9, updates=3, store=11)
    assert (rhythm.learning_rate, rhythm.batch, rhythm.collect, rhythm.updates, rhythm.store) == (0.5, 7, 9, 3, 11)
    assert rhythm.final_learning_rate < 0.5
