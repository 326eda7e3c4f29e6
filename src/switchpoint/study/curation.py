"""The study's data: where they come from, and what is drawn from them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from switchpoint.study.quantities import Examples, Jobs, PromptCount, Samples, Steps, Tokens, Unit
from switchpoint.study.sources import SOLVERS, Dataset, Directory, Generated, Source
from switchpoint.study.strict import Strict
from switchpoint.study.values import Extraction, Name, Names, Optimizer

RESERVED = ("overall", "macro", "easy", "medium", "hard", "all")  # scores that are no benchmark's


def shares(bounds: tuple[float, float]) -> tuple[float, float]:
    """The bounds; refuses what is no range within 0..1."""
    if not 0 <= bounds[0] <= bounds[1] <= 1:
        raise ValueError(f"{list(bounds)}: give two numbers with 0 <= low <= high <= 1")
    return bounds


class Solver(Optimizer):
    """The weak solver that win rates are measured with."""

    model: Directory | None = Field(
        None, description="A model directory; none: the base, fine-tuned as below."
    )
    given: Literal[SOLVERS] | None = Field(
        None, description="Instead of measuring: the solver whose win rates the pool's data sets give."
    )
    source: Name | None = Field(None, description="Source it is fine-tuned on.")
    steps: Steps = Field(100, description="SFT steps.")
    batch_size: Examples = Field(32, description="Examples per step.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate.")
    samples: Samples = Field(4, description="Rollouts per problem, N; the win rate is successes / N.")
    temperature: float = Field(1.0, gt=0, description="Sampling temperature.")
    max_new_tokens: Tokens = Field(8192, description="Longest response.")
    extraction: Extraction = "any"
    parts: Jobs = Field(1, description="Jobs that the measurement is split into.")


Origin = Annotated[
    Annotated[Name, Tag("name")] | Annotated[Names, Tag("list")],
    Discriminator(
        lambda given: {str: "name", list: "list"}.get(type(given)),
        custom_error_type="origin",
        custom_error_message="Give a source of data.sources, or a list of them",
    ),
]


class TrainingSet(Strict):
    """An SFT data set: drawn from the pool, from some sources alone, or the union of other sets."""

    stratum: Literal["easy", "hard", "uniform", "full"] = Field(
        "full",
        description="easy: win rate 1; hard: at most 0.25; uniform: of any known win rate; full: everything.",
    )
    size: Examples | None = Field(None, description="Number of examples; none: all of the stratum.")
    order: Literal["random", "shortest", "longest"] = Field(
        "random",
        description="Which are taken: any, or those with the shortest or the longest responses, in tokens.",
    )
    source: Origin | None = Field(
        None,
        description="The source, or the list of sources, that it is drawn from alone, instead of the pool.",
    )
    union: Names | None = Field(None, description="Instead: all examples of these sets, each once.")

    @model_validator(mode="after")
    def one_origin(self):
        """Refuses what a union cannot have."""
        if self.union and len(self.model_fields_set) > 1:
            raise ValueError("`union` takes the sets as they are; leave out the other keys")
        return self

    @property
    def sources(self) -> list[str]:
        """The sources that it is drawn from; none: the pool."""
        return [self.source] if isinstance(self.source, str) else self.source or []


class Prompts(Strict):
    """The RL prompts; the mix set is those whose problem has an expert trajectory in the pool."""

    sources: Names = Field(description="Sources to draw from.")
    size: PromptCount | None = Field(None, description="Number of prompts; none: all.")
    win_rate: Annotated[tuple[float, float], AfterValidator(shares), Unit("share")] = Field(
        (0.0, 1.0), description="Keep prompts with a win rate in this range, within 0 to 1."
    )
    given: Literal[SOLVERS] | None = Field(
        None, description="Whose win rate, as the sources give it; none: the weak solver's on the pool."
    )
    mix_max_tokens: Tokens = Field(
        8192, description="Longest expert trajectory in the mix set, with its end token."
    )
    mix_max_prompt_tokens: Tokens = Field(
        1024, description="Longest prompt in the mix set, as the chat template renders it."
    )


class Benchmark(Strict):
    """A benchmark slice."""

    source: Name = Field(description="Its source.")
    monitor: Annotated[int, Unit("problems")] = Field(
        ge=0, description="Problems used for monitoring, 0 for none; the others are the test problems."
    )
    samples: Samples | None = Field(
        None, description="Samples per test problem, where not `evaluation.test_samples` (AIME: 16)."
    )
    group: Literal["easy", "medium", "hard"] | None = Field(
        None, description="Difficulty group that it is also reported in."
    )
    out_of_distribution: bool = Field(False, description="Reported apart, in neither `overall` nor `macro`.")


class Decontamination(Strict):
    """Drops benchmark problems that are too near to a training problem."""

    embedder: str = Field(
        "all-MiniLM-L6-v2",
        description="Sentence-transformers model: the packaged one, a directory, or `name@commit` on the hub.",
    )
    threshold: Annotated[float, Unit("cosine")] = Field(
        0.8, gt=0, lt=1, description="Drop above this cosine."
    )
    match_numbers: bool = Field(True, description="Drop only if the sequence of numbers is the same too.")


class Data(Strict):
    """Sources, strata and benchmarks."""

    sources: dict[Name, Source] = Field(description="Where problems come from.")
    pool: Names = Field(description="Sources that training data are drawn from, in order.")
    validation: Examples = Field(200, description="Held-out examples for the validation loss.")
    validation_source: Name | None = Field(
        None, description="The source that they come from; none: the pool."
    )
    overlap: Literal["keep", "exclude"] = Field(
        "keep",
        description="Whether the sets may hold the RL prompts' problems, as RETU's do, or leave them out.",
    )
    solver: Solver | None = Field(
        None, description="Measures win rates, or says who gives them; none: nothing asks for any."
    )
    sets: dict[Name, TrainingSet] = Field(min_length=1, description="SFT data sets.")
    prompts: Prompts
    benchmarks: dict[Name, Benchmark] = Field(min_length=1, description="Evaluation slices.")
    decontamination: Decontamination = Decontamination()

    @property
    def trains_solver(self) -> bool:
        """Whether a rule trains the weak solver."""
        return self.solver is not None and self.solver.model is None and self.solver.given is None


def check_sources(data: Data) -> None:
    """Sources must have the expert trajectories, the win rates and the problems that are asked of them; else ValueError.

    What files hold is known when they are read.
    """
    check_win_rates(data)
    if data.trains_solver and not data.sources[data.solver.source].may_have_solutions:
        raise ValueError(
            f"data.solver.source is {data.solver.source!r}, which has no expert trajectories to train on; "
            "name another source, or set `solutions: true`"
        )
    alone = [
        (f"data.sets.{name}.source", source) for name, one in data.sets.items() for source in one.sources
    ]
    for key, name in [*alone, ("data.validation_source", data.validation_source)]:
        if name and not data.sources[name].may_have_solutions:
            raise ValueError(f"{key} is {name!r}, which has no expert trajectories; name another source")
    pool = [data.sources[name] for name in data.pool]
    if all(isinstance(source, Generated) for source in pool):
        check_sizes(data)
    elif not any(source.may_have_solutions for source in pool):
        raise ValueError(f"data.pool {data.pool} has no expert trajectories; add a source of kind file")
    check_sizes_of_sources(data)
    check_benchmarks(data)


def check_win_rates(data: Data) -> None:
    """Win rates must be given, or measured, where they are asked for; else ValueError."""
    given, prompts = data.solver and data.solver.given, data.prompts
    asked = [f"data.sets.{name}.stratum" for name, one in data.sets.items() if one.stratum != "full"]
    if not prompts.given and prompts.win_rate != (0.0, 1.0):
        asked.append("data.prompts.win_rate")
    if data.solver is None and asked:
        raise ValueError(f"{asked[0]} asks for win rates, but there is no data.solver; add one")
    for name, one in data.sets.items():
        outside = [source for source in one.sources if source not in data.pool]
        if outside and one.stratum != "full":
            raise ValueError(
                f"data.sets.{name} asks for a stratum of the source {outside[0]!r}, but win rates are known of the pool "
                f"alone; add the source to data.pool {data.pool}, or leave out `stratum`"
            )
    if given and not any(gives(data.sources[name], given) for name in data.pool):
        raise ValueError(f"data.solver.given is {given}, but no source of data.pool gives that win rate")
    for name in prompts.sources:
        if prompts.given and not gives(data.sources[name], prompts.given):
            raise ValueError(
                f"data.prompts.given is {prompts.given}, but the source {name} gives no such win rate"
            )
        if not prompts.given and prompts.win_rate != (0.0, 1.0) and name not in data.pool:
            raise ValueError(
                f"data.prompts.sources names {name!r}, which is not in data.pool {data.pool}, and so has no win rate; "
                "add it there, leave out prompts.win_rate, or say whose win rate it gives by prompts.given"
            )


def gives(source: Source, solver: str) -> bool:
    """Whether the source tells the solver's win rate."""
    return isinstance(source, Dataset) and source.gives(solver)


