"""One real run of the tiny study, shared by every test of the workflow."""

import shutil
from pathlib import Path

import pytest
from study import make_clone, snakemake, tiny_config


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A clone whose tiny study has run; leave it as it is."""
    clone = make_clone(tmp_path_factory.mktemp("tiny") / "clone", tiny_config())
    snakemake(clone)
    return clone


@pytest.fixture
def clone(finished, tmp_path) -> Path:
    """A copy of the finished clone, time stamps kept."""
    copied = tmp_path / "clone"
    shutil.copytree(finished, copied, symlinks=True)
    return copied
