"""What `advise` reads of the JSON that `fit`, `phases` and `rank` write: the checks of such a file."""

from pathlib import Path
from typing import Annotated, Literal

import pydantic
from pydantic import BaseModel, Field

from switchpoint import files
from switchpoint.errors import InputError

Number = Annotated[pydantic.FiniteFloat, Field(ge=-1e15, le=1e15)]
Interval = tuple[Number | None, Number | None]


class Point(BaseModel):
    """A place on a fitted curve."""

    exaflops: Number
    score: Number | None
    ci95: Interval


class Gain(BaseModel):
    """What more compute, to ``times`` of what was spent, adds to the score."""

    times: Number
    exaflops: Number = Field(gt=0)
    gain: Number | None
    ci95: Interval


class Fit(BaseModel):
    """One run's ceiling ``a`` (points), its 95 % interval, and how far the fit can be trusted."""

    a: Number | None
    a_ci95: Interval
    status: Literal["identified", "unidentified", "collapsed"]
    unit: Literal["exaFLOPs", "steps", "seconds"] | None = None
    x_last: Number | None = None
    score_last: Number | None = None
    p_start: Number | None = None
    noise_sd: Number | None = None
    heldout_rmse: Number | None = None
    heldout_rmse_naive: Number | None = None
    curve: list[Point] = []
    gains: list[Gain] = []


class Fits(BaseModel):
    """What ``fit`` writes."""

    runs: dict[str, Fit]


class Labels(BaseModel):
    """The sub-phase of every step of an SFT run, as JSON has it: by the step's text."""

    guarded: dict[str, str]


class Phases(BaseModel):
    """What ``phases`` writes."""

    runs: dict[str, Labels]


class Candidate(BaseModel, extra="allow"):
    """A model, its place by the predictor (1 is first, none unranked), and every predictor it has."""

    model: str
    place: int | None
    exaflops: Number = 0.0
    __pydantic_extra__: dict[str, object]


class Ranking(BaseModel):
    """What ``rank`` writes."""

    predictor: str
    n_dropped: int
    models: list[Candidate]

    @pydantic.model_validator(mode="after")
    def is_a_ranking(self):
        """Refuses models of which none is first, or any lacks the predictor."""
        if all(model.place != 1 for model in self.models):
            raise ValueError("no model has place 1")
        without = [
            candidate.model
            for candidate in self.models
            if not isinstance(candidate.model_extra.get(self.predictor), (int, float))
        ]
        if without:
            raise ValueError(f"{without[0]} has no {self.predictor}")
        return self


WRITTEN = {"fit": Fits, "phases": Phases, "rank": Ranking}


def read_document(path: str | Path, command: str) -> dict:
    """The JSON object that ``command`` (a key of ``WRITTEN``) wrote; InputError unless the file holds one."""
    try:
        data = Path(path).read_bytes()
        WRITTEN[command].model_validate_json(data, strict=True)
    except OSError as error:
        problem = str(error.strerror).lower().removesuffix(" or directory")
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        problem = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
    else:
        return files.read_json(path)
    raise InputError(f"{path}: {problem}; give what `switchpoint {command}` writes")
