"""A study whose base model is converted by a rule: planned from its lock alone, made once, made again when it has to."""

import json
import os
import shutil

import pytest
import yaml
from study import ROOT, make_clone, pending, snakemake, tiny_config, write_config

from switchpoint.data import locks
from switchpoint.errors import InputError
from switchpoint.study import config as studies

BASE = "results/tiny/base/run.json"


def with_base(**base) -> dict:
    """The tiny study with another base."""
    config = tiny_config()
    config["model"] = {"base": base}
    return config


def test_it_plans_without_the_package_and_without_the_hub(tmp_path):
    """The lock alone has to be there."""
    config = with_base(kind="gguf", package="nowhere", file="model.gguf", lock="model.lock")
    clone = make_clone(tmp_path / "clone", config)
    done = snakemake(clone, "-n", check=False)
    assert done.returncode != 0
    assert "model.base.lock is 'model.lock', which is no file" in done.stdout + done.stderr
    (clone / "model.lock").write_text("not read before the job")
    assert pending(clone)["convert_base"] == 1
    assert pending(clone)["rl"] == 3
    hub = {"kind": "hub", "name": "some/model", "revision": "0" * 40, "lock": "model.lock"}
    write_config(clone, with_base(**hub))
    assert pending(clone)["convert_base"] == 1
    done = snakemake(clone, BASE, check=False)
    assert "model.lock is wrong" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_studies_that_are_shipped_plan(tmp_path):
    clone = make_clone(tmp_path / "clone", tiny_config())
    shipped = sorted((ROOT / "config").glob("*.yaml"))
    assert ROOT / "config/smollm2-135m.yaml" in shipped
    for path in shipped:
        write_config(clone, yaml.safe_load(path.read_text()))
        assert pending(clone)["evaluate"] > 1, path


@pytest.mark.soak
def test_a_base_is_made_again_when_its_lock_or_its_source_changed(tmp_path, monkeypatch):
    """And not when the lock was only touched; all that uses the model hangs on it."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    commits = ["0" * 40, "1" * 40]
    for commit in commits:
        shutil.copytree(
            ROOT / "src/switchpoint/tiny-base", tmp_path / f"hub/models--some--model/snapshots/{commit}"
        )
    hub = {"kind": "hub", "name": "some/model", "revision": commits[0], "lock": "model.lock"}
    clone = make_clone(tmp_path / "clone", with_base(**hub))
    locks.write_lock("some/model", str(clone / "model.lock"), commits[0])
    snakemake(clone, BASE)
    assert (clone / "results/tiny/base/model.safetensors").is_file()
    assert pending(clone, BASE) == {}
    (clone / "model.lock").write_bytes((clone / "model.lock").read_bytes())
    assert pending(clone, BASE) == {}
    locks.write_lock("some/model", str(clone / "model.lock"), commits[1])
    assert pending(clone, BASE) == {"convert_base": 1}
    done = snakemake(clone, BASE, check=False)
    assert "if the change is meant" in done.stdout + done.stderr
    write_config(clone, with_base(**hub | {"revision": commits[1]}))
    snakemake(clone, BASE)
    record = json.loads((clone / BASE).read_text())
    assert record["job"]["source"]["revision"] == commits[1]
    # Without Snakemake's memory, the record tells that the base is another job's.
    shutil.rmtree(clone / ".snakemake")
    assert pending(clone, BASE) == {}
    write_config(clone, with_base(**hub | {"name": "another/model", "revision": commits[1]}))
    assert pending(clone, BASE) == {"convert_base": 1}
    os.remove(clone / "model.lock")
    monkeypatch.chdir(clone)
    study = studies.parse(with_base(**hub))
    with pytest.raises(InputError, match="switchpoint lock PATH"):
        studies.check_files(study)
    template = with_base(**hub | {"chat_template": "nowhere.jinja"})
    with pytest.raises(InputError, match=r"model\.base\.chat_template is 'nowhere\.jinja', which is no file"):
        studies.check_files(studies.parse(template))
