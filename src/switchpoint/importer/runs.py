"""The runs of an import: their names, and ``runs.csv`` with what it guesses and says.

A name is the file's own, else that of the path.  What no file says is guessed, and every guess is said: the seed
from the name, the algorithm ``grpo`` (runs that start alike under names that differ in more than a seed have one each), the status ``finished``, and as the parent of RL the only SFT run,
at its last step, else the base model.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from switchpoint.errors import InputError
from switchpoint.importer.options import Options, of_run, spelled
from switchpoint.importer.values import Log, merged
from switchpoint.study.names import RunName

GENERIC = re.compile(
    r"trainer_state|trainer_log|metrics|results.*|.*tfevents.*|logs?|history|wandb-history|output|std(out|err)|console"
    r"|train|runs?|tensorboard|eval|(checkpoint|ckpt|global_?step|step|iter)[-_=]?\d+"
)
SEED = re.compile(
    r"[/_.-]?(?:(?:seed|run|trial|rep)[\s:=_-]*|(?<![A-Za-z0-9])s)(\d+)(?![A-Za-z0-9])", re.IGNORECASE
)
ALGORITHMS = ("dapo_dc", "dapo_d", "dapo", "grpo", "gspo", "luffy", "srft", "upt", "ppo", "rloo", "reinforce")
"""What a name is searched for, the longer before its beginning."""
COLUMNS = ["run", "parent", "set", "algorithm", "seed", "start_step", "sft_exaflops", "val_loss", "status"]


def named_logs(logs: list[Log], options: Options) -> dict[str, Log]:
    """The logs by the name of their run.

    With ``one_run`` those of one name are parts of one run, and so are those without a name of their own.  InputError
    for a run in two files otherwise, and for one name of several runs.
    """
    own = list(dict.fromkeys(log.name for log in logs if log.name is not None))
    if options.one_run:
        if any(log.name is None for log in logs) and len(own) > 1:
            raise InputError(f"--one-run: there are {', '.join(own[:5])}; import the others' files apart")
        names = [log.name or (own or [path_name(logs[0].path)])[0] for log in logs]
    else:
        paths = unique_names([log.path for log in logs if log.name is None])
        names = [log.name or paths[log.path] for log in logs]
    if options.run is not None:
        if len({*names}) > 1:
            raise InputError(
                f"--run {options.run}: there are {len({*names})} runs; leave it out, or join parts with --one-run"
            )
        names = [options.run] * len(names)
    groups: dict[str, list[Log]] = {}
    for name, log in zip(names, logs, strict=True):
        groups.setdefault(" ".join(name.split()), []).append(log)
    for name, parts in groups.items():
        if len(parts) > 1 and not options.one_run:
            both = f"{parts[0].path} and {parts[1].path}"
            raise InputError(
                f"{both}: run {name} is in both; rename one, or give --one-run if they are its parts"
            )
    return {name: merged(parts) for name, parts in groups.items()}


def path_name(path: str, parents: int = 0) -> str:
    """The name of the run at a path: the file's, or the folder's of a file called as many are.

    ``parents`` more folders go before it.
    """
    place = Path(path).absolute()
    names = [place.name if place.is_dir() else place.stem, *(part.name for part in place.parents)]
    first = next((at for at, name in enumerate(names) if name and not GENERIC.fullmatch(name)), 0)
    return "/".join(reversed([name for name in names[first : first + parents + 1] if name]))


def unique_names(paths: list[str]) -> dict[str, str]:
    """Names of the runs at these paths, with as many folders before them as tell them apart."""
    for parents in range(4):
        names = {path: path_name(path, parents) for path in paths}
        if len({*names.values()}) == len(names):
            return names
    twice = [path for path in paths if names[path] == names[paths[0]]]
    raise InputError(
        f"{twice[-1]}: its run would be called {names[twice[-1]]}, as another's; rename the file, or give the folder of a run's checkpoints"
    )


def run_rows(
    phases: dict[str, str], last: dict[str, int], options: Options
) -> tuple[pd.DataFrame, list[str]]:
    """A row of ``runs.csv`` for every run, without what it cost, and what to say of the guesses.

    ``phases`` has the phase of each run, ``last`` the last step of the log.
    """
    said: list[str] = []
    sft = [run for run, phase in phases.items() if phase == "sft"]
    told = {*options.parent, *options.algorithm}
    rows = [
        (None if run in told else known_row(run)) or guessed_row(run, phase, sft, options, said)
        for run, phase in phases.items()
    ]
    for row in rows:
        if (
            row["start_step"] is not None
            and row["algorithm"] != "sft"
            and row["start_step"] > last.get(row["parent"], np.inf)
        ):
            raise InputError(
                f"{spelled('--parent', '{run}={parent}@{start_step}'.format(**row))}: its log ends at step {last[row['parent']]}; give a "
                "step that it reached"
            )
        if row["start_step"] is None and row["parent"] in last:
            row["start_step"] = last[row["parent"]]
            said.append(f"{row['run']} starts at step {row['start_step']} of {row['parent']}, its last.")
        if row["start_step"] is None and row["algorithm"] not in (None, "sft"):
            raise InputError(
                f"{spelled('--parent', '{run}={parent}'.format(**row))}: is not imported; give its step, {row['parent']}@STEP"
            )
        row["seed"] = of_run(options.seed, row["run"]) if options.seed else row["seed"]
    tell_apart(rows, options, said)
    number_seeds(rows, options, said)
    if rows:
        said.append("The status of every run is finished.")
    table = pd.DataFrame(rows).assign(status="finished").reindex(columns=COLUMNS)
    return table.astype({"seed": "Int64", "start_step": "Int64"}), said


def known_row(run: str) -> dict | None:
    """The row of a run that is named as this project's studies name theirs."""
    try:
        name = RunName.parse(run)
    except InputError:
        return None
    step = 0 if name.start and name.start.set is None else name.start.step if name.start else None
    algorithm = "sft" if name.phase == "sft" else name.algorithm
    row = {"run": run, "parent": name.parent, "set": name.set, "algorithm": algorithm, "seed": name.seed}
    return row | {"start_step": step}


