"""Files appear whole or not at all, whatever happens while they are written."""

import errno
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyexits.files import atomic


def tmpfs(folder):
    """Mount a file system of 64 KiB; whether that is allowed here."""
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0


def can_mount():
    with tempfile.TemporaryDirectory() as probe:
        mounted = tmpfs(probe)
        if mounted:
            subprocess.run(["umount", probe], check=True)
    return mounted


DISKS = ["device", "tmpfs"] if can_mount() else ["device"]
LARGE = np.arange(200_000, dtype=np.uint8)
FILLS = {
    "bytes": lambda file: file.write(LARGE.tobytes()),
    "many small writes": lambda file: [file.write(bytes([byte])) for byte in LARGE[:70_000]],
    "an array": lambda file: np.save(file, LARGE),
    "an archive of arrays": lambda file: np.savez(file, LARGE),
}


@pytest.fixture(params=DISKS)
def nearly_full(request, tmp_path, monkeypatch):
    """A path on a disk too small for what comes: a file system of 64 KiB, or the device that is always full."""
    path = tmp_path / "disk" / "file.bin"
    path.parent.mkdir()
    if request.param == "tmpfs":
        assert tmpfs(path.parent)
    path.write_bytes(b"old")
    if request.param == "device":
        device = path.with_name(".part")
        device.symlink_to("/dev/full")
        monkeypatch.setattr(atomic, "_beside", lambda path: device)
    yield path
    if request.param == "tmpfs":
        subprocess.run(["umount", path.parent], check=True)


def left(path):
    """What lies in the folder of a path: names and contents."""
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_a_file_is_replaced_by_the_whole_of_the_new_one(tmp_path_factory, first, second):
    path = tmp_path_factory.mktemp("files") / "new folder" / "Ä b.bin"
    for content in (first, second):
        atomic.write(path, lambda file, content=content: file.write(content))
        assert left(path) == {"Ä b.bin": content}


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError, SystemExit, PermissionError])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, interruption):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fill(file):
        file.write(b"half of the new")
        file.flush()
        raise interruption

    with pytest.raises(interruption):
        atomic.write(path, fill)
    assert left(path) == {"file.bin": b"old"}


def test_an_interrupted_first_write_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError):
        atomic.write(tmp_path / "file.bin", lambda file: file.write(bytes(1 // 0)))
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stands_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    seen = []
    atomic.write(path, lambda file: (file.write(b"new"), file.flush(), seen.append(path.read_bytes())))
    assert seen == [b"old"]
    assert path.read_bytes() == b"new"


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    program = (
        "import os, pathlib, signal, sys; from manyexits.files import atomic\n"
        "def fill(file): file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic.write(pathlib.Path(sys.argv[1]), fill)"
    )
    assert subprocess.run([sys.executable, "-c", program, path]).returncode == -9
    assert path.read_bytes() == b"old"


def test_what_a_killed_process_left_is_cleared_and_what_is_being_written_stays(tmp_path):
    program = (
        "import os, pathlib, signal, sys, time; from manyexits.files import atomic\n"
        "def fill(file):\n"
        "    print('writing', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL) if sys.argv[2] == 'dead' else input()\n"
        "atomic.write(pathlib.Path(sys.argv[1]), fill)"
    )
    path = tmp_path / "[odd] name.bin"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    living = subprocess.Popen([sys.executable, "-c", program, path, "on"], **pipes)
    assert living.stdout.readline() == "writing\n"
    dead = subprocess.Popen([sys.executable, "-c", program, path, "dead"], **pipes)
    assert dead.communicate()[0] == "writing\n"
    assert len(list(tmp_path.glob(".*.part"))) == 2
    atomic.write(path, lambda file: file.write(b"mine"))
    assert len(list(tmp_path.glob(".*.part"))) == 1
    living.communicate("\n")
    assert left(path) == {path.name: b""}  # the other one ended last


@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)
def test_a_full_disk_is_told_in_one_sentence_and_loses_nothing(nearly_full, fill):
    with pytest.raises(atomic.NoSpaceError, match="no space left while writing") as caught:
        atomic.write(nearly_full, fill)
    assert str(nearly_full) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert left(nearly_full) == {"file.bin": b"old"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_used_up_quota_is_told_like_a_full_disk(tmp_path, number):
    def fill(file):
        raise OSError(number, os.strerror(number))

    with pytest.raises(atomic.NoSpaceError, match="nothing earlier is lost") as caught:
        atomic.write(tmp_path / "file.bin", fill)
    assert caught.value.errno == number


def test_other_faults_of_the_disk_keep_their_name(tmp_path):
    def fill(file):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output error") as caught:
        atomic.write(tmp_path / "file.bin", fill)
    assert not isinstance(caught.value, atomic.NoSpaceError)


def test_text_is_written_as_utf_8(tmp_path):
    atomic.write_text(tmp_path / "a.txt", "Grüße\n")
    assert (tmp_path / "a.txt").read_bytes() == b"Gr\xc3\xbc\xc3\x9fe\n"


def test_json_keeps_the_order_of_keys_and_is_readable(tmp_path):
    atomic.write_json(tmp_path / "a.json", {"z": 1, "a": [0.5, None, "ü"]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert list(json.loads(text).items()) == [("z", 1), ("a", [0.5, None, "ü"])]
    assert text.startswith('{\n "z": 1,\n')
    assert "ü" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_refuses_what_is_no_number_and_leaves_the_old_file(tmp_path, number):
    atomic.write_json(tmp_path / "a.json", [1])
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic.write_json(tmp_path / "a.json", [number])
    assert left(tmp_path / "a.json") == {"a.json": b"[\n 1\n]\n"}
