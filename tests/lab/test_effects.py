"""Words follow numbers: a text that the effects deny is not printed."""

import numpy as np

from understudy.lab.effects import every, mean_of, told

ONES = np.ones(4)


def test_a_text_stands_where_every_effect_holds_or_was_held_against_nothing() -> None:
    effects = [mean_of("a", ONES, above=0.5), every("b", ONES, below=2.0), mean_of("c", ONES)]
    assert told(effects, "It is so.") == "It is so."


def test_where_one_fails_the_text_names_it_with_its_number_instead() -> None:
    effects = [mean_of("a", ONES, above=0.5), every("turns made", 2 * ONES, above=3.0)]
    assert told(effects, "It turns.") == "This did not hold: turns made (2, wanted above 3 in every case)."
