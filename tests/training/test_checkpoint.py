"""Two generations with checksums, one owner, and what cannot be mended is remembered."""

import errno
import os
import subprocess

import pytest
import torch

from manyexits.files.atomic import NoSpaceError
from manyexits.training.checkpoint import Checkpoints


@pytest.fixture
def said():
    return []


@pytest.fixture
def store(tmp_path, said):
    return Checkpoints(tmp_path / "run", said.append)


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_nothing_saved_is_nothing_loaded(store):
    assert store.load() is None


def test_the_newest_generation_is_loaded_and_the_one_before_is_kept(store):
    for number in (1, 2, 3):
        store.save({"number": number, "weights": torch.full((2,), float(number))})
    assert store.load()["number"] == 3
    assert sorted(path.name for path in store.folder.iterdir()) == ["before.ckpt", "latest.ckpt"]


def test_a_damaged_generation_is_named_and_the_one_before_taken(store, said):
    store.save({"number": 1})
    store.save({"number": 2})
    damage(store.latest)
    assert store.load()["number"] == 1
    assert said == [f"the checkpoint {store.latest} is damaged; going back to the generation before"]


@pytest.mark.parametrize("length", [0, 10, 40])
def test_a_truncated_generation_is_damaged(store, length):
    store.save({"number": 1})
    store.save({"number": 2})
    store.latest.write_bytes(store.latest.read_bytes()[:length])
    assert store.load()["number"] == 1


def test_two_damaged_generations_are_none(store, said):
    store.save({"number": 1})
    store.save({"number": 2})
    damage(store.latest)
    damage(store.before)
    assert store.load() is None
    assert len(said) == 2


def test_a_kill_between_the_two_renames_loses_nothing(store):
    store.save({"number": 1})
    store.latest.replace(store.before)
    assert store.load()["number"] == 1
    store.save({"number": 2})
    assert store.load()["number"] == 2


@pytest.fixture
def full(tmp_path, monkeypatch):
    """A folder, and a function that fills its disk: a real one where a small disk may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], capture_output=True)
    if mounted.returncode == 0:
        yield disk, lambda: (disk / "ballast").write_bytes(bytes(200_000))
        subprocess.run(["umount", disk], check=True)
        return

    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    yield disk, lambda: monkeypatch.setattr(os, "fsync", refuse)


def test_a_full_disk_leaves_both_generations(full):
    disk, fill = full
    store = Checkpoints(disk / "run")
    for number in (1, 2):
        store.save({"number": number, "weights": torch.zeros(100)})
    fill()
    with pytest.raises(NoSpaceError, match=r"no space left while writing .*latest\.ckpt; free some and start again"):
        store.save({"number": 3, "weights": torch.zeros(20_000)})
    assert store.load()["number"] == 2
    assert not list(store.folder.glob(".*"))


def test_no_code_in_a_checkpoint_is_run(store):
    class Evil:
        def __reduce__(self):
            return (os.system, ("true",))

    store.save({"evil": Evil()})
    with pytest.raises(Exception, match="Weights only load failed"):
        store.load()


def test_what_failed_for_good_is_said_again_to_later_attempts_and_forgotten_by_a_new_start(store):
    store.refuse(attempt=1)
    store.fail("batch 3 cannot be divided")
    with pytest.raises(ValueError, match=r"^batch 3 cannot be divided$"):
        store.refuse(attempt=2)
    store.refuse(attempt=1)
    store.refuse(attempt=2)
