"""Results of lm-evaluation-harness and lighteval: one JSON file per evaluated checkpoint.

A directory's files are one run's.  The step stands in the model's name or in the path, as in
``checkpoint-500``; a model without one is named by ``--step``.  Tags are ``TASK/METRIC``, with lm-eval's filter as
``TASK/METRIC,FILTER``; the standard error and the number of problems are tags beside them.
"""

import re
from collections import Counter
from pathlib import Path

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.importer.options import spelled
from switchpoint.importer.records import parse_json
from switchpoint.importer.tags import harness_scores
from switchpoint.importer.values import Log, merged, table_of

STEP = re.compile(r"(?:checkpoint|ckpt|global_?step|step|iter)[-_=]?(\d+)(?!\d)", re.IGNORECASE)
WORDS = ("alias", "name", "sample_len")
"""What lm-eval writes beside the metrics of a task."""
SUITES = (
    "lighteval",
    "leaderboard",
    "community",
    "extended",
    "helm",
    "bigbench",
    "harness",
    "custom",
    "original",
)


def format_of(document: object) -> str | None:
    """``lm-eval`` or ``lighteval`` for what their result files hold, None for other JSON values."""
    if not isinstance(document, dict) or not isinstance(document.get("results"), dict):
        return None
    if "config_general" in document:
        return "lighteval"
    return "lm-eval" if document.keys() & {"n-samples", "n-shot", "configs", "versions"} else None


def result_files(path: Path) -> list[Path]:
    """The result files of a path: itself, or those below it."""
    return sorted(path.rglob("results*.json")) if path.is_dir() else [path]


def read_results(path: Path, steps: dict[str, float], counts: Counter) -> Log:
    """The evaluations of a run as its log.

    ``steps`` are those that ``--step`` gives, by path.  InputError names the file without a step, and two
    evaluations of one step that differ.
    """
    found = result_files(path)
    if not found:
        raise InputError(f"{path}: no results*.json below it; give the folder of one run's evaluations")
    logs, models = [], []
    for file in found:
        document = parse_json(files.read_text(file, "result file"), str(file))
        kind = format_of(document)
        if kind is None:
            raise InputError(f"{file}: no results of lm-eval or lighteval; give the results_*.json")
        model = model_of(document)
        step = steps.get(str(file), steps.get(str(path))) if steps else None
        step = step_of(model, file) if step is None else step
        if step is None:
            raise InputError(
                f"{file}: no step in its path or model {model!r:.80}; give {spelled('--step', f'{file}=N')}"
            )
        results = lm_eval_values(document) if kind == "lm-eval" else lighteval_values(document)
        values = table_of([(str(file), step, results)], str(file), counts)
        logs.append(Log(str(file), None, values, harness_scores(values["tag"])))
        models.append(run_of(model))
    name = models[0] if len({*models}) == 1 else None
    return merged(logs)._replace(path=str(path), name=name)


def model_of(document: dict) -> str:
    """The name or path of the evaluated model; empty where the file does not say it."""
    general = document.get("config_general") or document.get("config") or {}
    arguments = general.get("model_args") if isinstance(general, dict) else None
    if isinstance(arguments, str):
        arguments = dict(pair.split("=", 1) for pair in arguments.split(",") if "=" in pair)
    places = [arguments, general.get("model_config"), general, document]
    keys = ("pretrained", "model_name", "model")
    found = [place[key] for place in places if isinstance(place, dict) for key in keys if key in place]
    return next((name for name in found if isinstance(name, str)), "")


def step_of(model: str, file: Path) -> float | None:
    """The step in the model's name, else in the nearest part of the path."""
    places = [model, file.stem, *(part.name for part in file.absolute().parents)]
    found = [numbers for place in places if (numbers := STEP.findall(place))]
    return float(found[0][-1]) if found else None


def run_of(model: str) -> str | None:
    """The run that a checkpoint's path names: the last part before that of the step."""
    before = STEP.split(model)[0]
    parts = [part for part in re.split(r"[/\\]|__", before) if part] if before != model else []
    return parts[-1].strip("-_.") or None if parts else None


def lm_eval_values(document: dict) -> dict[str, object]:
    """Tags and values of the tasks; of the groups, which are means of tasks, nothing."""
    groups = groups_of(document)
    numbers = document.get("n-samples") or {}
    values: dict[str, object] = {}
    for task, metrics in document["results"].items():
        if task in groups or not isinstance(metrics, dict):
            continue
        values |= {f"{task}/{metric}": value for metric, value in metrics.items() if metric not in WORDS}
        counted = numbers.get(task)
        values[f"{task}/n"] = counted.get("effective") if isinstance(counted, dict) else counted
    return values


def groups_of(document: dict) -> set[str]:
    """The groups among the results: as the file lists them, else those with tasks indented below them."""
    listed = {name for name, tasks in (document.get("group_subtasks") or {}).items() if tasks}
    listed |= set(document.get("groups") or {})
    results = [name for name, metrics in document["results"].items() if isinstance(metrics, dict)]
    aliases = [str(document["results"][name].get("alias", name)) for name in results]
    depths = [len(alias) - len(alias.lstrip(" ")) for alias in aliases]
    above = {name for name, own, below in zip(results, depths, depths[1:], strict=False) if below > own}
    return listed | above


def lighteval_values(document: dict) -> dict[str, object]:
    """Tags and values of the tasks; of its means over tasks, nothing."""
    configs = document.get("config_tasks") or {}
    values: dict[str, object] = {}
    for key, metrics in document["results"].items():
        if key == "all" or "_average" in key or not isinstance(metrics, dict):
            continue
        task = task_of(key)
        values |= {f"{task}/{metric}": value for metric, value in metrics.items()}
        config = next((configs[name] for name in configs if task_of(name) == task), {})
        number = config.get("effective_num_docs") if isinstance(config, dict) else None
        values[f"{task}/n"] = number if isinstance(number, float) and number > 0 else None
    return values


def task_of(key: str) -> str:
    """``gsm8k`` of ``lighteval|gsm8k|5`` and of ``lighteval:gsm8k:5``."""
    mark = "|" if "|" in key else ":"
    parts = key.split(mark)
    parts = parts[1:] if parts[0] in SUITES and len(parts) > 1 else parts
    while len(parts) > 1 and parts[-1].isdecimal():
        parts.pop()
    return mark.join(parts)
