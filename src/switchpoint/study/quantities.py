"""Numbers of the configuration with what they count or measure, which the reference shows."""

import dataclasses
from typing import Annotated

from pydantic import Field


@dataclasses.dataclass(frozen=True)
class Unit:
    """What the number that it annotates counts or measures: ``Annotated[int, Unit("tokens")]``."""

    name: str


Count = Annotated[int, Field(ge=1, le=10_000_000)]
Jobs = Annotated[int, Field(ge=1, le=1000), Unit("jobs")]
Examples = Annotated[Count, Unit("examples")]
Problems = Annotated[Count, Unit("problems")]
PromptCount = Annotated[Count, Unit("prompts")]
Responses = Annotated[Count, Unit("responses")]
Rows = Annotated[Count, Unit("rows")]
Samples = Annotated[Count, Unit("samples")]
Sequences = Annotated[Count, Unit("sequences")]
Steps = Annotated[Count, Unit("steps")]
Tokens = Annotated[Count, Unit("tokens")]
Share = Annotated[float, Unit("share")]
