"""The study's configuration: its one definition, from which the JSON schema and the reference are generated."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from switchpoint.errors import InputError
from switchpoint.flops import PEAKS
from switchpoint.study import paths
from switchpoint.study.algorithms import ALGORITHMS, PRESETS, Betas
from switchpoint.study.curation import Data, check_sources
from switchpoint.study.names import Start
from switchpoint.study.quantities import (
    Count,
    Examples,
    Jobs,
    PromptCount,
    Responses,
    Samples,
    Share,
    Steps,
    Tokens,
    Unit,
)
from switchpoint.study.resources import Resources
from switchpoint.study.scale import tiny
from switchpoint.study.sources import Base, Pretrained, StepRange
from switchpoint.study.strict import Strict
from switchpoint.study.templates import TEMPLATES
from switchpoint.study.values import Extraction, Name, Optimizer, SavedSteps, Seed, Seeds, distinct

MAX_RUNS = 20_000  # evaluations, in all their parts: more than Snakemake plans in a reasonable time


def grouped(rollouts: int) -> int:
    """The responses per prompt; refuses a group of one, whose advantage is 0 whatever its reward."""
    if rollouts < 2:
        raise ValueError(f"{rollouts}: one response has advantage 0, and teaches nothing; give 2 or more")
    return rollouts


Dtype = Annotated[Literal["float32", "bfloat16"], Field(description="What matrix products are computed in.")]


class EngineSettings(Strict):
    """What trains a model, and in which numbers."""

    by: Literal["torch", "deepspeed"] = "torch"
    zero_stage: Literal[1, 2, 3] = 2
    dtype: Dtype = "float32"


class PretrainingStage(Strict):
    """One stage of the tiny base model's pretraining."""

    steps: Steps = Field(description="Optimizer steps.")
    batch_size: Annotated[Count, Unit("documents")] = Field(64, description="Documents per step.")
    learning_rate: float = Field(gt=0, description="Peak learning rate (cosine to 0).")
    facts_share: Share = Field(ge=0, le=1, description="Share of documents that list arithmetic facts.")
    n_steps: StepRange = (2, 6)


class Model(Strict):
    """The base model."""

    base: Base | None = Field(
        None,
        description="A Hugging Face model directory, or where `convert_base` gets one: the tiny base model that comes with "
        "the package (`kind: tiny`), a GGUF file (`kind: gguf`) or the hub (`kind: hub`); none: `pretrain` makes one.",
    )
    pretrain: list[PretrainingStage] = Field(
        default=[
            PretrainingStage(steps=1000, learning_rate=4e-3, facts_share=0.55),
            PretrainingStage(steps=1000, learning_rate=3e-3, facts_share=0.05),
        ],
        description="How the rule `make_base` makes the tiny base model.",
    )
    template: Literal[tuple(TEMPLATES)] = Field("retu", description="How a problem becomes a prompt.")
    max_length: Annotated[int, Unit("tokens")] = Field(
        256, ge=8, le=10_000_000, description="Longest training sequence, in tokens."
    )
    rollouts: Literal["torch", "vllm"] = Field(
        "torch",
        description="What samples, in RL and in evaluations: our own sampler, whose every token repeats, or vLLM.",
    )
    engine: Literal["torch", "deepspeed"] = Field(
        "torch", description="What trains: plain torch, or DeepSpeed, which shards over the processes."
    )
    zero_stage: Literal[1, 2, 3] = Field(
        2,
        description="DeepSpeed shards the optimizer's states, from 2 on the gradients, at 3 the parameters, too; "
        "at 3 the gradient norms of LUFFY's, SRFT's and UPT's terms are not logged.",
    )
    dtype: Dtype = "float32"

    @property
    def engine_settings(self) -> EngineSettings:
        """What trains, as a job is told."""
        return EngineSettings(by=self.engine, zero_stage=self.zero_stage, dtype=self.dtype)

    @property
    def converted(self) -> Pretrained | None:
        """The pretrained model that a rule makes the base of, where no directory is given and none is pretrained."""
        return self.base if isinstance(self.base, Pretrained) else None


