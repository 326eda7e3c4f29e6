"""Where problems and base models come from: generated, a file, an installed package, the hub.

What is not generated is named by a lock: a small committed file (name, revision, sha256), which is the workflow's input.
"""

import os
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from switchpoint.study.quantities import Problems, Rows, Share, Tokens, Unit
from switchpoint.study.strict import Strict


def within(most: int) -> AfterValidator:
    """Refuses what is no range within 1 to ``most``."""

    def ordered(steps: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= steps[0] <= steps[1] <= most:
            raise ValueError(f"{list(steps)}: give two whole numbers with 1 <= low <= high <= {most}")
        return steps

    return AfterValidator(ordered)


StepRange = Annotated[
    tuple[int, int],
    within(12),
    Unit("steps"),
    Field(description="Inclusive range of the number of steps per problem, within 1 to 12."),
]
# "./models/a/" is "models/a": however a directory is written, what was made with it stands.
Directory = Annotated[str, AfterValidator(os.path.normpath)]
# The benchmarks whose usual file schemas can be read.
BENCHMARK_SCHEMAS = (
    "gsm8k", "math500", "olympiadbench", "minerva", "aime24", "aime25", "aime_1983_2024", "amc", "records",
)  # fmt: skip


class StepLists(Strict):
    """A generated source: step-list arithmetic."""

    kind: Literal["step_lists"]
    size: Problems = Field(description="Number of problems.")
    n_steps: StepRange
    tiers: list[Literal[1, 2, 3]] = Field(min_length=1, description="Difficulty tiers to draw from.")
    solutions: bool = Field(True, description="Keep the expert trajectories.")
    lock: str = Field("config/sources/step_lists.lock", description="The lock file that names the source.")

    @property
    def may_have_solutions(self) -> bool:
        """Whether the rows have expert trajectories."""
        return self.solutions


class WordProblems(Strict):
    """A generated source: short arithmetic word problems in English."""

    kind: Literal["word_problems"]
    size: Annotated[int, Unit("problems")] = Field(
        ge=1, le=100_000, description="Number of problems, no two alike."
    )
    operations: Annotated[tuple[int, int], within(3), Unit("operations")] = Field(
        (1, 3), description="Inclusive range of the number of operations per problem, within 1 to 3."
    )
    solutions: bool = Field(True, description="Keep the expert trajectories.")
    lock: str = Field("config/sources/word_problems.lock", description="The lock file that names the source.")

    @property
    def may_have_solutions(self) -> bool:
        """Whether the rows have expert trajectories."""
        return self.solutions


class File(Strict):
    """A local jsonl or parquet file of records (`problem`, `answer`, optional `id`, `solution`; no others are kept)."""

    kind: Literal["file"]
    path: str = Field(description="The raw file.")
    lock: str = Field(description="Its lock file, written by `switchpoint lock PATH`.")
    may_have_solutions: ClassVar[bool] = True


Toy = Annotated[
    Rows | None,
    Field(description="So many generated rows instead, in the same schema, as `scale: tiny` has them."),
]


class BenchmarkFile(Strict):
    """A benchmark in its usual file schema: a local file, or a data set on the hub."""

    kind: Literal["benchmark"]
    benchmark: Literal[BENCHMARK_SCHEMAS] = Field(description="Whose schema the rows have.")
    path: str = Field(description="A .jsonl, .json or .parquet file, or a data set's name on the hub.")
    split: str = Field("test", description="The data set's split.")
    lock: str = Field(description="Its lock file: the file's sha256, or the data set's revision.")
    toy: Toy = None
    may_have_solutions: ClassVar[bool] = False


# What the real data sets tell of their rows: what can be filtered on, and of which solvers they give win rates.
FILTERS = ("domains", "teachers", "origins", "verified")
DATASETS: dict[str, tuple[str, ...]] = {
    "am_1_4m": ("teachers", "origins", "solutions"),
    "am_40m": ("domains", "teachers", "origins", "verified", "solutions", "1_5b", "7b", "671b"),
    "skywork_or1": ("domains", "origins", "1_5b", "7b", "32b"),
    "s1k_1_1": ("domains", "origins", "verified", "solutions"),
    "retu_sft": ("origins", "solutions"),
    "retu_rl": ("domains", "origins"),
    "retu_mix": ("origins", "solutions"),
    "llama_nemotron": ("domains", "teachers", "solutions"),
    "acereason": ("domains", "origins", "solutions"),
    "openr1_math": ("domains", "origins", "solutions"),
    "math_train": ("domains", "solutions"),
    "deepscaler": (),
    "records": ("solutions",),
}
SOLVERS = ("1_5b", "7b", "32b", "671b")
Texts = Annotated[list[str], Field(min_length=1)]


class Keep(Strict):
    """Which rows of a data set are wanted; what a schema does not tell cannot be asked."""

    domains: Texts | None = Field(
        None, description="Of these domains (categories, abilities, problem types)."
    )
    teachers: Texts | None = Field(None, description="With an expert trajectory of these models.")
    origins: Texts | None = Field(None, description="That the data set took from these data sets.")
    verified: bool = Field(False, description="Only where the expert's answer was found right.")
    chinese: bool = Field(True, description="Rows whose problem has Chinese characters, too.")
    max_prompt_tokens: Tokens | None = Field(
        None, description="Longest problem, in tokens of the base model."
    )
    max_response_tokens: Tokens | None = Field(None, description="Longest expert trajectory, in tokens.")

    @property
    def counts_tokens(self) -> bool:
        """Whether a tokenizer is needed."""
        return self.max_prompt_tokens is not None or self.max_response_tokens is not None


class Dataset(Strict):
    """A real data set in its own schema: files, or a data set on the hub."""

    kind: Literal["dataset"]
    dataset: Literal[tuple(DATASETS)] = Field(description="Whose schema the rows have.")
    path: Texts | None = Field(
        None, description="Its files (.jsonl, .jsonl.zst, .jsonl.gz, .parquet) or patterns, in order."
    )
    hub: str | None = Field(None, description="Instead: its name on the hub.")
    subset: str | None = Field(None, description="The configuration of the data set on the hub.")
    split: str = Field("train", description="Its split.")
    lock: str = Field(
        description="Its lock: the files' hash (`switchpoint lock FILE...`), or the hub's revision."
    )
    keep: Keep = Keep()
    max_rejects: Share = Field(
        0.001, ge=0, lt=1, description="Largest share of broken rows; they are left out, counted and listed."
    )
    toy: Toy = None

    @model_validator(mode="after")
    def can_be_asked(self):
        """Refuses no place and two, and filters on what the schema does not tell."""
        if (self.path is None) == (self.hub is None):
            raise ValueError("give `path` or `hub`, one of them")
        for name in FILTERS:
            if getattr(self.keep, name) and name not in DATASETS[self.dataset]:
                known = [other for other in FILTERS if other in DATASETS[self.dataset]]
                raise ValueError(f"keep.{name}: {self.dataset} does not tell it; it has {known}")
        return self

    @property
    def may_have_solutions(self) -> bool:
        """Whether the rows have expert trajectories."""
        return "solutions" in DATASETS[self.dataset]

    def gives(self, solver: str) -> bool:
        """Whether the rows tell a solver's win rate."""
        return solver in DATASETS[self.dataset]


Source = Annotated[StepLists | WordProblems | File | BenchmarkFile | Dataset, Field(discriminator="kind")]
Generated = StepLists | WordProblems


class PretrainedModel(Strict):
    """What base models from elsewhere have in common."""

    chat_template: str | None = Field(
        None, description="A Jinja file: the chat template of a model that has none, or instead of its own."
    )
    architecture: str | None = Field(
        None,
        pattern=r"^\w+$",
        description="Its `model_type` in transformers, of which `scale: tiny` makes a tiny model.",
    )
    toy: bool = Field(False, description="Such a tiny model instead of it.")

    @model_validator(mode="after")
    def toys_are_of_a_kind(self):
        """Refuses a tiny model of no architecture."""
        if self.toy and self.architecture is None:
            raise ValueError(
                "a tiny model needs its `architecture`; give the model_type of its config.json (llama, qwen2)"
            )
        return self


class Gguf(PretrainedModel):
    """A base model in a GGUF file: `file` of an installed `package`, or the file at `path`."""

    kind: Literal["gguf"]
    package: str | None = Field(
        None, pattern=r"^[A-Za-z_]\w*$", description="The installed Python package that holds the file."
    )
    file: str | None = Field(None, description="The file's path in the package.")
    path: str | None = Field(None, description="Instead of both: the file.")
    lock: str = Field(description="The file's lock, written by `switchpoint lock FILE`.")

    @model_validator(mode="after")
    def one_place(self):
        """Refuses no place, half a place, and two."""
        if ((self.package is None) != (self.file is None)) or ((self.package is None) == (self.path is None)):
            raise ValueError("give `package` and `file`, or `path` alone")
        return self


class Hub(PretrainedModel):
    """A base model on the Hugging Face hub, at one commit."""

    kind: Literal["hub"]
    name: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="Its name, `organisation/model`.")
    revision: str = Field(
        pattern="^[0-9a-f]{40}$", description="The commit, which never changes as a branch does."
    )
    lock: str = Field(
        description="Its lock, written by `switchpoint lock NAME --revision REVISION`, or of the downloaded directory."
    )


class TinyBase(Strict):
    """The tiny base model that comes with the package, as `pretrain` makes it where nothing is given."""

    kind: Literal["tiny"]
    lock: ClassVar[None] = None
    chat_template: ClassVar[None] = None
    toy: ClassVar[bool] = False


def form_of(base) -> str:
    """How a base is given: as a directory, or as a section of some kind."""
    if isinstance(base, str):
        return "directory"
    return str(base.get("kind") if isinstance(base, dict) else getattr(base, "kind", None))


Pretrained = Gguf | Hub | TinyBase
Base = Annotated[
    Annotated[Directory, Tag("directory")]
    | Annotated[TinyBase, Tag("tiny")]
    | Annotated[Gguf, Tag("gguf")]
    | Annotated[Hub, Tag("hub")],
    Discriminator(
        form_of,
        custom_error_type="base",
        custom_error_message="Give a model directory, or a section of kind tiny, gguf or hub",
    ),
]
