"""A lock that a killed workflow left is released, and one of a workflow that runs is not."""

import subprocess
import sys

import pytest

from manyexits import cli

SLOW = "rule slow:\n    output: 'out'\n    shell: 'echo begun > began; test -e go || sleep 60; touch {output}'\n"


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A workflow that has begun in the current folder."""
    (tmp_path / "Snakefile").write_text(SLOW)
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "snakemake", "-c1", "out"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    while not (tmp_path / "began").exists():
        assert process.poll() is None
    yield process
    subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=False)
    process.communicate()


def locked(folder) -> bool:
    (folder / "go").touch()
    command = [sys.executable, "-m", "snakemake", "-c1", "--rerun-incomplete", "out"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    return "LockException" in done.stdout + done.stderr


def test_a_lock_is_released_once_its_workflow_is_dead(running, tmp_path, capsys):
    assert cli.main(["unlock"]) == 2
    assert f"a workflow runs in this folder (process {running.pid})" in capsys.readouterr().err
    subprocess.run(["kill", "-9", "--", f"-{running.pid}"], check=True)
    running.wait()
    assert locked(tmp_path)
    assert cli.main(["unlock"]) == 0
    assert capsys.readouterr().out == "the lock is released\n"
    assert not locked(tmp_path)
    assert cli.main(["unlock"]) == 0
    assert capsys.readouterr().out == "no lock is here\n"
