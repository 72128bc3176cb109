"""Long work in steps: what an earlier attempt of the same job has done is not done again."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from manyexits.files import atomic

Rows = list[dict[str, Any]]


def collect(steps: Iterable[Callable[[], Rows]], folder: Path, say: Callable[[str], None] = print) -> Rows:
    """The rows of all steps, in their order; each step's are kept in the folder once it is done.

    Args:
        steps: the same ones in the same order on every attempt.
        folder: of this job alone.
        say: told what is not done again.
    """
    rows: Rows = []
    for number, step in enumerate(steps, start=1):
        file = folder / f"{number}.json"
        kept = _kept(file, say)
        if kept is None:
            kept = step()
            atomic.write_text(file, json.dumps(kept))
        else:
            say(f"step {number} was done before")
        rows += kept
    return rows


def _kept(file: Path, say: Callable[[str], None]) -> Rows | None:
    """What a step gave before; None where it has to be done, or done again since its file is damaged."""
    if not file.exists():
        return None
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        kept = None
    if isinstance(kept, list) and all(isinstance(row, dict) for row in kept):
        return kept
    say(f"{file} is damaged; its step is done again")
    return None
