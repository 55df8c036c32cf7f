"""What a person sees of a training: a live line in a terminal, a line per validation elsewhere, nothing when quiet."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LOOK_EVERY = 0.25  # seconds between looks at the loss; each look waits for the device


class Display:
    """Shows a training on stderr. quiet: True shows nothing; None shows the live line only in a terminal.

    Used as a context manager around the training, so that the terminal is left in order whatever happens.
    """

    def __init__(self, *, quiet: bool | None = None, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, quiet=bool(quiet))
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._next = 0.0

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, soft_wrap=True, markup=False)

    def start(self, total: float, done: float = 0.0) -> None:
        """Begin a live line that ends at `total` (epochs, or pictures)."""
        self.close()
        if not self.console.is_terminal or self.console.quiet:
            return
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeRemainingColumn(compact=True))
        self._bar = Progress(*columns, console=self.console, transient=True, auto_refresh=False)
        self._bar.start()
        self._task = self._bar.add_task("", total=total)
        self.show(done, "")

    def due(self) -> bool:
        """Whether it is time for another look: a few times a second, however short the steps."""
        now = time.perf_counter()
        if now < self._next:
            return False
        self._next = now + LOOK_EVERY
        return True

    def show(self, done: float, description: str) -> None:
        """Move the live line to `done`."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, description=description)
            self._bar.refresh()

    def close(self) -> None:
        """End the live line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
