"""After a workflow was killed: release Snakemake's lock of this folder, if no workflow runs here."""

import os
import shutil
from pathlib import Path

LOCKS = Path(".snakemake/locks")


def unlock() -> bool:
    """Release the lock of the current folder; whether there was one.

    Processes of other machines that share the folder are not seen.

    Raises:
        ValueError: when a workflow runs here; it names the process.
    """
    if not (LOCKS.is_dir() and any(LOCKS.iterdir())):
        return False
    if running := _snakemakes(Path.cwd()):
        raise ValueError(f"a workflow runs in this folder (process {running[0]}); wait for it, or end it")
    shutil.rmtree(LOCKS)
    return True


def _snakemakes(folder: Path) -> list[int]:
    """Processes that run Snakemake in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                here = (process / "cwd").resolve() == folder
            except OSError:
                continue  # it has ended, or is another user's
            if here and any(word.endswith((b"snakemake", b"snakemake/__main__.py")) for word in words):
                found.append(int(process.name))
    return found
