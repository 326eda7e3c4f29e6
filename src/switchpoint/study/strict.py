"""The base of everything that is configured: strict, frozen, and clear about what is wrong."""

import decimal
import re
from typing import Self

import pydantic

from switchpoint.errors import InputError

LINES, SHOWN = 20, 60  # wrong keys, and characters of a wrong value, that a message shows
# Numbers of which YAML makes text: without a point, or without the sign of the exponent.
SCIENTIFIC = re.compile(r"([-+]?)(?=\.?\d)(\d*)\.?(\d*)[eE]([-+]?)(\d{1,9})")
PLAIN_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
DIGITS = 15


class Strict(pydantic.BaseModel):
    """Unknown keys, wrong types and non-finite numbers are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @classmethod
    def read(cls, text: str, what: str) -> Self:
        """The object that a JSON text holds; InputError names every wrong key of ``what``."""
        try:
            # JSON mode: lists serve as tuples, while types stay strict.
            return cls.model_validate_json(text)
        except pydantic.ValidationError as error:
            raise InputError(f"{what} is wrong:{describe(error)}") from None


def describe(error: pydantic.ValidationError) -> str:
    """What is wrong with the key; a line for each where there are several, of the first ``LINES``."""
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "study"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key; remove it or check its spelling against config/README.md"
        elif item["type"] == "missing":
            message = "missing key; add it (config/README.md explains it)"
        elif meant := meant_number(item):
            message = meant
        elif item["type"] != "value_error":
            message = f"{message}, but it is {shown(item['input'])}"
        lines.append(f"{shown(key, str)}: {message}")
    if len(lines) == 1:
        return f" {lines[0]}"
    more = [f"and {len(lines) - LINES} more"] if len(lines) > LINES else []
    return "".join(f"\n  {line}" for line in lines[:LINES] + more)


def meant_number(item: dict) -> str | None:
    """What is wrong with a text where a number is wanted, if it looks like one; None where it does not."""
    given = item["input"]
    if item["type"] not in ("int_type", "float_type") or not isinstance(given, str):
        return None
    found = SCIENTIFIC.fullmatch(given)
    if not found:
        return f"{shown(given)} is text; write it without quotes" if PLAIN_NUMBER.fullmatch(given) else None
    sign, whole, part, minus, power = found.groups()
    wanted = f"{sign}{whole or 0}.{part or 0}e{minus or '+'}{power}"
    why = ", with a point and a signed exponent"
    if item["type"] == "int_type":
        exact = decimal.Decimal(given)
        if abs(exact.adjusted()) > DIGITS or exact != int(exact):
            return f"{shown(given)} is no whole number of at most {DIGITS} digits; write one in digits"
        wanted, why = str(int(exact)), ", in digits"
    return f"YAML takes {shown(given)} for text; write {wanted}{why}"


def shown(value, as_text=repr) -> str:
    """The value for a message, cut short where it is long."""
    text = as_text(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
