"""A bed for all tests of SLURM, and a small study that has run beside it, without SLURM."""

import shutil
import tempfile
from pathlib import Path

import pytest
from bed import Bed, is_up
from cluster import small_config
from filelock import FileLock
from study import make_clone, snakemake


@pytest.fixture(scope="session", autouse=True)
def bed():
    """The bed; one that is up already stays, as several processes of tests need it."""
    made = Bed(Path(tempfile.gettempdir(), "slurm-bed"))
    was_up = is_up()
    made.up()
    yield made
    if not was_up:
        made.down()


@pytest.fixture(scope="session")
def local(tmp_path_factory, worker_id) -> Path:
    """A clone whose study has run on this machine, for all processes of the tests; leave it as it is."""
    folder = tmp_path_factory.getbasetemp()
    made = (folder if worker_id == "master" else folder.parent) / "local"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            snakemake(make_clone(made, small_config()))
    return made


@pytest.fixture
def clone(local, tmp_path) -> Path:
    """A copy of it, time stamps kept."""
    copied = tmp_path / "clone"
    shutil.copytree(local, copied, symlinks=True)
    return copied
