"""What a study expands to: its runs, the job of every stage, and the inputs of every rule.

The Snakefile only asks, and the commands that plan ask the same, so both always agree.  It computes from the
configuration alone and reads nothing but which files a given model directory holds, and the tiny base model.
"""

import functools
import itertools
from pathlib import Path

from switchpoint import files
from switchpoint.study import jobs, paths
from switchpoint.study.algorithms import Algorithm, numbers_of
from switchpoint.study.config import Arm, Optimizer, Sft, Study
from switchpoint.study.names import RunName, Start
from switchpoint.study.resources import Needs
from switchpoint.study.sources import Dataset, TinyBase
from switchpoint.study.templates import template_hash

# Raise a stage's number when its results change: its jobs, and all below, run again.
RECIPES = {
    "base": 1,
    "convert": 1,
    "ingest": 2,
    "curate": 2,
    "win_rates": 4,
    "decontaminate": 3,
    "sft": 4,
    "rl": 4,
    "evaluate": 4,
    "analyze": 5,
    "browse": 1,
    "report": 2,
}
# The rules of the analysis, whose every output is a result.
ANALYSES = (
    "collect", "label_phases", "fit_ceilings", "measure_outcomes", "predict_models", "advise", "browse_samples",
    "write_report",
)  # fmt: skip
DATA_CPUS = 16  # of a job that reads or writes whole data sets of real data


