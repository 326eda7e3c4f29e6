"""The workflow as a module of another one, under a prefix."""

from pathlib import Path

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