def check_sizes(data: Data) -> None:
    """A pool that is generated must have as many examples as are drawn; else ValueError."""
    size = sum(data.sources[name].size for name in data.pool if data.sources[name].solutions)
    left = size - (0 if data.validation_source else data.validation)
    if left < 1:
        raise ValueError(
            f"data.validation is {data.validation}, but the pool has {size} expert trajectories; lower it"
        )
    for name, chosen in data.sets.items():
        if chosen.size and chosen.size > left and not chosen.sources:
            raise ValueError(
                f"data.sets.{name}.size is {chosen.size}, but the pool has {size} expert trajectories, "
                f"{data.validation} of them held out for validation; lower the size or raise the pool's"
            )
    sources = [data.sources[name] for name in data.prompts.sources]
    if all(isinstance(source, Generated) for source in sources):
        prompts = sum(source.size for source in sources)
        if data.prompts.size and data.prompts.size > prompts:
            raise ValueError(
                f"data.prompts.size is {data.prompts.size}, but its sources have {prompts}; lower it"
            )


def check_sizes_of_sources(data: Data) -> None:
    """Generated sources that a set is drawn from alone must have as many examples as it asks for; else ValueError."""
    for name, chosen in data.sets.items():
        sources = [data.sources[source] for source in chosen.sources]
        if not chosen.size or not all(isinstance(source, Generated) for source in sources) or not sources:
            continue
        if chosen.size > (size := sum(source.size for source in sources)):
            raise ValueError(
                f"data.sets.{name}.size is {chosen.size}, but {chosen.sources} have {size} expert trajectories; "
                "lower the size or raise the sources'"
            )


def check_benchmarks(data: Data) -> None:
    """Each slice must keep test problems, and some slice must be monitored; else ValueError."""
    for name, bench in data.benchmarks.items():
        if name in RESERVED:
            raise ValueError(f"data.benchmarks has {name!r}, which names a score of its own; rename it")
        source = data.sources[bench.source]
        if isinstance(source, Generated) and bench.monitor >= source.size:
            raise ValueError(
                f"data.benchmarks.{name}.monitor is {bench.monitor}, but its source has {source.size} "
                "problems; leave some for the test"
            )
    if not any(bench.monitor for bench in data.benchmarks.values() if not bench.out_of_distribution):
        raise ValueError(
            "data.benchmarks monitors no problem that counts towards the overall score; RL needs one to follow: "
            "raise the `monitor` of a benchmark that is not out_of_distribution"
        )
