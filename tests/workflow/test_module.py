"""The workflow as a module of another one: under a prefix, and as snakedeploy has it."""

import json
import shutil
from pathlib import Path

import yaml
from study import ROOT, make_clone, pending, snakemake, tiny_config

OTHER = f"""
configfile: "config.yaml"


module switchpoint:
    snakefile:
        "{ROOT}/workflow/Snakefile"
    config:
        config


use rule * from switchpoint as theirs_*


rule mine:
    default_target: True
    input:
        rules.theirs_all.input,
    output:
        "mine.txt",
    shell:
        "touch {{output}}"
"""


def test_its_rules_run_under_a_prefix(tmp_path):
    plain = make_clone(tmp_path / "plain", tiny_config())
    other = make_clone(tmp_path / "other", tiny_config())
    Path(other, "Snakefile").unlink()
    Path(other, "Snakefile").write_text(OTHER)
    jobs = pending(other)
    assert jobs.pop("mine") == 1
    assert {name.removeprefix("theirs_"): count for name, count in jobs.items()} == pending(plain)
    table = "results/tiny/data/sources/gsm.parquet"
    snakemake(other, table)
    assert Path(other, table).is_file()
    assert pending(other, table) == {}


# As snakedeploy 0.17 writes it, whose `snakefile` is a function of the place on a hosting service.
DEPLOYED = f"""
from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


# declare https://github.com/someone/switchpoint as a module
module switchpoint:
    snakefile:
        "{ROOT}/workflow/Snakefile"
    config:
        config


# use all rules from https://github.com/someone/switchpoint
use rule * from switchpoint
"""


def test_it_runs_where_snakedeploy_put_it(tmp_path):
    """The configuration and the profiles are copied, and nothing else is there."""
    for name in ("config", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / name)
    assert not (tmp_path / "config/config.yaml").is_symlink()
    snakefile = tmp_path / "workflow/Snakefile"
    snakefile.parent.mkdir()
    snakefile.write_text(DEPLOYED)
    clone = make_clone(tmp_path / "clone", yaml.safe_load((ROOT / "config.yaml").read_text()))
    assert pending(tmp_path) == pending(clone)
    made = ["results/quickstart/base/run.json", "results/quickstart/data/sources/gsm.parquet"]
    snakemake(tmp_path, *made)
    assert pending(tmp_path, *made) == {}
    record = json.loads((tmp_path / made[0]).read_text())
    assert record["job"]["tiny_base"]  # by which it would be made again if the shipped files changed
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
        shipped = ROOT / "src/switchpoint/tiny-base" / name
        assert (tmp_path / made[0]).with_name(name).read_bytes() == shipped.read_bytes()


def test_two_studies_are_not_merged(tmp_path):
    """Snakemake would, where a workflow around this one names the one and the command line the other."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    snakefile = tmp_path / "workflow/Snakefile"
    snakefile.parent.mkdir()
    snakefile.write_text(DEPLOYED)
    done = snakemake(tmp_path, "-n", "--configfile", "config/paradigms.yaml", check=False)
    assert done.returncode != 0
    assert "are two studies, which Snakemake would merge" in done.stdout + done.stderr
    snakefile.write_text(DEPLOYED.replace("config/config.yaml", "config/paradigms.yaml"))
    assert pending(tmp_path, "--configfile", "config/paradigms.yaml")["rl"] == 36
