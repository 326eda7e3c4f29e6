import gc
import itertools
import shlex
from pathlib import Path

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study import made, outages, paths, recover, resources, yaml_file
from switchpoint.study.expand import ANALYSES, RECIPES, Expansion
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.settings.types import DeploymentMethod

# Planning makes millions of objects that live to its end: looking for garbage among them is a fifth of its time.
gc.set_threshold(100_000)

# Snakemake would keep the last of two equal keys, and expand whatever a file asks for.
try:
    yaml_file.check_files(
        workflow.configfiles or ["config.yaml"], workflow.overwrite_configfiles
    )
except InputError as error:
    raise WorkflowError(str(error)) from None

# A study given with --configfile replaces the default one; Snakemake would merge them.
if not workflow.configfiles:

    configfile: "config.yaml"


try:
    study = studies.parse(config)
    studies.check_files(study)
    expansion = Expansion(study)
except InputError as error:
    raise WorkflowError(str(error)) from None

if workflow.is_main_process:
    outages.outlast()
    if not workflow.dryrun and (warning := recover.about_lock(Path.cwd())):
        logger.warning(warning)
    try:
        made.write_job_files(expansion)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def environment(wildcards):
    """The conda environment of every job: with `--sdm conda` the one of this name, else the Python that runs Snakemake."""
    asked = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    return "switchpoint" if asked else None


def job_file(job):
    """The file that a job's text stands in; it is newer than the job's outputs where these were made by another."""
    return made.job_file(expansion, job)


def out(*template, **fields):
    """A path under results/<study>; the parts of the template are joined with `/`."""
    return expansion.path("/".join(template), **fields)


def outs(directory, *names, **fields):
    """Files of a directory under results/<study>."""
    return [out(directory, name, **fields) for name in names]


def state(job):
    """The undeclared, resumable state of a job."""
    return expansion.path(f"state/{job}")


def log_file(name):
    """A job's log file."""
    return expansion.path(f"logs/{name}.log")


def benchmark_file(name):
    """A job's time and memory, as Snakemake measured them."""
    return expansion.path(f"logs/{name}.tsv")


def needs(stage):
    """What a stage's jobs need, by Snakemake's names."""
    return resources.asked(expansion.needs(stage), expansion.cpus(stage))


def retries(stage):
    """How often a stage's job is submitted again; None: as often as the profile says."""
    return expansion.needs(stage).retries


def launcher(stage):
    """What starts a stage's training command."""
    return resources.launcher(expansion.needs(stage), expansion.cpus(stage))


def rl_inputs(wildcards):
    """What a run trains on: a function for all, since Snakemake calls each for thousands of jobs."""
    return {
        "job": job_file(expansion.rl_job(**wildcards)),
        "start": expansion.start_inputs(wildcards.start, wildcards.seed),
        "prompts": expansion.rl_prompts(wildcards.algorithm, wildcards.start),
    }


def models(directories):
    """Every file of model directories that rules make."""
    return [file for directory in directories for file in paths.model_files(directory)]


def model_inputs(directory):
    """The files of a model that what is computed with it depends on."""
    return expansion.model_inputs(directory)


def files_of(directories, *names):
    """Files of several directories."""
    return [f"{directory}/{name}" for directory in directories for name in names]


def directory_of(name):
    """The directory of the model that is the input of this name."""
    return lambda wildcards, input: str(Path(input[name][0]).parent)


def repeat(option, values):
    """`--option value` for each value but None."""
    return " ".join(
        f"--{option} {shlex.quote(str(value))}" for value in values if value is not None
    )


def told(key):
    """What the job that draws the report says of a figure or a table, for Snakemake's own report: its category or labels."""
    return lambda wildcards, output: files.read_json(f"{output.parts}/contents.json")[
        wildcards.name
    ][key]


def deadline(wildcards, resources):
    """`--deadline`, where the profile limits the rule's `runtime` (minutes): a minute before, for the end."""
    minutes = resources.get("runtime")
    return repeat("deadline", [60 * (minutes - 1)] if isinstance(minutes, int) else [])


wildcard_constraints:
    set="[A-Za-z][A-Za-z0-9_]*",
    source="[A-Za-z][A-Za-z0-9_]*",
    seed="[0-9]+",
    algorithm="[a-z_]+",
    start="[A-Za-z0-9_-]+",
    group="base|(sft|rl/[a-z_]+)/[A-Za-z0-9_-]+",
    part="[0-9]+|monitored|test_only",