class Sft(Optimizer):
    """SFT on one data set."""

    steps: Steps = Field(description="Optimizer steps.")
    save_steps: SavedSteps = Field(min_length=1, description="Checkpoints: saved, evaluated, open to RL.")
    batch_size: Examples = Field(description="Examples per step.")
    schedule: Literal["constant", "cosine", "wsd"] = Field(
        "cosine",
        description="Learning-rate schedule after the warm-up; cosine: to 0 over the whole run; "
        "wsd: stable, then linearly to 0 over `decay`.",
    )
    decay: Share = Field(0.2, gt=0, le=1, description="Share of the steps that wsd spends on its decay.")
    loss_norm: Literal["global_token", "microbatch_token"] = Field(
        "global_token",
        description="The mean over all response tokens of a step, or the mean of its micro-batches' means, "
        "as the official code has it.",
    )
    warmup: Share = Field(0.0, ge=0, lt=1, description="Share of the steps spent warming up.")
    seeds: Seeds = Field([0], description="One run per seed.")
    save_every: Steps = Field(
        50, description="Steps between two resumable states; each checkpoint has one, too."
    )
    segments: Annotated[Count, Unit("jobs")] = Field(
        1,
        description="Jobs that a run is divided into, between checkpoints, so that RL from the early ones need not wait "
        "for its end; what is made stays.",
    )

    @model_validator(mode="after")
    def steps_fit(self):
        """Refuses saved steps that the run does not reach, a schedule longer than the run, and empty segments."""
        if self.schedule == "wsd" and self.warmup + self.decay > 1:
            raise ValueError(
                f"warmup {self.warmup} and decay {self.decay} are more than the whole run; lower one"
            )
        for step in self.save_steps:
            if not 1 <= step <= self.steps:
                raise ValueError(
                    f"save_steps has {step}, but the run has {self.steps} steps; "
                    f"list steps from 1 to {self.steps}, or raise `steps`"
                )
        if self.segments > len(self.save_steps):
            raise ValueError(
                f"segments is {self.segments}, but a segment ends at a checkpoint and save_steps has "
                f"{len(self.save_steps)}; lower it"
            )
        return self


class RlDefaults(Optimizer):
    """What all RL runs share; the algorithm's own numbers are its preset."""

    preset: Literal[PRESETS] = Field(
        "recommended", description="Which convention fills the algorithm's numbers."
    )
    steps: Steps = Field(description="Optimizer steps.")
    batch_size: PromptCount = Field(description="Prompts trained on per step, B_train.")
    generation_batch: PromptCount | None = Field(
        None, description="Prompts per dynamic-sampling round, B_gen; none: the algorithm's."
    )
    max_rounds: Annotated[Count, Unit("rounds")] = Field(
        10, description="Rounds before a step is trained on what it has."
    )
    on_unfilled: Literal["train_partial", "skip", "fail"] = Field(
        "train_partial", description="What to do when the rounds do not fill the batch."
    )
    carry_over: bool = Field(
        False,
        description="Dynamic sampling: groups of mixed outcome beyond the batch are the first of the next step's, "
        "and are not dropped.",
    )
    rollouts: Annotated[Responses, AfterValidator(grouped)] = Field(
        8, description="Responses per prompt, G; 2 or more, an expert's included."
    )
    importance_cap: float | None = Field(
        None,
        ge=1,
        description="Weigh the loss of each sampled token by the trainer's probability of it over the sampler's, at most "
        "this (truncated importance sampling); none: not at all.",
    )
    max_logprob_gap: Annotated[float, Unit("nats")] | None = Field(
        None,
        gt=0,
        description="Largest mean absolute difference between the log-probabilities of trainer and sampler in a step. "
        "It holds the nucleus, too, where vLLM samples with `top_p` below 1, and for groups carried over what the policy "
        "has learned since. None: it is logged alone.",
    )
    on_logprob_gap: Literal["warn", "fail"] = Field(
        "warn",
        description="What to do above it: say so and count the step, or end the job with an error; its state stays.",
    )
    mask_truncated: bool = Field(
        False,
        description="Leave responses that the length limit cut out of the loss; their rewards stay in their groups.",
    )
    updates_per_step: Annotated[Count, Unit("updates")] | None = Field(
        None, description="Optimizer updates per step; none: the algorithm's."
    )
    betas: Betas | None = Field(None, description="AdamW's decay rates; none: the algorithm's.")
    gate: Share | None = Field(
        None,
        ge=0,
        le=1,
        description="UPT: groups of at most this mean reward are replaced by the expert's trajectory; "
        "none: the algorithm's (the papers take 0, and 0.25 for Llama).",
    )
    max_new_tokens: Tokens = Field(description="Longest response.")
    eval_every: Steps = Field(description="Steps between two monitoring evaluations.")
    save_every: Steps = Field(10, description="Steps between two resumable states.")

    @model_validator(mode="after")
    def gap_can_fail(self):
        """Refuses an action on a gap without a limit, which could never be taken."""
        if self.on_logprob_gap == "fail" and self.max_logprob_gap is None:
            raise ValueError("on_logprob_gap is fail, but there is no max_logprob_gap; give one")
        return self