def guessed_row(run: str, phase: str, sft: list[str], options: Options, said: list[str]) -> dict:
    """The row of any other run."""
    found = SEED.search(run)
    row = {"run": run, "set": None, "seed": int(found[1]) if found else None, "start_step": None}
    if phase == "base":
        return row | {"parent": None, "algorithm": None}
    if phase == "sft":
        return row | {"parent": "base", "algorithm": "sft", "set": without_seed(run), "start_step": 0}
    parent, step = parent_of(run, sft, options, said)
    algorithm = algorithm_of(run, options, said)
    origin = None if parent == "base" else without_seed(parent)
    return row | {"parent": parent, "start_step": step, "set": origin, "algorithm": algorithm}


def without_seed(run: str) -> str:
    """A run's name without its seed: what its set is called."""
    return SEED.sub("", run).strip("/_.-") or run


def parent_of(run: str, sft: list[str], options: Options, said: list[str]) -> tuple[str, int | None]:
    """What an RL run starts from, and the step: None for the parent's last."""
    given = of_run(options.parent, run)
    if given is not None:
        parent, at, step = given.rpartition("@")
        if at and not step.isdecimal():
            raise InputError(f"--parent {run}={given}: {step!r} is no step; give PARENT@STEP, a whole number")
        parent = parent if at else given
        if parent == run:
            raise InputError(f"--parent {run}={given}: is the run itself; name what it starts from")
        return parent, 0 if parent == "base" else int(step) if at else None
    for origin in sft:
        if (rest := run.removeprefix(f"{origin}-")) != run and rest.isdecimal():
            said.append(f"{run} starts at step {int(rest)} of {origin}, by its name.")
            return ("base" if int(rest) == 0 else origin), int(rest)
    parent = sft[0] if len(sft) == 1 else "base"
    reason = "the only SFT run here" if len(sft) == 1 else "the base model"
    fix = spelled("--parent", f"{run}=PARENT@STEP")
    said.append(f"{run} starts from {parent}, {reason}: a guess that {fix} corrects.")
    return parent, None if parent != "base" else 0


