"""One real run of the tiny study, shared by every test of the workflow."""

import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from study import make_clone, snakemake, tiny_config


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id) -> Path:
    """A clone whose tiny study has run, once for all processes of the tests; leave it as it is."""
    own = tmp_path_factory.getbasetemp()
    shared = (own if worker_id == "master" else own.parent) / "tiny"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            snakemake(make_clone(own / "running", tiny_config()))
            (own / "running").rename(shared)
    return shared


@pytest.fixture
def clone(finished, tmp_path) -> Path:
    """A copy of the finished clone, time stamps kept."""
    copied = tmp_path / "clone"
    shutil.copytree(finished, copied, symlinks=True)
    return copied
