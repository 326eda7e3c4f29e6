from switchpoint.study import paths
from switchpoint.study import config as studies
from switchpoint.errors import InputError
from snakemake.exceptions import WorkflowError

# A study given with --configfile replaces the default one; Snakemake would merge them.
if not workflow.configfiles:

    configfile: "config.yaml"


try:
    study = studies.parse(config)
    studies.check_files(study)
except InputError as error:
    raise WorkflowError(str(error)) from None


def out(*template, **fields):
    """A path under results/<study>; the parts of the template are joined with `/`."""
    return study.path("/".join(template), **fields)


def outs(directory, *names, **fields):
    """Files of a directory under results/<study>."""
    return [out(directory, name, **fields) for name in names]


def state(job):
    """The undeclared, resumable state of a job."""
    return study.path(f"state/{job}")


def log_file(name):
    """A job's log file."""
    return study.path(f"logs/{name}.log")


def checkpoints(set, seed):
    """Directories of an SFT run's checkpoints (`seed` may be a wildcard)."""
    return [
        out(paths.CHECKPOINT, set=set, seed=seed, step=step)
        for step in study.sft[set].save_steps
    ]


def checkpoint_files(run):
    """Model files of every checkpoint of an SFT run's directory."""
    name = run.split("/")[-2]
    return [
        file
        for step in study.sft[name].save_steps
        for file in paths.model_files(f"{run}/step_{step}")
    ]


def start_inputs(wildcards):
    """What an RL job needs of its start: the base model, or the SFT run's checkpoint(s)."""
    if wildcards.start == "base":
        return [f"{study.base}/model.safetensors"]
    name, _, step = wildcards.start.rpartition("-")
    run = out(paths.SFT, set=name, seed=wildcards.seed)
    steps = [step] if step.isdigit() else study.sft[name].save_steps
    names = [f"step_{step}/model.safetensors" for step in steps]
    return files_of([run], "losses.csv", "selection.json", *names)


def sft_option(wildcards):
    """The RL command's option that names the SFT run of its start."""
    if wildcards.start == "base":
        return ""
    name = wildcards.start.rpartition("-")[0]
    return f"--sft {out(paths.SFT, set=name, seed=wildcards.seed)}"


def files_of(directories, *names):
    """Files of several directories."""
    return [f"{directory}/{name}" for directory in directories for name in names]


def evaluations():
    """Directories of all evaluations: the base, every SFT set and every RL arm, with all their seeds."""
    sft = [paths.SFT_GROUP.format(**run) for run in study.sft_runs()]
    rl = [paths.RL_GROUP.format(**run) for run in study.rl_runs()]
    groups = dict.fromkeys(["base", *sft, *rl])
    return [out(paths.EVALUATION, group=group) for group in groups]


def group_models(wildcards):
    """Directories of a group's models: the base, an SFT set's checkpoints, or an RL arm's last models."""
    group = wildcards.group
    sft = [run for run in study.sft_runs() if paths.SFT_GROUP.format(**run) == group]
    rl = [run for run in study.rl_runs() if paths.RL_GROUP.format(**run) == group]
    if group == "base":
        return [study.base]
    return [
        *(path for run in sft for path in checkpoints(**run)),
        *(out(paths.RL, "model", **run) for run in rl),
    ]


def repeat(option, values):
    """`--option value` for each value."""
    return " ".join(f"--{option} {value}" for value in values)


wildcard_constraints:
    set="[A-Za-z][A-Za-z0-9_]*",
    source="[A-Za-z][A-Za-z0-9_]*",
    seed="[0-9]+",
    algorithm="[a-z_]+",
    start="[A-Za-z0-9_-]+",
    group="base|(sft|rl/[a-z_]+)/[A-Za-z0-9_-]+",
    part="[0-9]+",