class Arm(Strict):
    """RL runs of one algorithm: every start with every seed."""

    algorithm: Literal[tuple(ALGORITHMS)] = Field(description="The RL algorithm.")
    starts: list[str] = Field(
        min_length=1, description="`base`, `<set>-<step>`, `<set>-min_val_loss`, or `all` saved checkpoints."
    )
    seeds: Seeds = Field([0], description="The RL seed s starts from the SFT run of seed s.")
    prompts: Literal["all", "mix"] | None = Field(
        None,
        description="All RL prompts, or those of the mix set, which have an expert trajectory; none: the mix set for the "
        "algorithms that train on these, else all.",
    )
    learning_rate: float | None = Field(
        None, gt=0, description="Peak learning rate of these runs; none: that of `rl`."
    )


# What each paper evaluates with: RETU section 5.1, and Quagmires section 4 (its pass@1 is the mean of 64
# samples; ours is the mean of all 256 that pass@64 needs anyway).
PROFILES = {
    "retu": {"temperature": 0.7, "top_p": 1.0, "max_new_tokens": 8192, "test_samples": 1, "pass_at": []},
    "quagmires": {
        "temperature": 1.0,
        "top_p": 1.0,
        "max_new_tokens": 8192,
        "test_samples": 256,
        "pass_at": [1, 2, 4, 8, 16, 32, 64],
    },
}


class Evaluation(Strict):
    """How checkpoints are evaluated; what is not given is the profile's."""

    profile: Literal[tuple(PROFILES)] = Field(
        "retu", description="Whose evaluation: it fills the keys not given."
    )
    temperature: float | None = Field(None, gt=0, description="Sampling temperature.")
    top_p: Share | None = Field(
        None, gt=0, le=1, description="Nucleus: the share of probability sampled from."
    )
    max_new_tokens: Tokens | None = Field(None, description="Longest response.")
    monitor_samples: Samples = Field(1, description="Samples per monitoring problem.")
    test_samples: Samples | None = Field(None, description="Samples per test problem, n.")
    pass_at: Annotated[list[Samples], AfterValidator(distinct)] | None = Field(
        None, description="The k of the pass@k that are reported; at most n."
    )
    extraction: Extraction = "any"
    seed: Seed = Field(0, description="Seed of the evaluation's randomness.")
    parts: Jobs = Field(1, description="Jobs that each evaluation is split into.")

    def resolved(self) -> dict:
        """Every key's value, the profile's where none is given."""
        return PROFILES[self.profile] | self.model_dump(exclude_none=True)

    @model_validator(mode="after")
    def pass_at_fits(self):
        """Refuses pass@k of more samples than there are."""
        values = self.resolved()
        if values["pass_at"] and max(values["pass_at"]) > values["test_samples"]:
            raise ValueError(
                f"pass_at is {values['pass_at']}, but there are {values['test_samples']} samples of a problem; "
                "pass@k needs k <= test_samples"
            )
        return self


