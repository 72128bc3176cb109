"""One owner of a folder, whatever becomes of it and wherever it runs."""

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from manyexits.training import lock
from manyexits.training.lock import LockedError, owning

OWN = (
    "import sys, pathlib, time; from manyexits.training.lock import owning\n"
    "with owning(pathlib.Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run/lock"


def owner(path, *before: str) -> subprocess.Popen:
    """A process that owns the lock."""
    started = subprocess.Popen([*before, sys.executable, "-c", OWN, str(path)], stdout=subprocess.PIPE, text=True)
    assert started.stdout.readline() == "locked\n"
    return started


def test_a_lock_is_released_at_the_end_and_after_an_error(path):
    with owning(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()
    with pytest.raises(RuntimeError), owning(path):
        raise RuntimeError
    with owning(path):
        pass


def test_a_living_owner_keeps_others_out(path):
    with owning(path), pytest.raises(LockedError, match=f"process {os.getpid()} trains this run already"), owning(path):
        pass


def test_the_lock_of_a_killed_owner_is_taken_over_at_once(path):
    process = owner(path)
    with pytest.raises(LockedError), owning(path):
        pass
    process.kill()
    process.communicate()
    began = time.monotonic()
    with owning(path):
        assert time.monotonic() - began < 1


def can_unshare() -> bool:
    return subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="needs the right to make process namespaces")
def test_an_owner_in_another_process_namespace_lives(path):
    process = owner(path, "unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    with pytest.raises(LockedError), owning(path):
        pass
    process.kill()
    process.communicate()


def test_a_child_that_outlives_its_owner_holds_no_lock(path):
    """As one that a library forks may."""
    code = (
        "import os, sys, pathlib, time; from manyexits.training.lock import owning\n"
        "with owning(pathlib.Path(sys.argv[1])):\n"
        "    child = os.fork()\n"
        "    if not child: print(os.getpid(), flush=True)\n"
        "    time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    with owning(path):
        assert Path(f"/proc/{child}").exists()
    os.kill(child, 9)
    process.stdout.close()


TIMES = 30


def attempts(path, left, barrier, owned, most) -> None:
    """Find the lock of a dead owner, again and again, at the same time as others."""
    for _ in range(TIMES):
        if barrier.wait() == 0:
            path.parent.mkdir(exist_ok=True)
            path.write_text("" if left is None else json.dumps(left))
        barrier.wait()
        with contextlib.suppress(LockedError), owning(path):
            with owned.get_lock():
                owned.value += 1
                most.value = max(most.value, owned.value)
            time.sleep(0.02)
            with owned.get_lock():
                owned.value -= 1


@pytest.mark.parametrize("left", [{"host": os.uname().nodename, "pid": 999_999, "started": "1"}, None], ids=str)
def test_of_several_that_find_a_dead_owners_lock_one_owns_it_at_a_time(path, left):
    fork = multiprocessing.get_context("fork")
    barrier, owned, most = fork.Barrier(4, timeout=60), fork.Value("i", 0), fork.Value("i", 0)
    starters = [fork.Process(target=attempts, args=(path, left, barrier, owned, most)) for _ in range(4)]
    for each in starters:
        each.start()
    for each in starters:
        each.join()
    assert [each.exitcode for each in starters] == [0] * 4
    assert most.value == 1


def test_the_lock_of_another_machine_holds_while_its_heart_beats(path):
    path.parent.mkdir()
    path.write_text(json.dumps({"machine": "another", "host": "elsewhere", "pid": 1}))
    with pytest.raises(LockedError, match="process 1 on elsewhere trains this run already"), owning(path):
        pass
    old = time.time() - lock.STALE_S - 1
    os.utime(path, (old, old))
    with owning(path):
        pass


def test_the_heart_beats(path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.05)
    with owning(path):
        os.utime(path, (1, 1))
        time.sleep(0.5)
        assert time.time() - path.stat().st_mtime < 10


def test_a_file_system_without_locks_is_told(path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with (
        pytest.raises(ValueError, match=r"lock cannot be locked \(Operation not supported\); set output"),
        owning(path),
    ):
        pass
