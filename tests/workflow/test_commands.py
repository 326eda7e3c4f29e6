"""Dry runs, profiles, configuration files, and wrong input."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from study import ROOT, make_clone, pending, snakemake, tiny_config

from switchpoint.data import sources
from switchpoint.errors import InputError
from switchpoint.study import config as studies
from switchpoint.study.expand import Expansion
from switchpoint.study.plan import dry_run


@pytest.fixture
def fresh(tmp_path) -> Path:
    return make_clone(tmp_path / "clone", tiny_config())


def test_a_fresh_clone_lists_every_job(fresh):
    jobs = pending(fresh)
    assert jobs["rl"] == 3
    assert jobs["sft_S"] == jobs["sft_Full"] == 1
    assert jobs["evaluate"] == 6  # the base, two SFT runs, three RL runs


def test_the_default_study_plans(tmp_path):
    clone = make_clone(tmp_path / "clone", yaml.safe_load((ROOT / "config.yaml").read_text()))
    assert pending(clone)["rl"] == 13  # six checkpoints, one with three seeds, and five times the base


def test_the_path_of_a_model_may_have_spaces(tmp_path):
    base = shutil.copytree(ROOT / "src/switchpoint/tiny-base", tmp_path / "my models")
    clone = make_clone(tmp_path / "clone", change("model.base", str(base)))
    commands = snakemake(clone, "-n", "-p").stdout.splitlines()
    named = [line for line in commands if "python -m switchpoint" in line and str(base) in line]
    assert len(named) > 5
    for line in named:
        words = [word for word in shlex.split(line) if word.startswith(str(base))]
        assert len(words) == line.count(str(base))


def test_what_a_study_says_of_logs_and_limits_reaches_its_jobs(tmp_path):
    config = change("tensorboard", True)
    config["rl"] |= {"max_logprob_gap": 0.05, "on_logprob_gap": "fail"}
    clone = make_clone(tmp_path / "clone", config)
    commands = [line for line in snakemake(clone, "-n", "-p").stdout.splitlines() if "--log " in line]
    named = {"rl": "rl/grpo/base/seed_0", "sft": "sft/S/seed_0", "solver": "train_solver"}
    for stage, name in named.items():
        [command] = [line for line in commands if f"--log results/tiny/logs/{name}.log " in line]
        assert ("--max-logprob-gap 0.05 --on-logprob-gap fail" in command) == (stage == "rl")
        assert ("--tensorboard results/tiny/logs/tensorboard" in command) == (stage != "solver")
    clone = make_clone(tmp_path / "other", tiny_config())
    text = snakemake(clone, "-n", "-p").stdout
    assert "--max-logprob-gap" not in text
    assert "--tensorboard" not in text


HOSTILE = '$(touch PWNED) `touch PWNED` it\'s; touch PWNED # "a"'


def test_paths_of_the_users_are_text_and_nothing_else(tmp_path):
    """No shell reads them."""
    given = {name: tmp_path / f"{name} {HOSTILE}" for name in ("base", "solver")}
    for path in given.values():
        shutil.copytree(ROOT / "src/switchpoint/tiny-base", path)
    config = change("model.base", str(given["base"]))
    config["data"]["solver"] = {"model": str(given["solver"]), "max_new_tokens": 20, "samples": 1}
    clone = make_clone(tmp_path / "clone", config)
    write_file_source(clone, json.dumps({"problem": "1 + 1?", "answer": "2"}))
    for name in ("mine.jsonl", "mine.lock"):
        (clone / name).rename(clone / f"{HOSTILE}{name}")
    source = {"kind": "file", "path": f"{HOSTILE}mine.jsonl", "lock": f"{HOSTILE}mine.lock"}
    config["data"]["sources"]["longer"] = source
    (clone / "config.yaml").write_text(yaml.safe_dump(config))
    made = ["results/tiny/data/mix.parquet", "results/tiny/data/sources/longer.parquet"]
    snakemake(clone, *made)
    assert all((clone / path).is_file() for path in made)
    assert not list(tmp_path.rglob("PWNED"))


@pytest.mark.parametrize("path", ["study", "data.solver.model", "model.base", "evaluation.parts"])
def test_no_output_lies_outside_the_studys_results(tmp_path, monkeypatch, path):
    given = str(shutil.copytree(ROOT / "src/switchpoint/tiny-base", tmp_path / "given"))
    value = {"study": "other", "data.solver.model": given, "model.base": ..., "evaluation.parts": 2}[path]
    config = change(path, value)
    clone = make_clone(tmp_path / "clone", config)
    monkeypatch.chdir(clone)
    jobs = dry_run("config.yaml")
    outside = [
        file for job in jobs for file in job.outputs if not file.startswith(f"results/{config['study']}/")
    ]
    assert not outside
    rules = {job.rule for job in jobs}
    assert ("train_solver" in rules) == (path != "data.solver.model")  # a given solver is nobody's output
    assert ("make_base" in rules) == (path == "model.base")


def test_the_slurm_profile_is_found(fresh):
    done = snakemake(fresh, "--profile", "slurm", "-n")
    assert "rl" in done.stdout


def test_a_study_given_by_configfile_inherits_nothing(fresh):
    config = tiny_config()
    config["study"] = "other"
    config["sft"].pop("Full")
    config["arms"] = [{"algorithm": "grpo", "starts": ["base"]}]
    (fresh / "other.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(fresh, "--configfile", "other.yaml", "-n")
    assert "results/other/sft/S" in done.stdout
    assert "results/tiny" not in done.stdout
    assert "sft_Full" not in done.stdout


def change(path: str, value):
    """A configuration with one key (dotted) set, or deleted when the value is `...`."""
    config = tiny_config()
    *parents, last = path.split(".")
    place = config
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    last = int(last) if isinstance(place, list) else last
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return config


WRONG = [
    ("rl.lerning_rate", 1e-3, ["rl.lerning_rate", "unknown key"]),
    ("rl.learning_rate", ..., ["rl.learning_rate", "missing"]),
    ("rl.learning_rate", "fast", ["rl.learning_rate", "'fast'"]),
    ("rl.learning_rate", -1.0, ["rl.learning_rate", "-1.0"]),
    ("rl.learning_rate", float("nan"), ["rl.learning_rate", "nan"]),
    ("rl.steps", 2.5, ["rl.steps", "2.5"]),
    ("rl.preset", "mine", ["rl.preset", "mine"]),
    ("sft.S.save_steps", [4, 99], ["sft.S", "99", "8 steps"]),
    ("sft.S.save_steps", [4, 4], ["sft.S", "[4, 4]", "repeats"]),
    ("sft.S.save_steps", [], ["sft.S.save_steps", "[]"]),
    ("sft.Missing", {"steps": 1, "save_steps": [1], "batch_size": 1, "learning_rate": 1e-3}, ["'Missing'", "data.sets"]),
    ("data.sets.S.size", 5000, ["data.sets.S.size", "5000", "200"]),
    ("data.sets.S.stratum", "medium", ["data.sets.S.stratum", "medium"]),
    ("data.benchmarks.gsm.monitor", 24, ["data.benchmarks.gsm.monitor", "24"]),
    ("data.benchmarks.gsm.source", "nowhere", ["nowhere", "data.sources"]),
    ("data.pool", ["nowhere"], ["nowhere"]),
    ("data.sources.pool.n_steps", [6, 2], ["n_steps", "[6, 2]"]),
    ("data.sources.pool.tiers", [4], ["data.sources.pool", "4"]),
    ("data.sources.pool.lock", "no/such.lock", ["no/such.lock", "switchpoint lock"]),
    ("model.base", "no/such/model", ["no/such/model", "model directory"]),
    ("data.solver.model", "no/such/solver", ["data.solver.model", "no/such/solver", "model directory"]),
    ("model.base", "results/tiny/sft/S/seed_0/step_4", ["model.base", "no config.json"]),
    ("model.base", "models/{name}", ["model.base", "models/{name}", "braces"]),
    ("arms.0.starts", ["S-7"], ["S-7", "save_steps", "[4, 8]"]),
    ("arms.0.starts", ["Nope-4"], ["Nope-4"]),
    ("arms.0.seeds", [3], ["seed 3", "sft.S.seeds"]),
    ("arms.0.algorithm", "ppo", ["arms.0.algorithm", "ppo"]),
    ("study", "bad/name", ["study", "bad/name"]),
    ("sft.S.seeds", [0, 0], ["sft.S.seeds", "[0, 0]", "once"]),
    ("arms.0.seeds", [-1], ["arms.0.seeds", "-1"]),
    ("rl.betas", [0.9, 1.0], ["rl.betas", "1.0"]),
    ("data.prompts.win_rate", [1.0, 0.0], ["data.prompts.win_rate", "[1.0, 0.0]", "low <= high"]),
    ("data.sources.solver.solutions", False, ["data.solver.source", "'solver'", "no expert trajectories"]),
    ("rl.rollouts", 1, ["rl.rollouts: 1", "give 2 or more"]),
    ("rl.importance_cap", 0.5, ["rl.importance_cap", "0.5"]),
    ("rl.on_logprob_gap", "stop", ["rl.on_logprob_gap", "'fail'", "'stop'"]),
    ("evaluation.parts", 1_000_000, ["evaluation.parts", "1000000", "1000"]),
]  # fmt: skip


def expand(config: dict) -> Expansion:
    """A study's jobs, as the workflow reads them."""
    study = studies.parse(config)
    studies.check_files(study)
    return Expansion(study)


