"""Set-up: what is missing is named in one sentence, and what is there is not made again."""

import shutil
import subprocess

import pytest


@pytest.fixture
def fresh(root, tmp_path):
    """What make reads, without an environment."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(root / name, tmp_path / name)
    (tmp_path / "envs").mkdir()
    shutil.copy(root / "envs/requirements.txt", tmp_path / "envs/requirements.txt")
    return tmp_path


def make(folder, *arguments):
    return subprocess.run(["make", "-C", folder, *arguments], capture_output=True, text=True)


def test_a_missing_python_is_named_with_its_package(fresh):
    done = make(fresh, "demo", "PYTHON=python9.99")
    assert done.returncode != 0
    assert "python9.99 is missing; install it (Debian: apt-get install python3.11 python3.11-venv)" in done.stdout
    assert not (fresh / ".venv").exists()


def test_another_python_is_refused(fresh):
    (fresh / "other").write_text("#!/bin/sh\nexit 1\n")
    (fresh / "other").chmod(0o755)
    done = make(fresh, "test", "PYTHON=./other")
    assert done.returncode != 0
    assert "./other is not Python 3.11; install it" in done.stdout


def test_a_python_without_venv_is_named_with_its_package(fresh):
    (fresh / "bare").write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    (fresh / "bare").chmod(0o755)
    done = make(fresh, "setup", "PYTHON=./bare")
    assert done.returncode != 0
    assert "install its venv module (Debian: apt-get install python3.11-venv)" in done.stdout


def test_a_second_set_up_does_nothing(fresh):
    (fresh / ".venv").mkdir()
    (fresh / ".venv/.ready").touch()
    assert "pip install" not in make(fresh, "-n", "setup").stdout
    assert "pip install" not in make(fresh, "-n", "demo").stdout
    (fresh / "envs/requirements.txt").write_text("# another lock\n")
    assert "pip install" in make(fresh, "-n", "setup").stdout


def test_make_alone_lists_the_targets(fresh):
    listed = make(fresh).stdout
    for target in ("demo", "test", "lint", "bench", "report"):
        assert f"make {target}" in listed
