"""One owner of a folder at a time.

The kernel holds the lock: it ends with its owner, however that ends, and is the same for all processes of a machine,
whatever container they see themselves in. A process on another machine shows by a heartbeat that it lives, since not
every network file system passes locks on.
"""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEARTBEAT_S = 5.0
STALE_S = 30.0
"""A lock on another machine whose heartbeat is older than this has lost its owner."""
_HELD: set[int] = set()
"""Descriptors of the locks of this process."""


class LockedError(ValueError):
    """Another process trains this run."""


@contextlib.contextmanager
def owning(path: Path) -> Iterator[None]:
    """Own a lock while the block runs. A dead owner's is taken over.

    Args:
        path: of the lock's file, which tells who owns it.

    Raises:
        LockedError: when a living process owns it.
        ValueError: when the file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _locked(path)
    _HELD.add(file)
    try:
        _wait_for_others(path, file)
        os.truncate(file, 0)
        os.pwrite(
            file, json.dumps({"machine": _machine(), "host": socket.gethostname(), "pid": os.getpid()}).encode(), 0
        )
        done = threading.Event()
        heart = threading.Thread(target=_beat, args=(path, done), daemon=True)
        heart.start()
        try:
            yield
        finally:
            done.set()
            heart.join()
            path.unlink(missing_ok=True)  # while it is locked: who waits for it sees that it has gone
    finally:
        _HELD.discard(file)
        os.close(file)


def _locked(path: Path) -> int:
    """A descriptor of the file that lies at `path`, locked."""
    while True:
        file = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(file)
            os.close(file)
            raise LockedError(f"process {owner.get('pid')} trains this run already; wait for it, or end it") from None
        except OSError as error:
            os.close(file)
            raise ValueError(
                f"{path} cannot be locked ({error.strerror}); set output to a folder of a file system that knows locks"
            ) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), path.stat()):
                return file
        os.close(file)  # its owner removed it between our opening and our locking it


def _wait_for_others(path: Path, file: int) -> None:
    """Refuse a lock whose owner lives on another machine, or wait until its heart has not beaten for long enough."""
    owner = _owner(file)
    here = owner.get("machine", owner.get("host")) in (_machine(), socket.gethostname(), None)
    while not here and (age := time.time() - os.fstat(file).st_mtime) < STALE_S:
        if age < 2 * HEARTBEAT_S:
            who = f"process {owner.get('pid')} on {owner.get('host')}"
            raise LockedError(f"{who} trains this run already; wait for it, or end it")
        time.sleep(1)


def _owner(file: int) -> dict[str, Any]:
    """Who a lock's file names; nobody in one that was killed before it was filled."""
    try:
        found = json.loads(os.pread(file, 4096, 0))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _machine() -> str:
    """What tells this kernel from others, and from itself before it was started anew."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_S):
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)


def _let_go() -> None:
    """In a forked child: the lock must not outlive its owner there."""
    for file in _HELD:
        os.close(file)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)