class Expected(Strict):
    """What `switchpoint plan` reckons with until the study has measured it."""

    device: Literal[tuple(PEAKS)] | None = Field(
        None, description="The GPU, by the name it gives itself; none: no GPU-hours."
    )
    mfu: Share = Field(
        0.3, gt=0, le=1, description="Share of its bf16 FLOP/s that training and sampling reach."
    )
    tokens: dict[Name, Annotated[float, Field(gt=0, le=1e9), Unit("tokens")]] = Field(
        {},
        description="Mean tokens of a sequence, prompt and response, of each SFT set, of RL's rollouts (`rl`; evaluations' are taken to be as long) and of the "
        "expert trajectories (`experts`; none: as `rl`).",
    )
    rounds: Annotated[float, Unit("rounds")] = Field(
        2, ge=1, le=1000, description="Rounds of dynamic sampling per step, K."
    )


class Study(Strict):
    """One study."""

    study: Name = Field(description="Its name; results go to `results/<study>`.")
    scale: Literal["full", "tiny"] = Field(
        "full",
        description="tiny: all of the study's jobs in miniature, to try them: tiny models of the same architectures, generated "
        "rows, a step for each checkpoint; results go to `results/<study>_tiny`.",
    )
    seed: Seed = Field(0, description="Seed of data generation and selection.")
    model: Model
    data: Data
    sft: dict[Name, Sft] = Field(min_length=1, description="SFT runs, by data set.")
    rl: RlDefaults
    arms: list[Arm] = Field(description="Which RL runs there are.")
    evaluation: Evaluation
    plan: Expected = Field(Expected(), description="What `switchpoint plan` reckons with.")
    resources: Resources = Field(Resources(), description="What the jobs of each stage need.")
    tensorboard: bool = Field(
        False, description="Show the steps of SFT and RL in `results/<study>/logs/tensorboard`, too."
    )

    @model_validator(mode="after")
    def consistent(self):
        """Refuses too many runs, names that one part uses and no other has, and sources that lack what is asked."""
        check_number(self)
        check_references(self)
        check_sources(self.data)
        return self

    def starts_of(self, arm: Arm) -> list[str]:
        """The arm's starts, with `all` expanded to every saved checkpoint."""
        saved = [f"{name}-{step}" for name, run in self.sft.items() for step in run.save_steps]
        return [start for given in arm.starts for start in (saved if given == "all" else [given])]


def check_number(study: Study) -> None:
    """No more evaluations than ``MAX_RUNS``; else ValueError."""
    saved = sum(len(run.save_steps) for run in study.sft.values())
    sft = sum(len(run.save_steps) * len(run.seeds) for run in study.sft.values())
    rl = sum(saved if start == "all" else 1 for arm in study.arms for start in arm.starts for _ in arm.seeds)
    models = 1 + sft + rl
    if models * study.evaluation.parts > MAX_RUNS:
        raise ValueError(
            f"{models} models are evaluated in {study.evaluation.parts} parts each; the product may be {MAX_RUNS}: "
            "list fewer steps, starts or seeds, or lower evaluation.parts"
        )


def check_references(study: Study) -> None:
    """Every name that one part of the study uses must exist in another; else ValueError."""
    data = study.data
    users = {"data.pool": data.pool, "data.prompts.sources": data.prompts.sources}
    users["data.benchmarks"] = [bench.source for bench in data.benchmarks.values()]
    users |= {f"data.sets.{name}.source": one.sources for name, one in data.sets.items()}
    if data.validation_source:
        users["data.validation_source"] = [data.validation_source]
    if data.trains_solver:
        users["data.solver.source"] = [data.solver.source]
    for key, names in users.items():
        for name in names:
            if name not in data.sources:
                raise ValueError(
                    f"{key} names the source {name!r}; data.sources has {sorted(data.sources)}: name one of these, "
                    "or add it there"
                )
    for name, one in data.sets.items():
        for other in one.union or []:
            if other not in data.sets or data.sets[other].union:
                raise ValueError(
                    f"data.sets.{name}.union names {other!r}, which is no set, or a union itself"
                )
    for name in study.sft:
        if name not in data.sets:
            raise ValueError(f"sft names the set {name!r}; data.sets has {sorted(data.sets)}")
    check_arms(study)