class Expansion:
    """One study's runs, jobs and paths."""

    def __init__(self, study: Study):
        self.study = study

    # Paths.

    def path(self, template: str, **fields) -> str:
        """A path template under ``results/<study>``, filled in (Snakemake wildcards may stay)."""
        root = paths.ROOT.format(study=self.study.study)
        return f"{root}/{template.format(**fields)}" if fields else f"{root}/{template}"

    @property
    def base(self) -> str:
        """Directory of the base model."""
        given = self.study.model.base
        return given if isinstance(given, str) else self.path(paths.BASE)

    @property
    def solver(self) -> str:
        """Directory of the weak solver's model."""
        solver = self.study.data.solver
        return solver.model or self.path(f"{paths.SOLVER}/step_{solver.steps}")

    def checkpoints(self, set: str, seed: int | str) -> list[str]:
        """Directories of an SFT run's checkpoints."""
        steps = self.study.sft[set].save_steps
        return [self.path(paths.CHECKPOINT, set=set, seed=seed, step=step) for step in steps]

    def model_inputs(self, directory: str) -> list[str]:
        """The files of a model directory that depend on nothing or on its rule, as inputs of what uses the model.

        Of a directory of the user's every file of the model is one.
        """
        solver = self.study.data.solver
        given = directory in (self.study.model.base, solver and solver.model)
        return paths.given_model(directory) if given else paths.made_model(directory)

    def benchmarks(self, *parts: str) -> list[str]:
        """The tables of benchmark problems: of these parts, else of all."""
        return [self.path(paths.BENCHMARKS, part=part) for part in parts or self.benchmark_parts]

    @functools.cached_property
    def benchmark_parts(self) -> dict[str, list[str]]:
        """The benchmarks that RL monitors, and those that are only tested, which must not touch RL."""
        parts: dict[str, list[str]] = {"monitored": [], "test_only": []}
        for name, bench in self.study.data.benchmarks.items():
            parts["monitored" if bench.monitor else "test_only"].append(name)
        return {part: names for part, names in parts.items() if names}

    def benchmark_sources(self, part: str) -> list[str]:
        """The tables that a part's problems come from, each once."""
        names = [self.study.data.benchmarks[name].source for name in self.benchmark_parts[part]]
        return [self.path(paths.SOURCE, source=name) for name in dict.fromkeys(names)]

    def source(self, name: str | None) -> str:
        """The table of a source; without a name, the pool."""
        return self.path(paths.SOURCE, source=name) if name else self.path(paths.POOL)

    def origin(self, name: str) -> list[str]:
        """The tables that an SFT set is drawn from: its sources, or the pool."""
        return [self.source(source) for source in self.study.data.sets[name].sources or [None]]

    def set_inputs(self, name: str) -> dict[str, list[str]]:
        """What an SFT set is drawn from, by the option of the command that takes it."""
        data = self.study.data
        chosen = data.sets[name]
        if chosen.union:
            return {"union": [self.path(paths.SET, set=other) for other in chosen.union]}
        drawn = {"pool": self.origin(name), "validation": [self.path(paths.VALIDATION)]}
        if chosen.stratum != "full":
            drawn["win-rates"] = [self.path(paths.WIN_RATES)]
            if chosen.sources:
                drawn["rated"] = [self.path(paths.POOL)]
        if data.overlap == "exclude":
            drawn["prompts"] = [self.path(paths.PROMPTS)]
        if chosen.order != "random":
            drawn["lengths"] = [self.path(paths.LENGTHS)]
        return drawn

    @property
    def measured_lengths(self) -> list[str]:
        """The tables whose tokens are counted: those that a set takes the shortest or the longest of."""
        ordered = [name for name, one in self.study.data.sets.items() if one.order != "random"]
        return list(dict.fromkeys(itertools.chain(*map(self.origin, ordered))))

    @property
    def strata(self) -> list[str]:
        """The pool's stratum of each set; one of sources alone is none of the pool's."""
        return ["full" if one.sources else one.stratum for one in self.study.data.sets.values()]

    @property
    def training_tables(self) -> list[str]:
        """All that may be trained on: the pool, and the sources that sets and prompts are drawn from beside it."""
        data = self.study.data
        drawn = itertools.chain(*(one.sources for one in data.sets.values()), data.prompts.sources)
        beside = [name for name in dict.fromkeys(drawn) if name not in data.pool]
        return [self.source(None), *map(self.source, beside)]

    @property
    def win_rates(self) -> list[str]:
        """The table of win rates, if there are any."""
        return [self.path(paths.WIN_RATES)] if self.study.data.solver else []

    @property
    def prompt_win_rates(self) -> list[str]:
        """The measured win rates, if the RL prompts are chosen by them."""
        prompts = self.study.data.prompts
        chosen = not prompts.given and prompts.win_rate != (0.0, 1.0)
        return self.win_rates if chosen else []

    @property
    def is_large(self) -> bool:
        """Whether the data are real ones, whose curation takes all cores that it gets."""
        sources = self.study.data.sources.values()
        return any(isinstance(source, Dataset) and not source.toy for source in sources)

    def counts_tokens(self, source: str) -> bool:
        """Whether a source is filtered by the tokens of the base's tokenizer."""
        given = self.study.data.sources[source]
        return isinstance(given, Dataset) and given.keep.counts_tokens

    # Runs.

    @functools.cached_property
    def sft_runs(self) -> list[RunName]:
        """Every SFT run."""
        return [RunName("sft", seed, name) for name, run in self.study.sft.items() for seed in run.seeds]

    @functools.cached_property
    def rl_runs(self) -> list[RunName]:
        """Every RL run, without repetition."""
        runs = {}
        for arm in self.study.arms:
            for text in self.study.starts_of(arm):
                start = Start.parse(text)
                runs |= {RunName("rl", seed, start.set, arm.algorithm, start): None for seed in arm.seeds}
        return list(runs)

    @functools.cached_property
    def groups(self) -> dict[str, list[str]]:
        """The models that are evaluated together, by the group's name: the base, the checkpoints of an SFT
        data set, the last models of an RL arm; with all their seeds."""
        groups: dict[str, list[str]] = {"base": [self.base]}
        for run in self.sft_runs:
            group = groups.setdefault(paths.SFT_GROUP.format(set=run.set), [])
            group += self.checkpoints(run.set, run.seed)
        for run in self.rl_runs:
            name = paths.RL_GROUP.format(algorithm=run.algorithm, start=run.start)
            groups.setdefault(name, []).append(self.path(f"{run}/model"))
        return groups

    @property
    def evaluations(self) -> list[str]:
        """Directories of all evaluations."""
        return [self.path(paths.EVALUATION, group=group) for group in self.groups]

    @property
    def runs(self) -> dict[str, list[str]]:
        """Directories of all runs, by their stage."""
        runs = {"sft": self.sft_runs, "rl": self.rl_runs}
        return {stage: [self.path(str(run)) for run in made] for stage, made in runs.items()}

    def start_inputs(self, start: str, seed: int | str) -> list[str]:
        """What an RL job needs of its start: the base model, or the SFT run's checkpoint(s)."""
        parsed = Start.parse(start)
        if parsed.set is None:
            return self.model_inputs(self.base)
        run = self.path(paths.SFT, set=parsed.set, seed=seed)
        if parsed.step is not None:
            return paths.made_model(f"{run}/step_{parsed.step}")
        models = [paths.made_model(directory) for directory in self.checkpoints(parsed.set, seed)]
        return [f"{run}/selection.json", *itertools.chain(*models)]

    # Jobs.

    def base_job(self) -> jobs.BaseJob:
        """Of `make_base`."""
        return jobs.BaseJob(recipe=RECIPES["base"], seed=0, stages=self.study.model.pretrain)

    def convert_job(self) -> jobs.ConvertJob:
        """Of `convert_base`."""
        source, digest = self.study.model.converted, None
        if source.toy or isinstance(source, TinyBase):
            parts = map(Path, paths.given_model(paths.TINY_BASE))
            digest = files.digest({part.name: files.sha256(part) for part in parts})
        return jobs.ConvertJob(recipe=RECIPES["convert"], source=source, tiny_base=digest)

    def ingest_job(self, name: str) -> jobs.IngestJob:
        """Of `ingest`."""
        source = self.study.data.sources[name]
        return jobs.IngestJob(recipe=RECIPES["ingest"], name=name, seed=self.study.seed, source=source)

    def validation_job(self) -> jobs.ValidationJob:
        """Of `hold_out_validation`."""
        return jobs.ValidationJob(**self.curation(), size=self.study.data.validation)

    def select_job(self, name: str) -> jobs.SelectJob:
        """Of `select_set`."""
        chosen, overlap = self.study.data.sets[name], self.study.data.overlap
        drawn = {key: getattr(chosen, key) for key in ("stratum", "size", "order")}
        return jobs.SelectJob(**self.curation(), name=name, overlap=overlap, **drawn)

    def prompts_job(self) -> jobs.PromptsJob:
        """Of `select_prompts`."""
        prompts = self.study.data.prompts
        drawn = {name: getattr(prompts, name) for name in ("size", "win_rate", "given")}
        return jobs.PromptsJob(**self.curation(), **drawn)

    def mix_job(self) -> jobs.MixJob:
        """Of `select_mix`."""
        prompts = self.study.data.prompts
        limits = {"max_tokens": prompts.mix_max_tokens, "max_prompt_tokens": prompts.mix_max_prompt_tokens}
        return jobs.MixJob(**self.curation(), **limits, template=self.template)

    def given_job(self) -> jobs.GivenJob:
        """Of `give_win_rates`."""
        return jobs.GivenJob(recipe=RECIPES["curate"], solver=self.study.data.solver.given)

    def curation(self) -> dict:
        """What all draws share."""
        return {"recipe": RECIPES["curate"], "seed": self.study.seed}

    def benchmarks_job(self, part: str) -> jobs.BenchmarksJob:
        """Of `decontaminate`."""
        benchmarks = {name: self.study.data.benchmarks[name] for name in self.benchmark_parts[part]}
        slices = {
            name: jobs.Slice(source=bench.source, monitor=bench.monitor) for name, bench in benchmarks.items()
        }
        settings = dict(self.study.data.decontamination)
        return jobs.BenchmarksJob(recipe=RECIPES["decontaminate"], benchmarks=slices, **settings)

    def solver_job(self) -> jobs.SftJob:
        """Of the weak solver's SFT."""
        solver = dict(self.study.data.solver)
        for name in (
            "model",
            "given",
            "source",
            "samples",
            "temperature",
            "max_new_tokens",
            "extraction",
            "parts",
        ):
            del solver[name]
        return self.sft_like("solver", 0, Sft(**solver, save_steps=[self.study.data.solver.steps]))

    @functools.cache  # noqa: B019 -- there is one study
    def sft_job(self, name: str, seed: int | str) -> jobs.SftJob:
        """Of an SFT run."""
        return self.sft_like(name, int(seed), self.study.sft[name])

    def sft_like(self, name: str, seed: int, run: Sft) -> jobs.SftJob:
        """The SFT job of a configured run."""
        return jobs.SftJob(
            recipe=RECIPES["sft"],
            set=name,
            seed=seed,
            template=self.template,
            max_length=self.study.model.max_length,
            optimizer=optimizer_of(run),
            steps=run.steps,
            batch_size=run.batch_size,
            schedule=run.schedule,
            warmup=run.warmup,
            decay=run.decay,
            loss_norm=run.loss_norm,
            engine=self.study.model.engine_settings,
        )

    @functools.cache  # noqa: B019
    def rl_job(self, algorithm: str, start: str, seed: int | str) -> jobs.RlJob:
        """Of an RL run: what all share, and the algorithm's own numbers under the preset."""
        rl, numbers = self.study.rl, self.numbers(algorithm)
        arm = self.arms.get((algorithm, start))
        learning_rate = (arm and arm.learning_rate) or rl.learning_rate
        return jobs.RlJob(
            recipe=RECIPES["rl"],
            algorithm=algorithm,
            start=start,
            seed=int(seed),
            numbers=numbers,
            optimizer=optimizer_of(rl, betas=numbers.betas, learning_rate=learning_rate),
            steps=rl.steps,
            batch_size=rl.batch_size,
            max_rounds=rl.max_rounds,
            on_unfilled=rl.on_unfilled,
            carry_over=rl.carry_over,
            rollouts=rl.rollouts,
            importance_cap=rl.importance_cap,
            mask_truncated=rl.mask_truncated,
            sampling=jobs.Sampling(
                temperature=numbers.temperature,
                top_p=numbers.top_p,
                max_new_tokens=rl.max_new_tokens,
                seed=int(seed),
                **self.sampler,
            ),
            template=self.template,
            eval_every=rl.eval_every,
            evaluation=self.evaluation("monitor"),
            evaluation_recipe=RECIPES["evaluate"],
            engine=self.study.model.engine_settings,
        )

    def rl_prompts(self, algorithm: str, start: str) -> str:
        """The prompts of an arm: the mix set if it says so, or trains on expert trajectories."""
        arm = self.arms.get((algorithm, start))
        asked = arm and arm.prompts
        experts = self.numbers(algorithm).experts != "none"
        return self.path(paths.MIX if asked == "mix" or (asked is None and experts) else paths.PROMPTS)

    @functools.cached_property
    def arms(self) -> dict[tuple[str, str], Arm]:
        """The arm by algorithm and start; where there are several they differ in their seeds alone."""
        arms = self.study.arms
        return {(arm.algorithm, start): arm for arm in arms for start in self.study.starts_of(arm)}

    @functools.cache  # noqa: B019
    def numbers(self, algorithm: str) -> Algorithm:
        """The algorithm's numbers under the study's preset, and what the study says of them itself."""
        rl = self.study.rl
        given = {
            name: getattr(rl, name) for name in ("generation_batch", "updates_per_step", "betas", "gate")
        }
        return numbers_of(algorithm, rl.preset, rl.batch_size, rl.rollouts, **given)

    @functools.cache  # noqa: B019
    def evaluate_job(self, group: str) -> jobs.EvaluateJob:
        """Of the evaluation of a group; RL runs have monitored themselves."""
        splits = ("test",) if group.startswith("rl/") else ("monitor", "test")
        return jobs.EvaluateJob(recipe=RECIPES["evaluate"], group=group, settings=self.evaluation(*splits))

    def win_rates_job(self) -> jobs.EvaluateJob:
        """Of `measure_win_rates`: an evaluation of the weak solver on the pool."""
        solver = self.study.data.solver
        sampling = jobs.Sampling(
            temperature=solver.temperature,
            top_p=1.0,
            max_new_tokens=solver.max_new_tokens,
            seed=self.study.seed,
            **self.sampler,
        )
        settings = jobs.EvaluationSettings(
            sampling=sampling,
            extraction=solver.extraction,
            template=self.template,
            samples={"test": {"pool": solver.samples}},
        )
        return jobs.EvaluateJob(
            stage="win_rates", recipe=RECIPES["win_rates"], group="solver", settings=settings
        )

    @functools.cache  # noqa: B019
    def evaluation(self, *splits: str) -> jobs.EvaluationSettings:
        """The profile's and the study's evaluation of these splits."""
        values, benchmarks = self.study.evaluation.resolved(), self.study.data.benchmarks
        default = values["test_samples"]
        samples = {
            "monitor": dict.fromkeys(
                self.benchmark_parts["monitored"], self.study.evaluation.monitor_samples
            ),
            "test": {name: bench.samples or default for name, bench in benchmarks.items()},
        }
        sampling = {name: values[name] for name in ("temperature", "top_p", "max_new_tokens", "seed")}
        return jobs.EvaluationSettings(
            sampling=jobs.Sampling(**sampling, **self.sampler),
            extraction=values["extraction"],
            template=self.template,
            samples={split: samples[split] for split in splits},
        )

    def needs(self, stage: str) -> Needs:
        """What a job of a stage needs."""
        return getattr(self.study.resources, stage)

    def cpus(self, stage: str) -> int:
        """Processors of a stage's job on each of its nodes."""
        needs = self.needs(stage)
        default = DATA_CPUS if stage == "data" and self.is_large else getattr(needs, "on_each_node", 1)
        return needs.cpus or default

    @property
    def sampler(self) -> dict[str, str]:
        """What samples, and in which numbers."""
        return {"by": self.study.model.rollouts, "dtype": self.study.model.dtype}

    @functools.cached_property
    def template(self) -> jobs.Template:
        """The prompt template."""
        name = self.study.model.template
        return jobs.Template(name=name, sha256=template_hash(name))

    def collect_job(self) -> jobs.CollectJob:
        """Of `collect`."""
        groups = {name: bench.group for name, bench in self.study.data.benchmarks.items() if bench.group}
        return jobs.CollectJob(
            recipe=RECIPES["analyze"],
            evaluations=self.evaluations,
            sft_runs=self.runs["sft"],
            rl_runs=self.runs["rl"],
            out_of_distribution=self.out_of_distribution,
            groups=groups,
            pass_at=self.study.evaluation.resolved()["pass_at"],
        )

    def browse_job(self) -> jobs.BrowseJob:
        """Of `browse_samples`."""
        read = {"evaluations": self.evaluations, "benchmarks": self.benchmarks()}
        return jobs.BrowseJob(recipe=RECIPES["browse"], study=self.study.study, **read)

    def report_job(self) -> jobs.ReportJob:
        """Of the report."""
        rl, evaluation = self.study.rl, self.study.evaluation.resolved()
        sections = {f"SFT {name}": run.model_dump(mode="json") for name, run in self.study.sft.items()}
        sections["RL (all)"] = rl.model_dump(mode="json")
        for algorithm in dict.fromkeys(arm.algorithm for arm in self.study.arms):
            sections[algorithm] = self.numbers(algorithm).model_dump(mode="json")
        for arm in self.study.arms:
            if arm.learning_rate is not None:
                sections[arm.algorithm][f"learning_rate, from {', '.join(arm.starts)}"] = arm.learning_rate
        sections["Evaluation"] = evaluation | {"template": self.study.model.template}
        return jobs.ReportJob(recipe=RECIPES["report"], study=self.study.study, hyperparameters=sections)

    @property
    def tensorboard(self) -> str | None:
        """TensorBoard's directory, if the study asks for it."""
        return self.path(paths.TENSORBOARD) if self.study.tensorboard else None

    @property
    def out_of_distribution(self) -> list[str]:
        """Names of the out-of-distribution slices."""
        benchmarks = self.study.data.benchmarks
        return [name for name, bench in benchmarks.items() if bench.out_of_distribution]


def optimizer_of(run: Optimizer, **given) -> Optimizer:
    """The optimizer's numbers alone, of a section that holds them beside others; what is given wins."""
    return Optimizer(**{name: getattr(run, name) for name in Optimizer.model_fields} | given)
