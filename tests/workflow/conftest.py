"""One real run of the tiny study, shared by every test of the workflow."""

import shutil
from pathlib import Path

import pytest
from study import make_clone, snakemake, tiny_config


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items):
    """One process runs all tests that need the finished study, so that it is made once."""
    for item in items:
        if "finished" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("finished"))


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
