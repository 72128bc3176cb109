"""Checkpoints of one run: two generations with checksums, one owner at a time.

A folder holds `latest.ckpt` and `before.ckpt`, each its own SHA-256 (32 bytes) followed by torch's format; `lock`,
touched by its owner as a heartbeat; and `failed`, the sentence of an error that a further attempt cannot mend.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from manyexits.files import atomic

HEARTBEAT_S = 5.0
STALE_S = 30.0
"""A lock on another machine whose heartbeat is older than this has lost its owner."""


class LockedError(ValueError):
    """Another process trains this run."""


class Checkpoints:
    """The checkpoint folder of one run."""

    def __init__(self, folder: Path, say: Callable[[str], None] = print) -> None:
        self.folder, self.say = folder, say
        self.latest, self.before = folder / "latest.ckpt", folder / "before.ckpt"

    def save(self, content: dict[str, Any]) -> None:
        """Write a new latest generation; the one before it is kept.

        Raises:
            NoSpaceError: when the disk is full; both generations stay as they were.
        """
        buffer = io.BytesIO()
        torch.save(content, buffer)
        payload = buffer.getbuffer()
        with atomic.replacing(self.latest) as temporary:
            with temporary.open("wb") as file:
                file.write(hashlib.sha256(payload).digest())
                file.write(payload)
            if self.latest.exists():
                self.latest.replace(self.before)

    def load(self) -> dict[str, Any] | None:
        """The newest generation that is whole, on the CPU, or None where there is none."""
        for path in (self.latest, self.before):
            if not path.exists():
                continue
            data = path.read_bytes()
            if hashlib.sha256(data[32:]).digest() == data[:32]:
                return torch.load(io.BytesIO(data[32:]), map_location="cpu", weights_only=True)
            self.say(f"the checkpoint {path} is damaged; going back to the generation before")
        return None

    def remove(self) -> None:
        """Delete the folder: the run has its results."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- failures that no further attempt can mend --------------------------------------------------------------------

    def refuse(self, attempt: int) -> None:
        """Say again what an earlier attempt of the same workflow run could not get past; a first one starts anew.

        Raises:
            ValueError: with that attempt's sentence.
        """
        marker = self.folder / "failed"
        if attempt == 1:
            marker.unlink(missing_ok=True)
        elif marker.exists():
            raise ValueError(marker.read_text(encoding="utf-8"))

    def fail(self, sentence: str) -> None:
        """Remember an error of input or configuration."""
        atomic.write_text(self.folder / "failed", sentence)

    # -- one owner ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Own the folder while the block runs. A dead owner's lock is taken over.

        Raises:
            LockedError: when a living process owns it.
        """
        path = self.folder / "lock"
        self.folder.mkdir(parents=True, exist_ok=True)
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}
        while not _create(path, json.dumps(owner)):
            other, age = _owner(path)
            if other is not None and _lives(other, age):
                if other.get("host") != owner["host"] and age > HEARTBEAT_S * 2:
                    time.sleep(1)  # perhaps its machine has gone: wait until the lock is stale
                    continue
                raise LockedError(f"process {other.get('pid')} trains this run already; wait for it, or end it")
            path.unlink(missing_ok=True)
        done = threading.Event()
        heart = threading.Thread(target=_beat, args=(path, done), daemon=True)
        heart.start()
        try:
            yield
        finally:
            done.set()
            heart.join()
            path.unlink(missing_ok=True)


def _create(path: Path, content: str) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    return True


def _owner(path: Path) -> tuple[dict[str, Any] | None, float]:
    """Who holds a lock, and the age of the last heartbeat in seconds; None for a lock that has just gone."""
    try:
        age = time.time() - path.stat().st_mtime
        text = path.read_text()
    except FileNotFoundError:
        return None, 0.0
    try:
        return json.loads(text), age
    except ValueError:  # killed between creating the file and filling it
        return {}, age


def _lives(owner: dict[str, Any], age: float) -> bool:
    if owner.get("host") == socket.gethostname():
        return _started(owner["pid"]) == owner["started"]
    return age < STALE_S


def _started(pid: int) -> str | None:
    """Start time of a process in clock ticks, which tells a recycled process id from the old one; None: gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if status[0] == "Z" else status[19]


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_S):
        with contextlib.suppress(FileNotFoundError):
            path.touch()