def words_of(run: str) -> str:
    """The words of a run's name, each between two _."""
    return "_" + "_".join(re.split(r"[^a-z0-9]+", run.lower())) + "_"


def is_called_sft(run: str) -> bool:
    """Whether a run's name says SFT, and no algorithm of RL."""
    words = words_of(run)
    return "_sft_" in words and not any(f"_{name}_" in words for name in ("rl", *ALGORITHMS))


def algorithm_of(run: str, options: Options, said: list[str]) -> str:
    """The algorithm of an RL run: as given, in its name, or grpo."""
    given = of_run(options.algorithm, run)
    if given is not None:
        return given
    words = words_of(run)
    found = next((name for name in ALGORITHMS if f"_{name}_" in words), None)
    where = "by its name" if found else "a guess"
    found = found or "grpo"
    fix = spelled("--algorithm", f"{run}=NAME")
    said.append(f"{run} is of the algorithm {found}, {where}; {fix} corrects it.")
    return found


def tell_apart(rows: list[dict], options: Options, said: list[str]) -> None:
    """Gives RL runs that start alike an algorithm each, unless their names differ in the seed alone or they are said to be one."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        told = (
            of_run(options.seed, row["run"]) is not None or of_run(options.algorithm, row["run"]) is not None
        )
        if row["algorithm"] not in (None, "sft") and known_row(row["run"]) is None and not told:
            groups.setdefault((row["algorithm"], row["parent"], row["start_step"]), []).append(row)
    for alike in groups.values():
        if len({SEED.sub("", row["run"]) for row in alike}) > 1:
            for row in alike:
                row["algorithm"] = f"{row['algorithm']} ({without_seed(row['run'])})"
            names = ", ".join(row["run"] for row in alike)
            said.append(
                f"{names} start alike, and their names differ in more than a seed: each is an algorithm of its own, which "
                "--algorithm NAME makes one, with these as its seeds."
            )


def number_seeds(rows: list[dict], options: Options, said: list[str]) -> None:
    """Gives the runs without a seed one: 0, or different ones to runs that are otherwise the same."""
    groups: dict[tuple, list[dict]] = {}
    for row in [row for row in rows if row["algorithm"] is not None]:
        key = (
            row["algorithm"],
            row["parent"],
            row["start_step"],
            row["run"] if row["algorithm"] == "sft" else "",
        )
        groups.setdefault(key, []).append(row)
    for alike in groups.values():
        given = Counter(row["seed"] for row in alike if row["seed"] is not None)
        if twice := [seed for seed, count in given.items() if count > 1]:
            names = " and ".join(row["run"] for row in alike if row["seed"] == twice[0])
            raise InputError(f"{names} start alike with seed {twice[0]:g}; give one --seed RUN=N or --parent")
        free = (seed for seed in range(len(alike) + len(given)) if seed not in given)
        for row in alike:
            row["seed"] = next(free) if row["seed"] is None else row["seed"]
        if len(alike) > 1:
            seeds = ", ".join(f"{row['run']} {row['seed']:g}" for row in alike)
            said.append(f"Seeds of one start, and pooled: {seeds}; --algorithm or --parent tells them apart.")
    for alike in groups.values():
        row = alike[0]
        if (
            len(alike) == 1
            and row["seed"]
            and of_run(options.seed, row["run"]) is None
            and not known_row(row["run"])
        ):
            fix = spelled("--seed", f"{row['run']}=N")
            said.append(
                f"The seed of {row['run']} is {row['seed']:g}, by its name: a guess that {fix} corrects."
            )
    if zero := [alike[0]["run"] for alike in groups.values() if len(alike) == 1 and not alike[0]["seed"]]:
        said.append(f"The seed is 0 of {', '.join(zero)}.")
