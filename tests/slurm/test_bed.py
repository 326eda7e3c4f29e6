"""The bed keeps its hands off a real cluster's configuration."""

from pathlib import Path

import bed as beds
import pytest


def test_a_configuration_that_is_not_its_own_is_left_alone(tmp_path, monkeypatch):
    theirs = tmp_path / "slurm.conf"
    theirs.write_text("ClusterName=real\n")
    monkeypatch.setattr(beds, "CONFIGURATION", theirs)
    made = beds.Bed(tmp_path / "bed")
    with pytest.raises(beds.BedError, match="stays as it is"):
        made.up()
    made.down()
    assert theirs.read_text() == "ClusterName=real\n"
    link = tmp_path / "link"
    link.symlink_to(theirs)
    monkeypatch.setattr(beds, "CONFIGURATION", link)
    with pytest.raises(beds.BedError, match="stays as it is"):
        made.up()
    made.down()
    assert link.is_symlink()


def test_it_is_up_with_three_nodes_and_fake_gpus(bed):
    assert beds.ask("sinfo", "-h", "-o", "%G %D", "-p", "bed").split() == ["gpu:4", "3"]
    told = beds.ask("srun", "--gres=gpu:2", "bash", "-c", "echo $CUDA_VISIBLE_DEVICES")
    assert len(told.strip().split(",")) == 2
    assert bed.pid("slurmctld")
    assert Path(bed.configuration).read_text().startswith(beds.MARK)