@pytest.mark.parametrize(("path", "value", "words"), WRONG, ids=[f"{row[0]}-{row[1]}" for row in WRONG])
def test_a_wrong_configuration_says_what_where_and_how(fresh, monkeypatch, path, value, words):
    monkeypatch.chdir(fresh)
    with pytest.raises(InputError) as refused:
        expand(change(path, value))
    missing = [word for word in words if word not in str(refused.value)]
    assert not missing, refused.value


@pytest.mark.parametrize("path", ["model.base", "data.solver.model"])
def test_a_result_of_the_study_is_no_model_to_start_from(fresh, monkeypatch, path):
    """Its rule would delete it to make it again."""
    monkeypatch.chdir(fresh)
    given = "results/./tiny/sft/S/seed_0/step_4"
    shutil.copytree(ROOT / "src/switchpoint/tiny-base", given)
    with pytest.raises(InputError, match="a result of this very study; copy it elsewhere"):
        expand(change(path, given))
    (fresh / "linked").symlink_to(Path(given).resolve())
    with pytest.raises(InputError, match="a result of this very study"):
        expand(change(path, "linked"))


def test_a_directory_is_the_same_however_it_is_written(fresh, monkeypatch):
    monkeypatch.chdir(fresh)
    one, other = (
        expand(change("model.base", path))
        for path in ("src/switchpoint/tiny-base", "./src//switchpoint/tiny-base/")
    )
    assert one.base == other.base
    assert one.model_inputs(one.base) == other.model_inputs(other.base)


