"""Progress: a bar on a terminal, plain lines elsewhere."""

import sys

from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Console:
    """Where a job says what it does."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Show nothing if `quiet`: of several ranks only the first one speaks."""
        self.quiet = quiet
        self._bar: Progress | None = None
        if sys.stderr.isatty() and not quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Terminal(stderr=True), transient=True)
            self._task = self._bar.add_task("", total=None)
            self._bar.start()

    def line(self, text: str) -> None:
        """Say one line."""
        if self._bar:
            self._bar.console.print(text, highlight=False, markup=False)
        elif not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def step(self, phase: str, epoch: int, step: int, steps: int) -> None:
        """Show how far an epoch is."""
        if self._bar:
            self._bar.update(self._task, description=f"{phase} epoch {epoch}", completed=step, total=steps)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar:
            self._bar.stop()
