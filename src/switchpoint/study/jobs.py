"""What a job is told: one frozen model per stage, built by the study and read by the stage's command.

A job's JSON is all of the configuration that its outputs depend on; with the contents of its inputs
it makes the fingerprint of its resumable state.
"""

import functools
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_serializer

from switchpoint import files
from switchpoint.study.algorithms import Algorithm
from switchpoint.study.config import Dtype, EngineSettings, Optimizer, PretrainingStage
from switchpoint.study.names import RunName, Start
from switchpoint.study.sources import Pretrained, Source
from switchpoint.study.strict import Strict

Samples = dict[str, dict[str, int]]
"""Samples per problem: split (``monitor``, ``test``) to benchmark to number."""


class Template(Strict):
    """A prompt template, and the hash of its text."""

    name: str
    sha256: str


class Sampling(Strict):
    """How responses are sampled; a response's randomness hangs on the seed and its own key."""

    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    by: Literal["torch", "vllm"] = "torch"  # our sampler, or vLLM
    dtype: Dtype = "float32"


class EvaluationSettings(Strict):
    """What a graded sample depends on, and how many there are."""

    sampling: Sampling
    extraction: str
    template: Template
    samples: Samples


class Job(Strict):
    """A stage's job; raising its recipe runs it again."""

    recipe: int

    @functools.cached_property
    def text(self) -> str:
        """It as JSON."""
        return self.model_dump_json()

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The job in a JSON file; InputError names every wrong key."""
        return cls.read(files.read_text(path, "job"), str(path))


class BaseJob(Job):
    """Pretrain the tiny base model."""

    stage: Literal["base"] = "base"
    seed: int
    stages: list[PretrainingStage]


class ConvertJob(Job):
    """Make the base model of a pretrained one."""

    stage: Literal["convert"] = "convert"
    source: Annotated[Pretrained, Field(discriminator="kind")]
    tiny_base: str | None = None  # the digest of the tiny base's files, where the model is made of them

    @model_serializer(mode="wrap")
    def others_do_not_tell_of_it(self, dump) -> dict:
        """Without a digest that is None, so that the jobs of other models are what they were."""
        return {key: value for key, value in dump(self).items() if (key, value) != ("tiny_base", None)}


class IngestJob(Job):
    """Read or generate one source."""

    stage: Literal["ingest"] = "ingest"
    name: str
    seed: int
    source: Source


class CurateJob(Job):
    """Draw rows at random."""

    stage: Literal["curate"] = "curate"
    seed: int


class ValidationJob(CurateJob):
    """Hold examples out of the pool."""

    size: int


class SelectJob(CurateJob):
    """Draw one SFT data set, or unite some."""

    name: str
    stratum: str
    size: int | None
    order: Literal["random", "shortest", "longest"]
    overlap: Literal["keep", "exclude"]


class PromptsJob(CurateJob):
    """Draw the RL prompts."""

    size: int | None
    win_rate: tuple[float, float]
    given: str | None


class MixJob(CurateJob):
    """Pick the mix set out of the RL prompts."""

    max_tokens: int
    max_prompt_tokens: int
    template: Template


class GivenJob(Job):
    """Take the win rates that the pool's sources give."""

    stage: Literal["given"] = "given"
    solver: str


class Slice(Strict):
    """A benchmark slice: its source, and how many of its problems monitor."""

    source: str
    monitor: int


class BenchmarksJob(Job):
    """Gather, decontaminate and split the benchmark slices of one part."""

    stage: Literal["decontaminate"] = "decontaminate"
    benchmarks: dict[str, Slice]
    embedder: str
    threshold: float
    match_numbers: bool


class SftJob(Job):
    """Fine-tune on one data set.  Which steps are saved is no part of it: it changes no weight."""

    stage: Literal["sft"] = "sft"
    set: str
    seed: int
    template: Template
    max_length: int
    optimizer: Optimizer
    steps: int
    batch_size: int
    schedule: Literal["constant", "cosine", "wsd"]
    warmup: float
    decay: float
    loss_norm: Literal["global_token", "microbatch_token"]
    engine: EngineSettings = EngineSettings()

    @property
    def run_name(self) -> str:
        """The run's name."""
        return str(RunName("sft", self.seed, self.set))


class RlJob(Job):
    """Train one RL run; its monitoring is an evaluation in the loop, with that stage's recipe.

    How often its state is saved, which benchmarks count towards `overall` and how far trainer and sampler may differ
    change nothing that it learns.
    """

    stage: Literal["rl"] = "rl"
    algorithm: str
    start: str
    seed: int
    numbers: Algorithm
    optimizer: Optimizer
    steps: int
    batch_size: int
    max_rounds: int
    on_unfilled: Literal["train_partial", "skip", "fail"]
    carry_over: bool
    rollouts: int
    importance_cap: float | None
    mask_truncated: bool
    sampling: Sampling
    template: Template
    eval_every: int
    evaluation: EvaluationSettings
    evaluation_recipe: int
    engine: EngineSettings = EngineSettings()

    @property
    def run_name(self) -> str:
        """The run's name."""
        start = Start.parse(self.start)
        return str(RunName("rl", self.seed, start.set, self.algorithm, start))


class EvaluateJob(Job):
    """Evaluate the models of a group: the base, an SFT data set's checkpoints, or an RL arm's last models."""

    stage: Literal["evaluate", "win_rates"] = "evaluate"
    group: str
    settings: EvaluationSettings


class CollectJob(Job):
    """Gather the points, losses and results of all runs, which are in these directories."""

    stage: Literal["analyze"] = "analyze"
    evaluations: list[str]
    sft_runs: list[str]
    rl_runs: list[str]
    out_of_distribution: list[str]
    groups: dict[str, str]
    pass_at: list[int]


class BrowseJob(Job):
    """Write the browser of the test samples of these evaluations (directories), on the problems of these tables."""

    stage: Literal["browse"] = "browse"
    study: str
    evaluations: list[str]
    benchmarks: list[str]


class ReportJob(Job):
    """Write the report; the hyperparameters are those that it prints (RETU Table 2)."""

    stage: Literal["report"] = "report"
    study: str
    hyperparameters: dict[str, dict]
