"""The words beside a number: what counts and measures passes, what changes it does not."""

import pytest

from switchpoint.grading.comparison import same
from switchpoint.grading.words import ADDED, MAGNITUDES, POWERS, REFUSED, UNITS

CHANGING = sorted(set().union(*REFUSED.values()) - {"and", "or"})


@pytest.mark.parametrize("word", CHANGING)
def test_a_word_that_changes_the_number_is_wrong_behind_it(word):
    assert not same("5", f"5 \\text{{ {word}}}")
    assert not same("5", f"5 {word}")
    assert word in ADDED or word in POWERS or not same("5", f"5 {word} dollars")


@pytest.mark.parametrize("word", sorted(set(CHANGING) - REFUSED["verbs"]))
def test_a_word_that_changes_the_number_is_wrong_before_it(word):
    assert not same("5", f"\\text{{{word} }} 5")
    assert not same("5", f"The answer is {word} 5")


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_passes_and_no_two_are_the_same(unit):
    spellings = UNITS[unit].split()
    for spelling in spellings:
        assert same("5", f"5 \\text{{ {spelling}}}")
        assert same(f"5 \\text{{ {spellings[0]}}}", f"5\\,\\mathrm{{{spelling}}}")
        assert not same("6", f"5 \\text{{ {spelling}}}")
    others = [UNITS[other].split()[-1] for other in UNITS if other not in (unit, "unit")]
    assert unit == "unit" or not any(
        same(f"5 \\text{{ {spelling}}}", f"5 \\text{{ {other}}}") for other in others
    )


@pytest.mark.parametrize("word", MAGNITUDES)
def test_a_magnitude_multiplies(word):
    assert same(str(5 * MAGNITUDES[word]), f"5 \\text{{ {word}}}")
    assert same(f"5\\text{{ {word} dollars}}", f"\\$5 {word}")
    assert not same("5", f"5 \\text{{ {word}}}")


def test_different_words_are_different_classes():
    assert len(CHANGING) >= 200
    assert not set(CHANGING) & {spelling for unit in UNITS.values() for spelling in unit.split()}
