import shlex

from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study import paths
from switchpoint.study.expand import RECIPES, Expansion
from snakemake.exceptions import WorkflowError

# Snakemake would keep the last of two equal keys, and expand whatever a file asks for.
try:
    for file in workflow.configfiles or ["config.yaml"]:
        studies.read_yaml(file)
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


def checkpoint_files(run):
    """Model files of every checkpoint of an SFT run."""
    directories = expansion.checkpoints(run.set, run.seed)
    return [file for directory in directories for file in paths.model_files(directory)]


def files_of(directories, *names):
    """Files of several directories."""
    return [f"{directory}/{name}" for directory in directories for name in names]


def option(name, value):
    """`--name value`, or nothing where there is no value."""
    return "" if value is None else f"--{name} {value}"


def repeat(option, values):
    """`--option value` for each value."""
    return " ".join(f"--{option} {shlex.quote(value)}" for value in values)


wildcard_constraints:
    set="[A-Za-z][A-Za-z0-9_]*",
    source="[A-Za-z][A-Za-z0-9_]*",
    seed="[0-9]+",
    algorithm="[a-z_]+",
    start="[A-Za-z0-9_-]+",
    group="base|(sft|rl/[a-z_]+)/[A-Za-z0-9_-]+",
    part="[0-9]+",
