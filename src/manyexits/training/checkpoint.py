"""Checkpoints of one run: two generations with checksums, one owner at a time.

A folder holds `latest.ckpt` and `before.ckpt`, each its own SHA-256 (32 bytes) followed by torch's format; `lock`,
touched by its owner as a heartbeat; and `failed`, the sentence of an error that a further attempt cannot mend.
"""

import hashlib
import io
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from manyexits.files import atomic
from manyexits.training.lock import LockedError as LockedError
from manyexits.training.lock import owning


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

    def lock(self) -> AbstractContextManager[None]:
        """Own the folder while the block runs.

        Raises:
            LockedError: when a living process owns it.
        """
        return owning(self.folder / "lock")
