"""The base of everything that is configured: strict, frozen, and clear about what is wrong."""

from typing import Self

import pydantic

from switchpoint.errors import InputError


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
            raise InputError(f"{what} is wrong:\n{describe(error)}") from None


def describe(error: pydantic.ValidationError) -> str:
    """One line per wrong key."""
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(str(part) for part in item["loc"]) or "study"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key; remove it or check its spelling against config/README.md"
        elif item["type"] == "missing":
            message = "missing key; add it (config/README.md explains it)"
        elif item["type"] != "value_error":
            message = f"{message}, but it is {item['input']!r}"
        lines.append(f"  {key}: {message}")
    return "\n".join(lines)