def check_arms(study: Study) -> None:
    """Starts must be there, and runs that one name stands for, an algorithm from a start, must be alike; else ValueError."""
    known: dict[tuple[str, str], Arm] = {}
    for arm in study.arms:
        for start in study.starts_of(arm):
            for seed in arm.seeds:
                check_start(study, start, seed)
            other = known.setdefault((arm.algorithm, start), arm)
            runs = f"arms: {arm.algorithm} from {start} is there with different"
            if other.prompts != arm.prompts:
                raise ValueError(f"{runs} prompts; give both the same")
            rates = [one.learning_rate or study.rl.learning_rate for one in (other, arm)]
            if rates[0] != rates[1]:
                raise ValueError(
                    f"{runs} learning rates, {rates[0]:g} and {rates[1]:g}, but such runs have one name; give both the same, "
                    "or put one into a study of another name"
                )


def check_start(study: Study, text: str, seed: int) -> None:
    """An RL start must be `base` or a checkpoint that some SFT run saves; else ValueError."""
    start = Start.parse(text)
    if start.set is None:
        return
    if start.set not in study.sft:
        raise ValueError(f"arms: start {text!r} names no SFT run; sft has {sorted(study.sft)}")
    run = study.sft[start.set]
    if start.step is not None and start.step not in run.save_steps:
        raise ValueError(
            f"arms: start {text!r} is not saved; sft.{start.set}.save_steps is {run.save_steps}: add it there"
        )
    if seed not in run.seeds:
        raise ValueError(
            f"arms: start {text!r} with seed {seed} needs the SFT run of seed {seed}; "
            f"sft.{start.set}.seeds is {run.seeds}: add it there"
        )


def parse(config: dict) -> Study:
    """A validated study; InputError names every wrong key, its value and the fix."""
    try:
        text = json.dumps(config)
    except (TypeError, ValueError, RecursionError) as error:  # a date or the like, from the command line
        raise InputError(f"the study's configuration: {error}; write text in quotes") from None
    study = Study.read(text, "the study's configuration")
    if study.scale == "full":
        return study
    return Study.read(
        json.dumps(tiny(study.model_dump(mode="json", exclude_unset=True))),
        "the study's configuration at scale: tiny",
    )


def check_files(study: Study) -> None:
    """Checks that the lock files and the given models are there; reads no raw data.  InputError before any job."""
    models = {
        "model.base": study.model.base,
        "data.solver.model": study.data.solver and study.data.solver.model,
    }
    for key, directory in models.items():
        if isinstance(directory, str):
            check_model(study, key, directory)
    locks = {f"data.sources.{name}.lock": source.lock for name, source in study.data.sources.items()}
    if study.model.converted and study.model.converted.lock:
        locks["model.base.lock"] = study.model.converted.lock
        check_template(study.model.converted.chat_template)
    for key, lock in locks.items():
        check_braces(key, lock)
        if not Path(lock).is_file():
            raise InputError(
                f"{key} is {lock!r}, which is no file; write it with `python -m switchpoint lock PATH`"
            )


def check_model(study: Study, key: str, directory: str) -> None:
    """InputError unless it is a model directory, and no result of the study."""
    check_braces(key, directory)
    if not Path(directory, "config.json").is_file():
        raise InputError(f"{key} is {directory!r}, which holds no config.json; give a model directory")
    results = Path(paths.ROOT.format(study=study.study)).resolve()
    if Path(directory).resolve().is_relative_to(results):  # whose rule would delete it, to make it again
        raise InputError(
            f"{key} is {directory!r}, a result of this very study; copy it elsewhere, or name another study"
        )


def check_template(path: str | None) -> None:
    """InputError unless the base's chat template, if one is given, is a file."""
    if path is not None:
        check_braces("model.base.chat_template", path)
        if not Path(path).is_file():
            raise InputError(f"model.base.chat_template is {path!r}, which is no file; give a Jinja file")


def check_braces(key: str, path: str) -> None:
    """InputError for a path that Snakemake would take for a pattern."""
    if "{" in path or "}" in path:
        raise InputError(f"{key} is {path!r}, whose braces Snakemake takes for a pattern; rename it")


def load(path: str | Path, scale: str | None = None) -> Study:
    """The study of a YAML file, at another scale than it says if one is given; InputError when it cannot be read or is wrong."""
    from switchpoint.study.yaml_file import read_yaml  # which needs a package that the analysis does without

    return parse(read_yaml(path) | ({"scale": scale} if scale else {}))
