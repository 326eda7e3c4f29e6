"""Compute in words, and the columns that hold it."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switchpoint import units
from switchpoint.analysis import ceilings, points
from switchpoint.errors import InputError


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (7.614e-07, "exaFLOPs", "761 gigaFLOPs"),
        (1.0, "exaFLOPs", "1 exaFLOPs"),
        (448.0, "exaFLOPs", "448 exaFLOPs"),
        (2500.0, "exaFLOPs", "2.5 zettaFLOPs"),
        (0.0, "exaFLOPs", "0 exaFLOPs"),
        (1e-14, "exaFLOPs", "0.01 megaFLOPs"),
        (1200, "steps", "1,200 steps"),
        (0.5, "seconds", "0.5 seconds"),
    ],
)
def test_an_amount_in_words(value, unit, words):
    assert units.say(value, unit) == words


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((None, None), "open"),
        ((None, 2e-6), "up to 2 teraFLOPs"),
        ((2e-6, None), "from 2 teraFLOPs"),
        ((2e-6, 4e-3), "0.002 to 4 petaFLOPs"),
    ],
)
def test_an_interval_in_words(ends, words):
    assert units.say_range(*ends) == words


@given(st.floats(1e-12, 1e6))
def test_no_amount_is_said_with_an_exponent_and_all_are_near(value):
    number, name = units.say(value).split()
    factor = units.PREFIXES[name.removesuffix("FLOPs")]
    assert "e" not in number
    assert float(number.replace(",", "")) / factor == pytest.approx(value, rel=0.01)


STEPS = pd.DataFrame({"run": "a", "compute": [0, 10, 20, 30], "score": [40.0, 50, 55, 57], "unit": "steps"})


def test_steps_are_compute_as_exaflops_are():
    renamed = STEPS.rename(columns={"compute": "exaflops"}).drop(columns="unit")
    in_steps, in_exaflops = (ceilings.fit_curves(table)["runs"]["a"] for table in (STEPS, renamed))
    assert (in_steps.pop("unit"), in_exaflops.pop("unit")) == ("steps", "exaFLOPs")
    assert in_steps == in_exaflops


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unit": None}, "the column unit has to say what compute counts"),
        ({"unit": ["steps", "steps", "seconds", "steps"]}, "the same in all rows"),
        ({"unit": "epochs"}, "exaFLOPs, steps, seconds"),
        ({"exaflops": 1.0}, "has both exaflops and compute; keep one"),
    ],
)
def test_an_unclear_unit_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        points.check_points(STEPS.assign(**change))
    with pytest.raises(InputError, match="what compute counts"):
        points.check_points(STEPS.drop(columns="unit"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"compute": [1, 10, 20, 30]}, "run a: no start; add its row at compute 0, or p_start to its rows"),
        ({"compute": [0, 10, 10, 30]}, "compute is 10; its run has a point there already"),
        ({"compute": [0, -1, 20, 30]}, "compute is -1; give the compute since the run's start"),
        ({"compute": [0, "x", 20, 30]}, "compute is 'x'; give a finite number"),
        ({"step": [0, 1, 3, 2]}, "compute is 20; its run had spent more by an earlier step"),
        ({"p_start": 45}, "the run's row at compute 0 scores otherwise"),
    ],
)
def test_a_message_names_the_column_of_the_file(change, said):
    with pytest.raises(InputError, match=said):
        points.check_points(STEPS.assign(**change))
    in_exaflops = STEPS.assign(**change).rename(columns={"compute": "exaflops"}).drop(columns="unit")
    with pytest.raises(
        InputError, match=said.replace("compute is", "exaflops is").replace("at compute", "at exaflops")
    ):
        points.check_points(in_exaflops)