@pytest.mark.parametrize(("path", "value", "words"), [WRONG[0], WRONG[-1], WRONG[20], WRONG[24]])
def test_snakemake_says_it_and_runs_nothing(fresh, path, value, words):
    (fresh / "config.yaml").write_text(yaml.safe_dump(change(path, value)))
    done = snakemake(fresh, "-n", check=False)
    assert_clear(done, words)


LAUGHS = "x: &a0 [1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"x{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
STRANGE = {
    "a key twice": (lambda text: text + "seed: 5\n", ["study.yaml, line", "the key 'seed' stands twice; keep one"]),
    "a date": (lambda text: text.replace("study: tiny", "study: 2020-01-01"), ["study.yaml, line", "tag 'timestamp'"]),
    "laughs": (lambda text: text + LAUGHS, ["study.yaml: more than 100000 values"]),
    "a template": (lambda text: text + "__use_yte__: true\n?open('ran', 'w'): 1\n", ["study.yaml: has the key __use_yte__"]),
    "Latin-1": (lambda text: text + "# \xe9\n", ["study.yaml: line", "is not UTF-8; save"]),
}  # fmt: skip


# Snakemake itself reads what --configfile names, before the workflow: of it no more can be asked.
NAMED = ["a key twice", "a date", "laughs"]


@pytest.mark.parametrize(
    ("how", "named"), [*((how, False) for how in STRANGE), *((how, True) for how in NAMED)]
)
def test_a_strange_study_file_is_refused_before_snakemake_makes_sense_of_it(fresh, how, named):
    change_text, words = STRANGE[how]
    text = change_text(yaml.safe_dump(tiny_config()))
    path = fresh / ("study.yaml" if named else "config.yaml")
    path.write_bytes(text.encode("latin-1"))
    options = ["--configfile", "study.yaml"] if named else []
    done = snakemake(fresh, "-n", *options, check=False)
    assert_clear(done, [word.replace("study.yaml", path.name) for word in words])
    assert not (fresh / "ran").exists()


ROWS = [
    ({"id": "a", "problem": "1 + 1?"}, ["row 4", "answer", "nan"]),
    ({"id": "0", "problem": "1 + 1?", "answer": "2"}, ["'0'", "twice"]),
    ({"id": "a", "problem": "1 + 1?", "answer": ""}, ["row 4", "answer"]),
    ({"id": "a", "problem": "1 + 1?", "answer": "  "}, ["row 4", "answer"]),
    ({"id": "a", "problem": "1 + 1?", "answer": float("nan")}, ["row 4", "answer", "nan"]),
    ({"id": "a", "problem": "1 + 1?", "answer": 2}, ["row 4", "2"]),
    ({"id": "a", "problem": "", "answer": "2"}, ["row 4", "problem"]),
    ({"id": "a", "problem": None, "answer": "2"}, ["row 4", "problem"]),
    ({"id": "a", "problem": "1 + 1?", "answer": []}, ["row 4", "answer"]),
    ({"id": None, "problem": "1 + 1?", "answer": "2"}, ["row 4", "no id"]),
    ({"problem": "1 + 1?", "answer": "2"}, ["row 4", "no id"]),
    ("not json", ["line 4", "not JSON"]),
    ("[1, 2]", ["line 4", "no object"]),
]


@pytest.mark.parametrize(("row", "words"), ROWS, ids=[str(row[0]) for row in ROWS])
def test_a_wrong_data_file_names_the_row(fresh, monkeypatch, row, words):
    good = [
        {"id": str(number), "problem": f"{number} + 1?", "answer": str(number + 1)} for number in range(3)
    ]
    lines = [json.dumps(record) for record in good] + [row if isinstance(row, str) else json.dumps(row)]
    write_file_source(fresh, "\n".join(lines))
    monkeypatch.chdir(fresh)
    job = expand(yaml.safe_load(Path("config.yaml").read_text())).ingest_job("gsm")
    with pytest.raises(InputError) as refused:
        sources.read_rows(job)
    missing = [word for word in words if word not in str(refused.value)]
    assert not missing, refused.value


def test_a_missing_column_a_stale_lock_and_a_missing_file(fresh):
    write_file_source(fresh, json.dumps({"question": "1 + 1?", "answer": "2"}))
    refused_by_ingest(fresh, ["problem", "question"])
    write_file_source(fresh, json.dumps({"problem": "1 + 1?", "answer": "2"}))
    (fresh / "mine.jsonl").write_text(json.dumps({"problem": "1 + 2?", "answer": "3"}))
    refused_by_ingest(fresh, ["mine.jsonl", "sha256", "switchpoint lock"])
    (fresh / "mine.jsonl").unlink()
    refused_by_ingest(fresh, ["mine.jsonl", "does not exist"])


def test_planning_reads_no_raw_data(fresh):
    """Neither the raw file nor what its lock says of it is needed before `ingest`."""
    write_file_source(fresh, json.dumps({"problem": "1 + 1?", "answer": "2"}))
    lock = json.loads((fresh / "mine.lock").read_text())
    (fresh / "mine.lock").write_text(json.dumps(lock | {"sha256": "unresolved"}))
    (fresh / "mine.jsonl").unlink()
    assert pending(fresh)["ingest"] == 9


def refused_by_ingest(clone: Path, words: list[str]) -> None:
    """The job of the gsm source ends with a clear message, and writes nothing."""
    target = "results/tiny/data/sources/gsm.parquet"
    done = snakemake(clone, target, check=False)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in text
    assert not (clone / target).exists()
    for word in words:
        assert word in text, f"{word!r} is missing in: {text}"


def write_file_source(clone: Path, text: str) -> None:
    """A data file of the user's, with the lock of its content, as the gsm benchmark."""
    from switchpoint import files

    data = clone / "mine.jsonl"
    data.write_text(text)
    files.write_json(clone / "mine.lock", {"name": "mine", "revision": 1, "sha256": files.sha256(data)})
    source = {"kind": "file", "path": "mine.jsonl", "lock": "mine.lock"}
    (clone / "config.yaml").write_text(yaml.safe_dump(change("data.sources.gsm", source)))


def assert_clear(done, words: list[str]) -> None:
    """One screen, no traceback, nothing run, and every word there."""
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in text
    assert len(text.splitlines()) < 25, text
    for word in words:
        assert word in text, f"{word!r} is missing in: {text}"
    assert "rule " not in text
