"""The emulated cluster itself: it leaves nothing behind, and a machine's own Slurm alone."""

import os
import subprocess
import tempfile
from pathlib import Path

import cluster
import pytest


@pytest.mark.slurm
def test_a_cluster_that_is_taken_down_leaves_no_file_and_no_process():
    before = set(cluster.SYSTEM.iterdir())
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        with cluster.running(Path(folder)):
            subprocess.run(["sbatch", "--gpus=a100:8", "--wrap", "sleep 600"], check=True, cwd=folder)
            assert set(cluster.SYSTEM.iterdir()) - before == {
                cluster.SYSTEM / "slurm.conf",
                cluster.SYSTEM / "gres.conf",
            }
        assert set(cluster.SYSTEM.iterdir()) == before
        commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        assert not [
            command for command in commands if folder.encode() in command or b"slurm" in command.split(b"\0")[0]
        ]


def test_slurm_that_is_not_installed_is_one_sentence_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATH", os.fspath(tmp_path))
    with pytest.raises(pytest.fail.Exception, match=r"^munged is missing; as root: apt-get install slurm-wlm munge$"):
        cluster.running(tmp_path).__enter__()


@pytest.mark.parametrize("name", ["slurm.conf", "gres.conf"])
def test_a_slurm_of_the_machines_own_is_left_alone(tmp_path, monkeypatch, name):
    monkeypatch.setattr(cluster, "PROGRAMS", ())
    monkeypatch.setattr(cluster, "SYSTEM", tmp_path)
    (tmp_path / name).write_text("ours")
    with pytest.raises(pytest.fail.Exception, match="is there already"):
        cluster.running(tmp_path).__enter__()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["ours"]
