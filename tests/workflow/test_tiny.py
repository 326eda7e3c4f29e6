"""The studies that need a cluster run to their end in miniature: `snakemake --configfile config/NAME.yaml --config scale=tiny`."""

import json
from pathlib import Path

import pytest
import yaml
from study import ROOT, make_clone, snakemake

from switchpoint import files

STUDIES = {
    path.stem: config
    for path in sorted(ROOT.glob("config/*.yaml"))
    if "architecture" in ((config := yaml.safe_load(path.read_text()))["model"].get("base") or {})
}


@pytest.mark.soak
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_for_a_cluster_runs_in_miniature(tmp_path, name):
    clone = make_clone(tmp_path / "clone", {})
    command = ["--configfile", f"config/{name}.yaml", "--config", "scale=tiny"]
    snakemake(clone, *command)
    results = Path(clone, "results", f"{STUDIES[name]['study']}_tiny")
    config = json.loads((results / "base/config.json").read_text())
    assert config["model_type"] == STUDIES[name]["model"]["base"]["architecture"]
    runs = [files.read_run(path.parent) for path in results.glob("rl/*/*/*/run.json")]
    assert runs
    assert all(
        run["status"] == "finished" and [line["step"] for line in run["log"]] == [1, 2] for run in runs
    )
    for source in STUDIES[name]["data"]["sources"]:
        assert (results / f"data/sources/{source}.parquet").is_file()
    assert (results / "report.html").is_file()
    assert "Nothing to be done" in "".join(snakemake(clone, *command, "-n").stdout)
