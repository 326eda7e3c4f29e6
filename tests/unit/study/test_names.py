"""The one grammar of names."""

import pytest

from switchpoint.errors import InputError
from switchpoint.study.names import RunName, Start

STARTS = {
    "base": Start(),
    "S-40": Start("S", step=40),
    "Full_2-0": Start("Full_2", step=0),
    "Full-min_val_loss": Start("Full", name="min_val_loss"),
}


@pytest.mark.parametrize("text", STARTS)
def test_a_start_is_read_and_written(text):
    assert Start.parse(text) == STARTS[text]
    assert str(STARTS[text]) == text


@pytest.mark.parametrize(
    "text", ["", "S", "S-", "-4", "S-4x", "S-best", "a b-4", "S-4-", "S--4", "BASE", "S-²"]
)
def test_what_is_no_start_is_refused(text):
    with pytest.raises(InputError, match="is neither"):
        Start.parse(text)


RUNS = {
    "base": (RunName("base"), None),
    "sft/S/seed_1": (RunName("sft", 1, "S"), "base"),
    "rl/grpo/base/seed_0": (RunName("rl", 0, None, "grpo", Start()), "base"),
    "rl/dapo_dc/S-40/seed_2": (RunName("rl", 2, "S", "dapo_dc", Start("S", 40)), "sft/S/seed_2"),
}


@pytest.mark.parametrize("text", RUNS)
def test_a_run_is_read_and_written_and_knows_its_parent(text):
    name, parent = RUNS[text]
    assert RunName.parse(text) == name
    assert str(name) == text
    assert name.parent == parent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sft/S",
        "sft/S/0",
        "sft/S/seed_",
        "rl/grpo/base",
        "rl/grpo/x/seed_0",
        "base/seed_0",
        "dpo/S/seed_0",
    ],
)
def test_what_is_no_run_is_refused(text):
    with pytest.raises(InputError, match=r"is no run|is no seed|is neither"):
        RunName.parse(text)
